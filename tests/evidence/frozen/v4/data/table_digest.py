"""Recomputes the row digests of a restored database. Python's standard library only.

  python3 table_digest.py tables.csv -- psql ...      compares every table of tables.csv
  python3 table_digest.py tables.csv N -- psql ...    compares only the N-th of them
  python3 table_digest.py tables.csv N                prints the statement that loads the N-th table

Per row t = SHA-256(KEY, SHA-256(statement), length of the row as 8 bytes, the row without its newline);
all numbers big-endian. The digest is the sum of all t modulo 2^256. Only statements that copy a table out by its
quoted names are handed to psql, each as one argument of -c, in which a backslash is no command.
"""
import csv, hashlib, re, subprocess, sys

NAME = r'"(?:[^"\0]|"")+"'
STATEMENT = re.compile(rf"COPY ({NAME})\.({NAME})(?: \({NAME}(?:, {NAME})*\))? TO STDOUT")


def statement(line):
    found = STATEMENT.fullmatch(line["copy_sql"])
    # A part of a name keeps its quotes where a dot or a quote is inside.
    parts = [part if re.search(r'[."]', part[1:-1]) else part[1:-1] for part in found.groups()] if found else []
    return line["copy_sql"] if ".".join(parts) == line["table"] else None


def table_digest(stream, key, sql):
    start = hashlib.sha256(bytes.fromhex(key) + hashlib.sha256(sql.encode()).digest())
    rows = length = total = 0
    for row in stream:
        if not row.endswith(b"\n"):
            raise SystemExit("the stream ends in the middle of a row")
        row, term = row[:-1], start.copy()
        term.update(len(row).to_bytes(8, "big") + row)
        total = (total + int.from_bytes(term.digest(), "big")) % 2**256
        rows, length = rows + 1, length + len(row)
    return str(rows), str(length), format(total, "064x")


def equal(line, psql):
    name, sql = ascii(line["table"])[1:-1], statement(line)
    if sql is None:
        return print("REFUSED", name, "(copy_sql is not the copy of that table by its quoted names)")
    copy = subprocess.Popen(psql + ["-c", sql], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    found = table_digest(copy.stdout, line["row_key"], sql)
    if copy.wait() != 0:
        return print("FAILED ", name, "(psql did not end well, so nothing was compared)")
    same = found == (line["rows"], line["bytes"], line["row_digest"])
    print("ok     " if same else "DIFFERS", name, *found, flush=True)
    return same


split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
arguments, psql = sys.argv[1:split], sys.argv[split + 1 :]
if not (len(arguments) == 2 or len(arguments) == 1 and psql):
    sys.exit(__doc__)
csv.field_size_limit(2**30)
lines = list(csv.DictReader(open(arguments[0], newline="", encoding="utf-8")))
if len(arguments) == 2:
    lines = [line for number, line in enumerate(lines, 1) if str(number) == arguments[1]] or sys.exit("no such table")
if psql:
    sys.exit(0 if all([equal(line, psql) for line in lines]) else 1)
copy = statement(lines[0]) or sys.exit("REFUSED: copy_sql is not the copy of that table by its quoted names")
print(copy[: -len("TO STDOUT")] + "FROM STDIN")
