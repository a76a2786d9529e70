//! Who signed a bundle, when, and which run it continues; each accepted by stock tools, each forgery found.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use walkaway::{
    clock,
    domain::digest::Sha256Digest,
    evidence::{
        parse_result,
        signing::{Role, Signer, envelope, statement},
        timestamp::own_time,
    },
};

use crate::{
    evidence::authority::Authority,
    support::{
        TempDir,
        drill::{Drill, Ran, stock},
        independent,
    },
};

const FEW: [(&str, &str); 2] = [("a", "1"), ("b/c", "2")];

/// Keys of an operator and a reviewer, a stranger's, and who of them may sign.
struct Keys(TempDir);

impl Keys {
    fn make() -> Self {
        let keys = Keys(TempDir::new());
        for (name, kind) in [("operator", "ed25519"), ("reviewer", "ecdsa"), ("stranger", "ed25519"), ("rsa", "rsa")] {
            let path = keys.path(name);
            stock(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", name, "-f"]).arg(&path));
        }
        let line =
            |name: &str| format!("{name}@example {}", fs::read_to_string(keys.path(&format!("{name}.pub"))).unwrap());
        fs::write(keys.path("allowed"), ["operator", "reviewer", "rsa"].map(line).concat()).unwrap();
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

fn signed(keys: &Keys, more: &str) -> Drill {
    let key = keys.text("operator");
    Drill::new().bucket(&FEW).evidence(&format!("sign: \"{key}\"{more}"))
}

fn ssh_keygen_accepts(keys: &Keys, bundle: &Path, role: &str) -> bool {
    let message = fs::File::open(bundle.join("tagmanifest-sha256.txt")).unwrap();
    let signature = bundle.join(format!("sig/{role}.sig"));
    let namespace = format!("walkaway-{role}");
    let who = if role == "operator" { "operator@example" } else { "reviewer@example" };
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-Y", "verify", "-I", who, "-n", &namespace, "-f"])
        .arg(keys.path("allowed"))
        .arg("-s")
        .arg(signature);
    command.stdin(message).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// Exit code and everything that `walkaway verify` says.
fn verify(drill: &Drill, bundle: &Path, more: &[&str]) -> (i32, String) {
    let bundle = bundle.display().to_string();
    let output = drill.walkaway(&[&["verify", &bundle], more].concat()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn assert_found(found: (i32, String), words: &str) {
    assert!(found.0 == 1 && found.1.contains(words), "{words:?} is not in exit code {}: {}", found.0, found.1);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn operator_and_reviewer_sign_with_time_stamps_and_stock_tools_accept_both() {
    let keys = Keys::make();
    let authority = Authority::start();
    let drill = signed(&keys, &format!(", timestamp: \"{}\"", authority.url()));
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let bundle = ran.bundle.display().to_string();
    // Nobody answers the question, then somebody does.
    let approve = ["approve", &bundle, "--key", &keys.text("reviewer")];
    let unasked = drill.walkaway(&approve).output().unwrap();
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    assert!(!ran.bundle.join("sig/reviewer.sig").exists());
    let approved = drill.walkaway(&[&approve[..], &["--yes"]].concat()).output().unwrap();
    assert_eq!(approved.status.code(), Some(0), "{approved:?}");
    let shown = String::from_utf8(approved.stderr).unwrap();
    let digest = Sha256Digest::of(fs::read(ran.bundle.join("tagmanifest-sha256.txt")).unwrap()).to_string();
    for words in ["verdict", "PASS", "coverage", &digest, "operator"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }

    for role in ["operator", "reviewer"] {
        assert!(ssh_keygen_accepts(&keys, &ran.bundle, role), "{role}");
        let signature = format!("sig/{role}.sig");
        let mut openssl = Command::new("openssl");
        openssl.args(["ts", "-verify", "-data", &signature, "-in", &format!("{signature}.tsr"), "-CAfile"]);
        stock(openssl.arg(authority.certificate()).current_dir(&ran.bundle));
    }
    statements_are_read_by_others(&keys, &ran.bundle);
    let allowed = keys.text("allowed");
    let certificate = authority.certificate().display().to_string();
    let trusting = ["--allowed-signers", &allowed, "--tsa-ca", &certificate];
    let (code, said) = verify(&drill, &ran.bundle, &trusting);
    assert!(code == 0 && said.contains("operator@example") && said.contains("reviewer@example"), "{said}");
    let all = [&trusting[..], &["--require", "signed,reviewed,stamped"]].concat();
    let (code, said) = verify(&drill, &ran.bundle, &all);
    assert!(code == 0 && said.contains("the bundle is intact, and its operator vouches for it"), "{said}");
    let (code, said) = independent::check(&ran.bundle, &all);
    assert!(code == 0 && said.contains("its operator vouches for it"), "{said}");

    // A stranger's authority, and a stamp that belongs to the other signature.
    let stranger = Authority::start();
    let other = stranger.certificate().display().to_string();
    assert_found(verify(&drill, &ran.bundle, &["--tsa-ca", &other]), "time-stamp does not hold");
    assert_eq!(independent::check(&ran.bundle, &["--tsa-ca", &other]).0, 1);
    fs::copy(ran.bundle.join("sig/reviewer.sig.tsr"), ran.bundle.join("sig/operator.sig.tsr")).unwrap();
    assert_found(verify(&drill, &ran.bundle, &trusting), "time-stamp does not hold");
}

/// With openssl alone, and none of them says more than the bundle does: an Ed25519 key for the operator, ECDSA for the reviewer.
fn statements_are_read_by_others(keys: &Keys, bundle: &Path) {
    let script = r#"
        jq -r .payload sig/$ROLE.sig.dsse.json | base64 -d > "$WORK"/payload
        jq -r '.signatures[0].sig' sig/$ROLE.sig.dsse.json | base64 -d > "$WORK"/sig
        { printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < "$WORK"/payload)"; cat "$WORK"/payload; } > "$WORK"/signed
        jq -e ".predicate.verdict == \"PASS\" and .predicate.role == \"$ROLE\"" "$WORK"/payload > "$WORK"/word
        jq -r '"\(.subject[0].digest.sha256)  tagmanifest-sha256.txt"' "$WORK"/payload | sha256sum --strict -c > "$WORK"/word
        if [ $ROLE = operator ]; then
            { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; cut -d' ' -f2 "$KEY" | base64 -d | tail -c 32; } |
                openssl pkey -pubin -inform DER -out "$WORK"/pem
            openssl pkeyutl -verify -pubin -inkey "$WORK"/pem -rawin -in "$WORK"/signed -sigfile "$WORK"/sig
        else
            ssh-keygen -e -m PKCS8 -f "$KEY" > "$WORK"/pem
            openssl dgst -sha256 -verify "$WORK"/pem -signature "$WORK"/sig "$WORK"/signed
        fi"#;
    for role in ["operator", "reviewer"] {
        let mut bash = Command::new("bash");
        bash.args(["-euc", script]).current_dir(bundle).env("ROLE", role).env("WORK", keys.0.path());
        stock(bash.env("KEY", keys.path(&format!("{role}.pub"))));
    }
    let found = |what: &str| {
        let check = walkaway::evidence::check_bundle(bundle).unwrap();
        let of_statement = check.findings.iter().any(|finding| finding.subject == "sig/operator.sig.dsse.json");
        assert!(of_statement, "{what}: {:#?}", check.findings);
    };
    let file = bundle.join("sig/operator.sig.dsse.json");
    let original = fs::read(&file).unwrap();
    fs::copy(bundle.join("sig/reviewer.sig.dsse.json"), &file).unwrap();
    found("the reviewer's statement");
    fs::write(&file, String::from_utf8(original.clone()).unwrap().replacen("\"sig\":\"", "\"sig\":\"AAAA", 1)).unwrap();
    found("another signature");
    fs::write(&file, "{}").unwrap();
    found("no envelope");
    fs::write(&file, original).unwrap();
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn forged_signatures_are_found() {
    let keys = Keys::make();
    let drill = signed(&keys, "");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let bundle = &ran.bundle;
    let signature = bundle.join("sig/operator.sig");
    let allowed = keys.text("allowed");
    let trusting = ["--allowed-signers", allowed.as_str()];
    assert_eq!(verify(&drill, bundle, &trusting).0, 0);
    assert!(fs::read_to_string(bundle.join("sig/operator.sig.time.txt")).unwrap().contains("machine's own"));
    what_a_signature_brings_is_whole(&drill, bundle);
    let original = fs::read(&signature).unwrap();

    // The operator's word passed off as a review; the operator reviewing; a review by hand with the operator's key.
    fs::copy(&signature, bundle.join("sig/reviewer.sig")).unwrap();
    assert_found(verify(&drill, bundle, &trusting), "was made for \"walkaway-operator\"");
    fs::remove_file(bundle.join("sig/reviewer.sig")).unwrap();
    let own = drill.walkaway(&["approve", &bundle.display().to_string(), "--yes", "--key", &keys.text("operator")]);
    let own = { own }.output().unwrap();
    assert_eq!(own.status.code(), Some(2), "{own:?}");
    sign_by_hand(&keys, bundle, "operator", "walkaway-reviewer", "reviewer.sig");
    assert_found(verify(&drill, bundle, &trusting), "review is not independent");
    assert_eq!(independent::check(bundle, &trusting).0, 1);
    for name in ["reviewer.sig", "reviewer.sig.dsse.json", "reviewer.sig.time.txt"] {
        fs::remove_file(bundle.join("sig").join(name)).unwrap();
    }

    // A stranger, nobody, and rubbish.
    sign_by_hand(&keys, bundle, "stranger", "walkaway-operator", "operator.sig");
    assert_eq!(verify(&drill, bundle, &[]).0, 0, "without allowed signers nobody is a stranger");
    assert_found(verify(&drill, bundle, &trusting), "signer is not allowed");
    assert_eq!(independent::check(bundle, &trusting).0, 1);
    fs::remove_file(&signature).unwrap();
    assert_found(verify(&drill, bundle, &[]), "signature is missing");
    fs::write(&signature, "rubbish").unwrap();
    assert_found(verify(&drill, bundle, &[]), "signature does not hold");
    fs::write(&signature, &original).unwrap();

    // Whoever rewrites the bundle and makes all digests agree again can't make the signature agree.
    rehash(bundle);
    assert_found(verify(&drill, bundle, &[]), "signature does not hold");

    // The bundle can't vouch for itself.
    let inside = bundle.join("sig/allowed");
    fs::copy(&allowed, &inside).unwrap();
    let (code, said) = verify(&drill, bundle, &["--allowed-signers", &inside.display().to_string()]);
    assert!(code == 3 && said.contains("can't vouch for itself"), "{said}");
}

/// Its statement, and a time-stamp or the word why there is none: what is gone, or says another thing, is found by both
/// checkers, and a run whose signing was interrupted gets it when it goes on.
fn what_a_signature_brings_is_whole(drill: &Drill, bundle: &Path) {
    let found = |name: &str, words: &str| {
        let (code, said) = verify(drill, bundle, &[]);
        assert!(code == 1 && said.contains(name) && said.contains(words), "{name} {words:?}: {said}");
        let (code, said) = independent::check(bundle, &[]);
        assert_eq!(code, 1, "{name}: {said}");
    };
    let statement = bundle.join("sig/operator.sig.dsse.json");
    let bytes = fs::read(&statement).unwrap();
    fs::remove_file(&statement).unwrap();
    found("sig/operator.sig.dsse.json", "every signature of this version has a statement");
    fs::write(&statement, String::from_utf8(bytes.clone()).unwrap().replacen("\"payload\":\"", "\"payload\":\"IC", 1))
        .unwrap();
    found("sig/operator.sig.dsse.json", "signature does not hold");
    fs::write(&statement, bytes).unwrap();
    let time = bundle.join("sig/operator.sig.time.txt");
    let text = fs::read_to_string(&time).unwrap();
    for (forged, words) in [(text.replacen("own, 20", "own, 19", 1), "signed 19"), ("later\n".to_owned(), "no word")] {
        fs::write(&time, forged).unwrap();
        found("sig/operator.sig.time.txt", if words == "no word" { "malformed" } else { words });
    }
    fs::create_dir(bundle.join("data/assets/files/more")).unwrap();
    found("data/assets/files/more", "empty directory");
    fs::remove_dir(bundle.join("data/assets/files/more")).unwrap();
    fs::remove_file(&time).unwrap();
    found("sig/operator.sig", "neither a time-stamp nor");
    let again = drill.walkaway(&["resume", &bundle.display().to_string()]).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(verify(drill, bundle, &[]).0, 0);
    assert_eq!(independent::check(bundle, &[]).0, 0);
}

/// The run ends before it has a directory.
fn assert_refused(drill: &Drill, words: &str) {
    let output = drill.prepared(&[]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains(words), "{said}");
    assert!(fs::read_dir(drill.home().join("evidence")).into_iter().flatten().next().is_none());
}

fn sign_by_hand(keys: &Keys, bundle: &Path, key: &str, namespace: &str, file: &str) {
    let message = bundle.join("tagmanifest-sha256.txt");
    let armored = stock(
        Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
            .arg(keys.path(key))
            .stdin(fs::File::open(message).unwrap()),
    );
    let path = bundle.join("sig").join(file);
    fs::write(&path, armored).unwrap();
    let role = if namespace == "walkaway-operator" { Role::Operator } else { Role::Reviewer };
    let result = parse_result(&fs::read(bundle.join("data/result.json")).unwrap()).unwrap();
    let digest = Sha256Digest::of(fs::read(bundle.join("tagmanifest-sha256.txt")).unwrap());
    let stated = envelope(&Signer::open(&keys.path(key), None).unwrap(), &statement(&result, digest, role)).unwrap();
    fs::write(path.with_extension("sig.dsse.json"), stated).unwrap();
    fs::write(path.with_extension("sig.time.txt"), own_time(clock::now(), "signed by hand")).unwrap();
}

/// Changes a harmless word of VERIFY.md and makes the tag manifest agree.
fn rehash(bundle: &Path) {
    let path = bundle.join("VERIFY.md");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("unchanged", "as it was")).unwrap();
    let sum = stock(Command::new("sha256sum").arg("VERIFY.md").current_dir(bundle));
    let manifest = bundle.join("tagmanifest-sha256.txt");
    let lines = fs::read_to_string(&manifest).unwrap();
    let kept = lines.lines().filter(|line| !line.ends_with("  VERIFY.md")).map(|line| format!("{line}\n"));
    fs::write(&manifest, kept.collect::<String>() + &sum).unwrap();
    stock(Command::new("sha256sum").args(["--strict", "--quiet", "-c", "tagmanifest-sha256.txt"]).current_dir(bundle));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_authority_that_does_not_answer_is_said_and_asked_again() {
    let keys = Keys::make();
    let authority = Authority::start();
    let url = authority.url();
    drop(authority);
    let drill = signed(&keys, &format!(", timestamp: \"{url}\""));
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert!(ran.stderr.contains("no time-stamp"), "{}", ran.stderr);
    let why = fs::read_to_string(ran.bundle.join("sig/operator.sig.time.txt")).unwrap();
    assert!(why.contains("the signing machine's own") && why.contains(&url), "{why}");
    assert!(ssh_keygen_accepts(&keys, &ran.bundle, "operator"));
    let (code, said) = verify(&drill, &ran.bundle, &[]);
    assert!(code == 0 && said.contains("no time-stamp"), "{said}");
    let again = drill.walkaway(&["resume", &ran.bundle.display().to_string()]).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{again:?}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_agent_signs_with_a_key_that_never_leaves_it() {
    let keys = Keys::make();
    let socket = keys.path("agent.sock");
    let mut agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    crate::support::drill::wait_until(|| socket.exists());
    for name in ["rsa", "operator"] {
        stock(Command::new("ssh-add").arg("-q").arg(keys.path(name)).env("SSH_AUTH_SOCK", &socket));
        let drill = Drill::new().bucket(&FEW).evidence(&format!("sign: \"{}\"", keys.text(&format!("{name}.pub"))));
        assert_refused(&drill, "SSH_AUTH_SOCK is not set");
        let ran = Ran::of(&drill.prepared(&[]).env("SSH_AUTH_SOCK", &socket).output().unwrap());
        ran.assert_ended(0, "PASS");
        let (code, said) = verify(&drill, &ran.bundle, &["--allowed-signers", &keys.text("allowed")]);
        assert!(code == 0 && said.contains(&format!("{name}@example")), "{said}");
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn runs_form_a_chain_that_a_changed_predecessor_breaks() {
    let keys = Keys::make();
    let drill = signed(&keys, "");
    let first = drill.run();
    first.assert_ended(0, "PASS");
    let second = drill.run();
    second.assert_ended(0, "PASS");
    let chain = &second.result["chain"];
    assert_eq!(chain["previous"]["run"], first.result["run"]);
    assert_eq!(chain["history"][0]["bundle_digest"], chain["previous"]["bundle_digest"]);
    assert_eq!(verify(&drill, &second.bundle, &[]).0, 0);

    let away = drill.home().path().join("away");
    fs::rename(&first.bundle, &away).unwrap();
    let (code, said) = verify(&drill, &second.bundle, &[]);
    assert!(code == 0 && said.contains("run before was not looked at"), "{said}");
    let named = away.display().to_string();
    assert_eq!(verify(&drill, &second.bundle, &["--previous", &named]).0, 0);
    rehash(&away);
    assert_found(verify(&drill, &second.bundle, &["--previous", &named]), "run before is another");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_key_that_can_not_sign_stops_before_anything_moves() {
    let keys = Keys::make();
    fs::write(keys.path("none"), "no key").unwrap();
    fs::set_permissions(keys.path("none"), fs::Permissions::from_mode(0o600)).unwrap();
    let drill = Drill::new().bucket(&FEW).evidence(&format!("sign: \"{}\"", keys.text("none")));
    assert_refused(&drill, "evidence.sign: key ");
}
