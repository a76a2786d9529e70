//! The provider's own checksums, and what is said where there is none.

use serde_json::json;

use crate::support::{
    self,
    drill::{BUCKET, Drill, FILES, content},
};

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn multipart_entity_tags_of_uneven_parts_are_recomputed() {
    let server = support::weed();
    let sizes = [(5 << 20) + 17, 6 << 20, (5 << 20) + 1, 9];
    let parts: Vec<_> = sizes.iter().map(|size| content(&size.to_string(), *size)).collect();
    support::put_in_parts(server.endpoint(), BUCKET, "uneven", &parts);
    support::put_in_parts(server.endpoint(), BUCKET, "one", &parts[..1]);
    for layout in ["tree", "tar"] {
        let drill = Drill::new().bucket_at(server.endpoint()).s3(&format!("layout: {layout}"));
        let ran = drill.run();
        ran.assert_ended(0, "PASS");
        let etag = ran.receipt("uneven")["etag"].as_str().unwrap().to_owned();
        assert!(etag.ends_with("-4"), "{etag}");
        for key in ["uneven", "one"] {
            assert!(ran.receipt(key)["provider_checksum"]["confirmed"].is_string(), "{:#}", ran.receipt(key));
        }
        assert_eq!(ran.asset(FILES)["objects"]["provider_confirmed"], 2);
    }
}

/// moto lists no parts, but tells the size of any one part.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn a_multipart_entity_tag_without_a_list_of_parts_is_confirmed_by_asking_for_each_part() {
    let server = support::moto();
    let even = [content("a", 5 << 20), content("b", 5 << 20), content("c", 100)];
    let uneven = [content("a", 6 << 20), content("b", (5 << 20) + 1), content("c", 9)];
    support::put_in_parts(server.endpoint(), BUCKET, "even", &even);
    support::put_in_parts(server.endpoint(), BUCKET, "uneven", &uneven);
    let drill = Drill::new().bucket_at(server.endpoint());
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    for key in ["even", "uneven"] {
        assert_eq!(ran.receipt(key)["provider_checksum"], json!({"confirmed": "multipart_etag"}), "{key}");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_entity_tag_under_kms_is_not_taken_for_an_md5() {
    let server = support::moto();
    let provider = crate::objects::Provider::at(server.endpoint());
    let request = provider.client.put_object().bucket(BUCKET).key("sealed").body(b"under kms".to_vec().into());
    let request = request.server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::AwsKms);
    support::block_on(request.send()).unwrap();
    let drill = provider.drill();
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let receipt = ran.receipt("sealed");
    assert_ne!(receipt["provider_checksum"], json!({"confirmed": "md5_etag"}), "{receipt:#}");
    assert_eq!(receipt["properties"]["encryption"]["algorithm"], "aws:kms");
}
