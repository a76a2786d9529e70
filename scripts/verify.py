#!/usr/bin/env python3
"""Checks a bundle of walkaway without walkaway: Python's standard library; ssh-keygen and openssl as programs.

  python3 -I verify.py BUNDLE [--allowed-signers FILE] [--tsa-ca FILE] [--require signed,reviewed,stamped]

Exit code 0: consistent, and what was required holds; 1: something contradicts; 2: something could not be checked;
3: no bundle, or wrong usage. Nothing of the bundle is run. Left to `walkaway verify`: what playbook.resolved.json makes of
the YAML, percentiles of the time to exit, the wording of reports, and of a waiver more than which asset it begins with.
"""
import argparse, base64, collections, csv, datetime, hashlib, itertools, json, os, re, stat, subprocess, sys
# How findings weigh by kind; all other kinds fail.
NOTES = set("""deviation left_behind property_unreadable source_moved exclusion_unused snapshot_shared
contract_unprojected waiver_unused predecessor_unseen""".split())
NOT_RUN = set("""object_unreadable object_unrestored object_archived object_unlisted listing_contradiction object_changed
copy_unreadable table_unreadable rows_unreadable table_skipped not_proven view_differs not_carried asset_stopped target_unknown
account_unreadable source_not_compared document_undated threshold_unknown signature_unchecked timestamp_missing""".split())
NEVER_WAIVED = {"verifier_blind", "journal_broken", "waiver_unused", "waiver_expired"}  # nor any kind of bundle_…
NAME = r'"(?:[^"\0]|"")+"'
STATEMENT = re.compile(rf"COPY ({NAME})\.({NAME})(?: \({NAME}(?:, {NAME})*\))? TO STDOUT")
ROLE = re.compile(r"(operator|reviewer|reviewer-(?:[2-9]|[1-9][0-9]+))\.sig")
RESULT, JOURNAL, OSCAL = "data/result.json", "data/journal.ndjson", "data/oscal-assessment-results.json"
TAGS, ORDER = "tagmanifest-sha256.txt", ["PASS", "WAIVED", "NOT RUN", "FAIL"]
found = []  # what is wrong: severity, where, what
def expect(holds, where, what, severity="fail"):
    if not holds:
        found.append((severity, where, what))
    return holds
def sha256(data): return hashlib.sha256(data).hexdigest()
def written(text): return json.dumps(text, ensure_ascii=False)
def unique(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)

class Bag:  # the files of the bundle; no link is followed, and nothing is opened that the walk did not see
    def __init__(self, root):
        self.root, self.files, self.signatures = root, set(), set()
        for path in (os.path.join(folder, name) for folder, names, files in os.walk(root) for name in names + files):
            inside, mode = os.path.relpath(path, root), os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                (self.signatures if inside.startswith("sig/") else self.files).add(inside)
            else:
                known = stat.S_ISDIR(mode) and ("/" in inside or inside in ("data", "sig"))
                expect(known, inside, "is neither a regular file nor a directory that a bundle has")
    def open(self, name):
        if name not in self.files | self.signatures:
            raise FileNotFoundError(name)
        return open(os.open(os.path.join(self.root, name), os.O_RDONLY | os.O_NOFOLLOW), "rb")
    def read(self, name):
        return self.open(name).read()
    def digest(self, name):
        whole, file = hashlib.sha256(), self.open(name)
        for piece in iter(lambda: file.read(1 << 20), b""):
            whole.update(piece)
        return whole.hexdigest()
    def json(self, name):
        return json.loads(self.read(name), object_pairs_hook=unique)
    def lines(self, name):
        for number, line in enumerate(self.open(name), 1):
            expect(line.endswith(b"\n"), f"{name} line {number}", "has no line end")
            yield number, line[:-1]
    def ndjson(self, name):
        return (json.loads(line, object_pairs_hook=unique) for _, line in self.lines(name))
    def table(self, name):
        rows = list(csv.reader(self.read(name).decode().splitlines(keepends=True), strict=True))
        expect(all(len(row) == len(rows[0]) for row in rows), name, "has rows of another length")
        return [dict(zip(rows[0], row)) for row in rows[1:]]
    def manifest(self, name, belongs):
        named = {}
        for number, line in self.lines(name):
            digest, _, path = line.decode(errors="replace").partition("  ")
            plain = re.fullmatch(r"[0-9a-f]{64} [A-Za-z0-9._][A-Za-z0-9._/-]*", f"{digest} {path}") and belongs(path)
            plain = plain and not {"..", ".", ""} & set(path.split("/")) and path not in named
            if expect(plain, f"{name} line {number}", "is no digest of a file that belongs there"):
                named[path] = digest
                found_digest = self.digest(path) if path in self.files else "missing"
                expect(found_digest == digest, path, f"is {found_digest}, {name} has {digest}")
        return named
    def labels(self, label):
        return re.findall(rf"^{label}: (.*)$", self.read("bag-info.txt").decode(errors="replace"), re.M)
    def check(self):
        declared = self.read("bagit.txt") == b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
        expect(declared, "bagit.txt", "is no declaration of BagIt 1.0")
        tags = self.manifest(TAGS, lambda path: "/" not in path and path != TAGS)
        payload = self.manifest("manifest-sha256.txt", lambda path: path.startswith("data/"))
        for name in self.files - tags.keys() - payload.keys() - {TAGS}:
            expect(False, name, "no manifest names it")
        sizes = [os.lstat(os.path.join(self.root, name)).st_size for name in payload.keys() & self.files]
        expect(self.labels("Payload-Oxum") == [f"{sum(sizes)}.{len(payload)}"], "bag-info.txt", "has another Payload-Oxum")

