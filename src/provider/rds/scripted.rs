//! For tests: RDS in this process, which keeps what is created, and does to any call, or to every call from one on, what
//! a provider and its network can do. The SDK's own client talks to it; nothing of walkaway is replaced.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_sdk_rds::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use tokio::sync::Notify;

use super::{Rds, Timeouts};
use crate::provider::aws::Aws;

/// Polls until something new is seen, where it is late, and becomes available.
const LATE_LOOKS: u32 = 6;
const MAKING_LOOKS: u32 = 2;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never arrives.
    Lost,
    /// It is done, and the connection is cut before the answer.
    AnswerLost,
    /// It is done, and the answer is 503.
    BusyAfter,
    /// It is not done: the provider is busy.
    Throttled,
    /// It is not done: the right is missing.
    Refused,
    /// An answer without content.
    Empty,
    /// A page of something else, with status 404.
    StrangePage,
    /// It is done twice; the second answer counts.
    Doubled,
    /// It is done, and shows late.
    Late,
    /// It is done, shows late, and the answer is lost.
    LateAndLost,
    /// It is done, and the tags show late.
    LateTags,
    /// The provider accepts it and does nothing.
    Ignored,
    /// Nothing comes back, and the process is killed: before it is done, or after.
    KilledBefore,
    KilledAfter,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Fault; 14] = [
        Fault::Lost,
        Fault::AnswerLost,
        Fault::BusyAfter,
        Fault::Throttled,
        Fault::Refused,
        Fault::Empty,
        Fault::StrangePage,
        Fault::Doubled,
        Fault::Late,
        Fault::LateAndLost,
        Fault::LateTags,
        Fault::Ignored,
        Fault::KilledBefore,
        Fault::KilledAfter,
    ];

    fn is_done(self) -> bool {
        use Fault::{AnswerLost, BusyAfter, Doubled, KilledAfter, Late, LateAndLost, LateTags};
        [AnswerLost, BusyAfter, Doubled, KilledAfter, Late, LateAndLost, LateTags].contains(&self)
    }
}

/// An existing resource.
#[derive(Clone, Debug, Default)]
struct Thing {
    tags: Vec<(String, String)>,
    status: String,
    /// Polls until it is seen, until it is created, and until its tags are.
    unseen: u32,
    making: u32,
    untagged: u32,
    source: String,
    is_protected: bool,
}

#[derive(Default)]
struct State {
    things: BTreeMap<String, Thing>,
    calls: Vec<String>,
    /// Which call, from 0, and whether every later one, too.
    fault: Option<(usize, Fault, bool)>,
    /// What was deleted, cancelled or tagged.
    touched: Vec<String>,
}

/// The provider.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RDS in this process")
    }
}

impl Scripted {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fault happens to the call of this number, and to all later ones if `onwards`.
    pub(crate) fn fail(&self, call: usize, fault: Fault, onwards: bool) {
        self.state().fault = Some((call, fault, onwards));
    }

    /// No more faults from now on, and the calls are counted anew.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.calls.clear();
    }

    /// A resource exists that walkaway did not create.
    pub(crate) fn put(&self, kind: &str, id: &str, tags: &[(&str, &str)]) {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let thing = Thing { tags, status: "available".into(), ..Thing::default() };
        self.state().things.insert(format!("{kind} {id}"), thing);
    }

    /// It is not seen for this many polls.
    pub(crate) fn hide(&self, what: &str, looks: u32) {
        if let Some(thing) = self.state().things.get_mut(what) {
            thing.unseen = looks;
        }
    }

    /// A policy of its owner's keeps it from being deleted.
    pub(crate) fn protect(&self, what: &str) {
        if let Some(thing) = self.state().things.get_mut(what) {
            thing.is_protected = true;
        }
    }

    /// Another caller removes it.
    pub(crate) fn take(&self, what: &str) {
        self.state().things.remove(what);
    }

    /// What exists and stays, seen or not.
    pub(crate) fn there(&self) -> Vec<String> {
        let gone = |thing: &Thing| ["deleting", "CANCELED", "COMPLETE"].contains(&thing.status.as_str());
        self.state().things.iter().filter(|(_, thing)| !gone(thing)).map(|(name, _)| name.clone()).collect()
    }

    /// A tag of something.
    pub(crate) fn tag(&self, what: &str, key: &str) -> Option<String> {
        let state = self.state();
        let tags = &state.things.get(what)?.tags;
        tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    /// What was deleted, cancelled or tagged.
    pub(crate) fn touched(&self) -> Vec<String> {
        self.state().touched.clone()
    }

    /// The requested actions.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Waits until the script kills the process.
    pub(crate) async fn killed(&self) {
        self.killed.notified().await;
    }

    /// RDS as walkaway uses it, with time-outs of milliseconds.
    pub(crate) fn rds(&self) -> Rds {
        self.rds_patient_for(Duration::from_millis(25))
    }

    /// The same; a busy provider is retried for this long.
    pub(crate) fn rds_patient_for(&self, busy: Duration) -> Rds {
        let connector = SharedHttpConnector::new(self.clone());
        let config = aws_sdk_rds::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()));
        let timeouts = Timeouts {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(2),
            busy,
            appears: Duration::from_millis(40),
            absent: Duration::from_millis(4),
            removal: Duration::from_millis(120),
        };
        Rds { client: aws_sdk_rds::Client::from_conf(config.build()), aws: Aws::of_nobody(), timeouts }
    }
}

