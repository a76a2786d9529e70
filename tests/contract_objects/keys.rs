//! Keys that are hard to carry.

use walkaway::domain::digest::Sha256Digest;

/// Keys that every server keeps.
pub fn oddities() -> Vec<String> {
    let long = format!("long/{}", "x".repeat(255));
    let keys = [
        "plain",
        "a b",
        " leading and trailing ",
        "plus+plus",
        "percent%2Fslash",
        "%",
        "a&b<c>d\"e'f",
        "a=b?c#d;e,f@g:h!i*j|k$l`m~n(o)[p]{q}^r",
        "composed/\u{e9}",
        "composed/e\u{301}",
        "日本語/資料",
        "🚀",
        "zero\u{200b}width",
        ".hidden",
        "ends.",
        "Case",
        "case",
        "-rf",
        &long,
    ];
    keys.map(str::to_owned).to_vec()
}

/// Keys that servers on a file system don't keep.
pub fn oddities_of_paths() -> Vec<String> {
    let long = "y".repeat(1_024);
    ["a//b", "/leading", "dir/", "..", "../x", "a/./b", "a/../b", "back\\slash", "file", "file/below", &long]
        .map(str::to_owned)
        .to_vec()
}

/// Keys with characters that XML can't say.
pub fn oddities_of_xml() -> Vec<String> {
    ["new\nline", "tab\t", "return\r", "one\u{1}", "escape\u{1b}[31m", "delete\u{7f}", "no\u{fffe}character"]
        .map(str::to_owned)
        .to_vec()
}

/// Keys that differ, and that a careless sink would merge, lose or put elsewhere.
pub fn nasty_keys() -> Vec<String> {
    let deep = "d/".repeat(400) + "leaf";
    let wide = "ü".repeat(200);
    let nasty = [
        "",
        "/",
        "//",
        "/etc/passwd",
        "../../escape",
        "a/../../b",
        "a",
        "a/",
        "a//",
        "a/b",
        "A",
        "A/b",
        "a/B/c",
        "a\0b",
        "\u{e9}/x",
        "e\u{301}/x",
        "STRASSE",
        "stra\u{df}e",
        "tree/a",
        "mapped/a",
        ".staging/unit-000001/0",
        ".staging",
        "a\nb",
        &deep,
        &wide,
    ];
    let hashed = format!("mapped/{}", Sha256Digest::of("a//"));
    [oddities(), oddities_of_paths(), oddities_of_xml(), nasty.map(str::to_owned).to_vec(), vec![hashed]].concat()
}
