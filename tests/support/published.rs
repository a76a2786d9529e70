//! A database that others made and published: Sakila for PostgreSQL, as a crate carries it among its tests. It is fetched
//! when it is first needed, by cargo, in one version and with digests that are known; it never lies in this repository.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

const CRATE: &str = "sea-schema";
const VERSION: &str = "0.16.2";
/// The files, in the order in which they are run, with their SHA-256.
const FILES: [(&str, &str); 2] = [
    ("sakila-schema.sql", "9e2eeec289b5f9840530ec20d922e336e8148ce5d7513ae449f18324970c0b87"),
    ("sakila-data.sql", "5abfb27721f56443dcd67b0fe4313c66c2ceca5e552fc1e31b2fb289157ff2e9"),
];

/// Schema and data.
pub fn sakila() -> [PathBuf; 2] {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{CRATE}-{VERSION}"));
    if !home.exists() {
        let fetching = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fetch(fetching.path());
        let fetched = fetching.path().join("vendor").join(format!("{CRATE}-{VERSION}")).join("tests/sakila/postgres");
        // Another test may have come first; what it brought is the same.
        if let Err(error) = fs::rename(&fetched, &home) {
            assert!(home.exists(), "{}: {error}", fetched.display());
        }
    }
    FILES.map(|(name, expected)| {
        let path = home.join(name);
        let digest = Sha256::digest(fs::read(&path).unwrap());
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected, "{} is not what was published", path.display());
        path
    })
}

fn fetch(directory: &Path) {
    fs::create_dir(directory.join("src")).unwrap();
    fs::write(directory.join("src/lib.rs"), "").unwrap();
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n[dependencies]\n\
         {CRATE} = {{ version = \"={VERSION}\", default-features = false }}\n"
    );
    fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(["vendor", "--versioned-dirs"]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "fetching {CRATE}: {}", String::from_utf8_lossy(&output.stderr));
}
