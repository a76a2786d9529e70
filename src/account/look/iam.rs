//! Users and their keys, from IAM's credential report; the trust policy of a role.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    failure::Failure,
    request::Look,
    wire::{Raw, Wire},
};
use crate::{
    account::{credentials, inventory::User},
    aws::{
        call::Call,
        encoding::{decoded, encoded},
        xml,
    },
    clock,
    domain::digest::Sha256Digest,
    provider::aws::{Aws, Service},
};

/// How often a report that is being generated is requested, and the pause in between.
const REPORT_ATTEMPTS_MAX: u32 = 15;
const REPORT_PAUSE: Duration = Duration::from_secs(2);

impl Look<'_> {
    /// The credential report of the account.
    pub(super) async fn users(&mut self, wire: &Wire) {
        match report(self.aws, wire).await {
            Ok(report) => {
                self.answered("iam GetCredentialReport", None, 1, Some(report.digest));
                self.inventory.users = Some(report.users);
                self.inventory.users_reported = Some(report.made);
                self.inventory.users_read = Some(clock::now().to_string());
            }
            Err((call, failure)) => {
                let right = format!("iam:{call}");
                let call = format!("iam {call}");
                self.refused(&call, None, None, &failure, &right, &["users"]);
            }
        }
    }
}

/// A credential report, and when IAM generated it.
struct Report {
    users: Vec<User>,
    made: String,
    digest: Sha256Digest,
}

async fn report(aws: &Aws, wire: &Wire) -> Result<Report, (&'static str, Failure)> {
    let mut attempt = 1;
    loop {
        let state = iam(aws, wire, "Action=GenerateCredentialReport").await;
        let (state, _) = state.map_err(|failure| ("GenerateCredentialReport", failure))?;
        let state = text_in(&state, "State").map_err(|failure| ("GenerateCredentialReport", failure))?;
        if state == "COMPLETE" {
            break;
        }
        // The existing one is not the one that was requested.
        if attempt == REPORT_ATTEMPTS_MAX {
            let failure = Failure::unanswered(format!("asked {attempt} times, the report is {state}, not COMPLETE"));
            return Err(("GenerateCredentialReport", failure));
        }
        // A report that was just started is mostly ready at the second request.
        tokio::time::sleep(if attempt == 1 { REPORT_PAUSE / 10 } else { REPORT_PAUSE }).await;
        attempt += 1;
    }
    let get = |failure| ("GetCredentialReport", failure);
    let (answer, digest) = iam(aws, wire, "Action=GetCredentialReport").await.map_err(get)?;
    let content: String = text_in(&answer, "Content").map_err(get)?.split_whitespace().collect();
    let csv = BASE64_STANDARD.decode(content).map_err(|error| get(Failure::not_understood(error)))?;
    let users =
        credentials::users(&String::from_utf8_lossy(&csv)).map_err(|error| get(Failure::not_understood(error)))?;
    let made = text_in(&answer, "GeneratedTime").map_err(get)?;
    Ok(Report { users, made, digest })
}

/// The text of the first element of that name.
fn text_in(answer: &[u8], name: &str) -> Result<String, Failure> {
    let root = xml::parse(answer).map_err(Failure::not_understood)?.root;
    let text = root.find(name).map(|element| element.text.trim().to_owned()).filter(|text| !text.is_empty());
    text.ok_or_else(|| Failure::not_understood(format!("no {name} in the answer")))
}

/// The trust policy of a role, as JSON.
pub(super) async fn trust_policy(aws: &Aws, wire: &Wire, role: &str) -> Result<String, Failure> {
    let action = format!("Action=GetRole&RoleName={}", encoded(role));
    let (answer, _) = iam(aws, wire, &action).await?;
    let document = text_in(&answer, "AssumeRolePolicyDocument")?;
    decoded(&document).ok_or_else(|| Failure::not_understood("the trust policy is not URL-encoded UTF-8"))
}

async fn iam(aws: &Aws, wire: &Wire, action: &str) -> Result<Raw, Failure> {
    let home = aws.region();
    let call = Call {
        service: Service::Iam,
        region: &home,
        method: "POST",
        url: format!("{}/", aws.address(Service::Iam, &home)),
        headers: vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())],
        body: format!("{action}&Version=2010-05-08"),
    };
    wire.send(&call).await
}
