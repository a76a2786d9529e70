//! The denial matrix: every call that a look makes × every way in which it may go without an answer. No row leaves a check
//! clean that rests on the call. And before and after: every setting that can be changed, changed once.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    Wanted,
    list_tests::{self, PageFault},
    look,
};
use crate::{
    account::{
        change::compare,
        coverage::{Coverage, Rules as CoverageRules},
        inventory::Inventory,
        posture::{CHECKS, Rules, judge},
    },
    clock,
    domain::finding::Severity,
    provider::aws::Aws,
};

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";

/// What the server does to the call of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Refused,
    RefusedWithoutContent,
    WithoutContent,
    /// An element of another name.
    AnotherDocument,
    /// What servers answer that do not know the question: the bucket's objects.
    BucketList,
    /// The honest answer without its end.
    Cut,
    Failed,
    /// An error with the status of a success.
    ErrorAsSuccess,
    /// An honest answer that differs from the one before.
    Changed(&'static str),
    /// A list that does not go on as lists do.
    Page(PageFault),
}

const FAULTS: [Fault; 8] = [
    Fault::Refused,
    Fault::RefusedWithoutContent,
    Fault::WithoutContent,
    Fault::AnotherDocument,
    Fault::BucketList,
    Fault::Cut,
    Fault::Failed,
    Fault::ErrorAsSuccess,
];

/// Subresource, operation and honest answer of the calls about one bucket.
const BUCKET_CALLS: [(&str, &str, &str); 23] = [
    ("accelerate", "GetBucketAccelerateConfiguration", "<AccelerateConfiguration/>"),
    (
        "acl",
        "GetBucketAcl",
        "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi=\"x\" xsi:type=\"CanonicalUser\"><ID>o</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>",
    ),
    (
        "analytics",
        "ListBucketAnalyticsConfigurations",
        "<ListBucketAnalyticsConfigurationResult><IsTruncated>false</IsTruncated></ListBucketAnalyticsConfigurationResult>",
    ),
    ("cors", "GetBucketCors", "!NoSuchCORSConfiguration"),
    (
        "encryption",
        "GetBucketEncryption",
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
    ),
    (
        "intelligent-tiering",
        "ListBucketIntelligentTieringConfigurations",
        "<ListBucketIntelligentTieringConfigurationsOutput><IsTruncated>false</IsTruncated></ListBucketIntelligentTieringConfigurationsOutput>",
    ),
    (
        "inventory",
        "ListBucketInventoryConfigurations",
        "<ListInventoryConfigurationsResult><IsTruncated>false</IsTruncated></ListInventoryConfigurationsResult>",
    ),
    ("lifecycle", "GetBucketLifecycleConfiguration", "!NoSuchLifecycleConfiguration"),
    ("location", "GetBucketLocation", "<LocationConstraint>eu-central-1</LocationConstraint>"),
    ("logging", "GetBucketLogging", "<BucketLoggingStatus/>"),
    (
        "metrics",
        "ListBucketMetricsConfigurations",
        "<ListMetricsConfigurationsResult><IsTruncated>false</IsTruncated></ListMetricsConfigurationsResult>",
    ),
    ("notification", "GetBucketNotificationConfiguration", "<NotificationConfiguration/>"),
    ("object-lock", "GetObjectLockConfiguration", "!ObjectLockConfigurationNotFoundError"),
    (
        "ownershipControls",
        "GetBucketOwnershipControls",
        "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
    ),
    ("policyStatus", "GetBucketPolicyStatus", "<PolicyStatus><IsPublic>false</IsPublic></PolicyStatus>"),
    (
        "policy",
        "GetBucketPolicy",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"123456789012\"},\"Action\":\"s3:GetObject\",\"Resource\":\"*\"}]}",
    ),
    (
        "publicAccessBlock",
        "GetPublicAccessBlock",
        "<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>",
    ),
    ("replication", "GetBucketReplication", "!ReplicationConfigurationNotFoundError"),
    (
        "requestPayment",
        "GetBucketRequestPayment",
        "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
    ),
    ("tagging", "GetBucketTagging", "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"),
    ("versioning", "GetBucketVersioning", "<VersioningConfiguration/>"),
    (
        "versions",
        "ListObjectVersions",
        "<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>a</Key><VersionId>null</VersionId><IsLatest>true</IsLatest><Size>3</Size></Version></ListVersionsResult>",
    ),
    ("website", "GetBucketWebsite", "!NoSuchWebsiteConfiguration"),
];

