//! The account's own block of public access (Amazon S3 API reference, S3 Control, `GetPublicAccessBlock`).

use super::{
    Look, settings_on,
    wire::{Call, Wire, element},
};
use crate::{
    account::inventory::{Fact, fact},
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
        let found = match wire.send(&call).await {
            Ok((body, digest)) => {
                let text = String::from_utf8_lossy(&body);
                let names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
                let on = names.map(|name| (name, element(&text, name).map(|value| value == "true")));
                Fact::answered(OPERATION, settings_on(on), Some(digest))
            }
            Err(failure) if failure.code == "NoSuchPublicAccessBlockConfiguration" => {
                Fact::answered(OPERATION, "none", None)
            }
            Err(failure) => {
                let call = "s3control GetPublicAccessBlock";
                self.refused(call, None, None, &failure, "s3:GetAccountPublicAccessBlock", &[]);
                Fact::unreadable(OPERATION, failure.reason)
            }
        };
        self.inventory.account.insert(fact::PUBLIC_ACCESS_BLOCK.to_owned(), found);
    }
}
