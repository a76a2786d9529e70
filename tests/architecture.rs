//! The house rules of `src/lib.rs` that can be read off the text: who imports whom, which crates stay in which module,
//! who prints, who reads the time, how files open and how long they are.
//!
//! Every test names all violations at once. Comments, string literals and test code don't count. Knows Rust only as far
//! as its words: a path behind a macro or a re-export of another crate is not seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use walkaway::exit_code::ExitCode;

const LINES_MAX: usize = 600;

/// Used by anybody, and using nothing but each other.
const COMMON: &[&str] = &["clock", "csv", "domain", "exit_code", "glob", "interrupt", "tls", "words"];

/// What a module may import besides itself and [`COMMON`]; `a::b` allows only that part of `a`. A module with a rule of its
/// own is no part of the one around it.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    ("account", &[]),
    ("account::drive", &["account", "asset", "evidence", "playbook", "provider", "record"]),
    ("account::look", &["account", "aws", "provider", "transfer"]),
    ("asset", &["account", "evidence", "pg", "playbook", "record", "restore", "provider", "transfer", "verify"]),
    ("aws", &["transfer"]),
    ("cli", &["account", "asset", "command", "evidence", "playbook", "record", "report", "run"]),
    (
        "command",
        &[
            "account", "asset", "evidence", "pg", "playbook", "record", "report", "restore", "run", "provider",
            "transfer", "verify",
        ],
    ),
    ("evidence", &["account", "transfer"]),
    ("pg", &["transfer"]),
    ("playbook", &[]),
    ("record", &["evidence", "playbook", "report", "transfer"]),
    ("report", &["account::controls", "account::coverage", "evidence::facts", "evidence::result", "playbook"]),
    ("restore", &["aws", "pg", "transfer"]),
    (
        "run",
        &[
            "account", "asset", "evidence", "pg", "playbook", "record", "report", "restore", "provider", "transfer",
            "verify",
        ],
    ),
    ("provider", &["account", "aws", "pg", "transfer"]),
    ("transfer", &[]),
    ("verify", &["pg", "transfer"]),
    ("clock", &[]),
    ("csv", &[]),
    ("domain", &[]),
    ("exit_code", &[]),
    ("glob", &[]),
    ("interrupt", &[]),
    ("tls", &[]),
    ("words", &[]),
];

/// The beginnings of crates' names, and the modules that may use those crates.
const CRATES: &[(&str, &[&str])] = &[
    ("aws_lc_rs", &["evidence"]),
    ("aws_", &["account::look", "aws", "provider", "restore"]),
    ("parquet", &["provider"]),
    ("postgres", &["pg", "restore", "provider", "verify"]),
    ("tokio_postgres", &["pg"]),
    ("typst", &["report"]),
];

#[test]
fn modules_import_only_what_the_invariants_allow() {
    check(|file, wrong| {
        let Some((module, allowed)) = rule_of(&file.own_path()) else {
            return wrong.push(format!("{}: the module {} has no rule here", file.name, file.module));
        };
        for path in file.paths() {
            let Some(target) = file.in_crate(&path) else { continue };
            let is_own = rule_of(&target).is_some_and(|(other, _)| other == module);
            if !is_own && !COMMON.iter().chain(*allowed).any(|rule| is_within(&target, rule)) {
                wrong.push(format!("{}:{}: {module} imports {target}", file.name, path.line));
            }
        }
    });
}

/// The rule of the innermost module that a path leads into.
fn rule_of(path: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    MAY_IMPORT.iter().filter(|(module, _)| is_within(path, module)).max_by_key(|(module, _)| module.len())
}

/// Whether a path is a module or leads into it.
fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Declarations of modules and test code don't count.
#[test]
fn no_files_import_each_other_in_a_ring() {
    report(rings(&sources()).iter().map(|ring| format!("a ring of files: {}", ring.join(", "))));
}

