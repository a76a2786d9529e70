"""Recomputes the row digests of a restored database. Python's standard library only.

  psql ... -c "COPY ..." | python3 table_digest.py KEY "COPY ..."    prints rows, bytes, digest
  python3 table_digest.py tables.csv -- psql ...                    compares every table of tables.csv

Per row t = SHA-256(KEY, SHA-256(statement), length of the row as 8 bytes, the row without its newline);
all numbers big-endian. The digest is the sum of all t modulo 2^256.
"""
import csv, hashlib, subprocess, sys


def table_digest(stream, key, statement):
    start = hashlib.sha256(bytes.fromhex(key) + hashlib.sha256(statement.encode()).digest())
    rows = length = total = 0
    for line in stream:
        if not line.endswith(b"\n"):
            raise SystemExit("the stream ends in the middle of a row")
        row, term = line[:-1], start.copy()
        term.update(len(row).to_bytes(8, "big") + row)
        total = (total + int.from_bytes(term.digest(), "big")) % 2**256
        rows, length = rows + 1, length + len(row)
    return str(rows), str(length), format(total, "064x")


def compare(path, psql):
    csv.field_size_limit(2**30)
    equal = True
    for line in csv.DictReader(open(path, newline="", encoding="utf-8")):
        copy = subprocess.Popen(psql + ["-c", line["copy_sql"]], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        found = table_digest(copy.stdout, line["row_key"], line["copy_sql"])
        same = copy.wait() == 0 and found == (line["rows"], line["bytes"], line["row_digest"])
        print("ok     " if same else "DIFFERS", line["table"], *found, flush=True)
        equal = equal and same
    return 0 if equal else 1


if len(sys.argv) > 3 and sys.argv[2] == "--":
    sys.exit(compare(sys.argv[1], sys.argv[3:]))
if len(sys.argv) != 3:
    sys.exit(__doc__)
print(*table_digest(sys.stdin.buffer, sys.argv[1], sys.argv[2]))