def severity(finding):
    return "note" if finding["kind"] in NOTES else "not_run" if finding["kind"] in NOT_RUN else "fail"
def may_waive(waiver, finding):  # whether the waiver is for the finding's asset; what follows is compared by walkaway
    pattern, start = waiver["finding"], f"{finding['asset']}: " if finding.get("asset") is not None else ""
    glob = lambda text: "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in text)
    begins = any(re.fullmatch(glob(p), start, re.S) for p in [pattern + "*", *(pattern[:n] for n in range(len(pattern) + 1))])
    if not start and ": " in pattern:  # of the run: what follows the kind's title is about the subject
        begins = re.fullmatch(glob(pattern.split(": ", 1)[1]) + ".*", f"{finding['subject']} ({finding['detail']})", re.S)
    return bool(begins) and not waiver["expired"] and finding["kind"] not in NEVER_WAIVED and finding["kind"][:7] != "bundle_"
def verdict_of(findings, waivers=()):
    weighs = [finding for finding in findings if severity(finding) != "note"]
    is_open = {severity(finding) for finding in weighs if not any(may_waive(waiver, finding) for waiver in waivers)}
    return "FAIL" if "fail" in is_open else "NOT RUN" if is_open else "WAIVED" if weighs else "PASS"
def same(finding):
    return tuple(finding.get(key) for key in ("asset", "kind", "severity", "subject", "detail"))
def all_findings(bag, result):
    """Those of the result; of kinds of which there are too many for it, those of the assets' files."""
    for asset in result["assets"]:
        filed = {kind["kind"] for kind in (asset.get("filed") or {}).get("kinds", [])}
        yield from (finding for finding in asset["findings"] if finding["kind"] not in filed)
        yield from bag.ndjson(f"data/assets/{asset['id']}/findings.ndjson") if filed else []
    yield from result["findings"]
