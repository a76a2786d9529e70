//! An account in moto, a playbook, and walkaway against both.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{TempDir, standin, walkaway};

/// The account that moto gives everybody.
pub const ACCOUNT: &str = "123456789012";

/// A server with an account, and a folder for a playbook.
pub struct World {
    server: Option<Child>,
    pub endpoint: String,
    key: Option<(String, String)>,
    pub home: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl World {
    /// An account of this kind: `clean`, `faulty` or `denied`.
    pub fn of(kind: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/account/account.py");
        let home = TempDir::new();
        let mut command = Command::new(standin("python"));
        command.arg("-W").arg("ignore").arg(script).arg(port.to_string()).arg(kind);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(home.join("moto.log")).unwrap());
        let mut server = command.spawn().unwrap();
        let lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let ready = lines.find(|line| line.starts_with("ready"));
        let log = || fs::read_to_string(home.join("moto.log")).unwrap_or_default();
        let ready = ready.unwrap_or_else(|| panic!("the account did not start: {}", log()));
        let mut words = ready.split(' ').skip(1).map(str::to_owned);
        let key = words.next().zip(words.next());
        World { server: Some(server), endpoint: format!("http://127.0.0.1:{port}"), key, home }
    }

    /// The account behind another server.
    pub fn at(endpoint: &str) -> Self {
        World { server: None, endpoint: endpoint.to_owned(), key: None, home: TempDir::new() }
    }

    /// A program with this world in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = walkaway();
        command.args(arguments).current_dir(self.home.path()).env("HOME", self.home.path());
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_REGION", "eu-central-1");
        if let Some((id, secret)) = &self.key {
            command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        }
        command
    }

    /// Writes the playbook: a head that is always the same, and these lines.
    pub fn playbook(&self, lines: &str) -> PathBuf {
        let head = format!(
            "version: 1\nid: drill\nprovider: {{aws: {{account: \"{ACCOUNT}\", regions: [eu-central-1]}}}}\n\
             evidence: {{path: evidence/}}\n"
        );
        let target = if lines.contains("target:") { "" } else { "target: {path: restored/}\n" };
        let path = self.home.join("drill.yaml");
        fs::write(&path, format!("{head}{target}{lines}")).unwrap();
        path
    }

    /// Runs a playbook of these lines.
    pub fn run(&self, lines: &str) -> Drilled {
        self.playbook(lines);
        Drilled::of(&self.command(&["run", "drill.yaml"]).output().unwrap())
    }
}

/// What a run left.
pub struct Drilled {
    pub code: i32,
    pub stderr: String,
    pub bundle: PathBuf,
    pub result: Value,
}

impl Drilled {
    #[track_caller]
    pub fn of(output: &Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let bundle = PathBuf::from(stdout.lines().last().unwrap_or_default());
        let result = fs::read(bundle.join("data/result.json")).unwrap_or_else(|error| panic!("{error}\n{stderr}"));
        let result = serde_json::from_slice(&result).unwrap();
        Drilled { code: output.status.code().unwrap_or(-1), stderr, bundle, result }
    }

    #[track_caller]
    pub fn assert_ended(&self, code: i32, verdict: &str) -> &Self {
        let ended = (self.code, self.result["verdict"].as_str().unwrap());
        assert_eq!(ended, (code, verdict), "{}\n{:#}", self.stderr, self.result["findings"]);
        self
    }

    /// Every finding of the run as `kind subject`.
    pub fn findings(&self) -> Vec<String> {
        let findings = self.result["findings"].as_array().unwrap().iter();
        let told =
            |finding: &Value| format!("{} {}", finding["kind"].as_str().unwrap(), finding["subject"].as_str().unwrap());
        findings.map(told).collect()
    }

    pub fn json(&self, name: &str) -> Value {
        let bytes = fs::read(self.bundle.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        serde_json::from_slice(&bytes).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.bundle.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The bundle is as walkaway wrote it.
    #[track_caller]
    pub fn assert_verifies(&self) -> &Self {
        let output = walkaway().arg("verify").arg(&self.bundle).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        self
    }
}