impl HttpConnector for Scripted {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let provider = self.clone();
        HttpConnectorFuture::new(async move {
            let query = Query::of(&body);
            let fault = provider.next_fault(&query);
            if fault.is_none_or(Fault::is_done) {
                let answer = provider.state().act(&query, fault);
                let answer = match fault {
                    Some(Fault::Doubled) => provider.state().act(&query, None),
                    _ => answer,
                };
                if fault.is_none_or(|fault| [Fault::Doubled, Fault::Late, Fault::LateTags].contains(&fault)) {
                    return Ok(answer);
                }
            }
            match fault {
                Some(Fault::BusyAfter) => Ok(refusal(503, "ServiceUnavailable")),
                Some(Fault::Throttled) => Ok(refusal(400, "Throttling")),
                Some(Fault::Refused) => Ok(refusal(403, "AccessDenied")),
                Some(Fault::Empty) => Ok(answer(200, "")),
                Some(Fault::StrangePage) => Ok(answer(404, "<html><body>not here</body></html>")),
                Some(Fault::Ignored) => Ok(envelope(&query.action, "")),
                Some(Fault::KilledBefore | Fault::KilledAfter) => {
                    provider.killed.notify_one();
                    std::future::pending().await
                }
                _ => Err(ConnectorError::io("the connection was cut".into())),
            }
        })
    }
}

impl Scripted {
    fn next_fault(&self, query: &Query) -> Option<Fault> {
        let mut state = self.state();
        let number = state.calls.len();
        state.calls.push(query.action.clone());
        let (at, fault, onwards) = state.fault?;
        (number == at || (onwards && number > at)).then_some(fault)
    }
}

impl State {
    fn act(&mut self, query: &Query, fault: Option<Fault>) -> HttpResponse {
        let kind = match query.action.as_str() {
            action if action.contains("ExportTask") => "export",
            "CreateDBSnapshot" | "DeleteDBSnapshot" | "DescribeDBSnapshots" => "snapshot",
            _ => "instance",
        };
        match query.action.as_str() {
            "CreateDBSnapshot" | "RestoreDBInstanceFromDBSnapshot" | "StartExportTask" => self.make(kind, query, fault),
            "DeleteDBInstance" | "DeleteDBSnapshot" | "CancelExportTask" => self.end(kind, query),
            "AddTagsToResource" => self.tag(query),
            _ => self.describe(kind, query),
        }
    }

    fn make(&mut self, kind: &str, query: &Query, fault: Option<Fault>) -> HttpResponse {
        let name = format!("{kind} {}", query.id(kind));
        if self.things.contains_key(&name) {
            return refusal(400, known(kind, "AlreadyExists"));
        }
        let late = fault.is_some_and(|fault| [Fault::Late, Fault::LateAndLost].contains(&fault));
        let thing = Thing {
            tags: query.tags(),
            status: if kind == "export" { "STARTING" } else { "creating" }.to_owned(),
            unseen: if late { LATE_LOOKS } else { 0 },
            making: MAKING_LOOKS,
            untagged: if fault == Some(Fault::LateTags) { LATE_LOOKS } else { 0 },
            source: query.get("SourceArn"),
            is_protected: false,
        };
        self.things.insert(name, thing);
        envelope(&query.action, "")
    }

    fn end(&mut self, kind: &str, query: &Query) -> HttpResponse {
        let name = format!("{kind} {}", query.id(kind));
        let Some(thing) = self.things.get_mut(&name).filter(|thing| thing.unseen == 0) else {
            return refusal(404, known(kind, "NotFound"));
        };
        if thing.status == "creating" {
            // It is created even without polling.
            thing.making = thing.making.saturating_sub(1);
            if thing.making == 0 {
                thing.status = "available".into();
            }
            return refusal(400, if kind == "instance" { "InvalidDBInstanceState" } else { "InvalidDBSnapshotState" });
        }
        if thing.is_protected {
            return refusal(400, "InvalidParameterCombination");
        }
        self.touched.push(name.clone());
        match kind {
            "snapshot" => drop(self.things.remove(&name)),
            "instance" => thing.status = "deleting".into(),
            _ => thing.status = "CANCELED".into(),
        }
        envelope(&query.action, "")
    }

    fn tag(&mut self, query: &Query) -> HttpResponse {
        let arn = query.get("ResourceName");
        let name = arn.rsplit_once(":thing:").map(|(_, name)| name.replace('_', " ")).unwrap_or_default();
        let Some(thing) = self.things.get_mut(&name) else { return refusal(404, "DBInstanceNotFound") };
        for (key, value) in query.tags() {
            thing.tags.retain(|(known, _)| *known != key);
            thing.tags.push((key, value));
        }
        self.touched.push(name);
        envelope(&query.action, "")
    }

