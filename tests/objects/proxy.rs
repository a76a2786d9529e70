//! A provider that can only be reached through a proxy.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use crate::{objects::Provider, support};

/// A name that nobody but the proxy can resolve.
const PROVIDER: &str = "provider.test";

/// Forwards every request to one server and counts those that ask for the provider's name.
fn forward_to(server: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let forwarded = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&forwarded);
    thread::spawn(move || {
        for client in listener.incoming() {
            let server = server.clone();
            let counted = Arc::clone(&counted);
            thread::spawn(move || forward(client.unwrap(), &server, &counted));
        }
    });
    (address, forwarded)
}

/// One request without a body, and its answer until the server hangs up.
fn forward(mut client: TcpStream, server: &str, counted: &AtomicUsize) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let plain = head.replacen(&format!(" http://{PROVIDER}"), " ", 1);
    assert_ne!(head, plain, "asked for as a proxy is asked");
    counted.fetch_add(1, Relaxed);
    let mut upstream = TcpStream::connect(server).unwrap();
    upstream.write_all(plain.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1).as_bytes()).unwrap();
    // Whoever has read enough may have gone.
    let _ = std::io::copy(&mut upstream, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_provider_behind_a_proxy_is_carried() {
    let server = support::weed();
    let provider = Provider::at(server.endpoint());
    let keys = ["a", "b/c", "empty"];
    keys.iter().for_each(|key| drop(provider.put(key, if *key == "empty" { b"" } else { key.as_bytes() })));
    let (proxy, forwarded) = forward_to(server.endpoint().trim_start_matches("http://").to_owned());
    let drill = support::drill::Drill::new().bucket_at(&format!("http://{PROVIDER}")).env("HTTP_PROXY", &proxy);
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert_eq!(ran.asset(support::drill::FILES)["items"], 3);
    assert!(forwarded.load(Relaxed) > keys.len(), "each object was asked for through the proxy");
}