const BUCKETS: &str = "<ListAllMyBucketsResult><Owner><ID>o</ID></Owner><Buckets><Bucket><Name>acme</Name><CreationDate>2026-01-01T00:00:00Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>";
const BLOCK: &str = "<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
/// Action and what its result holds.
const RDS_CALLS: [(&str, &str); 7] = [
    (
        "DescribeDBInstances",
        "<DBInstances><DBInstance><DBInstanceIdentifier>db</DBInstanceIdentifier><DBInstanceStatus>available</DBInstanceStatus><DBInstanceArn>arn:aws:rds:eu-central-1:123456789012:db:db</DBInstanceArn><Engine>postgres</Engine><StorageEncrypted>true</StorageEncrypted><PubliclyAccessible>false</PubliclyAccessible><DeletionProtection>true</DeletionProtection><BackupRetentionPeriod>7</BackupRetentionPeriod></DBInstance></DBInstances>",
    ),
    (
        "DescribeDBClusters",
        "<DBClusters><DBCluster><DBClusterIdentifier>cl</DBClusterIdentifier><Status>available</Status><Engine>aurora-postgresql</Engine><StorageEncrypted>true</StorageEncrypted><DeletionProtection>true</DeletionProtection><BackupRetentionPeriod>7</BackupRetentionPeriod></DBCluster></DBClusters>",
    ),
    (
        "DescribeDBSnapshots",
        "<DBSnapshots><DBSnapshot><DBSnapshotIdentifier>s</DBSnapshotIdentifier><DBInstanceIdentifier>db</DBInstanceIdentifier><SnapshotType>manual</SnapshotType><Encrypted>true</Encrypted></DBSnapshot></DBSnapshots>",
    ),
    (
        "DescribeDBClusterSnapshots",
        "<DBClusterSnapshots><DBClusterSnapshot><DBClusterSnapshotIdentifier>cs</DBClusterSnapshotIdentifier><DBClusterIdentifier>cl</DBClusterIdentifier><SnapshotType>manual</SnapshotType><StorageEncrypted>true</StorageEncrypted></DBClusterSnapshot></DBClusterSnapshots>",
    ),
    (
        "DescribeDBSnapshotAttributes",
        "<DBSnapshotAttributesResult><DBSnapshotIdentifier>s</DBSnapshotIdentifier><DBSnapshotAttributes></DBSnapshotAttributes></DBSnapshotAttributesResult>",
    ),
    (
        "DescribeDBClusterSnapshotAttributes",
        "<DBClusterSnapshotAttributesResult><DBClusterSnapshotIdentifier>cs</DBClusterSnapshotIdentifier><DBClusterSnapshotAttributes/></DBClusterSnapshotAttributesResult>",
    ),
    ("DescribeExportTasks", "<ExportTasks/>"),
];

/// The checks that rest on a call; `source_unchanged` rests on every one of them, `coverage` on lists and sizes.
fn resting_on(operation: &str) -> &'static [&'static str] {
    match operation {
        "ListBuckets" => &["residency", "encryption", "public_access", "protection", "coverage"],
        "GetBucketLocation" => &["residency"],
        "GetBucketEncryption" => &["encryption"],
        "GetBucketAcl"
        | "GetBucketPolicy"
        | "GetBucketPolicyStatus"
        | "GetPublicAccessBlock"
        | "AccountPublicAccessBlock"
        | "DescribeDBSnapshotAttributes"
        | "DescribeDBClusterSnapshotAttributes" => &["public_access"],
        "GetBucketVersioning" | "GetObjectLockConfiguration" => &["protection"],
        "ListObjectVersions" => &["coverage"],
        "DescribeDBInstances" | "DescribeDBClusters" => {
            &["residency", "encryption", "public_access", "orphan_snapshots", "protection", "coverage"]
        }
        "DescribeDBSnapshots" | "DescribeDBClusterSnapshots" => {
            &["residency", "encryption", "public_access", "orphan_snapshots", "coverage"]
        }
        "GenerateCredentialReport" | "GetCredentialReport" => &["credentials"],
        _ => &[],
    }
}

/// Operations whose answer is not a part of the settings.
const NOT_COMPARED: [&str; 1] = ["ListObjectVersions"];