/// Files each of which needs the others, by whatever way.
fn rings(files: &[SourceFile]) -> BTreeSet<Vec<&str>> {
    let modules: BTreeMap<Vec<String>, &str> = files.iter().map(|file| (file.module_path(), &file.name[4..])).collect();
    let imports: BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|file| (&file.name[4..], file.imported(&modules))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (*file, reachable(file, &imports))).collect();
    let with = |file: &str| reached[file].iter().copied().filter(|other| reached[other].contains(file)).collect();
    imports.keys().map(|file| with(file)).filter(|ring: &Vec<_>| !ring.is_empty()).collect()
}

/// Everything that a file needs, by whatever way.
fn reachable<'a>(from: &'a str, imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        open.extend(imports[file].iter().filter(|next| reached.insert(**next)));
    }
    reached
}

#[test]
fn clients_of_servers_stay_in_their_modules() {
    check(|file, wrong| {
        let paths = file.paths();
        let own = file.own_path();
        for path in &paths {
            let root = path.segments[0].as_str();
            let rule = CRATES.iter().find(|(name, _)| root.starts_with(name));
            let may = |modules: &[&str]| modules.iter().any(|module| is_within(&own, module));
            if rule.is_some_and(|(_, modules)| !may(modules)) && !is_local(root, &paths) {
                wrong.push(format!("{}:{}: {} uses the crate {root}", file.name, path.line, file.module));
            }
        }
    });
}

/// Whether a path's first segment is a module that the file imports.
fn is_local(root: &str, paths: &[Mention]) -> bool {
    paths.iter().any(|path| path.imported && path.segments.len() > 1 && path.segments.last().is_some_and(|s| s == root))
}

#[test]
fn only_the_command_line_prints() {
    forbid(&["cli", "main"], |line| {
        ["print!", "println!", "eprint!", "eprintln!", "dbg!"].into_iter().find(|name| has_word(line, name))
    });
}

#[test]
fn only_the_clock_reads_the_time() {
    forbid(&["clock"], |line| {
        let readers = ["SystemTime", "UNIX_EPOCH", "Instant::now", "Timestamp::now", "Zoned::now"];
        readers.into_iter().find(|name| has_word(line, name))
    });
}

#[test]
fn nothing_gives_up_but_tests() {
    forbid(&[], |line| {
        let unready = ["todo!", "unimplemented!", "panic!"].into_iter().find(|name| has_word(line, name));
        unready.or_else(|| [".unwrap()", ".expect(\"", ".expect(&"].into_iter().find(|call| line.contains(call)))
    });
}

#[test]
fn every_file_opens_with_what_it_does() {
    check(|file, wrong| {
        if !file.text.starts_with("//! ") {
            wrong.push(format!("{}: does not open with //!", file.name));
        }
    });
}

/// The first column of a module's table names files beside it.
#[test]
fn tables_of_files_name_files_that_are_there() {
    check(|file, wrong| {
        if !file.name.ends_with("/mod.rs") {
            return;
        }
        let folder = root().join(&file.name).parent().unwrap().to_owned();
        let rows =
            file.text.lines().filter_map(|line| line.strip_prefix("//! | `")).filter_map(|row| row.split(" | ").next());
        for name in
            rows.flat_map(|names| names.split('`')).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        {
            let candidates = [name.to_owned(), format!("{name}.rs"), format!("{name}/mod.rs")];
            if !candidates.iter().any(|candidate| folder.join(candidate).is_file()) {
                wrong.push(format!("{}: names {name}, which is not there", file.name));
            }
        }
    });
}

#[test]
fn no_file_is_too_long() {
    check(|file, wrong| {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{}: {lines} lines, more than {LINES_MAX}", file.name));
        }
    });
}

#[test]
fn every_exit_code_stands_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let stands = |code: &ExitCode| {
        let number = code.number().to_string();
        readme.lines().any(|line| has_word(line, &number) && line.contains(code.meaning()))
    };
    let missing = ExitCode::ALL.iter().filter(|code| !stands(code));
    report(missing.map(|code| format!("README.md: no line has \"{}\" and \"{}\"", code.number(), code.meaning())));
}

// ---------------------------------------------------------------------------------------------------------------------
// Reporting