class Journal:  # what the journal tells, line by line, and whether its chain holds
    def __init__(self, bag, head):
        self.entries, prev = [], "0" * 64
        self.assets = collections.defaultdict(lambda: dict(kind=None, units={}, found=[], controls=set(), done=None, count=0))
        self.found, self.of_run, self.binaries, self.looks, self.resumed, self.before = set(), set(), set(), set(), 0, None
        for number, line in bag.lines(JOURNAL):
            entry = json.loads(line, object_pairs_hook=unique)
            expect((entry["prev"], entry["seq"]) == (prev, number), f"{JOURNAL} line {number}", "breaks the chain")
            self.entries.append(entry)
            self.take(entry, entry["event"], self.assets[entry["asset"]] if "asset" in entry else None)
            prev = sha256(line)
        expect((len(self.entries), prev) == (head["lines"], head["head"]), JOURNAL, f"does not end as {RESULT} has it")
    def take(self, entry, event, asset):
        if event in ("run_started", "run_resumed"):
            self.binaries.add(entry["binary_sha256"])
            self.of_run, self.resumed = set(), self.resumed + (event == "run_resumed")
        elif event == "account_read":
            self.looks.add(entry["sha256"])
        elif event == "continues":
            self.before = (entry["previous"], entry["bundle_digest"], entry["journal_head"])
        elif event == "found":
            finding, of = same(entry["finding"]), entry["finding"].get("asset")
            self.found.add(finding)
            self.of_run.add(finding) if of is None else self.assets[of]["found"].append(finding)
        elif event == "asset_started":
            again = dict(units={}, count=0) if entry["kind"] == "postgres" else {}
            asset.update(kind=entry["kind"], found=[], done=None, **again)
        elif event == "unit_done":
            asset["units"][entry["unit"]], asset["count"] = (entry["items"], entry["bytes"]), asset["count"] + 1
        elif event == "control_ran":
            asset["controls"].add((entry["damage"], entry["found"]))
        elif event == "asset_done":
            asset["done"] = entry["verdict"]
        elif event == "asset_stopped" or event == "asset_looked_at" and entry["differ"]:  # its end no longer stands
            asset["done"] = None
