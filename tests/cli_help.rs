//! The command line of the real binary, as far as it goes without a provider: help, usage errors, schemas, completions,
//! and that the README tells every exit code.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use walkaway::exit_code::ExitCode;

const COMMANDS: [&str; 15] = [
    "check",
    "explain",
    "init",
    "plan",
    "run",
    "resume",
    "verify",
    "approve",
    "report",
    "manual",
    "compare",
    "due",
    "schema",
    "doctor",
    "completions",
];

fn walkaway(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walkaway"));
    command.env_remove("RUST_LOG").args(args).output().expect("the binary starts")
}

fn code(output: &Output) -> u8 {
    output.status.code().and_then(|code| u8::try_from(code).ok()).expect("an exit code")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_command_has_help() {
    for command in COMMANDS {
        for args in [&[command, "--help"][..], &[command, "-h"], &["help", command]] {
            let output = walkaway(args);
            assert_eq!(code(&output), ExitCode::Verified.number(), "{args:?}");
            assert!(stdout(&output).contains("Usage: walkaway"), "{args:?}");
        }
    }
}

#[test]
fn the_help_lists_commands_and_exit_codes() {
    let help = stdout(&walkaway(&["--help"]));
    assert!(COMMANDS.iter().all(|command| help.contains(&format!("\n  {command} "))), "{help}");
    assert!(ExitCode::ALL.iter().all(|code| help.contains(&format!("\n  {code}\n"))), "{help}");
}

#[test]
fn the_version_is_the_package_s() {
    let output = walkaway(&["--version"]);
    assert_eq!((code(&output), stdout(&output)), (0, format!("walkaway {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_is_exit_code_3() {
    for args in [&["walk"][..], &[], &["run"], &["check", "--json", "a.yaml"], &["schema", "bundle"]] {
        let output = walkaway(args);
        assert_eq!(code(&output), ExitCode::Invalid.number(), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn schemas_are_json() {
    for args in [&["schema"][..], &["schema", "playbook"], &["schema", "result"]] {
        let output = walkaway(args);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(schema["type"], "object", "{args:?}");
    }
}

#[test]
fn completions_name_every_command() {
    let script = stdout(&walkaway(&["completions", "bash"]));
    assert!(COMMANDS.iter().all(|command| script.contains(command)));
}

#[test]
fn a_missing_playbook_is_one_clear_message() {
    for command in ["check", "explain", "plan", "run", "doctor"] {
        let output = walkaway(&[command, "no-such-playbook.yaml"]);
        assert_eq!(code(&output), ExitCode::Invalid.number(), "{command}");
        let text = stderr(&output);
        assert!(text.starts_with("error: no-such-playbook.yaml: cannot be read"), "{command}: {text}");
        assert!(text.contains("\n  hint: "), "{command}: {text}");
        assert!(output.stdout.is_empty(), "{command}");
    }
}

#[test]
fn a_directory_that_is_no_bundle_is_not_verified() {
    let directory = tempfile::tempdir().expect("directory");
    for path in [directory.path().to_owned(), directory.path().join("missing")] {
        let output = walkaway(&["verify", &path.display().to_string()]);
        assert_eq!(code(&output), ExitCode::Invalid.number());
        assert!(stderr(&output).contains("is no bundle of walkaway\n  hint: "), "{}", stderr(&output));
    }
}

#[test]
fn a_closed_stdout_ends_quietly() {
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_walkaway"));
    let output = command.arg("schema").stdout(writer).stderr(Stdio::piped()).output().expect("the binary starts");
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
}

#[test]
fn colors_come_only_when_they_are_wanted() {
    let colored = walkaway(&["check", "--color", "always", "no-such-playbook.yaml"]);
    let plain = walkaway(&["check", "no-such-playbook.yaml"]);
    assert!(colored.stderr.contains(&0x1b) && !plain.stderr.contains(&0x1b));
}

#[test]
fn the_readme_lists_every_exit_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    for code in ExitCode::ALL {
        let row = format!("| {} | {} |", code.number(), code.meaning());
        assert!(readme.contains(&row), "README.md lacks {row}");
    }
}