fn check(rule: impl Fn(&SourceFile, &mut Vec<String>)) {
    let mut wrong = Vec::new();
    for file in sources() {
        rule(&file, &mut wrong);
    }
    report(wrong);
}

/// Names every line of code outside the `exempt` modules in which `find` finds something.
fn forbid(exempt: &[&str], find: impl Fn(&str) -> Option<&'static str>) {
    check(|file, wrong| {
        if exempt.contains(&file.module.as_str()) {
            return;
        }
        for (number, line) in (1..).zip(file.code.lines()) {
            if let Some(found) = find(line) {
                wrong.push(format!("{}:{number}: {found}", file.name));
            }
        }
    });
}

fn report(wrong: impl IntoIterator<Item = String>) {
    let mut text = String::new();
    for violation in wrong {
        writeln!(text, "{violation}").unwrap();
    }
    assert!(text.is_empty(), "\n{text}");
}

/// Whether `word` stands in `line` and is not a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let around = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !around.0.is_some_and(is_name) && (word.ends_with('!') || !around.1.is_some_and(is_name))
    })
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading src

struct SourceFile {
    /// Relative to the repository.
    name: String,
    /// The top-level module; `lib` and `main` for the roots.
    module: String,
    /// How many `super` lead to the root of the crate.
    depth: usize,
    text: String,
    /// The text without comments, the content of literals, and test code; line by line as in the file.
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of src that isn't test code as a whole.
fn sources() -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut only_tests = BTreeSet::new();
    let mut directories = vec![root().join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push((path.clone(), read(&path, &mut only_tests)));
            }
        }
    }
    let mut files: Vec<_> = files.into_iter().filter(|(path, _)| !only_tests.contains(path)).map(|(_, f)| f).collect();
    assert!(!files.is_empty(), "src has no files");
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

fn read(path: &Path, only_tests: &mut BTreeSet<PathBuf>) -> SourceFile {
    let text = fs::read_to_string(path).unwrap();
    let (code, outlined) = without_tests(&without_words(&text));
    let is_root = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| path.ends_with(name));
    let children = if is_root { path.parent().unwrap().to_owned() } else { path.with_extension("") };
    for module in outlined {
        only_tests.extend([children.join(&module).with_extension("rs"), children.join(&module).join("mod.rs")]);
    }
    let relative = path.strip_prefix(root().join("src")).unwrap();
    let parts: Vec<_> = relative.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let depth = parts.iter().filter(|part| !["mod", "lib", "main"].contains(&part.as_str())).count();
    SourceFile { name: format!("src/{}", relative.display()), module: parts[0].clone(), depth, text, code }
}

/// Blanks comments and the content of literals; every line stays where it is.
fn without_words(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = word_end(&characters, at);
        if end == at {
            code.push(characters[at]);
            at += 1;
        } else {
            code.extend(characters[at..end].iter().filter(|c| **c == '\n'));
            code.push_str(if characters[at] == '/' { " " } else { "\"\"" });
            at = end;
        }
    }
    code
}

/// The end of the comment or literal that begins at `at`; `at` itself if none does.
fn word_end(text: &[char], at: usize) -> usize {
    let find = |from: usize, wanted: &[char]| {
        let found = text[from.min(text.len())..].windows(wanted.len()).position(|window| window == wanted);
        found.map_or(text.len(), |found| from + found)
    };
    match (text[at], text.get(at + 1)) {
        ('/', Some('/')) => find(at, &['\n']),
        ('/', Some('*')) => find(at + 2, &['*', '/']) + 2,
        ('"', _) => literal_end(text, at, '"'),
        ('\'', Some('\\')) => literal_end(text, at, '\''),
        ('\'', _) if text.get(at + 2) == Some(&'\'') => at + 3,
        ('r', Some('"' | '#')) if at == 0 || !is_name(text[at - 1]) || text[at - 1] == 'b' => {
            let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
            let closing: Vec<_> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let opens = text.get(at + 1 + hashes) == Some(&'"');
            if opens { find(at + 2 + hashes, &closing) + closing.len() } else { at }
        }
        _ => at,
    }
}