fn operations() -> Vec<&'static str> {
    let buckets = BUCKET_CALLS.iter().map(|call| call.1);
    let rds = RDS_CALLS.iter().map(|call| call.0);
    let others = ["ListBuckets", "AccountPublicAccessBlock", "GenerateCredentialReport", "GetCredentialReport"];
    buckets.chain(rds).chain(others).collect()
}

pub(super) type Row = Arc<Mutex<Option<(&'static str, Fault)>>>;

pub(super) fn serve(row: &Row) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let row = Arc::clone(row);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let row = Arc::clone(&row);
            thread::spawn(move || converse(stream, &row));
        }
    });
    format!("http://{address}")
}

fn converse(stream: TcpStream, row: &Row) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some((target, body)) = read(&mut reader) {
        let (operation, honest) = honest(&target, &body);
        let fault = row.lock().unwrap().filter(|(faulty, _)| *faulty == operation).map(|(_, fault)| fault);
        let (status, body) = match fault {
            Some(Fault::Page(fault)) => {
                ("200 OK", list_tests::page(fault, operation, &honest, &format!("{target}{body}")))
            }
            fault => answer(fault, operation, &honest),
        };
        let kind = if body.starts_with('{') { "application/json" } else { "application/xml" };
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
        match header.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((target, String::from_utf8(body).ok()?))
}

/// The operation of a request, and its honest answer; one that begins with `!` is a code.
fn honest(target: &str, body: &str) -> (&'static str, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if let Some(action) = body.split('&').find_map(|pair| pair.strip_prefix("Action=")) {
        return action_of(action);
    }
    if path.starts_with("/v20180820/") {
        return ("AccountPublicAccessBlock", BLOCK.to_owned());
    }
    if path == "/" {
        return ("ListBuckets", BUCKETS.to_owned());
    }
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let call = BUCKET_CALLS.iter().find(|(name, ..)| has(name)).unwrap_or_else(|| panic!("unknown call {target}"));
    (call.1, call.2.to_owned())
}

fn action_of(action: &str) -> (&'static str, String) {
    let wrapped = |action: &str, result: &str| {
        format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>")
    };
    if let Some((name, result)) = RDS_CALLS.iter().find(|(name, _)| *name == action) {
        return (name, wrapped(name, result));
    }
    if action == "GenerateCredentialReport" {
        return ("GenerateCredentialReport", wrapped(action, "<State>COMPLETE</State>"));
    }
    let report = "user,arn,password_enabled,mfa_active,access_key_1_active,access_key_1_last_rotated,\
        access_key_1_last_used_date,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date\n\
        <root_account>,arn,not_supported,true,false,N/A,N/A,false,N/A,N/A\n\
        bob,arn,true,true,false,N/A,N/A,false,N/A,N/A\n";
    let content = BASE64_STANDARD.encode(report);
    let result = format!("<Content>{content}</Content><GeneratedTime>{}</GeneratedTime>", clock::now());
    ("GetCredentialReport", wrapped("GetCredentialReport", &result))
}

