//! The account's own block of public access (Amazon S3 API reference, S3 Control, `GetPublicAccessBlock`).

use super::{
    request::{Look, settings_on},
    tap::root_in,
    wire::Wire,
};
use crate::{
    account::{
        inventory::{Fact, fact},
        reply::Reply,
    },
    aws::{call::Call, entry::flag},
    provider::aws::Service,
};

const OPERATION: &str = "GetPublicAccessBlock";

impl Look<'_> {
    /// Reads it; that an account has none is a valid answer.
    pub(super) async fn account_block(&mut self, wire: &Wire, account: &str) {
        let region = self.aws.region();
        let address = self.aws.address(Service::S3Control, &region).replace("{account}", account);
        let call = Call {
            service: Service::S3Control,
            region: &region,
            method: "GET",
            url: format!("{address}/v20180820/configuration/publicAccessBlock"),
            headers: vec![("x-amz-account-id", account.to_owned())],
            body: String::new(),
        };
        let reply =
            Reply::of(wire.send(&call).await, &["NoSuchPublicAccessBlockConfiguration"]).read(|(body, digest)| {
                let root = root_in(&body, OPERATION, "PublicAccessBlockConfiguration")?;
                let block = root.find("PublicAccessBlockConfiguration").unwrap_or(&root);
                let is_on = |name| flag(block, name).map(|on| (name, on));
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