fn literal_end(text: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < text.len() && text[end] != quote {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(text.len())
}

/// Blanks what stands under `#[cfg(test)]`; returns the names of test modules that have a file of their own, too.
fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut outlined = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        kept.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = item_end(item);
        if let Some(module) = item[..end].strip_suffix(';').and_then(|text| text.rsplit_once("mod ")) {
            outlined.push(module.1.trim().to_owned());
        }
        kept.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    kept.push_str(rest);
    (kept, outlined)
}

/// The end of the first item: its semicolon, or the brace that closes it.
fn item_end(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

// ---------------------------------------------------------------------------------------------------------------------
// Paths

/// A path of the code, written out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mention {
    line: usize,
    segments: Vec<String>,
    /// By a `use`, rather than in the midst of the code.
    imported: bool,
}

impl SourceFile {
    fn paths(&self) -> Vec<Mention> {
        paths(&self.code)
    }

    /// The path of the module that the file is.
    fn module_path(&self) -> Vec<String> {
        let parts = self.name.trim_start_matches("src/").trim_end_matches(".rs").split('/');
        parts.filter(|part| !["mod", "lib", "main"].contains(part)).map(str::to_owned).collect()
    }

    /// The same as a rule names it; `lib` and `main` for the roots.
    fn own_path(&self) -> String {
        let path = self.module_path();
        if path.is_empty() { self.module.clone() } else { path.join("::") }
    }

    /// The other files that a path of this one leads to.
    fn imported<'a>(&self, modules: &BTreeMap<Vec<String>, &'a str>) -> BTreeSet<&'a str> {
        let own = self.module_path();
        let target = |path: Mention| {
            let climbs = path.segments.iter().take_while(|segment| *segment == "super").count();
            let (from, steps) = match path.segments[0].as_str() {
                "crate" => (&[][..], 1),
                "self" => (&own[..], 1),
                "super" => (&own[..own.len().checked_sub(climbs)?], climbs),
                child if modules.contains_key(&[&own[..], &[child.to_owned()]].concat()) => (&own[..], 0),
                _ => return None,
            };
            let whole = [from, &path.segments[steps..]].concat();
            (0..=whole.len()).rev().find_map(|end| modules.get(&whole[..end])).copied()
        };
        self.paths().into_iter().filter_map(target).filter(|file| *file != &self.name[4..]).collect()
    }

    /// The path from the root of the crate, if it leads there.
    fn in_crate(&self, path: &Mention) -> Option<String> {
        let climbs = path.segments.iter().take_while(|segment| *segment == "super").count();
        let steps = match path.segments[0].as_str() {
            "crate" | "walkaway" => 1,
            _ if self.depth > 0 && climbs >= self.depth => climbs,
            _ => return None,
        };
        (path.segments.len() > steps).then(|| path.segments[steps..].join("::"))
    }
}

fn paths(code: &str) -> Vec<Mention> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].1 == "use" {
            at = use_tree(&tokens, at + 1, &[], &mut found);
        } else {
            at = inline_path(&tokens, at, &mut found);
        }
    }
    found
}

type Token<'a> = (usize, &'a str);

