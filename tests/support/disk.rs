//! Small file systems that get full; to mount them takes root.

use std::{env, fs, path::PathBuf, process::Command};

use rustix::process::geteuid;

/// Whether this process may mount; if not, the test fails, unless it was told that this is expected.
pub fn may_mount(test: &str) -> bool {
    if geteuid().is_root() {
        return true;
    }
    let expected = env::var_os("WALKAWAY_NO_MOUNT").is_some_and(|value| value == "1");
    assert!(expected, "{test} needs the right to mount a tmpfs; run as root, or set WALKAWAY_NO_MOUNT=1");
    eprintln!("skipped: {test} needs the right to mount a tmpfs");
    false
}

/// A small file system of its own; gone when dropped.
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    pub fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs", &path.to_string_lossy()]);
        SmallDisk { path }
    }

    pub fn grow(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}"), &self.path.to_string_lossy()]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[track_caller]
fn mount(args: &[&str]) {
    let output = Command::new("mount").args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "needs the right to mount a tmpfs; run as root: {error}");
}
