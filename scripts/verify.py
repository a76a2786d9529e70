#!/usr/bin/env python3
"""Checks a bundle of walkaway without walkaway: Python's standard library; ssh-keygen and openssl as programs.
  python3 -I verify.py BUNDLE [--allowed-signers FILE] [--tsa-ca FILE] [--require signed,reviewed,stamped]
Exit code 0: consistent, and what was required holds; 1: something contradicts; 2: something could not be checked; 3: wrong usage.
Nothing of the bundle is run. Left to `walkaway verify`: results before version 4, what playbook.resolved.json makes of the YAML,
settings of single assets, time to exit and cost, texts, the run before, and of a waiver more than which asset it begins with."""
import argparse, base64, collections, csv, datetime, hashlib, json, os, pathlib, re, stat, subprocess, sys, tempfile
NOTES = set("""deviation left_behind property_unreadable source_moved exclusion_unused snapshot_shared contract_unprojected
waiver_unused predecessor_unseen""".split())  # how findings weigh by kind; all kinds that stand in neither list fail
NOT_RUN = set("""object_unreadable object_unrestored object_archived object_unlisted listing_contradiction object_changed
copy_unreadable table_unreadable rows_unreadable table_skipped not_proven view_differs not_carried asset_stopped target_unknown
account_unreadable source_not_compared document_undated threshold_unknown signature_unchecked timestamp_missing""".split())
NEVER_WAIVED = {"verifier_blind", "journal_broken", "waiver_unused", "waiver_expired"}  # nor any kind of bundle_…
ALWAYS = """VERIFY.md bag-info.txt bagit.txt manifest-sha256.txt tagmanifest-sha256.txt data/result.json data/journal.ndjson
data/playbook.yaml data/playbook.resolved.json data/result.schema.json data/table_digest.py data/controls.json data/report.html
data/report.pdf data/junit.xml data/oscal-assessment-results.json""".split()  # in every bundle; then of looks, of each asset
CHECKS = """contract credentials documents encryption identity orphan_snapshots protection public_access residency secrets
source_unchanged target""".split()
LOOKS = ["inventory.json", "coverage.csv", "after.json", "selected.json", *(f"checks/{name}.json" for name in CHECKS)]
BUCKET = "objects.ndjson objects.sha256 bucket.json changes.ndjson findings.ndjson".split()
TABLES = "restored.csv tables.ndjson tables.csv exports.csv exports.sha256 findings.ndjson".split()
# The damage that proves the verifier: what can always be planted, and what only some objects allow.
INTACT, SOME_DAMAGE = "none (an intact copy is accepted)", {"one byte changed", "metadata changed"}
DAMAGE = {"s3": {INTACT, "one byte added", "file removed"},
    "postgres": {INTACT, "one byte changed", "one row dropped", "one row doubled", "NULL turned into ''"}}
csv.field_size_limit(2**30)
NAME = r'"(?:[^"\0]|"")+"'
STATEMENT = re.compile(rf"COPY ({NAME})\.({NAME})(?: \({NAME}(?:, {NAME})*\))? TO STDOUT")
ROLE = re.compile(r"(operator|reviewer|reviewer-(?:[2-9]|[1-9][0-9]+))\.sig")
IN_TOTO, PREDICATE = "application/vnd.in-toto+json", "https://walkaway.example/attestation/exit-drill/v1"
RESULT, JOURNAL, OSCAL = "data/result.json", "data/journal.ndjson", "data/oscal-assessment-results.json"
RESOLVED, INVENTORY, COVERAGE = "data/playbook.resolved.json", "data/inventory.json", "data/coverage.csv"
TAGS, BAGIT = "tagmanifest-sha256.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
ORDER, found = ["PASS", "WAIVED", "NOT RUN", "FAIL"], []  # found is what is wrong: severity, where, what
def expect(holds, where, what, severity="fail"):
    found.extend([] if holds else [(severity, where, what)])
    return holds
def expect_all(where, facts): return [expect(holds, where, what) for holds, what in facts]
def sha256(data): return hashlib.sha256(data).hexdigest()
def words(of): return of["verdict"] + (of["tier"] != "full") * (" OF A SAMPLE" if of["verdict"] == "PASS" else " (OF A SAMPLE)")
def written(text): return json.dumps(text, ensure_ascii=False)
def parse(text): return json.loads(text, object_pairs_hook=unique)
def unique(pairs):
    assert len(dict(pairs)) == len(pairs), "a key stands twice"
    return dict(pairs)
