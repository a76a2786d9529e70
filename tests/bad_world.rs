//! What a user reads when the world is not as the playbook says: one snapshot for each obstacle, with the exit code. After
//! each, nothing is left behind and the source is as it was.
//!
//! The snapshots are the wording. Whoever changes one should read it as someone who wants to get on with a drill.

use std::{fs, net::TcpListener, path::Path, process::Command};

use crate::support::{
    self, MotoServer, PgCluster, SmallDisk, WeedServer,
    disturb::{Drill, Ended, bytes, files, text},
    may_mount,
};

/// A provider in good order: a bucket `files`, a database `shop` with a login `reader` that may read all of it.
struct World {
    weed: WeedServer,
    source: PgCluster,
}

impl World {
    fn new() -> Self {
        let weed = support::weed();
        let source = PgCluster::start();
        support::fill_bucket(weed.endpoint(), "files", &[("a", b"1"), ("b", b"2")]);
        source.execute("postgres", "create database shop");
        source.execute(
            "shop",
            "create schema audit; create table orders (id bigserial primary key, name text);\n\
             create table \"Odd name\" (n int); create table audit.log (n int); create table open (n int);\n\
             insert into orders (name) values ('one'), ('two');\n\
             create role reader login password 'reads'; grant select on all tables in schema public to reader;\n\
             grant select on all sequences in schema public to reader;\n\
             grant usage on schema audit to reader; grant select on audit.log to reader",
        );
        World { weed, source }
    }

    fn reader(&self) -> String {
        self.source.url_as("reader", "reads", "shop")
    }

    /// What the provider holds, in words that change when anything of it does.
    fn state(&self) -> String {
        let listing = support::client(self.weed.endpoint()).list_objects_v2().bucket("files").send();
        let objects = support::block_on(listing).unwrap();
        let objects = objects.contents().iter().map(|object| format!("{:?} {:?}\n", object.key(), object.e_tag()));
        let query = |sql: &str| {
            let rows = self.source.client("shop").query(sql, &[]).unwrap();
            rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect::<String>()
        };
        let [databases, relations, rows] = [
            "select datname || ' ' || oid from pg_database order by 1",
            "select relname || ' ' || relfilenode || ' ' || coalesce(relacl::text, '') from pg_class where relnamespace \
             in ('public'::regnamespace, 'audit'::regnamespace) order by 1",
            "select orders::text || xmin::text from orders order by 1",
        ]
        .map(query);
        objects.collect::<String>() + &databases + &relations + &rows
    }
}

/// The parts of a playbook that differ from test to test.
struct Book<'a> {
    provider: String,
    bucket: &'a str,
    postgres: &'a str,
}

impl Book<'_> {
    fn of(world: &World) -> Self {
        Book { provider: provider(world.weed.endpoint(), ""), bucket: "files", postgres: "{managed: true}" }
    }

    fn drill(&self) -> Drill {
        Drill::new(&format!(
            "version: 1\n\
             id: drill\n\
             {}target: {{path: restored/, postgres: {}}}\n\
             assets:\n\
             \x20 - {{id: files, s3: {{bucket: {}}}}}\n\
             \x20 - {{id: shop, postgres: {{url: \"env:SHOP\"}}}}\n\
             evidence: {{path: evidence/}}\n",
            self.provider, self.postgres, self.bucket
        ))
    }
}

/// The block `provider`, with further keys of `aws`.
fn provider(endpoint: &str, more: &str) -> String {
    format!("provider: {{aws: {{regions: [us-east-1], {more}endpoints: {{s3: \"{endpoint}\"}}}}}}\n")
}

/// A playbook of one bucket and no database.
fn bucket_drill(endpoint: &str) -> Drill {
    Drill::new(&format!(
        "version: 1\n\
         id: drill\n\
         {}target: {{path: restored/}}\n\
         assets:\n\
         \x20 - {{id: files, s3: {{bucket: files}}}}\n\
         evidence: {{path: evidence/}}\n",
        provider(endpoint, "")
    ))
}

