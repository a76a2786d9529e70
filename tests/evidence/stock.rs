//! What ssh-keygen and openssl accept is accepted, and nothing else: both are asked beside walkaway's own code about
//! generated lists of signers, armours, and chains of certificates.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use walkaway::evidence::{
    signing::{AllowedSigners, Role, Seal},
    timestamp::{Authorities, Stamp},
};

use crate::support::{TempDir, drill::stock};

const MESSAGE: &str = "the tag manifest";

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

// ---------------------------------------------------------------------------------------------------------------------
// Who may sign

/// A signature by `operator` over [`MESSAGE`], and the keys `operator` and `other`.
fn signed(home: &TempDir, kind: &[&str]) -> Vec<u8> {
    for name in ["operator", "other"] {
        let mut make = Command::new("ssh-keygen");
        stock(make.args(["-q", "-N", "", "-C", name, "-f"]).arg(home.join(name)).args(kind));
    }
    fs::write(home.join("message"), MESSAGE).unwrap();
    stock(
        Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "walkaway-operator", "-f"])
            .arg(home.join("operator"))
            .arg(home.join("message")),
    );
    fs::read(home.join("message.sig")).unwrap()
}

fn ssh_keygen_accepts(home: &TempDir, name: &str) -> bool {
    let mut verify = Command::new("ssh-keygen");
    verify.args(["-Y", "verify", "-n", "walkaway-operator", "-I", name, "-f"]).arg(home.join("allowed"));
    succeeds(verify.arg("-s").arg(home.join("message.sig")).stdin(fs::File::open(home.join("message")).unwrap()))
}

/// Numbers that look drawn, the same in every run.
struct Draw(u64);

impl Draw {
    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        list[usize::try_from(self.0 >> 33).unwrap() % list.len()]
    }
}