    fn describe(&mut self, kind: &str, query: &Query) -> HttpResponse {
        let wanted = query.id(kind);
        let mut list = String::new();
        for (name, thing) in &mut self.things {
            let Some(id) = name.strip_prefix(&format!("{kind} ")) else { continue };
            if !wanted.is_empty() && wanted != id {
                continue;
            }
            if thing.unseen > 0 {
                thing.unseen -= 1;
                continue;
            }
            thing.grow();
            list += &thing.xml(kind, id);
        }
        if list.is_empty() && !wanted.is_empty() {
            return refusal(404, known(kind, "NotFound"));
        }
        let list_name = match kind {
            "instance" => "DBInstances",
            "snapshot" => "DBSnapshots",
            _ => "ExportTasks",
        };
        envelope(&query.action, &format!("<{list_name}>{list}</{list_name}>"))
    }
}

impl Thing {
    /// One poll later.
    fn grow(&mut self) {
        self.untagged = self.untagged.saturating_sub(1);
        if ["creating", "STARTING"].contains(&self.status.as_str()) {
            self.making = self.making.saturating_sub(1);
            if self.making == 0 {
                self.status = if self.status == "creating" { "available" } else { "COMPLETE" }.into();
            }
        }
    }

    fn xml(&self, kind: &str, id: &str) -> String {
        let tag = |(key, value): &(String, String)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
        let tags: String = if self.untagged > 0 { String::new() } else { self.tags.iter().map(tag).collect() };
        let tags = format!("<TagList>{tags}</TagList>");
        let status = &self.status;
        let arn = format!("arn:aws:rds:us-east-1:1:thing:{kind}_{id}");
        match kind {
            "instance" => format!(
                "<DBInstance><DBInstanceIdentifier>{id}</DBInstanceIdentifier><DBInstanceStatus>{status}\
                 </DBInstanceStatus><DBInstanceArn>{arn}</DBInstanceArn><Engine>postgres</Engine><Endpoint><Address>h\
                 </Address><Port>5432</Port></Endpoint>{tags}</DBInstance>"
            ),
            "snapshot" => format!(
                "<DBSnapshot><DBSnapshotIdentifier>{id}</DBSnapshotIdentifier><Status>{status}</Status>\
                 <DBSnapshotArn>{arn}</DBSnapshotArn>{tags}</DBSnapshot>"
            ),
            _ => format!(
                "<ExportTask><ExportTaskIdentifier>{id}</ExportTaskIdentifier><Status>{status}</Status><SourceArn>{}\
                 </SourceArn><S3Bucket>b</S3Bucket></ExportTask>",
                self.source
            ),
        }
    }
}

/// The parameters of a call.
struct Query {
    action: String,
    parameters: BTreeMap<String, String>,
}

impl Query {
    fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let pair = |part: &str| part.split_once('=').map(|(key, value)| (decoded(key), decoded(value)));
        let parameters: BTreeMap<String, String> = text.split('&').filter_map(pair).collect();
        Query { action: parameters.get("Action").cloned().unwrap_or_default(), parameters }
    }

    fn get(&self, name: &str) -> String {
        self.parameters.get(name).cloned().unwrap_or_default()
    }

    fn id(&self, kind: &str) -> String {
        self.get(match kind {
            "instance" => "DBInstanceIdentifier",
            "snapshot" => "DBSnapshotIdentifier",
            _ => "ExportTaskIdentifier",
        })
    }

    fn tags(&self) -> Vec<(String, String)> {
        let tag = |at: u32| {
            let key = self.parameters.get(&format!("Tags.Tag.{at}.Key"))?;
            Some((key.clone(), self.get(&format!("Tags.Tag.{at}.Value"))))
        };
        (1..).map_while(tag).collect()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        (rest, _) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let hex = String::from_utf8_lossy(&[*high, *low]).into_owned();
                (after, bytes.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?')))
            }
            (b'+', after) => (after, bytes.push(b' ')),
            (other, after) => (after, bytes.push(*other)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn known(kind: &str, what: &str) -> &'static str {
    match (kind, what) {
        ("instance", "NotFound") => "DBInstanceNotFound",
        ("snapshot", "NotFound") => "DBSnapshotNotFound",
        (_, "NotFound") => "ExportTaskNotFound",
        ("instance", _) => "DBInstanceAlreadyExists",
        ("snapshot", _) => "DBSnapshotAlreadyExists",
        _ => "ExportTaskAlreadyExists",
    }
}

fn envelope(action: &str, inner: &str) -> HttpResponse {
    answer(200, &format!("<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>"))
}

fn refusal(status: u16, code: &str) -> HttpResponse {
    answer(
        status,
        &format!("<ErrorResponse><Error><Code>{code}</Code><Message>scripted</Message></Error></ErrorResponse>"),
    )
}

fn answer(status: u16, body: &str) -> HttpResponse {
    let status = StatusCode::try_from(status).unwrap_or_else(|_| StatusCode::try_from(500).expect("a status"));
    HttpResponse::new(status, SdkBody::from(body))
}
