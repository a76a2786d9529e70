//! The account's own block of public access (Amazon S3 API reference, S3 Control, `GetPublicAccessBlock`).

use super::{
    Look, settings_on,
    wire::{Call, Wire},
    xml,
};
use crate::{
    account::{
        inventory::{Fact, fact},
        reply::Reply,
    },
    source::aws::Service,
};

const OPERATION: &str = "GetPublicAccessBlock";

impl Look<'_> {
    /// Reads it; an account that has none is an answer.
    pub(super) async fn account_block(&mut self, wire: &Wire, account: &str) {
        let region = self.aws.region();
        let address = self.aws.address(Service::S3Control, &region).replace("{account}", account);
        let call = Call {
            service: "s3",
            region: &region,
            method: "GET",
            url: format!("{address}/v20180820/configuration/publicAccessBlock"),
            headers: vec![("x-amz-account-id", account.to_owned())],
            body: String::new(),
        };
        let reply =
            Reply::of(wire.send(&call).await, &["NoSuchPublicAccessBlockConfiguration"]).read(|(body, digest)| {
                let root = xml::read(&String::from_utf8_lossy(&body))?;
                let names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
                let on = names.map(|name| (name, root.find(name).map(|value| value.text == "true")));
                Ok((settings_on(on)?, Some(digest)))
            });
        if let Reply::Unanswered(failure) = &reply {
            self.refused("s3control GetPublicAccessBlock", None, None, failure, "s3:GetAccountPublicAccessBlock", &[]);
        }
        let found = Fact::of(OPERATION, reply);
        self.inventory.account.insert(fact::PUBLIC_ACCESS_BLOCK.to_owned(), found);
    }
}