def when(text):  # in seconds; no run began before 2020 or ends after 2099
    day, fraction = re.fullmatch(r"(20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", text).groups()
    return datetime.datetime.strptime(day + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp() + float(fraction or 0)
class Bag:  # every file of the bundle, read once, so that what is judged is what was hashed; no link is followed
    def __init__(self, root):
        self.root, self.files, folders = root, {}, set()
        for path in (os.path.join(folder, name) for folder, names, files in os.walk(root) for name in names + files):
            inside, mode = os.path.relpath(path, root), os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                self.files[inside] = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb").read()
            elif expect(stat.S_ISDIR(mode), inside, "is neither a file nor a directory"):
                folders.add(inside + "/")
        for name in folders - {"sig/"}: expect(any(file.startswith(name) for file in self.files), name, "is an empty directory")
    def json(self, name): return parse(self.files[name])
    def digest(self, name): return sha256(self.files[name])
    def lines(self, name):
        *lines, rest = self.files[name].split(b"\n")
        expect(not rest, name, "does not end with a line end")
        return list(enumerate(lines, 1))
    def table(self, name):  # without the headings
        return list(csv.reader(self.files[name].decode().splitlines(keepends=True), strict=True))[1:]
    def manifest(self, name, belongs):
        named = {}
        for number, line in self.lines(name):
            digest, _, path = line.decode(errors="replace").partition("  ")
            plain = re.fullmatch(r"[0-9a-f]{64} [A-Za-z0-9._][A-Za-z0-9._/-]*", f"{digest} {path}") and belongs(path)
            plain = plain and not {"..", ".", ""} & set(path.split("/")) and path not in named
            if expect(plain, f"{name} line {number}", "is no digest of a file that belongs there"):
                named[path] = self.digest(path) if path in self.files else "missing"
                expect(named[path] == digest, path, f"is {named[path]}, {name} has {digest}")
        return named.keys()
    def check(self):  # returns the Payload-Oxum
        expect(self.files["bagit.txt"] == BAGIT, "bagit.txt", "is no declaration of BagIt 1.0")
        tags = self.manifest(TAGS, lambda path: "/" not in path and path != TAGS)
        payload = self.manifest("manifest-sha256.txt", lambda path: path.startswith("data/"))
        for name in self.files.keys() - tags - payload - {TAGS}: expect(name.startswith("sig/"), name, "no manifest names it")
        return f"{sum(len(self.files.get(name, '')) for name in payload)}.{len(payload)}"
def severity(finding): return "note" if finding["kind"] in NOTES else "not_run" if finding["kind"] in NOT_RUN else "fail"
def may_waive(waiver, finding):  # whether the waiver is for the finding's asset; what follows is compared by walkaway
    pattern, start = waiver["finding"], f"{finding['asset']}: " if finding.get("asset") is not None else ""
    fits = lambda glob, text: re.fullmatch("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in glob), text, re.S)
    begins = any(fits(glob, start) for glob in [pattern + "*", *(pattern[:n] for n in range(len(pattern) + 1))])
    if not start and ": " in pattern:  # of the run: what follows the kind's title is about the subject
        begins = fits(pattern.split(": ", 1)[1] + "*", f"{finding['subject']} ({finding['detail']})")
    return bool(begins) and not waiver["expired"] and finding["kind"] not in NEVER_WAIVED and finding["kind"][:7] != "bundle_"
def verdict_of(findings, waivers=()):
    weighs = [finding for finding in findings if severity(finding) != "note"]
    is_open = {severity(finding) for finding in weighs if not any(may_waive(waiver, finding) for waiver in waivers)}
    return "FAIL" if "fail" in is_open else "NOT RUN" if is_open else "WAIVED" if weighs else "PASS"
def same(finding): return tuple(sorted((key, value) for key, value in finding.items() if value is not None))
def all_findings(bag, result):  # of kinds of which there are too many for the result, those of the assets' files
    for asset in result["assets"]:
        filed = {kind["kind"] for kind in (asset.get("filed") or {}).get("kinds", [])}
        yield from (finding for finding in asset["findings"] if finding["kind"] not in filed)
        yield from (parse(line) for _, line in bag.lines(f"data/assets/{asset['id']}/findings.ndjson")) if filed else []
    yield from result["findings"]
class Journal:  # what the journal tells, line by line, and whether its chain holds
    def __init__(self, bag, head):
        self.entries, self.found, self.of_run, self.binaries, self.looks, prev = [], set(), set(), set(), set(), "0" * 64
        self.told = dict(by=None, resumed=0, caller=None, before=None)
        self.assets = collections.defaultdict(lambda: dict(kind=None, units={}, found=[], controls=set(), done=None))
        for number, line in bag.lines(JOURNAL):
            self.entries.append(entry := parse(line))
            expect((entry["prev"], entry["seq"]) == (prev, number), f"{JOURNAL} line {number}", "breaks the chain")
            self.take(entry, entry["event"], self.assets[entry["asset"]] if "asset" in entry else None)
            prev = sha256(line)
        expect((len(self.entries), prev) == (head["lines"], head["head"]), JOURNAL, f"does not end as {RESULT} has it")
    def take(self, entry, event, asset):
        if event in ("run_started", "run_resumed"):
            self.binaries.add(entry["binary_sha256"])
            self.told["by"] = ["walkaway", entry["walkaway"], entry["binary_sha256"], entry["host"]]
            self.of_run, self.told["resumed"] = set(), self.told["resumed"] + (event == "run_resumed")
        elif event == "found":
            finding, of = same(entry["finding"]), entry["finding"].get("asset")
            self.found.add(finding)
            self.of_run.add(finding) if of is None else self.assets[of]["found"].append(finding)
        elif event == "asset_started":
            asset.update(kind=entry["kind"], found=[], done=None, **({"units": {}} if entry["kind"] == "postgres" else {}))
        elif event == "asset_stopped" or event == "asset_looked_at" and entry["differ"]: asset["done"] = None
        elif event == "asset_done": asset["done"] = entry["verdict"]
        elif event == "unit_done": asset["units"][entry["unit"]] = (entry["items"], entry["bytes"], entry["receipt_sha256"])
        elif event == "control_ran": asset["controls"].add((entry["damage"], entry["found"]))
        elif event == "account_read": self.looks.add(entry["sha256"])
        elif event == "caller_identified": self.told["caller"] = {"account": entry["account"], "arn": entry["arn"]}
        elif event == "continues": self.told["before"] = [entry["previous"], entry["bundle_digest"], entry["journal_head"]]
    def of_this_build(self, holds, where, what):  # an earlier one that began the run may have written less down
        return expect(holds, where, what, "not_run" if len(self.binaries) > 1 else "fail")
def check_files(bag, result, oxum):  # the closed list; bag-info.txt
    known = {*ALWAYS, *(f"data/{name}" for name in LOOKS), *(name for name in bag.files if name.startswith("sig/"))}
    for asset in result["assets"]:
        names = BUCKET if asset["kind"] == "s3" else TABLES + [f"files/{name}" for name in BUCKET]
        known |= {f"data/assets/{asset['id']}/{name}" for name in names}
    for name in sorted(bag.files.keys() - known | set(ALWAYS) - bag.files.keys()):
        expect(False, name, "is in no bundle" if name in bag.files else "is missing: every bundle has it")
    run, text = result["run"], bag.files["bag-info.txt"].decode()
    day = (re.findall("^Bagging-Date: (.*)$", text, re.M) or [""])[0]
    info = f"""Bag-Software-Agent: walkaway {result['tool']['version']}\nBagging-Date: {day}
External-Description: Evidence of exit drill {run}: {words(result)}\nExternal-Identifier: {run}\nPayload-Oxum: {oxum}\n"""
    expect(text == info and when(day + "T23:59:59Z") >= when(result["ended"]), "bag-info.txt", "is not that of this result")
def check_asked(bag, result):  # the result is about what was asked
    asked, rows = bag.json(RESOLVED), lambda list, *keys: [[row[key] for key in keys] for row in list]
    dated = ("reason", "owner", "until")
    expect_all(RESULT, [(holds, f"{what}: is not what {RESOLVED} asks for") for what, holds in {
        "assets": rows(result["assets"], "id", "kind") == [[a["id"], "s3" if "s3" in a else "postgres"] for a in asked["assets"]],
        "exclusions": rows(result["exclusions"], "pattern", *dated) == rows(asked["exclude"], "match", *dated),
        "waivers": rows(result["waivers"], "finding", *dated) == rows(asked["account"]["waivers"], "finding", *dated),
        "thresholds": {limit["name"]: limit["limit"] for limit in result["thresholds"]} == asked["thresholds"],
        "roles": dict(result.get("plan", {}).get("roles", [])) == asked["plan"]["roles"],
        "change": result.get("change") == asked["account"].get("change"),
        "place": result["restored_to"] == os.path.normpath(f"{asked['target']['path']}/{result['run']}")}.items()])
def check_run(bag, result, journal):
    findings, verdict, playbook = list(all_findings(bag, result)), result["verdict"], result["playbook"]["sha256"]
    kinds, first, last = {finding["kind"] for finding in findings}, journal.entries[0], journal.entries[-1]
    dated, is_missed = result["exclusions"] + result["waivers"], not all(limit["met"] for limit in result["thresholds"])
    before = (one := (result.get("chain") or {}).get("previous")) and [one[key] for key in ("run", "bundle_digest", "journal_head")]
    who = dict(by=[*result["tool"].values(), result["host"]], resumed=result["resumed"], caller=result.get("caller"), before=before)
    ids, told = [a["id"] for a in result["assets"]], {same(f) for part in [result, *result["assets"]] for f in part["findings"]}
    bound = {key: value for key, value in result.items() if key not in ("journal", "ended")}  # jq -cS 'del(.journal, .ended)'
    bound = sha256(json.dumps(bound, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    begins = dict(event="run_started", run=result["run"], playbook_sha256=playbook, at=result["started"])
    ends = dict(event="run_done", verdict=verdict, findings=len(findings), result_sha256=bound, at=result["ended"])
    least, most = verdict_of(findings, result["waivers"]), verdict_of(findings)
    expect_all(RESULT, [
        (ORDER.index(least) <= ORDER.index(verdict) <= ORDER.index(most), f"{verdict} does not follow from findings and waivers"),
        (verdict != "PASS" or ids, "PASS, and there is no asset"), (len(set(ids)) == len(ids), "has an asset twice"),
        (all(f["severity"] == severity(f) for f in findings), "a finding weighs otherwise than its kind"),
        (all(w["waives"] <= sum(may_waive(w, f) for f in findings) for w in result["waivers"]), "a waiver waives less"),
        (is_missed == bool({"threshold_missed", "threshold_unknown"} & kinds), "thresholds and findings disagree"),
        (any(one["expired"] for one in dated) == bool({"exclusion_expired", "waiver_expired"} & kinds), "dates disagree"),
        (("sample" in [asset["tier"] for asset in result["assets"]]) == (result["tier"] == "sample"), "has another tier"),
        (bag.digest("data/playbook.yaml") == playbook, "is of another playbook than data/playbook.yaml"),
        (journal.of_run <= told, "lacks a finding"), (when(result["started"]) <= when(result["ended"]), "ended before it began")])
    expect_all(JOURNAL, [
        (begins == {key: first.get(key) for key in begins}, "begins as another run, or at another time"),
        (ends == {key: last.get(key) for key in ends} and last["duration_ms"] == result["duration_ms"], "ends otherwise"),
        (journal.told == who, "tells of another program, machine or caller, of other pauses, or of another run before"),
        (journal.assets.keys() <= {*ids, *(f"{name}/files" for name in ids)}, "has other assets than the result"),
        (told <= journal.found, "lacks a finding of the result")])
def check_around(bag, result, journal):  # the account, the controls, the reports
    started, ended, coverage = when(result["started"]), when(result["ended"]), result.get("coverage")
    for name, earliest in {INVENTORY: started - 86400, "data/after.json": started}.items():
        if name in bag.files:
            expect(bag.digest(name) in journal.looks, name, "is not what the journal knows")
            expect(earliest <= when(bag.json(name)["taken"]) <= ended, name, "was taken at another time than the run's")
    if expect(coverage or INVENTORY not in bag.files, INVENTORY, "the result says nothing of coverage") and coverage:
        own = [bag.digest(INVENTORY), bag.json(INVENTORY)["taken"]]
        expect(own == [coverage["inventory_sha256"], coverage["taken"]], INVENTORY, "is another than the result's")
        sums, carried = collections.Counter(), {asset["id"]: asset["bytes"] for asset in result["assets"]}
        sizes = {(one["name"], one.get("region") or "", str(one.get("bytes", ""))) for one in bag.json(INVENTORY)["items"]}
        for status, kind, name, region, size, tested, assets, *_ in bag.table(COVERAGE):
            key, tested, of_part = status.lower().replace("tested in part", "partly_tested"), int(tested), " IN PART" in status
            sums.update({(key, "assets"): 1, (key, "bytes"): tested if of_part else int(size or tested)})
            sums["untested", "bytes"] += max(int(size or 0) - tested, 0) if of_part else 0
            is_known = status[:6] == "TESTED" or kind.endswith(" list") or (name, region, size) in sizes
            expect(is_known and tested <= sum(map(carried.get, assets.split())), COVERAGE, f"{name} has bytes of nowhere")
        told = {(key, what): value[what] for key, value in coverage["totals"].items() if isinstance(value, dict) for what in value}
        expect({key: sums[key] for key in told} == told, COVERAGE, "amounts to something else than the result")
    rows, where = bag.json("data/controls.json")["controls"], "data/controls.json"
    expect([row["row"] for row in rows] == [*range(1, 11)], where, "does not have its ten rows")
    expect(all(bag.digest(name) == sum for row in rows for name, sum in row["supported_by"].items()), where, "names another file")
    title, oscal = f"<title>{words(result)}: {result['run']}</title>", bag.json(OSCAL)["assessment-results"]["results"][0]
    expect(title.encode() in bag.files["data/report.html"], "data/report.html", "has another title than the result gives")
    props = {prop["name"]: prop["value"] for prop in oscal["props"]}
    expect((props["verdict"], props["result-sha256"]) == (result["verdict"], bag.digest(RESULT)), OSCAL, "is of another result")
def check_asset(bag, asset, journal):
    at, where, story, kind = asset["id"], f"data/assets/{asset['id']}/", journal.assets[asset["id"]], asset["kind"]
    passed, kinds, checks = asset["verdict"] == "PASS", {finding["kind"] for finding in asset["findings"]}, asset["checks"]
    equal = all(check["expected"] == check["compared"] == check["equal"] for check in checks)
    stopped, ran = "asset_stopped" in kinds, {(control["damage"], control["found"]) for control in asset["controls"]}
    n, told = (asset.get("database") or {}).get("tables"), {check["name"]: check["expected"] for check in checks}
    carried = {"objects": asset["items"]} if kind == "s3" else {"rows": n, "digest": n}
    totals, planted = [sum(unit[n] for unit in story["units"].values()) for n in (0, 1)], {damage for damage, _ in ran}
    expect_all(at, [
        (verdict_of(asset["findings"]) == asset["verdict"], "its verdict does not follow from its findings"),
        (all(one.get("asset") == at for one in asset["findings"]), "a finding of something else stands with it"),
        (not passed or carried.items() <= told.items() and equal, "PASS, and not everything was compared and equal"),
        ("verifier_blind" in kinds or all(one for _, one in ran), "a control was missed, and no finding says so"),
        (planted <= DAMAGE[kind] | SOME_DAMAGE and (not passed or planted >= DAMAGE[kind]), "was controlled otherwise"),
        (story["kind"] in [kind] + [None] * stopped, "is of another kind in the journal"),
        (story["done"] in [asset["verdict"]] + [None] * stopped, "ends otherwise in the journal"),
        (ran <= story["controls"] and {same(one) for one in asset["findings"]} >= set(story["found"]), "differs from the journal"),
        (stopped and kind != "s3" or totals == [asset["items"], asset["bytes"]], "amounts to something else in the journal"),
        (not asset.get("filed") or bag.digest(where + "findings.ndjson") == asset["filed"]["sha256"], "its findings differ")])
    names = [where + name for name in (TABLES[1:-1] if kind != "s3" else BUCKET[:2] if stopped else BUCKET[:-1])]
    if (not stopped or bag.files.keys() & names) and all([journal.of_this_build(n in bag.files, n, "is missing") for n in names]):
        (objects if kind == "s3" else tables)(bag, asset, where, journal)
def objects(bag, asset, where, journal):
    content, sums, size, last, words = hashlib.sha256(), [], 0, None, collections.Counter()
    units, summary = collections.defaultdict(hashlib.sha256), asset["objects"]
    for _, line in bag.lines(where + "objects.ndjson"):
        r = parse(line)
        units[f"unit-{r['unit']:06}" if "unit" in r else None].update(line + b"\n")
        version, key, id = r.get("version"), written(r["key"]), written(r.get("version_id") or "")
        rank = (r["key"].encode(), version["order"] if version else 0, id)
        expect(last is None or last < rank, where + "objects.ndjson", f"{key} is out of order")
        expect(not summary.get("pseudonyms") or re.fullmatch("[0-9a-f]{64}", r["key"]), where, f"{key} is no pseudonym")
        marker, last, size = bool(version and version.get("delete_marker")), rank, size + r["size"]
        content.update(f"{'-' if marker else r['sha256']} {r['size']} {key}{f' {id}' if version else ''}\n".encode())
        sums += [] if marker else [f"{r['sha256']}  {r['path']}\n"]  # no path needs an escape
        words["marker" if marker else next(iter(r["provider_checksum"]), "")] += 1
    told = {"confirmed": "provider_confirmed", "unavailable": "provider_unconfirmed", "marker": "delete_markers"}
    bound = {unit: digest for unit, (_, _, digest) in journal.assets[asset["id"]]["units"].items() if digest != sha256(b"")}
    journal.of_this_build(None not in units, where + "objects.ndjson", "has receipts that name no unit")
    expect_all(where, [
        ((len(sums), size) == (asset["items"], asset["bytes"]), "receipts amount to something else"),
        (None in units or bound == {unit: one.hexdigest() for unit, one in units.items()}, "has other receipts than the journal"),
        (content.hexdigest() == asset["content_sha256"], "has another content digest than the result"),
        (bag.files[where + "objects.sha256"] == "".join(sums).encode(), "objects.sha256 differs from the receipts"),
        (all(words[word] == summary[key] for word, key in told.items()), "differs in what was confirmed, or in delete markers"),
        (("sample" in summary) == (asset["tier"] == "sample"), "its tier contradicts its sample"),
        (asset["verdict"] != "PASS" or summary["listed"] == len(sums), "PASS, and another number was listed")])
def merkle(leaves):  # the tree hash of RFC 9162 over hashed leaves
    if len(leaves) < 2: return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + merkle(leaves[:split]) + merkle(leaves[split:])).digest()
def tables(bag, asset, where, journal):
    database, passed, lines, exports = asset["database"], asset["verdict"] == "PASS", [], []
    listed, text = bag.table(where + "tables.csv"), [line for _, line in bag.lines(where + "tables.ndjson")]
    bound = sorted(digest for _, _, digest in journal.assets[asset["id"]]["units"].values())
    expect(sorted(map(sha256, text)) == bound, where + "tables.ndjson", "has other receipts than the journal")
    for name, match in ((line[0], STATEMENT.fullmatch(line[-1])) for line in listed):
        parts = [part if re.search(r'[."]', part[1:-1]) else part[1:-1] for part in match.groups()] if match else []
        expect(".".join(parts) == name, where, f"copy_sql of {name} is not the copy of that table: do not run it")
    for r in map(parse, text):
        name, own, totals, key = r["table"], r["exports"], list(r["stream"].values()), database["row_key"]
        lines.append([name, *totals, key, len(own), r["source_count"], r["copy_sql"]])
        exports += [[name, n, e["path"], e["sha256"], *e["totals"].values(), e.get("from_block", ""), e.get("to_block", "")]
            for n, e in enumerate(own, 1)]
        sums = [sum(e["totals"][what] for e in own) for what in ("rows", "bytes")]
        sums.append(format(sum(int(e["totals"]["digest"], 16) for e in own) % 2**256, "064x"))
        meet = [None, *(e.get("to_block") for e in own)] == [*(e.get("from_block") for e in own), None]
        expect(own and meet and sums == totals, where, f"the exports of {name} are not the whole of it")
        expect(not passed or totals[0] == r["source_count"], where, f"{name} lacks rows beside PASS")
    leaves = [hashlib.sha256(f"\0{e[3]} {e[4]} {e[1]} {written(e[0])}\n".encode()).digest() for e in exports]
    totals = [len(lines), sum(line[1] for line in lines), sum(line[2] for line in lines)]
    text = lambda rows: [[str(field) for field in row] for row in rows]
    expect_all(where, [
        (totals == [database["tables"], asset["items"], asset["bytes"]], "tables amount to something else"),
        (listed == text(lines), "tables.csv does not follow from the receipts"),
        (bag.table(where + "exports.csv") == text(exports), "exports.csv does not follow from the receipts"),
        (merkle(leaves).hex() == asset["content_sha256"], "has another content digest than the result"),
        (bag.files[where + "exports.sha256"].decode() == "".join(f"{e[3]}  {e[2]}\n" for e in exports), "exports.sha256 differs"),
        (not (digest := database.get("restored_sha256")) or bag.digest(where + "restored.csv") == digest, "restored.csv differs")])
def run(*command, stdin=b""):
    done = subprocess.run(command, input=stdin, capture_output=True)
    return done.returncode == 0, done.stdout.decode(errors="replace")
def names_in(file):  # every name of an allowed_signers file; ssh-keygen is asked about each
    words = re.findall(r'^[ \t]*([^\s"]*"[^"]*"|[^\s"#][^\s"]*)', open(file, encoding="utf-8", errors="replace").read(), re.M)
    return {name for word in words for name in word.replace('"', "").split(",") if name and name[0] not in "!\ufeff"}
def ssh_strings(data):  # each after its length
    return [data[4 : (end := 4 + int.from_bytes(data[:4], "big"))], *ssh_strings(data[end:])] if data else []
def check_statement(bag, name, role, result, key):  # in-toto, in a DSSE envelope, by the key of the signature beside it
    at, (kind, *numbers), envelope = f"sig/{name}.dsse.json", ssh_strings(key), bag.json(f"sig/{name}.dsse.json")
    payload, signature = (base64.b64decode(text) for text in (envelope["payload"], envelope["signatures"][0]["sig"]))
    facts = {fact: result[fact] for fact in ("run", "playbook", "tool", "started", "ended", "verdict", "tier", "journal")}
    stated = {"_type": "https://in-toto.io/Statement/v1", "predicateType": PREDICATE, "predicate": {"role": role, **facts},
        "subject": [{"name": TAGS, "digest": {"sha256": bag.digest(TAGS)}}]}
    expect(envelope["payloadType"] == IN_TOTO and parse(payload) == stated, at, "states something else than this bundle")
    with tempfile.TemporaryDirectory() as home:
        path = {name: pathlib.Path(home, name) for name in ("key.pub", "pem", "signed", "sig")}
        digest = ("-digest", {b"nistp256": "sha256", b"nistp384": "sha384"}.get(numbers[0], "sha512"))
        path["key.pub"].write_bytes(kind + b" " + base64.b64encode(key) + b"\n")
        pem = run("ssh-keygen", "-e", "-m", "PKCS8", "-f", path["key.pub"])[1].encode()
        if kind == b"ssh-ed25519":  # ssh-keygen does not write these
            der, digest = base64.encodebytes(bytes.fromhex("302a300506032b6570032100") + numbers[0]), ()
            pem = b"-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n" % der
        signed = b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
        for name, data in (("pem", pem), ("signed", signed), ("sig", signature)): path[name].write_bytes(data)
        verify = ("-inkey", path["pem"], "-rawin", "-in", path["signed"], "-sigfile", path["sig"], *digest)
        expect(run("openssl", "pkeyutl", "-verify", "-pubin", *verify)[0], at, "was not signed by the signature's key")
def stamp(bag, name, ca):  # the time of a stamp over a signature, and whether a trusted authority stands behind it
    path = os.path.join(bag.root, name)
    text = run("openssl", "ts", "-reply", "-in", path + ".tsr", "-text")[1]
    at, kind = re.search(r"Time stamp: (\w+ +\d+ [\d:]+)(?:\.\d+)? (\d+) GMT", text), re.search(r"Algorithm: (sha\d+)\n", text)
    imprint = "".join(re.findall(r"^    [0-9a-f]{4} - ((?:[0-9a-f]{2}[ -]){1,16})", text, re.M)).replace(" ", "").replace("-", "")
    if not at or not kind or kind[1] == "sha1" or imprint != hashlib.new(kind[1], bag.files[name]).hexdigest():
        return expect(False, name + ".tsr", "is no time-stamp of this signature"), False
    at = datetime.datetime.strptime(f"{at[1]} {at[2]} +0000", "%b %d %H:%M:%S %Y %z")
    verify = ("-data", path, "-in", path + ".tsr", "-attime", str(int(at.timestamp())), "-CAfile", ca or "")
    return at, bool(ca) and expect(run("openssl", "ts", "-verify", *verify)[0], name + ".tsr", "no trusted authority made it")
def check_signature(bag, name, result, options):  # its role, its key, whom the file names for that key, whether it is stamped
    path, at, trusted, ended = f"sig/{name}", None, False, when(result["ended"]) - 60
    role, message, has = re.split("[-.]", name)[0], bag.files[TAGS], lambda suffix: path + suffix in bag.files
    expect(has(".tsr") != has(".time.txt"), path, "has no time-stamp and no word why, or both")
    if has(".tsr"):
        at, trusted = stamp(bag, path, options.tsa_ca)
        expect(not at or at.timestamp() >= ended, path + ".tsr", "was made before the run ended")
    elif has(".time.txt"):
        text = bag.files[path + ".time.txt"].decode()
        own = re.fullmatch(r"The time of this signature is the signing machine's own, (\S+): .+\.\n", text, re.S)
        expect(own and when(own[1]) >= ended, path + ".time.txt", "is no word on the signature's time, or from before the end")
    expect(has(".tsr") or not options.tsa_ca, path, "no authority stamped it", "not_run")
    who = ("-n", f"walkaway-{role}", "-s", os.path.join(bag.root, path))
    holds, told = run("ssh-keygen", "-Y", "check-novalidate", *who, stdin=message)
    if not expect(holds, path, "does not hold"): return role, set(), set(), False
    key = ssh_strings(base64.b64decode(b"".join(bag.files[path].split(b"-----")[2].split()))[10:])[0]
    kind, *numbers = ssh_strings(key)
    expect(kind != b"ssh-rsa" or int.from_bytes(numbers[1], "big").bit_length() >= 2048, path, "was made by too weak a key")
    guarded(check_statement, bag, name, role, result, key)
    moment = (at if trusted else datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%d%H%M%SZ")
    verify = ("ssh-keygen", "-Y", "verify", *who, "-O", f"verify-time={moment}", "-f", allowed := options.allowed_signers)
    names = {one for one in (names_in(allowed) if allowed else ()) if run(*verify, "-I", one, stdin=message)[0]}
    expect(names or not allowed, path, "its signer is not allowed")
    print(f"{role}: {told.split()[-1]} {ascii(sorted(names))}{f' stamped {at}' if trusted else ''}")
    return role, {key}, names, trusted
def check_signatures(bag, result, options):  # keys and names by role, and what is required and does not hold
    keys, names, stamped = collections.defaultdict(set), collections.defaultdict(set), True
    for name in sorted(path[4:] for path in bag.files if path.startswith("sig/")):
        stem = re.sub(r"(\.tsr|\.time\.txt|\.dsse\.json)$", "", name)
        expect(ROLE.fullmatch(stem) and "sig/" + stem in bag.files, f"sig/{name}", "belongs to no signature")
        if ROLE.fullmatch(name):
            role, key, own, trusted = check_signature(bag, name, result, options)
            keys[role], names[role], stamped = keys[role] | key, names[role] | own, stamped and trusted
    shared = keys["operator"] & keys["reviewer"] or names["operator"] & names["reviewer"]
    unwanted = not options.allowed_signers and "sign" not in bag.json(RESOLVED)["evidence"]
    expect(not shared, "sig/", "the review is the operator's own")
    expect("sig/operator.sig" in bag.files or unwanted, "sig/operator.sig", "is missing")
    met = {"signed": names["operator"], "reviewed": names["reviewer"] and not shared, "stamped": stamped and keys["operator"]}
    return keys, names, [what for what in options.require if not met.get(what)]
def guarded(step, *arguments):  # what is missing or of another shape is a finding, and the other steps go on
    try: return step(*arguments)
    except Exception as error:
        expect(False, "bundle", f"could not be read as a bundle: {type(error).__name__}: {error}")
def read_result(bag):
    result, schema = bag.json(RESULT), bag.json("data/result.schema.json")
    known = expect(result["result_version"] == 4, RESULT, f"is of version {result['result_version']}, not 4", "not_run")
    keys = set(schema["required"]) <= result.keys() <= schema["properties"].keys()
    return known and expect(keys, RESULT, "does not have the keys of its schema") and {"waivers": [], **result}
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda reason: parser.exit(3, f"{reason}\n")
    for name in ("bundle", "--allowed-signers", "--tsa-ca"): parser.add_argument(name)
    parser.add_argument("--require", type=lambda text: text.split(","), default=[])
    options = parser.parse_args()
    os.path.isfile(os.path.join(options.bundle, TAGS)) or parser.error("no sealed bundle of walkaway")
    bag = Bag(options.bundle)
    oxum, result = guarded(bag.check), guarded(read_result, bag)
    keys, names, unmet = result and guarded(check_signatures, bag, result, options) or ({}, {}, options.require)
    if journal := guarded(Journal, bag, result["journal"]) if result else None:
        for check, *more in [(check_files, oxum), (check_asked,), (check_run, journal), (check_around, journal)]:
            guarded(check, bag, result, *more)
        for asset in result["assets"]:
            files = (((asset.get("database") or {}).get("rds") or {}).get("export") or {}).get("files")
            for one in [asset, files] if files else [asset]: guarded(check_asset, bag, one, journal)
    for severity, where, what in found + [("required", what, "is not met") for what in unmet]:
        print(severity.upper(), ascii(where)[1:-1] + ":", ascii(what)[1:-1])
    if found:
        failed = any(severity == "fail" for severity, *_ in found)
        print("the bundle is not intact" if failed else "the bundle could not be checked in full")
        return 1 if failed or unmet else 2
    key = "its key was not looked up" if keys["operator"] else "nobody vouches for it"
    signer = ("its operator vouches for it" if names["operator"] else key) + ("" if keys["reviewer"] else "; unreviewed")
    print(f"the bundle is consistent; {signer}; the run it records ended {words(result)}; digest {bag.digest(TAGS)}")
    return 1 if unmet else 0
sys.exit(main())