/// A port of this machine that nobody listens on.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Exit code and stderr, with placeholders for what differs from run to run.
fn told(drill: &Drill, ended: &Ended) -> String {
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let stderr = ended.stderr.replace(&text(drill.path()), "<HOME>");
    let stderr = with_placeholder(&stderr, "127.0.0.1:", |c| c.is_ascii_digit(), "<PORT>");
    let stderr = without_times(&stderr);
    let stderr = with_placeholder(&stderr, "drill-", |c| c.is_ascii_digit() || "TZ".contains(c), "<TIME>");
    // Objects are written side by side; any of them may be the first that finds no room.
    let stderr = with_placeholder(&stderr, ".staging/", |c| c.is_ascii_alphanumeric() || "-/".contains(c), "<UNIT>");
    let stderr = with_placeholder(&stderr, "/.tmp", |c| c.is_ascii_alphanumeric(), "<NAME>");
    format!("exit code {}\n{stderr}", ended.code.unwrap())
}

/// The lines of progress without the time that they begin with.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.split_once("Z  ") {
        Some((time, rest)) if time.starts_with("20") => format!("<TIME>  {rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Puts `placeholder` where `start` is followed by characters that `varies` holds for.
fn with_placeholder(text: &str, start: &str, varies: impl Fn(char) -> bool, placeholder: &str) -> String {
    let mut parts = text.split(start);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(&varies);
        let replaced = if rest.len() == part.len() { "" } else { placeholder };
        result = result + start + replaced + rest;
    }
    result
}

/// A run that is refused before anything moves.
#[track_caller]
fn refused(drill: &Drill) -> String {
    let ended = drill.run();
    assert_eq!(ended.stdout, "");
    assert!(drill.runs().is_empty(), "a run directory was made");
    assert_eq!(files(&drill.join("restored")).into_keys().collect::<Vec<_>>(), Vec::<String>::new());
    told(drill, &ended)
}

/// A refusal that leaves the provider as it was.
#[track_caller]
fn refused_in(world: &World, drill: &Drill) -> String {
    let before = world.state();
    let told = refused(drill);
    assert_eq!(world.state(), before, "something changed at the provider");
    told
}

