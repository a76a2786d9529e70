//! Secrets behind references: whatever is wrong with one, no command shows a part of it.

use crate::support::disturb::{Drill, text};

/// What must never be seen; every text has it where a password, or a part of one, would be.
const CANARY: &str = "kanary";

/// Connections that can't be understood, or lead nowhere.
const TEXTS: [&str; 16] = [
    "postgres://u:p@kanary@127.0.0.1:1/shop",
    "postgres://u:kanary@x@127.0.0.1:1/shop",
    "postgres://u:p/kanary@127.0.0.1:1/shop",
    "postgres://u:1/kanary@127.0.0.1:1/shop",
    "postgres://u:p?kanary@127.0.0.1:1/shop",
    "postgres://u:p#kanary@127.0.0.1:1/shop",
    "postgres://u:p%kanary@127.0.0.1:1/shop",
    "postgres://u:[kanary]@127.0.0.1:1/shop",
    "postgres://u:kanary word@127.0.0.1:1/shop",
    "postgres://u:kanary@127.0.0.1:port/shop",
    "postgres://u:p@127.0.0.1:1/shop?kanary",
    "postgres://u:p@127.0.0.1:1/shop?sslmode=kanary",
    "postgres://u:kanary",
    "u:kanary@127.0.0.1:1/shop",
    "host=127.0.0.1 port=1 user=u password=a kanary word",
    "host=127.0.0.1 port=1 user=u password='a'kanary'",
];

#[test]
fn no_command_shows_a_secret_that_it_cannot_use() {
    let playbook = |source: &str, target: &str| {
        format!(
            "version: 1\nid: drill\ntarget: {{path: restored/, postgres: {target}}}\nevidence: {{path: evidence/}}\n\
             assets:\n  - {{id: shop, postgres: {{url: \"{source}\"}}}}\n"
        )
    };
    let drills =
        [playbook("env:SECRET", "{managed: true}"), playbook("env:NOWHERE", "{url: \"env:SECRET\"}")].map(|playbook| {
            Drill::new(&playbook).with("NOWHERE", "postgres://u:p@127.0.0.1:1/shop").with("RUST_LOG", "trace")
        });
    for (drill, secret) in drills.iter().flat_map(|drill| TEXTS.map(|secret| (drill, secret))) {
        let file = text(&drill.join("playbook.yaml"));
        let commands: [&[&str]; 6] = [
            &["explain", &file],
            &["plan", &file],
            &["plan", "--json", &file],
            &["run", &file],
            &["run", "--json", &file],
            &["doctor", &file],
        ];
        for command in commands {
            let output = drill.command(command).env("SECRET", secret).output().unwrap();
            let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(!shown.contains(CANARY), "{secret}: {} shows {shown}", command.join(" "));
        }
    }
}
