//! The check of bundles by `scripts/verify.py`, which shares no code with walkaway: both must come to the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use walkaway::evidence::{TABLE_DIGEST_PY, VERIFY_PY};

/// Exit code and everything that the program prints.
pub fn check(bundle: &Path, arguments: &[&str]) -> (i32, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/verify.py");
    let output = Command::new("python3").arg("-I").arg(program).arg(bundle).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

/// The program accepts what walkaway accepts, and refuses what it refuses.
#[track_caller]
pub fn assert_agrees(bundle: &Path, accepted: bool, what: &str) {
    let (code, said) = check(bundle, &[]);
    assert_eq!(
        code == 0,
        accepted,
        "{what}: walkaway {}; verify.py: {said}",
        if accepted { "accepts" } else { "refuses" }
    );
}

/// The directory that `VERIFY.md` calls TOOLS: both programs, as the binary prints them.
pub fn tools(home: &Path) -> PathBuf {
    let tools = home.join("tools");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("verify.py"), VERIFY_PY).unwrap();
    fs::write(tools.join("table_digest.py"), TABLE_DIGEST_PY).unwrap();
    tools
}
