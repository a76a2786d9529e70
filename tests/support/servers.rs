//! SeaweedFS and moto, each started for one test.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    ACCESS_KEY, SECRET_KEY,
    machine::{ATTEMPTS_MAX, TempDir, free_port, wait_until},
    standin,
};

/// SeaweedFS opens a second port for each of its parts, this much higher.
const GRPC_OFFSET: u16 = 10_000;
const WEED_PARTS: [&str; 5] = ["s3", "master", "volume", "filer", "admin"];
/// Without a key for server-side encryption, every PUT into an encrypted bucket fails.
const SSE_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A running SeaweedFS: real bytes, parts, checksums and versions.
pub struct WeedServer {
    server: Server,
    ports: [u16; WEED_PARTS.len()],
}

impl WeedServer {
    /// Its URL, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        &self.server.endpoint
    }

    /// Ends it at once, as a provider that goes away would.
    pub fn stop(self) {}
}

impl Drop for WeedServer {
    fn drop(&mut self) {
        self.server.end();
        // Killed, it leaves its sockets behind.
        for (part, port) in WEED_PARTS.iter().zip(self.ports) {
            let _ = fs::remove_file(format!("/tmp/seaweedfs-{part}-grpc-{}.sock", port + GRPC_OFFSET));
        }
    }
}

/// A running moto: keys, states, rights and configuration of an account; its bytes are slow.
pub struct MotoServer {
    server: Server,
}

impl MotoServer {
    /// Its URL, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        &self.server.endpoint
    }
}

impl Drop for MotoServer {
    fn drop(&mut self) {
        self.server.end();
    }
}

/// Starts SeaweedFS.
pub fn weed() -> WeedServer {
    let program = standin("weed");
    for _ in 0..ATTEMPTS_MAX {
        let ports = WEED_PARTS.map(|_| free_port(GRPC_OFFSET));
        let mut command = Command::new(&program);
        command.args(["mini", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]);
        command.args(["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.args(["-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"]);
        command.args(WEED_PARTS.iter().zip(ports).map(|(part, port)| format!("-{part}.port={port}")));
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.env("WEED_S3_SSE_KEY", SSE_KEY);
        if let Some(server) = Server::start(command, ports[0], "/healthz") {
            return WeedServer { server, ports };
        }
    }
    panic!("SeaweedFS did not start");
}

/// Starts moto.
pub fn moto() -> MotoServer {
    let program = standin("moto_server");
    for _ in 0..ATTEMPTS_MAX {
        let port = free_port(0);
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        if let Some(server) = Server::start(command, port, "/moto-api/data.json") {
            return MotoServer { server };
        }
    }
    panic!("moto did not start");
}

/// One process that serves HTTP, and the directory that it works in.
struct Server {
    process: Child,
    endpoint: String,
    _directory: TempDir,
}

impl Server {
    /// Nothing when it ended or did not answer; its log then stands on stderr.
    fn start(mut command: Command, port: u16, ready_path: &str) -> Option<Self> {
        let directory = TempDir::of_a_server();
        let log = directory.join("log");
        let output = File::create(&log).unwrap();
        command.current_dir(directory.path()).env("HOME", directory.path()).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let process = command.spawn().unwrap();
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut server = Server { process, endpoint, _directory: directory };
        if wait_until(&mut server.process, || answers(port, ready_path)) {
            return Some(server);
        }
        server.end();
        show(&log);
        None
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn answers(port: u16, path: &str) -> bool {
    get_status_line(port, path).is_some_and(|line| line.starts_with(b"HTTP/1.1 200"))
}

fn get_status_line(port: u16, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut line = vec![0; 12];
    stream.read_exact(&mut line).ok()?;
    Some(line)
}

fn show(log: &Path) {
    eprintln!("{}", fs::read_to_string(log).unwrap_or_default());
}