/// Names, `::` and single characters, each with its line.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let named = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let length = if named > 0 {
                named
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push((number, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Reads one branch of a `use` and writes its paths out; returns where it ends.
fn use_tree(tokens: &[Token<'_>], mut at: usize, before: &[String], found: &mut Vec<Mention>) -> usize {
    let mut segments = before.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.0);
    while let Some((_, token)) = tokens.get(at) {
        match *token {
            "::" => at += 1,
            "{" => return use_group(tokens, at + 1, &segments, found),
            "as" => at += 2,
            "," | "}" | ";" => break,
            name => {
                segments.push(name.to_owned());
                at += 1;
            }
        }
    }
    if segments.len() > before.len() {
        found.push(Mention { line, segments, imported: true });
    }
    at
}

fn use_group(tokens: &[Token<'_>], mut at: usize, before: &[String], found: &mut Vec<Mention>) -> usize {
    while let Some((_, token)) = tokens.get(at) {
        at = match *token {
            "}" => return at + 1,
            "," => at + 1,
            _ => use_tree(tokens, at, before, found),
        };
    }
    at
}

/// Reads a path of at least two names in the midst of the code; returns where to go on.
fn inline_path(tokens: &[Token<'_>], at: usize, found: &mut Vec<Mention>) -> usize {
    let mut segments = vec![tokens[at].1.to_owned()];
    let mut end = at + 1;
    while let (Some((_, "::")), Some((_, name))) = (tokens.get(end), tokens.get(end + 1)) {
        if !name.starts_with(is_name) {
            break;
        }
        segments.push((*name).to_owned());
        end += 2;
    }
    let is_visibility = at > 1 && (tokens[at - 2].1, tokens[at - 1].1) == ("(", "in");
    // `<T as a::B>::c` and `::a::b` begin with what is no name.
    if segments.len() > 1 && segments[0].starts_with(is_name) && !is_visibility {
        found.push(Mention { line: tokens[at].0, segments, imported: false });
    } else if end > at + 1 {
        return at + 1;
    }
    end
}

// ---------------------------------------------------------------------------------------------------------------------
// The reader's own tests: a rule that sees nothing is always kept

fn written_out(code: &str) -> Vec<String> {
    paths(&without_words(code)).into_iter().map(|path| path.segments.join("::")).collect()
}

#[test]
fn groups_and_inline_paths_are_written_out() {
    let code =
        "use crate::{a::b, c::{self, d as e}};\npub(in crate::a) use x::*;\nfn f() -> crate::g::H { ::i::j::<K>() }";
    let expected = ["crate::a::b", "crate::c::self", "crate::c::d", "x::*", "crate::g::H", "i::j"];
    assert_eq!(written_out(code), expected);
}

#[test]
fn comments_and_literals_are_not_code() {
    let code =
        "//! crate::a::b\nlet x = \"crate::c::d \\\" {\"; let y = r#\"use e::f; \"{\"#; let z = '\"'; /* g::h */ i::j";
    assert_eq!(written_out(code), ["i::j"]);
    assert_eq!(without_words("a\n/* b\n */ c\n\"d\n\"").lines().count(), 5);
}

#[test]
fn test_code_is_left_out_and_the_lines_stay() {
    let code = "a::b;\n#[cfg(test)]\nmod tests {\n  c::d { }\n}\n#[cfg(test)]\npub(super) mod fake;\ne::f;";
    let (kept, outlined) = without_tests(code);
    assert_eq!(outlined, ["fake"]);
    assert_eq!(paths(&kept).iter().map(|path| path.line).collect::<Vec<_>>(), [1, 8]);
}

#[test]
fn supers_that_leave_the_module_count_as_the_crate() {
    let file = |depth| SourceFile {
        name: String::new(),
        module: "provider".to_owned(),
        depth,
        text: String::new(),
        code: String::new(),
    };
    let path = |text: &str| paths(&format!("use {text};")).remove(0);
    assert_eq!(file(2).in_crate(&path("super::super::restore::tree")), Some("restore::tree".to_owned()));
    assert_eq!(file(2).in_crate(&path("super::s3")), None);
    assert_eq!(file(1).in_crate(&path("super::restore")), Some("restore".to_owned()));
    assert_eq!(file(3).in_crate(&path("crate::pg::Address")), Some("pg::Address".to_owned()));
}

#[test]
fn a_ring_of_files_is_seen() {
    let file = |name: &str, code: &str| SourceFile {
        name: format!("src/{name}"),
        module: "a".to_owned(),
        depth: 0,
        text: String::new(),
        code: code.to_owned(),
    };
    let files = [
        file("a/b.rs", "use super::c::C;"),
        file("a/c.rs", "fn c(a: crate::a::A) {}"),
        file("a/mod.rs", "mod b; pub use b::B;"),
        file("d.rs", "use crate::a::A;"),
    ];
    assert_eq!(rings(&files), BTreeSet::from([vec!["a/b.rs", "a/c.rs", "a/mod.rs"]]));
}
