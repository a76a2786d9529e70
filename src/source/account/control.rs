//! The account's own block of public access (Amazon S3 API reference, S3 Control, `GetPublicAccessBlock`).

use super::{
    Look, settings_on,
    tap::root_in,
    wire::{Call, Wire},
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
                let text = String::from_utf8_lossy(&body);
                let root = root_in(&text, OPERATION, "PublicAccessBlockConfiguration")?;
                let is_on = |name| match root.find(name).map(|value| value.text.as_str()) {
                    None => Ok((name, None)),
                    Some("true") => Ok((name, Some(true))),
                    Some("false") => Ok((name, Some(false))),
                    Some(_) => Err(format!("{name} is neither true nor false")),
                };
                let on = [
                    is_on("BlockPublicAcls")?,
                    is_on("IgnorePublicAcls")?,
                    is_on("BlockPublicPolicy")?,
                    is_on("RestrictPublicBuckets")?,
                ];
                Ok((settings_on(on)?, Some(digest)))
            });
        if let Reply::Unanswered(failure) = &reply {
            self.refused("s3control GetPublicAccessBlock", None, None, failure, "s3:GetAccountPublicAccessBlock", &[]);
        }
        let found = Fact::of(OPERATION, reply);
        self.inventory.account.insert(fact::PUBLIC_ACCESS_BLOCK.to_owned(), found);
    }
}
