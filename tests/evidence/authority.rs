//! A time-stamp authority for one test: a certificate of its own and `openssl ts -reply` behind a small HTTP server.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::support::TempDir;

const CONFIG: &str = "
[tsa]
default_tsa = one
[one]
serial = ./serial
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ca_ext]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[tsa_ext]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = critical, timeStamping
[req]
distinguished_name = dn
[dn]
";

/// A running authority.
pub struct Authority {
    directory: TempDir,
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Authority {
    /// Makes the certificates and answers until the value is dropped.
    pub fn start() -> Self {
        let directory = TempDir::new();
        let home = directory.path().to_owned();
        fs::write(home.join("ts.cnf"), CONFIG).unwrap();
        fs::write(home.join("serial"), "01\n").unwrap();
        let key = |name: &str, ext: &str, more: &[&str]| {
            let key = format!("{name}.key");
            let pem = format!("{name}.pem");
            let subject = format!("/CN=walkaway test {name}");
            let mut arguments = vec!["req", "-new", "-x509", "-config", "ts.cnf", "-extensions", ext, "-nodes"];
            arguments.extend(["-newkey", "rsa:2048", "-days", "30", "-subj", &subject, "-keyout", &key, "-out", &pem]);
            arguments.extend(more);
            openssl(&home, &arguments);
        };
        key("ca", "ca_ext", &[]);
        key("tsa", "tsa_ext", &["-CA", "ca.pem", "-CAkey", "ca.key"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                answer(stream, &home);
            }
        });
        Authority { directory, port, stopped }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/tsr", self.port)
    }

    /// The certificate that a reader trusts.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn openssl(home: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(home).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One request, one answer; the client sends a Content-Length.
fn answer(mut stream: TcpStream, home: &Path) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let body = loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend(&piece[..read]),
        }
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if bytes.len() - end - 4 >= length.unwrap_or(0) {
            break bytes[end + 4..].to_vec();
        }
    };
    fs::write(home.join("query.tsq"), body).unwrap();
    openssl(
        home,
        &[
            "ts",
            "-reply",
            "-config",
            "ts.cnf",
            "-section",
            "one",
            "-queryfile",
            "query.tsq",
            "-signer",
            "tsa.pem",
            "-inkey",
            "tsa.key",
            "-chain",
            "ca.pem",
            "-out",
            "reply.tsr",
        ],
    );
    let reply = fs::read(home.join("reply.tsr")).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        reply.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &reply].concat());
}