def check_run(bag, result, journal):
    findings, verdict, playbook = list(all_findings(bag, result)), result["verdict"], result["playbook"]["sha256"]
    kinds = {finding["kind"] for finding in findings}
    missed = not all(limit["met"] for limit in result["thresholds"])
    expired = any(one["expired"] for one in result["exclusions"] + result["waivers"])
    before = (result.get("chain") or {}).get("previous")
    before = (before["run"], before["bundle_digest"], before["journal_head"]) if before else None
    begun = tuple(journal.entries[0].get(key) for key in ("event", "run", "playbook_sha256"))
    ended = tuple(journal.entries[-1].get(key) for key in ("event", "verdict", "findings", "result_sha256"))
    told = {same(finding) for finding in result["findings"] + [f for asset in result["assets"] for f in asset["findings"]]}
    ids = [asset["id"] for asset in result["assets"]]
    known = set(ids) | {f"{name}.files" for name in ids}
    bound = {key: value for key, value in result.items() if key not in ("journal", "ended")}  # jq -cS 'del(.journal, .ended)'
    bound = sha256(json.dumps(bound, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    for holds, where, what in [
        (ORDER.index(verdict_of(findings, result["waivers"])) <= ORDER.index(verdict) <= ORDER.index(verdict_of(findings)),
         RESULT, f"{verdict} does not follow from findings and waivers"),
        (verdict != "PASS" or ids, RESULT, "PASS, and there is no asset"),
        (all(f["severity"] == severity(f) for f in findings), RESULT, "a finding weighs otherwise than its kind"),
        (all(w["waives"] <= sum(may_waive(w, f) for f in findings) for w in result["waivers"]), RESULT, "a waiver waives less"),
        (missed == bool({"threshold_missed", "threshold_unknown"} & kinds), RESULT, "thresholds and findings disagree"),
        (expired == bool({"exclusion_expired", "waiver_expired"} & kinds), RESULT, "dates and findings disagree"),
        (("sample" in [a.get("tier") for a in result["assets"]]) == (result.get("tier") == "sample"), RESULT, "has another tier"),
        (bag.labels("External-Identifier") == [result["run"]], "bag-info.txt", "names another run"),
        (bag.digest("data/playbook.yaml") == playbook, "data/playbook.yaml", "is another than the result's"),
        (begun == ("run_started", result["run"], playbook), JOURNAL, "begins as another run"),
        (ended == ("run_done", verdict, len(findings), bound if result["result_version"] > 2 else None), JOURNAL, "ends otherwise"),
        (result["tool"]["binary_sha256"] in journal.binaries, JOURNAL, "the result's program never worked on this run"),
        (journal.resumed == result["resumed"], JOURNAL, "was resumed another number of times"),
        (before == journal.before, JOURNAL, "continues another run than the result's"),
        (told <= journal.found, JOURNAL, "lacks a finding of the result"),
        ({name.split("/")[2] for name in bag.files if name.startswith("data/assets/")} <= known, RESULT, "lacks an asset"),
        (journal.of_run <= told, RESULT, "lacks a finding of the journal"),
        (len(set(ids)) == len(ids) and journal.assets.keys() <= known, RESULT, "has other assets than the journal"),
    ]:
        expect(holds, where, what)
    beside = os.path.join(os.path.dirname(os.path.realpath(bag.root)), before[0], TAGS) if before else ""
    expect(not os.path.isfile(beside) or sha256(open(beside, "rb").read()) == before[1], before, "is another run")
def check_around(bag, result, journal):  # the account, the controls, the time to exit, the reports
    for name in {"data/inventory.json", "data/after.json"} & bag.files:
        expect(bag.digest(name) in journal.looks, name, "is not what the journal knows")
    coverage = result.get("coverage")
    expect(coverage or "data/inventory.json" not in bag.files, "data/inventory.json", "the result says nothing of coverage")
    if coverage:
        expect(bag.digest("data/inventory.json") == coverage["inventory_sha256"], "data/inventory.json", "is another")
        words = [line["status"].replace(" ", "_").lower() for line in bag.table("data/coverage.csv")]
        counts = collections.Counter("partly_tested" if word == "tested_in_part" else word for word in words)
        told = {key: value["assets"] for key, value in coverage["totals"].items() if isinstance(value, dict)}
        expect({key: counts[key] for key in told} == told, "data/coverage.csv", "counts otherwise than the result")
    if result["result_version"] > 1:
        rows = bag.json("data/controls.json")["controls"]
        expect([row["row"] for row in rows] == list(range(1, 11)), "data/controls.json", "does not have its ten rows")
        for name, digest in [pair for row in rows for pair in row["supported_by"].items()]:
            expect(bag.digest(name) == digest, "data/controls.json", f"names {name} with another digest")
    time = result.get("exit_time") or {"classes": []}
    for one in time["classes"]:
        own = [a for name, a in journal.assets.items() if a["kind"] == one["kind"] and not name.endswith(".files")]
        units = [unit for asset in own for unit in asset["units"].values()]
        measured = (sum(asset["count"] for asset in own), sum(unit[0] for unit in units), sum(unit[1] for unit in units))
        told = (one["units"], one["measured_items"], one["measured_bytes"])
        expect(result["resumed"] or told == measured, "time to exit", f"{one['kind']}: is not what the journal measured")
    if OSCAL in bag.files:
        verdict, tier = result["verdict"], " (SAMPLE TIER)" if result.get("tier") == "sample" else ""
        title = f"<title>{verdict}{tier}: {result['run']}</title>".encode()
        expect(title in bag.read("data/report.html"), "data/report.html", "has another title than the result gives")
        oscal = bag.json(OSCAL)["assessment-results"]["results"][0]
        props = {prop["name"]: prop["value"] for prop in oscal["props"]}
        expect((props["verdict"], props["result-sha256"]) == (verdict, bag.digest(RESULT)), OSCAL, "is of another result")
        satisfied = any(one["target"]["status"]["state"] == "satisfied" for one in oscal["findings"])
        expect(not satisfied or verdict == "PASS" and not tier, OSCAL, "is satisfied by what did not pass")

def check_asset(bag, asset, journal, version):
    at, where, story = asset["id"], f"data/assets/{asset['id']}/", journal.assets[asset["id"]]
    passed, kinds = asset["verdict"] == "PASS", {finding["kind"] for finding in asset["findings"]}
    stopped, whole = "asset_stopped" in kinds, all(c["expected"] == c["compared"] == c["equal"] for c in asset["checks"])
    totals = tuple(map(sum, zip(*story["units"].values()))) or (0, 0)
    ran = {(control["damage"], control["found"]) for control in asset["controls"]}
    for holds, what in [
        (verdict_of(asset["findings"]) == asset["verdict"], "its verdict does not follow from its findings"),
        (all(finding.get("asset") == at for finding in asset["findings"]), "a finding of something else stands with it"),
        (not passed or asset["checks"] and ran and whole, "PASS, and not everything was compared, equal, and controlled"),
        ("verifier_blind" in kinds or all(one for _, one in ran), "a control was missed, and no finding says so"),
        (story["kind"] == asset["kind"] or stopped and not story["kind"], "is of another kind in the journal"),
        (story["done"] == asset["verdict"] or stopped and not story["done"], "ends otherwise in the journal"),
        (set(story["found"]) <= {same(finding) for finding in asset["findings"]}, "lacks a finding of the journal"),
        (ran <= story["controls"], "has a control that the journal lacks"),
        (stopped or totals == (asset["items"], asset["bytes"]), "amounts to something else in the journal"),
        (not asset.get("filed") or bag.digest(where + "findings.ndjson") == asset["filed"]["sha256"], "its findings differ"),
    ]:
        expect(holds, at, what)
    if not stopped or any(where + name in bag.files for name in ("objects.ndjson", "tables.csv")):
        objects(bag, asset, where, stopped) if asset["kind"] == "s3" else tables(bag, asset, where, version)

def objects(bag, asset, where, stopped):
    content, sums, size, markers, last, words = hashlib.sha256(), [], 0, 0, None, collections.Counter()
    for r in bag.ndjson(where + "objects.ndjson"):
        version, key, id = r.get("version"), written(r["key"]), written(r.get("version_id") or "")
        rank = (r["key"].encode(), version["order"] if version else 0, id)
        expect(last is None or last < rank, where + "objects.ndjson", f"{key} is out of order")
        marker, last = bool(version and version.get("delete_marker")), rank
        digest = "-" if marker else r["sha256"]
        content.update(f"{digest} {r['size']} {key}{f' {id}' if version else ''}\n".encode())
        if not marker:
            path = r["path"].replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
            sums.append(f"{'' if path == r['path'] else chr(92)}{r['sha256']}  {path}\n")
        size, markers = size + r["size"], markers + marker
        words["marker" if marker else next(iter(r["provider_checksum"]), "")] += 1
    summary, changes = asset["objects"], where + "changes.ndjson"
    moved = collections.Counter(line["movement"] for line in (bag.ndjson(changes) if changes in bag.files else []))
    told = [summary["provider_confirmed"], summary["provider_unconfirmed"], summary.get("delete_markers", 0)]
    for holds, what in [
        ((len(sums), size) == (asset["items"], asset["bytes"]), "receipts amount to something else"),
        (content.hexdigest() == asset["content_sha256"], "has another content digest than the result"),
        (bag.read(where + "objects.sha256") == "".join(sums).encode(), "objects.sha256 differs from the receipts"),
        ([words["confirmed"], words["unavailable"], markers] == told, "differs in what was confirmed, or in delete markers"),
        (asset["verdict"] != "PASS" or summary["listed"] == len(sums), "PASS, and another number was listed"),
        (bool(summary.get("sample")) == (asset.get("tier") == "sample"), "its tier contradicts its sample"),
        (stopped or all(moved[key] == n for key, n in summary.get("changes", {}).items()), "changes are counted otherwise"),
    ]:
        expect(holds, where, what)
def merkle(leaves):  # the tree hash of RFC 9162 over hashed leaves
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + merkle(leaves[:split]) + merkle(leaves[split:])).digest()
def tables(bag, asset, where, version):
    lines, database, passed = bag.table(where + "tables.csv"), asset["database"], asset["verdict"] == "PASS"
    totals = [len({line["table"] for line in lines}), *(sum(int(line[key]) for line in lines) for key in ("rows", "bytes"))]
    expect(totals == [database["tables"], asset["items"], asset["bytes"]], where, "tables amount to something else")
    for line in lines:
        match, name = STATEMENT.fullmatch(line["copy_sql"]), line["table"]
        parts = [part if re.search(r'[."]', part[1:-1]) else part[1:-1] for part in match.groups()] if match else []
        expect(".".join(parts) == name, where, f"copy_sql of {name} is not the copy of that table: do not run it")
        fits = line["row_key"] == database["row_key"] and (not passed or line["rows"] == line["source_count"])
        expect(fits, where, f"{name} has another row key, or lacks rows beside PASS")
    if version == 1:
        content = sha256("".join(f"{l['spool_sha256']} {l['rows']} {written(l['table'])}\n" for l in lines).encode())
        return expect(content == asset["content_sha256"], where, "has another content digest than the result")
    exports = bag.table(where + "exports.csv")
    parts = {name: list(own) for name, own in itertools.groupby(exports, key=lambda export: export["table"])}
    leaves = [f"\0{e['sha256']} {e['rows']} {e['part']} {written(e['table'])}\n".encode() for e in exports]
    root = merkle([hashlib.sha256(leaf).digest() for leaf in leaves]).hex()
    expect(root == asset["content_sha256"], where, "has another content digest than the result")
    expect(parts.keys() <= {line["table"] for line in lines}, where, "exports.csv names a table that is not listed")
    for line in lines:
        own = parts.get(line["table"], [])
        whole = own and [part["part"] for part in own] == [str(n) for n in range(1, int(line["exports"]) + 1)]
        meet = whole and ["", *(part["to_block"] for part in own)] == [*(part["from_block"] for part in own), ""]
        total = format(sum(int(part["row_digest"], 16) for part in own) % 2**256, "064x")
        sums = [str(sum(int(part[key]) for part in own)) for key in ("rows", "bytes")] + [total]
        whole = meet and sums == [line["rows"], line["bytes"], line["row_digest"]]
        expect(whole, where, f"the parts of {line['table']} are not what tables.csv has")
    sums = "".join(f"{export['sha256']}  {export['path']}\n" for export in exports).encode()
    expect(bag.read(where + "exports.sha256") == sums, where, "exports.sha256 differs from exports.csv")
    if "restored_sha256" in database:
        expect(bag.digest(where + "restored.csv") == database["restored_sha256"], where, "restored.csv is another")
def run(*command, stdin=b""):
    done = subprocess.run(command, input=stdin, capture_output=True)
    return done.returncode == 0, done.stdout.decode(errors="replace")
def names_in(file):  # every name of an allowed_signers file; ssh-keygen is asked about each
    text = open(file, encoding="utf-8", errors="replace").read()
    words = re.findall(r'^[ \t]*([^\s"]*"[^"]*"|[^\s"#][^\s"]*)', text, re.M)
    return {name for word in words for name in word.replace('"', "").split(",") if name and name[0] not in "!\ufeff"}
def rsa_bits(armored):
    """The length of the RSA key that made a signature; zero for others. The key stands behind magic and version."""
    blob = base64.b64decode(b"".join(armored.split(b"-----")[2].split()))[14:]
    take = lambda data: (data[4 : 4 + int.from_bytes(data[:4], "big")], data[4 + int.from_bytes(data[:4], "big") :])
    kind, rest = take(blob)
    return int.from_bytes(take(take(rest)[1])[0], "big").bit_length() if kind == b"ssh-rsa" else 0
def stamp(bag, name, ca):  # the time of a stamp over a signature, and whether a trusted authority stands behind it
    path = os.path.join(bag.root, name)
    text = run("openssl", "ts", "-reply", "-in", path + ".tsr", "-text")[1]
    at, kind = re.search(r"Time stamp: (\w+ +\d+ [\d:]+)(?:\.\d+)? (\d+) GMT", text), re.search(r"Algorithm: (sha\d+)\n", text)
    imprint = "".join(re.findall(r"^    [0-9a-f]{4} - ((?:[0-9a-f]{2}[ -]){1,16})", text, re.M)).replace(" ", "").replace("-", "")
    if not at or not kind or kind[1] == "sha1" or imprint != hashlib.new(kind[1], bag.read(name)).hexdigest():
        return expect(False, name + ".tsr", "is no time-stamp of this signature"), False
    at = datetime.datetime.strptime(f"{at[1]} {at[2]} +0000", "%b %d %H:%M:%S %Y %z")
    verify = ("openssl", "ts", "-verify", "-data", path, "-in", path + ".tsr", "-attime", str(int(at.timestamp())))
    trusted = bool(ca) and expect(run(*verify, "-CAfile", ca)[0], name + ".tsr", "no trusted authority made it")
    return at, trusted

def check_signatures(bag, result, options):  # fingerprints and names by role, and what is required and does not hold
    signed, message = {name[4:] for name in bag.signatures}, bag.read(TAGS)
    names, keys, stamped = collections.defaultdict(set), collections.defaultdict(set), True
    for name in signed:
        stem = re.sub(r"(\.tsr|\.time\.txt|\.dsse\.json)$", "", name)
        expect(ROLE.fullmatch(stem) and stem in signed, f"sig/{name}", "belongs to no signature")
    for name in sorted(filter(ROLE.fullmatch, signed)):
        role, path, at, trusted = name.split(".")[0].split("-")[0], os.path.join(bag.root, "sig", name), None, False
        if name + ".tsr" in signed:
            at, trusted = stamp(bag, f"sig/{name}", options.tsa_ca)
            ended = datetime.datetime.fromisoformat(result["ended"].replace("Z", "+00:00"))
            expect(not at or at >= ended.replace(microsecond=0), f"sig/{name}.tsr", "was made before the run ended")
        else:
            expect(not options.tsa_ca, f"sig/{name}", "no authority stamped it", "not_run")
        stamped, who = stamped and trusted, ("-n", f"walkaway-{role}", "-s", path)
        holds, told = run("ssh-keygen", "-Y", "check-novalidate", *who, stdin=message)
        strong = not 0 < (rsa_bits(bag.read(f"sig/{name}")) if holds else 0) < 2048
        if not expect(holds and strong, f"sig/{name}", "was made by too weak a key" if holds else "does not hold"):
            continue
        keys[role].add(told.split()[-1])
        if options.allowed_signers:
            moment = (at if trusted else datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%d%H%M%SZ")
            verify = ("ssh-keygen", "-Y", "verify", "-f", options.allowed_signers, *who, "-O", f"verify-time={moment}")
            own = {one for one in names_in(options.allowed_signers) if run(*verify, "-I", one, stdin=message)[0]}
            names[role] |= own
            expect(own, f"sig/{name}", "its signer is not allowed")
        print(f"{role}: {told.split()[-1]} {ascii(sorted(names[role]))}{f' stamped {at}' if trusted else ''}")
    shared = keys["operator"] & keys["reviewer"] or names["operator"] & names["reviewer"]
    expect(not shared, "sig/", "the review is the operator's own")
    wanted = options.allowed_signers or bag.json("data/playbook.resolved.json").get("evidence", {}).get("sign")
    expect("operator.sig" in signed or not wanted, "sig/operator.sig", "is missing")
    met = {"signed": names["operator"], "reviewed": names["reviewer"] and not shared, "stamped": stamped and keys["operator"]}
    return keys["operator"], names["operator"], [what for what in options.require if not met.get(what)]
def guarded(step, *arguments):  # what is missing or of another shape is a finding, and the other steps go on
    try:
        return step(*arguments)
    except Exception as error:
        expect(False, "bundle", f"could not be read as a bundle: {type(error).__name__}: {error}")
def read_result(bag):
    result, schema = bag.json(RESULT), bag.json("data/result.schema.json")
    keys = set(schema["required"]) <= result.keys() <= schema["properties"].keys()
    expect(result["result_version"] in (1, 2, 3) and keys, RESULT, "does not have the keys of its schema")
    return {"waivers": [], **result}
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda reason: parser.exit(3, f"{reason}\n")
    for name in ("bundle", "--allowed-signers", "--tsa-ca"):
        parser.add_argument(name)
    parser.add_argument("--require", type=lambda text: text.split(","), default=[])
    options = parser.parse_args()
    if not os.path.isfile(os.path.join(options.bundle, TAGS)):
        parser.error("no sealed bundle of walkaway")
    csv.field_size_limit(2**30)
    bag = Bag(options.bundle)
    guarded(bag.check)
    result = guarded(read_result, bag)
    journal = guarded(Journal, bag, result["journal"]) if result else None
    for check in (check_run, check_around) if journal else ():
        guarded(check, bag, result, journal)
    for asset in result["assets"] if journal else []:
        files = (((asset.get("database") or {}).get("rds") or {}).get("export") or {}).get("files")
        for one in [asset, files] if files else [asset]:
            guarded(check_asset, bag, one, journal, result["result_version"])
    key, name, unmet = guarded(check_signatures, bag, result, options) or (None, None, options.require)
    for severity, where, what in found + [("required", what, "is not met") for what in unmet]:
        print(severity.upper(), ascii(where)[1:-1] + ":", ascii(what)[1:-1])
    if any(severity == "fail" for severity, *_ in found):
        print(f"the bundle is not intact: {len(found)} findings")
        return 1
    by = "its operator vouches for it" if name else "who signed it was not looked up" if key else "nobody vouches for it"
    print(f"the bundle is consistent; {by}; the run it records ended {result['verdict']}; digest {bag.digest(TAGS)}")
    return 1 if unmet else 2 if found else 0
sys.exit(main())
