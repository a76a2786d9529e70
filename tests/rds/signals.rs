//! Every command that asks the provider ends at a signal, also before there is a run to be stopped in order.

use std::{
    fs,
    net::TcpListener,
    process::{Child, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{TempDir, walkaway};

/// Nobody waits longer for a process to end; one that is deaf fails the test.
const LOOKS_MAX: u32 = 1_500;

/// A provider that takes every question and answers none.
fn silent_provider() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..LOOKS_MAX {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[test]
fn a_signal_before_the_run_has_begun_ends_every_command_that_asks_the_provider() {
    let (provider, endpoint) = silent_provider();
    let home = TempDir::new();
    let playbook = format!(
        "version: 1\nid: drill\nprovider: {{aws: {{regions: [us-east-1], endpoints: {{s3: \"{endpoint}\", rds: \
         \"{endpoint}\", sts: \"{endpoint}\"}}}}}}\ntarget: {{path: restored/}}\nevidence: {{path: evidence/}}\nassets:\n  \
         - {{id: files, s3: {{bucket: files}}}}\n"
    );
    fs::write(home.join("drill.yaml"), &playbook).unwrap();
    // A run that was killed before the first line of its journal begins anew.
    let never_began = home.join("evidence/drill-20261130T000000Z");
    for (path, text) in [
        ("data/playbook.yaml", playbook),
        ("state/origin.json", format!("{{\"name\": \"drill.yaml\", \"folder\": {:?}}}", home.path())),
    ] {
        let path = never_began.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let commands: [&[&str]; 5] = [
        &["run", "drill.yaml"],
        &["resume", never_began.to_str().unwrap()],
        &["plan", "drill.yaml"],
        &["doctor", "drill.yaml"],
        &["init", "--region", "us-east-1"],
    ];
    for arguments in commands {
        for signal in [Signal::TERM, Signal::INT] {
            let mut command = walkaway();
            command.args(arguments).current_dir(home.path()).env("AWS_ENDPOINT_URL", &endpoint);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let question = provider.accept().unwrap();
            kill_process(Pid::from_child(&child), signal).unwrap();
            let status = ended(&mut child);
            assert_eq!(status.and_then(|status| status.code()), Some(5), "{arguments:?} {signal:?}");
            drop(question);
        }
    }
}