#[test]
fn allowed_signers_mean_what_they_mean_to_ssh_keygen() {
    let home = TempDir::new();
    let armored = signed(&home, &["-t", "ed25519"]);
    let seal = Seal::check(&armored, Role::Operator, MESSAGE.as_bytes()).unwrap();
    let key = |name: &str| {
        let line = fs::read_to_string(home.join(format!("{name}.pub"))).unwrap();
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    let own = key("operator");
    let other = key("other");
    let principals = [
        "ops@x",
        "ops@x",
        "*@x",
        "!ops@x",
        "!ops@x,*@x",
        "*@x,!ops@x",
        "a,ops@x",
        "\"a b\"",
        "\"ops@x\"",
        "o?s@x",
        "\u{feff}ops@x",
        "OPS@x",
        "ops@x,",
        "a",
        "op\"s@x\"",
        "# ops@x",
        "!a,a",
    ];
    let options = [
        "",
        "",
        "",
        "",
        "namespaces=\"walkaway-operator\" ",
        "namespaces=\"git,walkaway-*\" ",
        "namespaces=\"git, walkaway-operator\" ",
        "namespaces=\"walkaway-*,!walkaway-operator\" ",
        "NameSpaces=\"walkaway-operator\" ",
        "namespaces=walkaway-operator ",
        "namespaces=\"a\\\"b,walkaway-operator\" ",
        "namespaces=\"git\",namespaces=\"walkaway-operator\" ",
        "valid-after=\"20200101\" ",
        "valid-after=\"20990101Z\" ",
        "valid-before=\"20990101\",namespaces=\"walkaway-operator\" ",
        "valid-before=\"20200101UTC\" ",
        "valid-after=\"202001010000\",valid-before=\"20990101000000z\" ",
        "valid-after=20200101 ",
        "valid-after=\"2020\" ",
        "valid-after=\"20990101\",valid-before=\"20200101\" ",
        "cert-authority ",
        "cert-authority,namespaces=\"walkaway-operator\" ",
        "what ",
        "namespaces=\"open ",
        "namespaces=\"walkaway-operator\", ",
    ];
    let broken = "ssh-ed25519 AAAA".to_owned();
    let keys = [own.as_str(), own.as_str(), own.as_str(), other.as_str(), broken.as_str(), ""];
    let ends = ["\n", "\n", "\r\n", " a comment\n", "\t\n", "\n\n# nobody\n"];
    let names = ["ops@x", "a", "a b", "*@x", "o?s@x", "OPS@x", "z@x"];
    let mut draw = Draw(7);
    let mut accepted = 0;
    for _ in 0..400 {
        let line = |draw: &mut Draw| {
            let indent = draw.of(&["", "", "", " ", "\t"]);
            [
                indent,
                draw.of(&principals),
                draw.of(&[" ", " ", "  ", "\t"]),
                draw.of(&options),
                draw.of(&keys),
                draw.of(&ends),
            ]
            .concat()
        };
        let text: String = (0..draw.of(&["1", "2", "3"]).parse().unwrap()).map(|_| line(&mut draw)).collect();
        fs::write(home.join("allowed"), &text).unwrap();
        let stock: Vec<_> = names.iter().filter(|name| ssh_keygen_accepts(&home, name)).collect();
        let ours = AllowedSigners::parse(&text).map(|allowed| allowed.principals(&seal, walkaway::clock::now()));
        assert_eq!(matches!(ours, Ok(Ok(_))), !stock.is_empty(), "{text:?}: ssh-keygen {stock:?}, walkaway {ours:?}");
        accepted += usize::from(!stock.is_empty());
    }
    assert!((40..360).contains(&accepted), "{accepted} of 400 lists are accepted");
}

#[test]
fn armours_are_read_as_ssh_keygen_reads_them() {
    let home = TempDir::new();
    let armored = String::from_utf8(signed(&home, &["-t", "ed25519"])).unwrap();
    fs::write(home.join("allowed"), format!("ops@x {}", fs::read_to_string(home.join("operator.pub")).unwrap()))
        .unwrap();
    let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
    let begin = "-----BEGIN SSH SIGNATURE-----";
    let end = "-----END SSH SIGNATURE-----";
    let variants = [
        armored.clone(),
        armored.replace('\n', "\r\n"),
        armored.replace('\n', "\r\n").replacen("\r\n", "\n", 1),
        armored.trim_end().to_owned(),
        format!("{begin}\n{body}\n{end}\n"),
        format!("{armored}more\n"),
        format!("\n{armored}"),
        format!("{begin}\n{body}{end}\n"),
        format!("{begin}{body}\n{end}\n"),
        format!("\u{feff}{armored}"),
        armored.replace("BEGIN SSH", "BEGIN  SSH"),
        armored.replacen("AAAA", "AAAB", 1),
        String::new(),
    ];
    let mut accepted = 0;
    for text in variants {
        fs::write(home.join("message.sig"), &text).unwrap();
        let ours = Seal::check(text.as_bytes(), Role::Operator, MESSAGE.as_bytes());
        assert_eq!(ours.is_ok(), ssh_keygen_accepts(&home, "ops@x"), "{text:?}: {ours:?}");
        accepted += usize::from(ours.is_ok());
    }
    assert!((4..13).contains(&accepted), "{accepted}");
}

#[test]
fn a_short_rsa_key_is_called_weak() {
    let home = TempDir::new();
    let armored = signed(&home, &["-t", "rsa", "-b", "1024"]);
    let error = Seal::check(&armored, Role::Operator, MESSAGE.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("an RSA key of 1024 bits, which is too weak"), "{error}");
    let enough = TempDir::new();
    let armored = signed(&enough, &["-t", "rsa", "-b", "2048"]);
    assert!(Seal::check(&armored, Role::Operator, MESSAGE.as_bytes()).is_ok());
}

// ---------------------------------------------------------------------------------------------------------------------
// Time-stamps

const CONFIG: &str = "
[tsa]
default_tsa = one
[one]
serial = ./serial
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[plain]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = critical, CA:TRUE
extendedKeyUsage = serverAuth
[no_ca]
basicConstraints = critical, CA:FALSE
[no_sign]
basicConstraints = critical, CA:TRUE
keyUsage = critical, cRLSign
[tsa_good]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = critical, timeStamping
[tsa_usage]
keyUsage = critical, digitalSignature, nonRepudiation
extendedKeyUsage = critical, timeStamping
[tsa_encipher]
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = critical, timeStamping
[tsa_lax]
extendedKeyUsage = timeStamping
[tsa_two]
extendedKeyUsage = critical, timeStamping, serverAuth
[tsa_private]
extendedKeyUsage = critical, timeStamping, 1.3.6.1.4.1.99999.7
[tsa_none]
basicConstraints = critical, CA:FALSE
";

fn openssl(home: &Path, line: &str) -> bool {
    succeeds(Command::new("openssl").args(line.split_whitespace()).current_dir(home))
}

#[track_caller]
fn make(home: &Path, line: &str) {
    let output = Command::new("openssl").args(line.split_whitespace()).current_dir(home).output().unwrap();
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate with these extensions, and its key; `by` is who signs it.
fn certificate(home: &Path, name: &str, extensions: &str, by: &str) {
    let by = if by.is_empty() { String::new() } else { format!("-CA {by}.pem -CAkey {by}.key") };
    make(
        home,
        &format!(
            "req -new -x509 -config ts.cnf -extensions {extensions} -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 30 -subj /CN={name} \
             -keyout {name}.key -out {name}.pem {by}"
        ),
    );
}

/// A response that openssl ts itself would not make: it refuses signers that are unfit.
fn response(home: &Path, signer: &str, chain: &str) -> Vec<u8> {
    make(
        home,
        &format!(
            "cms -sign -binary -nodetach -cades -outform DER -md sha256 -econtent_type 1.2.840.113549.1.9.16.1.4 \
             -in info.der -signer {signer}.pem -inkey {signer}.key -certfile {chain} -out token.der"
        ),
    );
    let token = fs::read(home.join("token.der")).unwrap();
    let granted = [0x30, 3, 2, 1, 0];
    let length = u16::try_from(granted.len() + token.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82][..], &length, &granted, &token].concat()
}

#[test]
fn time_stamps_are_accepted_as_openssl_accepts_them() {
    let directory = TempDir::new();
    let home = directory.path();
    fs::write(home.join("ts.cnf"), CONFIG).unwrap();
    fs::write(home.join("serial"), "01\n").unwrap();
    fs::write(home.join("message"), MESSAGE).unwrap();
    certificate(home, "root", "root", "");
    certificate(home, "stranger", "root", "");
    for name in ["plain", "server", "no_ca", "no_sign"] {
        certificate(home, name, name, "root");
    }
    let compare = |what: &str, answer: &[u8], trusted: &str| {
        fs::write(home.join("answer.tsr"), answer).unwrap();
        let stock = openssl(home, &format!("ts -verify -data message -in answer.tsr -CAfile {trusted}"));
        let authorities = Authorities::parse(&fs::read(home.join(trusted)).unwrap()).unwrap();
        let ours = Stamp::read(answer, MESSAGE.as_bytes()).and_then(|stamp| authorities.vouch(&stamp));
        assert_eq!(ours.is_ok(), stock, "{what}: openssl {stock}, walkaway {ours:?}");
        stock
    };
    let unfit = ["tsa_good", "tsa_usage", "tsa_encipher", "tsa_lax", "tsa_two", "tsa_private", "tsa_none"];
    unfit.iter().for_each(|extensions| certificate(home, &format!("by_root_{extensions}"), extensions, "root"));
    let above = ["plain", "server", "no_ca", "no_sign"];
    above.iter().for_each(|above| certificate(home, &format!("by_{above}"), "tsa_good", above));
    // Digests of the imprint, by openssl's own authority.
    certificate(home, "tsa", "tsa_good", "plain");
    for digest in ["sha256", "sha384", "sha512"] {
        make(home, &format!("ts -query -data message -{digest} -cert -out query.tsq"));
        make(
            home,
            "ts -reply -config ts.cnf -queryfile query.tsq -signer tsa.pem -inkey tsa.key -chain plain.pem -out answer.tsr",
        );
        let answer = fs::read(home.join("answer.tsr")).unwrap();
        assert!(compare(digest, &answer, "root.pem"), "{digest}");
        assert!(!compare(digest, &answer, "stranger.pem"), "{digest}");
    }
    make(home, "ts -reply -in answer.tsr -token_out -out token.der");
    make(home, "cms -verify -noverify -inform DER -in token.der -out info.der");
    let mut accepted = 0;
    for extensions in unfit {
        let answer = response(home, &format!("by_root_{extensions}"), "root.pem");
        accepted += usize::from(compare(extensions, &answer, "root.pem"));
    }
    for above in above {
        let signer = format!("by_{above}");
        let through = response(home, &signer, &format!("{above}.pem"));
        accepted += usize::from(compare(above, &through, "root.pem"));
        let without = response(home, &signer, "root.pem");
        accepted += usize::from(compare(&format!("{above} left out"), &without, "root.pem"));
        // Who trusts the file with both has the missing one.
        let both = [fs::read(home.join("root.pem")).unwrap(), fs::read(home.join(format!("{above}.pem"))).unwrap()];
        fs::write(home.join("both.pem"), both.concat()).unwrap();
        accepted += usize::from(compare(&format!("{above} trusted as well"), &without, "both.pem"));
    }
    assert!((5..16).contains(&accepted), "{accepted}");
    let alone = Authorities::parse(&fs::read(home.join("plain.pem")).unwrap());
    assert!(alone.is_err(), "an authority that is no root");
}
