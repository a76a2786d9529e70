//! An account with a database on RDS, and walkaway run against it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use aws_sdk_rds::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::Tag,
};
use serde_json::Value;

use crate::support::{
    ACCESS_KEY, MotoServer, PgCluster, REGION, SECRET_KEY, TempDir, block_on, drill::stock, moto, standin, walkaway,
};

/// The instance at the provider.
pub const INSTANCE: &str = "ledger-prod";
/// Every instance of moto has a name below this one.
const DOMAIN: &str = "aaaaaaaaaa.us-east-1.rds.amazonaws.com";
pub const PASSWORD: &str = "password-canary-91c2e7";
/// The account that moto takes every caller for.
pub const ACCOUNT: &str = "123456789012";

/// moto, a PostgreSQL that its endpoints are to lead to, and a directory for the playbook.
pub struct Account {
    pub moto: MotoServer,
    pub server: PgCluster,
    pub ca: PathBuf,
    pub home: TempDir,
}

impl Account {
    pub fn new() -> Self {
        let server = PgCluster::start();
        let ca = server.certified(&format!("*.{DOMAIN}"));
        server.execute("postgres", &format!("create role reader login bypassrls password '{PASSWORD}'"));
        server.execute("postgres", "grant pg_read_all_data to reader");
        server.execute("postgres", "create database ledger");
        server.execute(
            "ledger",
            "create table entries (id integer primary key, amount numeric);
            insert into entries select n, round(n / 8.0, 3) from generate_series(1, 500) as n",
        );
        let account = Account { moto: moto(), server, ca, home: TempDir::new() };
        account.make_instance(INSTANCE);
        account
    }

    pub fn rds(&self) -> Client {
        let config = aws_sdk_rds::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
            .endpoint_url(self.moto.endpoint());
        Client::from_conf(config.build())
    }

    pub fn make_instance(&self, id: &str) {
        let making = self.rds().create_db_instance().db_instance_identifier(id).engine("postgres");
        let making = making.engine_version("15.4").db_instance_class("db.t3.medium").allocated_storage(20);
        let making = making.master_username("root").master_user_password("not-used-here").storage_encrypted(true);
        let making = making.enable_iam_database_authentication(true).backup_retention_period(7);
        block_on(making.send()).unwrap();
    }

    /// A subnet group that a temporary instance can be put into.
    pub fn make_network(&self) {
        let program = "import boto3, sys\nkind = dict(endpoint_url=sys.argv[1], region_name='us-east-1', \
                       aws_access_key_id='x', aws_secret_access_key='y')\nec2 = boto3.client('ec2', **kind)\n\
                       subnets = [one['SubnetId'] for one in ec2.describe_subnets()['Subnets']][:2]\n\
                       boto3.client('rds', **kind).create_db_subnet_group(DBSubnetGroupName='exit', \
                       DBSubnetGroupDescription='x', SubnetIds=subnets)\n";
        stock(Command::new(standin("python")).args(["-c", program, self.moto.endpoint()]));
    }

    pub fn make_tagged(&self, id: &str, tags: &[(&str, &str)]) {
        self.make_instance(id);
        let arn = format!("arn:aws:rds:{REGION}:{ACCOUNT}:db:{id}");
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build());
        block_on(self.rds().add_tags_to_resource().resource_name(arn).set_tags(Some(tags.collect())).send()).unwrap();
    }

    /// The identifiers of all instances.
    pub fn instances(&self) -> Vec<String> {
        let answer = block_on(self.rds().describe_db_instances().send()).unwrap();
        let ids = answer.db_instances().iter().filter_map(|one| one.db_instance_identifier());
        let mut ids: Vec<_> = ids.map(str::to_owned).collect();
        ids.sort();
        ids
    }

    /// The identifiers of snapshots that RDS did not take by itself.
    pub fn own_snapshots(&self) -> Vec<String> {
        let answer = block_on(self.rds().describe_db_snapshots().snapshot_type("manual").send()).unwrap();
        answer.db_snapshots().iter().filter_map(|one| one.db_snapshot_identifier().map(str::to_owned)).collect()
    }

    /// An access key by which moto takes its caller for one of another account.
    pub fn key_of(&self, other: &str) -> String {
        let program = "import boto3, sys\nkind = dict(endpoint_url=sys.argv[1], region_name='us-east-1', \
                       aws_access_key_id='x', aws_secret_access_key='y')\n\
                       role = boto3.client('sts', **kind).assume_role(RoleArn=f'arn:aws:iam::{sys.argv[2]}:role/r', \
                       RoleSessionName='other')\nprint(role['Credentials']['AccessKeyId'])\n";
        stock(Command::new(standin("python")).args(["-c", program, self.moto.endpoint(), other])).trim().to_owned()
    }

    pub fn via(&self) -> String {
        format!("via: {{host: 127.0.0.1, port: {}}}", self.server.port())
    }

    /// A playbook with one asset; `rds` are its keys beside instance and database.
    pub fn playbook(&self, rds: &str, more: &str) -> String {
        format!(
            "version: 1\nid: ledger-drill\nprovider: {{aws: {{regions: [{REGION}], endpoints: {{rds: \"{0}\", sts: \
             \"{0}\"}}}}}}\ntarget: {{path: restored/, postgres: {{managed: true}}}}\nevidence: {{path: evidence/}}\n\
             assets:\n  - id: ledger\n    rds: {{instance: {INSTANCE}, database: ledger, user: reader, {rds}}}\n{more}",
            self.moto.endpoint()
        )
    }

    pub fn write(&self, playbook: &str) {
        fs::write(self.home.join("drill.yaml"), playbook).unwrap();
    }

    pub fn run(&self, playbook: &str, arguments: &[&str]) -> Ran {
        self.write(playbook);
        self.walkaway(&[&["run", "drill.yaml"], arguments].concat())
    }

    pub fn walkaway(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = walkaway();
        command.args(arguments).env("LEDGER_PASSWORD", PASSWORD).current_dir(self.home.path());
        command
    }
}

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn assert_says(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not said in:\n{}", self.stderr);
        }
        self
    }

    pub fn bundle(&self) -> PathBuf {
        PathBuf::from(self.stdout.lines().last().unwrap_or_default())
    }

    #[track_caller]
    pub fn result(&self) -> Value {
        let path = self.bundle().join("data/result.json");
        serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}\n{}", self.stderr)))
            .unwrap()
    }

    /// The asset's `database` in the result.
    #[track_caller]
    pub fn database(&self) -> Value {
        self.result()["assets"][0]["database"].clone()
    }
}