macro_rules! assert_told {
    ($name:literal, $told:expr) => {
        insta::assert_snapshot!($name, $told)
    };
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_bucket_that_cannot_be_read_is_said_before_anything_moves() {
    let world = World::new();
    let unreachable = provider(&format!("http://127.0.0.1:{}", closed_port()), "");
    let drill = Book { provider: unreachable, ..Book::of(&world) }.drill().with("SHOP", world.reader());
    assert_told!("s3_unreachable", refused_in(&world, &drill));

    let drill = Book::of(&world).drill().with("SHOP", world.reader()).with("AWS_SECRET_ACCESS_KEY", "wrong");
    assert_told!("s3_wrong_secret", refused_in(&world, &drill));

    let drill = Book::of(&world).drill().with("SHOP", world.reader()).with("AWS_ACCESS_KEY_ID", "unknown");
    assert_told!("s3_unknown_key", refused_in(&world, &drill));

    let drill = Book { bucket: "no-such-bucket", ..Book::of(&world) }.drill().with("SHOP", world.reader());
    assert_told!("s3_missing_bucket", refused_in(&world, &drill));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_server_that_accepts_and_never_answers_is_not_waited_for_without_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let drill = bucket_drill(&format!("http://127.0.0.1:{port}"));
    assert_told!("s3_silent", refused(&drill));
}

fn account_drill(moto: &MotoServer, account: &str) -> Drill {
    let more = format!("account: \"{account}\", ");
    let block = provider(moto.endpoint(), &more);
    let block = block.replace("endpoints: {", &format!("endpoints: {{sts: \"{}\", ", moto.endpoint()));
    Drill::new(&format!(
        "version: 1\n\
         id: drill\n\
         {block}target: {{path: restored/}}\n\
         assets:\n\
         \x20 - {{id: files, s3: {{bucket: files}}}}\n\
         evidence: {{path: evidence/}}\n",
    ))
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_account_that_is_not_the_playbook_s_is_refused() {
    let moto = support::moto();
    support::fill_bucket(moto.endpoint(), "files", &[("a", b"1")]);
    assert_told!("wrong_account", refused(&account_drill(&moto, "999999999999")));

    let drill = account_drill(&moto, "123456789012");
    drill.run().expect(0);
    let caller = drill.journal().into_iter().find(|line| line["event"] == "caller_identified").unwrap();
    assert_eq!(caller["account"], "123456789012");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_database_that_cannot_be_read_is_said_before_anything_moves() {
    let world = World::new();
    let drill = |url: String| Book::of(&world).drill().with("SHOP", url);

    let nobody = format!("postgres://reader:reads@127.0.0.1:{}/shop", closed_port());
    assert_told!("postgres_unreachable", refused_in(&world, &drill(nobody)));

    let wrong = world.source.url_as("reader", "hunter2", "shop");
    let told = refused_in(&world, &drill(wrong));
    assert!(!told.contains("hunter2"), "{told}");
    assert_told!("postgres_wrong_password", told);

    let missing = world.source.url_as("reader", "reads", "no_such_database");
    assert_told!("postgres_missing_database", refused_in(&world, &drill(missing)));

    let told = refused_in(&world, &drill("postgres:/reader:hunter2@nowhere".to_owned()));
    assert!(!told.contains("hunter2"), "{told}");
    assert_told!("postgres_bad_url", told);

    assert_told!("postgres_url_not_set", refused_in(&world, &Book::of(&world).drill()));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn every_table_that_a_login_may_not_read_is_listed_with_the_grants_that_help() {
    let world = World::new();
    world
        .source
        .execute("shop", "revoke select on orders, \"Odd name\" from reader; revoke usage on schema audit from reader");
    let drill = Book::of(&world).drill().with("SHOP", world.reader());
    let told = refused_in(&world, &drill);
    assert_told!("postgres_rights", told);

    // The statements of the hint are enough.
    let hint = told.lines().find_map(|line| line.trim().strip_prefix("hint: ")).unwrap();
    let grants = hint.split("; with").next().unwrap();
    world.source.execute("shop", grants);
    drill.run().expect(0);
    assert_eq!(drill.result()["verdict"], "PASS");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn places_that_cannot_be_written_to_are_said_before_anything_moves() {
    let world = World::new();
    let drill = || Book::of(&world).drill().with("SHOP", world.reader());
    for (place, name) in [("restored", "target_unwritable"), ("evidence", "evidence_unwritable")] {
        let drill = drill();
        fs::write(drill.join(place), "a file").unwrap();
        let before = world.state();
        let ended = drill.run();
        assert_eq!(world.state(), before);
        assert_eq!(fs::read(drill.join(place)).unwrap(), b"a file");
        assert!(drill.runs().is_empty() && files(&drill.join("restored")).is_empty());
        insta::assert_snapshot!(name, told(&drill, &ended));
    }
    // Not even root writes here.
    let drill =
        Drill::new(&fs::read_to_string(drill().join("playbook.yaml")).unwrap().replace("restored/", "/proc/no"));
    assert_told!("target_on_proc", refused_in(&world, &drill.with("SHOP", world.reader())));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_target_database_that_is_there_already_is_left_alone() {
    let world = World::new();
    let target = PgCluster::start();
    target.execute("postgres", "create database shop");
    target.execute("shop", "create table precious (n int)");
    let drill = || {
        let book = Book { postgres: "{url: \"env:TARGET\", trust_source: true}", ..Book::of(&world) };
        book.drill().with("SHOP", world.reader())
    };
    let occupied = drill().with("TARGET", target.url("postgres"));
    assert_told!("target_occupied", refused_in(&world, &occupied));
    target.execute("shop", "select * from precious");

    target.execute("postgres", "create role humble login password 'humble'");
    let humble = drill().with("TARGET", target.url_as("humble", "humble", "postgres"));
    assert_told!("target_login_without_rights", refused_in(&world, &humble));

    let gone = drill().with("TARGET", format!("postgres://postgres@127.0.0.1:{}/postgres", closed_port()));
    assert_told!("target_unreachable", refused_in(&world, &gone));
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn all_obstacles_are_listed_at_once() {
    let world = World::new();
    let drill = Book { bucket: "no-such-bucket", ..Book::of(&world) }.drill();
    let drill = drill.with("SHOP", world.source.url_as("reader", "wrong", "shop"));
    fs::write(drill.join("evidence"), "a file").unwrap();
    let told = refused_in(&world, &drill);
    assert_eq!(told.matches("error: ").count(), 3, "{told}");
    assert_told!("several_obstacles", told);
}

#[test]
fn a_playbook_with_several_mistakes_shows_all_of_them() {
    let drill = Drill::new(
        "version: 1\nid: Drill 1\ntarget: {path: restored/, colour: red}\n\
         assets:\n  - {id: files, s3: {bucket: files}}\n  - {id: files, s3: {buckets: more}}\n",
    );
    assert_told!("playbook_mistakes", refused(&drill));
    fs::remove_file(drill.join("playbook.yaml")).unwrap();
    assert_told!("playbook_missing", refused(&drill));
    fs::create_dir(drill.join("playbook.yaml")).unwrap();
    assert_told!("playbook_is_a_directory", refused(&drill));
}

#[test]
fn a_directory_that_is_no_run_is_neither_resumed_nor_verified() {
    let drill = Drill::new("");
    let empty = drill.join("empty");
    let missing = drill.join("missing");
    let file = drill.join("playbook.yaml");
    fs::create_dir(&empty).unwrap();
    let half = drill.join("half");
    fs::create_dir_all(half.join("state")).unwrap();
    fs::create_dir_all(half.join("data")).unwrap();
    fs::write(half.join("state/origin.json"), "{").unwrap();
    let mut all = String::new();
    for command in ["resume", "verify"] {
        for place in [&empty, &missing, &file, &half] {
            let before = files(drill.path());
            let ended = drill.end(&[command, &text(place)]);
            assert_eq!(files(drill.path()), before);
            assert_eq!(ended.stdout, "");
            let name = place.file_name().unwrap().to_string_lossy();
            all += &format!("$ walkaway {command} {name}\n{}\n", told(&drill, &ended));
        }
    }
    assert_told!("no_run", all);
}

// ---------------------------------------------------------------------------------------------------------------------
// What needs the right to mount

fn many_objects() -> Vec<(String, Vec<u8>)> {
    let mut objects: Vec<_> = (0..40).map(|n| (format!("small/{n:02}"), bytes(n, 100_000))).collect();
    objects.push(("large".to_owned(), bytes(99, 40 << 20)));
    objects
}

/// Every file under its final name is one of the objects, whole.
#[track_caller]
fn assert_nothing_half_written(drill: &Drill, objects: &[(String, Vec<u8>)]) {
    let tree = drill.restored().join("files/tree");
    for (key, bytes) in objects {
        if let Ok(found) = fs::read(tree.join(key)) {
            assert!(found == *bytes, "{key} has {} of {} bytes", found.len(), bytes.len());
        }
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_full_target_stops_the_run_until_there_is_room() {
    if !may_mount("a_full_target_stops_the_run_until_there_is_room") {
        return;
    }
    let weed = support::weed();
    let objects = many_objects();
    support::fill_bucket(weed.endpoint(), "files", &objects);
    let drill = bucket_drill(weed.endpoint());
    let disk = SmallDisk::mount(drill.join("restored"), "24m");
    let ended = drill.run();
    assert_told!("target_full", told(&drill, &ended));
    assert_eq!(ended.path(), drill.bundle());
    assert_nothing_half_written(&drill, &objects);
    // Still no room: the same again, and nothing worse.
    let again = drill.resume().expect(2);
    assert!(again.stderr.contains("hint: free up space"), "{}", again.stderr);
    assert_nothing_half_written(&drill, &objects);
    disk.grow("200m");
    drill.resume().expect(0);
    assert_eq!(drill.result()["verdict"], "PASS");
    drill.verify().expect(0);
    let restored = files(&drill.restored().join("files/tree"));
    assert_eq!(restored.len(), objects.len());
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_target_without_room_for_the_database_stops_it_until_there_is() {
    if !may_mount("a_target_without_room_for_the_database_stops_it_until_there_is") {
        return;
    }
    let world = World::new();
    world.source.execute("shop", "insert into orders (name) select repeat('x', 500) from generate_series(1, 60000)");
    // The first has no room for a new server, the second none for the rows.
    for size in ["16m", "60m"] {
        let drill = Book::of(&world).drill().with("SHOP", world.reader());
        let disk = SmallDisk::mount(drill.join("restored"), size);
        let ended = drill.run().expect(2);
        let full = ["No space left on device", "could not extend file"];
        assert!(full.iter().any(|words| ended.stderr.contains(words)), "{size}: {}", ended.stderr);
        assert!(ended.stderr.contains("hint: free up space"), "{size}: {}", ended.stderr);
        assert!(ended.stderr.contains("walkaway resume"), "{size}: {}", ended.stderr);
        assert!(drill.postmaster().is_none(), "{size}: the managed server still runs");
        disk.grow("600m");
        drill.resume().expect(0);
        assert_eq!(drill.result()["verdict"], "PASS");
        drill.verify().expect(0);
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn evidence_that_cannot_be_written_stops_the_run_until_there_is_room() {
    if !may_mount("evidence_that_cannot_be_written_stops_the_run_until_there_is_room") {
        return;
    }
    let weed = support::weed();
    let objects = (0..600).map(|n| (format!("{n:03}"), bytes(n, 100))).collect::<Vec<_>>();
    support::fill_bucket(weed.endpoint(), "files", &objects);
    let drill = bucket_drill(weed.endpoint());
    // Room for the directory and the journal, not for the receipts of six hundred objects.
    let disk = SmallDisk::mount(drill.join("evidence"), "64k");
    let ended = drill.run();
    assert_told!("evidence_full", told(&drill, &ended));
    assert_nothing_half_written(&drill, &objects);
    disk.grow("50m");
    drill.resume().expect(0);
    assert_eq!(drill.result()["verdict"], "PASS");
    drill.verify().expect(0);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_machine_without_postgresql_is_said_before_anything_moves() {
    if !may_mount("a_machine_without_postgresql_is_said_before_anything_moves") {
        return;
    }
    let world = World::new();
    let target = PgCluster::start();
    target.execute("postgres", "create database shop");
    let before = world.state();
    for (name, postgres) in [
        ("no_postgres_managed", "{managed: true}"),
        ("no_postgres_client", "{url: \"env:TARGET\", trust_source: true}"),
    ] {
        let book = Book { postgres, ..Book::of(&world) };
        let drill = book.drill().with("SHOP", world.reader()).with("TARGET", target.url("postgres"));
        let walkaway = drill.command(&["run", &text(&drill.join("playbook.yaml"))]);
        let ended = Ended::from(without_postgres(&walkaway).output().unwrap());
        assert!(drill.runs().is_empty() && files(&drill.join("restored")).is_empty());
        insta::assert_snapshot!(name, told(&drill, &ended));
    }
    assert_eq!(world.state(), before);
}

/// The same command where the distribution's PostgreSQL is hidden, for it alone, under an empty directory.
fn without_postgres(walkaway: &Command) -> Command {
    let hide = "if [ -d /usr/lib/postgresql ]; then mount -t tmpfs tmpfs /usr/lib/postgresql || exit 99; fi; \
                PATH=/nonexistent exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", hide]).arg(walkaway.get_program()).args(walkaway.get_args());
    command.env_clear().current_dir(Path::new("/"));
    command.envs(walkaway.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}