fn answer(fault: Option<Fault>, operation: &str, honest: &str) -> (&'static str, String) {
    let is_query = RDS_CALLS.iter().any(|(name, _)| *name == operation) || operation.ends_with("CredentialReport");
    let error = |code: &str| {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>m</Message></Error>");
        if is_query { format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>") } else { error }
    };
    match (fault, honest.strip_prefix('!')) {
        (None, None) => ("200 OK", honest.to_owned()),
        (None, Some(code)) => ("404 Not Found", error(code)),
        (Some(Fault::Refused), _) => ("403 Forbidden", error("AccessDenied")),
        (Some(Fault::RefusedWithoutContent), _) => ("403 Forbidden", String::new()),
        (Some(Fault::WithoutContent), _) => ("200 OK", String::new()),
        (Some(Fault::AnotherDocument), _) => ("200 OK", "<Another><Document/></Another>".to_owned()),
        (Some(Fault::BucketList), _) => {
            ("200 OK", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".to_owned())
        }
        (Some(Fault::Cut), Some(_)) => ("200 OK", "<Some><Document>".to_owned()),
        (Some(Fault::Cut), None) => ("200 OK", honest[..honest.len() * 2 / 3].to_owned()),
        (Some(Fault::Failed), _) => ("400 Bad Request", error("InternalFailure")),
        (Some(Fault::ErrorAsSuccess), _) => ("200 OK", error("InternalError")),
        (Some(Fault::Page(_)), _) => unreachable!("answered before"),
        (Some(Fault::Changed(changed)), _) if is_query => ("200 OK", replaced(honest, changed)),
        (Some(Fault::Changed(changed)), _) => ("200 OK", changed.to_owned()),
    }
}

/// Puts an element into the first thing of a list, in the place of one of the same name.
fn replaced(honest: &str, element: &str) -> String {
    let name = element.trim_start_matches('<').split(['>', '/']).next().unwrap_or_default();
    let open = format!("<{name}>");
    let close = format!("</{name}>");
    match (honest.find(&open), honest.find(&close)) {
        (Some(from), Some(to)) => format!("{}{element}{}", &honest[..from], &honest[to + close.len()..]),
        _ => {
            let end = ["</DBInstance>", "</DBCluster>", "</DBSnapshot>"].iter().find_map(|end| honest.find(end));
            let at = end.expect("a list of something");
            format!("{}{element}{}", &honest[..at], &honest[at..])
        }
    }
}

/// Operation, changed answer or element, and the name of the setting under which the change is reported.
const CHANGES: [(&str, &str, &str); 47] = [
    (
        "GetBucketAccelerateConfiguration",
        "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>",
        "accelerate",
    ),
    (
        "GetBucketAcl",
        "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant><Grantee><ID>other</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
        "access_list",
    ),
    (
        "ListBucketAnalyticsConfigurations",
        "<ListBucketAnalyticsConfigurationResult><AnalyticsConfiguration><Id>x</Id></AnalyticsConfiguration></ListBucketAnalyticsConfigurationResult>",
        "analytics",
    ),
    (
        "GetBucketCors",
        "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
        "cors",
    ),
    (
        "GetBucketEncryption",
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>",
        "default_encryption",
    ),
    (
        "ListBucketIntelligentTieringConfigurations",
        "<ListBucketIntelligentTieringConfigurationsOutput><IntelligentTieringConfiguration><Id>x</Id></IntelligentTieringConfiguration></ListBucketIntelligentTieringConfigurationsOutput>",
        "tiering",
    ),
    (
        "ListBucketInventoryConfigurations",
        "<ListInventoryConfigurationsResult><InventoryConfiguration><Id>x</Id></InventoryConfiguration></ListInventoryConfigurationsResult>",
        "inventory",
    ),
    (
        "GetBucketLifecycleConfiguration",
        "<LifecycleConfiguration><Rule><Expiration><Days>1</Days></Expiration><Status>Enabled</Status></Rule></LifecycleConfiguration>",
        "lifecycle",
    ),
    (
        "GetBucketLogging",
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>b</TargetBucket></LoggingEnabled></BucketLoggingStatus>",
        "logging",
    ),
    (
        "ListBucketMetricsConfigurations",
        "<ListMetricsConfigurationsResult><MetricsConfiguration><Id>x</Id></MetricsConfiguration></ListMetricsConfigurationsResult>",
        "metrics",
    ),
    (
        "GetBucketNotificationConfiguration",
        "<NotificationConfiguration><QueueConfiguration><Queue>arn:q</Queue><Event>s3:ObjectRemoved:*</Event></QueueConfiguration></NotificationConfiguration>",
        "notification",
    ),
    (
        "GetObjectLockConfiguration",
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
        "lock",
    ),
    (
        "GetBucketOwnershipControls",
        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
        "ownership",
    ),
    ("GetBucketPolicyStatus", "<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>", "policy"),
    (
        "GetBucketPolicy",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"222222222222\"},\"Action\":\"s3:*\",\"Resource\":\"*\"}]}",
        "policy_text",
    ),
    (
        "GetPublicAccessBlock",
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
        "block",
    ),
    (
        "AccountPublicAccessBlock",
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
        "public_access_block",
    ),
    (
        "GetBucketReplication",
        "<ReplicationConfiguration><Role>r</Role><Rule><Status>Enabled</Status><Destination><Bucket>arn:aws:s3:::b</Bucket></Destination></Rule></ReplicationConfiguration>",
        "replication",
    ),
    (
        "GetBucketRequestPayment",
        "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
        "request_payment",
    ),
    ("GetBucketTagging", "<Tagging><TagSet><Tag><Key>k</Key><Value>w</Value></Tag></TagSet></Tagging>", "tags"),
    (
        "GetBucketVersioning",
        "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
        "versions",
    ),
    ("ListObjectVersions", "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>", "objects"),
    (
        "GetBucketWebsite",
        "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>",
        "website",
    ),
    ("DescribeDBInstances", "<DBInstanceClass>db.t3.micro</DBInstanceClass>", "DBInstanceClass"),
    (
        "DescribeDBInstances",
        "<VpcSecurityGroups><VpcSecurityGroupMembership><VpcSecurityGroupId>sg-2</VpcSecurityGroupId></VpcSecurityGroupMembership></VpcSecurityGroups>",
        "VpcSecurityGroups",
    ),
    (
        "DescribeDBInstances",
        "<IAMDatabaseAuthenticationEnabled>true</IAMDatabaseAuthenticationEnabled>",
        "IAMDatabaseAuthenticationEnabled",
    ),
    (
        "DescribeDBInstances",
        "<DBParameterGroups><DBParameterGroup><DBParameterGroupName>p</DBParameterGroupName></DBParameterGroup></DBParameterGroups>",
        "DBParameterGroups",
    ),
    (
        "DescribeDBInstances",
        "<PendingModifiedValues><MasterUserPassword>****</MasterUserPassword></PendingModifiedValues>",
        "PendingModifiedValues",
    ),
    ("DescribeDBInstances", "<BackupRetentionPeriod>0</BackupRetentionPeriod>", "backup_retention_days"),
    ("DescribeDBInstances", "<DeletionProtection>false</DeletionProtection>", "deletion_protection"),
    ("DescribeDBInstances", "<PubliclyAccessible>true</PubliclyAccessible>", "publicly_accessible"),
    ("DescribeDBInstances", "<MultiAZ>true</MultiAZ>", "MultiAZ"),
    ("DescribeDBInstances", "<StorageType>gp3</StorageType>", "StorageType"),
    ("DescribeDBInstances", "<PreferredBackupWindow>01:00-02:00</PreferredBackupWindow>", "PreferredBackupWindow"),
    ("DescribeDBInstances", "<CACertificateIdentifier>rds-ca</CACertificateIdentifier>", "CACertificateIdentifier"),
    ("DescribeDBInstances", "<TagList><Tag><Key>k</Key><Value>v</Value></Tag></TagList>", "tags"),
    ("DescribeDBInstances", "<EngineVersion>16.1</EngineVersion>", "EngineVersion"),
    ("DescribeDBClusters", "<DBClusterParameterGroup>p</DBClusterParameterGroup>", "DBClusterParameterGroup"),
    ("DescribeDBClusters", "<BackupRetentionPeriod>1</BackupRetentionPeriod>", "backup_retention_days"),
    ("DescribeDBClusters", "<HttpEndpointEnabled>true</HttpEndpointEnabled>", "HttpEndpointEnabled"),
    ("DescribeDBSnapshots", "<OptionGroupName>o</OptionGroupName>", "OptionGroupName"),
    (
        "DescribeDBSnapshotAttributes",
        "<DBSnapshotAttributes><DBSnapshotAttribute><AttributeName>restore</AttributeName><AttributeValues><AttributeValue>all</AttributeValue></AttributeValues></DBSnapshotAttribute></DBSnapshotAttributes>",
        "shared_with",
    ),
    ("DescribeDBInstances", "<LatestRestorableTime>2026-01-01T00:00:00Z</LatestRestorableTime>", ""),
    ("DescribeDBInstances", "<DBInstanceStatus>stopped</DBInstanceStatus>", "state"),
    ("DescribeDBInstances", "<DBInstanceStatus>inaccessible-encryption-credentials</DBInstanceStatus>", "state"),
    ("DescribeDBClusters", "<Status>stopping</Status>", "state"),
    ("DescribeDBInstances", "<DBInstanceStatus>backing-up</DBInstanceStatus>", ""),
];

#[tokio::test]
async fn every_setting_that_can_be_changed_is_compared() {
    let row = Row::default();
    let aws = Aws::for_test(&serve(&row));
    let before = taken(&aws).await;
    let mut wrong = Vec::new();
    for (operation, changed, setting) in CHANGES {
        *row.lock().unwrap() = Some((operation, Fault::Changed(changed)));
        let comparison = compare(&before, &taken(&aws).await);
        let named: Vec<_> = comparison.changes.iter().map(|change| change.what.as_str()).collect();
        let expected = if setting.is_empty() { named.is_empty() } else { named.contains(&setting) };
        if !expected || !comparison.not_compared.is_empty() {
            wrong.push(format!("{operation} {setting}: {named:?} {:?}", comparison.not_compared));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

pub(super) async fn taken(aws: &Aws) -> Inventory {
    let wanted = Wanted {
        regions: vec![REGION.to_owned()],
        sizes_by_listing: true,
        tags: true,
        encryption: true,
        public_access: true,
        protection: true,
        versioning: true,
        users: true,
        settings: true,
        carried_buckets: ["acme".to_owned()].into(),
        carried_databases: ["db".to_owned()].into(),
        ..Wanted::default()
    };
    look(aws, Some(ACCOUNT), wanted, clock::now().to_string()).await
}

/// The checks of a look that are not clean: of posture, before and after, and coverage that is not known.
pub(super) fn not_clean(before: &Inventory, inventory: &Inventory) -> Vec<String> {
    let rules = Rules { regions: vec![REGION.to_owned()], today: clock::today() };
    let mut names: Vec<String> = Vec::new();
    for (check, _) in CHECKS {
        let findings = judge(check, inventory, &rules).findings;
        if findings.iter().any(|finding| finding.kind.severity() != Severity::Note) {
            names.push(check.to_owned());
        }
    }
    if !compare(before, inventory).findings().is_empty() {
        names.push("source_unchanged".to_owned());
    }
    let totals = Coverage::of(inventory, &[], &[], CoverageRules::Second).totals;
    // Of databases the provider says no size here: the two are unknown in every row.
    if totals.of_unknown_size > 2 || totals.unreadable.assets > 0 {
        names.push("coverage".to_owned());
    }
    names
}

#[tokio::test]
async fn no_call_that_went_without_an_answer_leaves_a_check_clean() {
    let row = Row::default();
    let aws = Aws::for_test(&serve(&row));
    let whole = taken(&aws).await;
    assert!(whole.unreadable.is_empty(), "the honest server: {:?}", whole.unreadable);
    let before = Inventory { users_reported: Some("2026-01-01T00:00:00Z".to_owned()), ..whole.clone() };
    assert_eq!(not_clean(&before, &whole), [""; 0]);

    let mut wrong = Vec::new();
    for operation in operations() {
        for fault in FAULTS {
            *row.lock().unwrap() = Some((operation, fault));
            let seen = taken(&aws).await;
            let found = not_clean(&before, &seen);
            let compared = (!NOT_COMPARED.contains(&operation)).then_some("source_unchanged");
            for check in resting_on(operation).iter().copied().chain(compared) {
                if !found.iter().any(|name| name == check) {
                    wrong.push(format!("{operation} {fault:?}: {check} is clean"));
                }
            }
            if seen.unreadable.is_empty() {
                wrong.push(format!("{operation} {fault:?}: nothing is unreadable"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_list_that_lacks_what_the_run_carries_is_not_a_whole_one() {
    let row = Row::default();
    let aws = Aws::for_test(&serve(&row));
    let before = Inventory { users_reported: Some("2026-01-01T00:00:00Z".to_owned()), ..taken(&aws).await };
    let empty = "<ListAllMyBucketsResult><Owner><ID>o</ID></Owner><Buckets/></ListAllMyBucketsResult>";
    *row.lock().unwrap() = Some(("ListBuckets", Fault::Changed(empty)));
    let seen = taken(&aws).await;
    let found = not_clean(&before, &seen);
    for check in resting_on("ListBuckets") {
        assert!(found.iter().any(|name| name == check), "{check} is clean: {found:?}");
    }
    // The bucket itself was looked at.
    let facts = |look: &Inventory| look.items.iter().find(|item| item.name == "acme").map(|item| item.facts.len());
    assert!(facts(&seen).is_some_and(|seen| seen + 1 >= facts(&before).unwrap()), "{:?}", facts(&seen));

    *row.lock().unwrap() =
        Some(("DescribeDBInstances", Fault::Changed("<DBInstanceIdentifier>b2</DBInstanceIdentifier>")));
    let found = not_clean(&before, &taken(&aws).await);
    for check in resting_on("DescribeDBInstances") {
        assert!(found.iter().any(|name| name == check), "{check} is clean: {found:?}");
    }
}
