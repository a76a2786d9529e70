//! Into another S3 server, directly and by way of archives; compared by a client that is not walkaway's.

use std::path::Path;

use serde_json::json;

use crate::{
    objects::{Provider, archives, verifies},
    support::{
        self, ACCESS_KEY, SECRET_KEY, block_on,
        drill::{BUCKET, FILES, content, python},
    },
};

/// Reads two buckets with boto3 and says where they differ.
const COMPARE: &str = "
import boto3, hashlib, sys
def objects(endpoint, bucket):
    s3 = boto3.client('s3', endpoint_url=endpoint, aws_access_key_id=sys.argv[5], aws_secret_access_key=sys.argv[6], region_name='us-east-1')
    found = {}
    for page in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket):
        for listed in page.get('Contents', []):
            key = listed['Key']
            answer = s3.get_object(Bucket=bucket, Key=key)
            tags = s3.get_object_tagging(Bucket=bucket, Key=key)['TagSet']
            found[key] = (hashlib.sha256(answer['Body'].read()).hexdigest(), answer['Metadata'], answer.get('ContentType'),
                          answer.get('CacheControl'), sorted((tag['Key'], tag['Value']) for tag in tags))
    return found
one, other = objects(*sys.argv[1:3]), objects(*sys.argv[3:5])
print(len(one), sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key)))
";

/// Puts the members of archives as objects, by nothing but what their pax records say.
const PUT_ARCHIVES: &str = "
import boto3, json, sys, tarfile
endpoint, bucket, access, secret = sys.argv[1:5]
s3 = boto3.client('s3', endpoint_url=endpoint, aws_access_key_id=access, aws_secret_access_key=secret, region_name='us-east-1')
s3.create_bucket(Bucket=bucket)
for name in sys.argv[5:]:
    archive = tarfile.open(name)
    for member in archive:
        kept = {key.rsplit('.', 1)[1]: json.loads(value) for key, value in member.pax_headers.items() if 'walkaway' in key}
        properties = kept.get('properties', {})
        headers, tags = properties.get('headers', {}), properties.get('tags', {})
        more = {}
        if tags: more['Tagging'] = '&'.join(f'{k}={v}' for k, v in tags.items())
        if 'cache_control' in headers: more['CacheControl'] = headers['cache_control']
        if 'content_type' in headers: more['ContentType'] = headers['content_type']
        s3.put_object(Bucket=bucket, Key=kept['key'], Body=archive.extractfile(member).read(),
                      Metadata=properties.get('metadata', {}), **more)
";

fn fill(provider: &Provider) {
    for (number, size) in [0, 1, 70_000, 3 << 20].into_iter().enumerate() {
        provider.put(&format!("plain/{number} a+b%2F"), &content(&number.to_string(), size));
    }
    let request = provider.client.put_object().bucket(BUCKET).key("described").body(content("d", 900).into());
    let request = request.content_type("text/csv").cache_control("no-store").metadata("owner", "finance");
    block_on(request.tagging("class=secret&year=2026").send()).unwrap();
    let parts = [content("p", 6 << 20), content("q", 12 << 20)];
    support::put_in_parts(&provider.endpoint, BUCKET, "large", &parts);
}

fn differences(one: [&str; 2], other: [&str; 2]) -> String {
    let arguments = [&one[..], &other[..], &[ACCESS_KEY, SECRET_KEY]].concat();
    python(COMPARE, &arguments.iter().map(Path::new).collect::<Vec<_>>())
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_bucket_goes_into_another_server_and_a_second_client_finds_no_difference() {
    let source = support::weed();
    let target = support::moto();
    let provider = Provider::at(source.endpoint());
    fill(&provider);
    let drill = provider.drill().s3("layout: s3").env("TARGET_S3", target.endpoint());
    let drill = drill.target_key("s3: {endpoint: \"env:TARGET_S3\"}");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let receipt = ran.receipt("described");
    let bucket = receipt["within"]["bucket"]["name"].as_str().unwrap().to_owned();
    assert!(bucket.starts_with(FILES), "{bucket}");
    assert!(receipt["classes"]["carried"].as_array().unwrap().contains(&json!("tags")), "{receipt:#}");
    assert_eq!(differences([source.endpoint(), BUCKET], [target.endpoint(), &bucket]).trim(), "6 []");
    verifies(&drill, &ran);

    let client = support::client(target.endpoint());
    let verify = || drill.walkaway(&["verify", ran.bundle.to_str().unwrap(), "--restored"]).output().unwrap();
    let put = |key: &str, bytes: &[u8]| {
        block_on(client.put_object().bucket(&bucket).key(key).body(bytes.to_vec().into()).send()).unwrap();
    };
    put("stranger", b"1");
    assert_eq!(verify().status.code(), Some(1), "an object that nobody restored");
    block_on(client.delete_object().bucket(&bucket).key("stranger").send()).unwrap();
    put("described", &content("d", 899));
    assert_eq!(verify().status.code(), Some(1), "another content");
    // The same bytes, and nothing of what lay beside them.
    put("described", &content("d", 900));
    let told = verify();
    assert_eq!(told.status.code(), Some(1), "nothing beside the content");
    let told = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert!(told.contains("object differs beside its content") && told.contains("tag class"), "{told}");
    block_on(client.delete_object().bucket(&bucket).key("described").send()).unwrap();
    assert_eq!(verify().status.code(), Some(1), "an object less");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_bucket_goes_into_archives_and_from_there_into_a_server_and_a_second_client_finds_no_difference() {
    let source = support::moto();
    let provider = Provider::at(source.endpoint());
    fill(&provider);
    let drill = provider.drill().s3("layout: tar");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let archives = archives(&ran);
    let mut arguments: Vec<_> = [source.endpoint(), "from-archives", ACCESS_KEY, SECRET_KEY].map(Path::new).to_vec();
    arguments.extend(archives.iter().map(std::path::PathBuf::as_path));
    python(PUT_ARCHIVES, &arguments);
    assert_eq!(differences([source.endpoint(), BUCKET], [source.endpoint(), "from-archives"]).trim(), "6 []");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn superseded_versions_go_into_another_server_as_objects_of_their_own() {
    use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
    let source = support::moto();
    let target = support::weed();
    let provider = Provider::at(source.endpoint());
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let request = provider.client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(versioning);
    block_on(request.send()).unwrap();
    ["one", "two"].iter().for_each(|content| drop(provider.put("k", content.as_bytes())));
    let drill = provider.drill().s3("layout: s3, versions: all").env("TARGET_S3", target.endpoint());
    let drill = drill.target_key("s3: {endpoint: \"env:TARGET_S3\"}");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    verifies(&drill, &ran);
    let client = support::client(target.endpoint());
    let read = |within: &serde_json::Value| {
        let text = |name: &str| within["bucket"][name].as_str().unwrap().to_owned();
        let answer = block_on(client.get_object().bucket(text("name")).key(text("key")).send()).unwrap();
        block_on(answer.body.collect()).unwrap().to_vec()
    };
    let contents: Vec<_> = ran.receipts().iter().map(|receipt| read(&receipt["within"])).collect();
    assert_eq!(contents, [b"two", b"one"]);
}
