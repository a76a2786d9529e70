//! Guards temporary resources at the provider: marks them as in use there, and removes them when the work on them
//! ends, however it ends.
//!
//! The removal is a task of its own, so that neither an error nor a dropped future can keep it from happening. Only the
//! end of the process can; what is left then is found by its tag, and by its name in the journal.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    asset::{stop::Stop, work::Work},
    domain::event::Event,
    evidence::JournalError,
    interrupt::Interrupt,
    provider::rds::{
        Removed,
        temporary::{Resource, Temporary},
    },
    record::recorder::Recorder,
};

/// How often tags are checked for renewal.
const TAGS_EVERY: Duration = Duration::from_secs(20);

/// What could not be removed, and why.
pub(crate) type Left = Vec<(Resource, String)>;

/// Every guard of a run.
#[derive(Clone, Default)]
pub(crate) struct Guards(Arc<Mutex<Vec<JoinHandle<Left>>>>);

impl Guards {
    /// A removal in the background.
    pub(crate) fn also(&self, task: JoinHandle<Left>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Waits until everything was removed; returns what could not be.
    pub(crate) async fn finish(&self) -> Vec<String> {
        let mut left = Vec::new();
        loop {
            let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(task) = task else { return left };
            match task.await {
                Ok(some) => left.extend(some.iter().map(|(resource, _)| resource.to_string())),
                Err(error) => left.push(format!("something ({error})")),
            }
        }
    }
}

/// A resource that is about to be created at the provider, and its removal.
pub(crate) struct Guard {
    /// Dropped, it starts the removal.
    _held: oneshot::Sender<()>,
    removed: oneshot::Receiver<Left>,
}

impl Guard {
    /// Records what is going to be created, and is ready to remove it.
    pub(crate) fn set(
        guards: &Guards,
        work: &Work,
        temporary: &Temporary,
        resources: Vec<Resource>,
    ) -> Result<Self, Stop> {
        for resource in &resources {
            let asset = work.asset.clone();
            let resource = resource.to_string();
            work.recorder.fact(&Event::CloudMaking { asset, resource })?;
        }
        Ok(Self::over(guards, work, temporary, resources))
    }

    /// Is ready to remove what is recorded already.
    pub(crate) fn over(guards: &Guards, work: &Work, temporary: &Temporary, resources: Vec<Resource>) -> Self {
        resources.iter().for_each(|resource| work.interrupt.hold(resource));
        let ((held, mut ended), (tell, removed)) = (oneshot::channel::<()>(), oneshot::channel());
        let work = work.clone();
        let temporary = temporary.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    // An error is a sender that was dropped, which is what this waits for.
                    _ = &mut ended => break,
                    () = tokio::time::sleep(TAGS_EVERY) => temporary.renew_in_use_tags().await,
                }
            }
            let left = remove(&temporary, &work, resources).await;
            let _ = tell.send(left.clone());
            left
        });
        guards.also(task);
        Guard { _held: held, removed }
    }

    /// Releases the resource, waits for its removal, and returns what could not be removed, and why.
    pub(crate) async fn release(self) -> Left {
        let Guard { _held, removed } = self;
        drop(_held);
        removed.await.unwrap_or_default()
    }
}

async fn remove(temporary: &Temporary, work: &Work, resources: Vec<Resource>) -> Left {
    let mut left = Vec::new();
    for resource in resources {
        // What was never requested does not exist.
        let removed = if temporary.may_be_there(&resource) {
            temporary.remove(&resource, &work.run, &Interrupt::default()).await
        } else {
            Ok(Removed::NeverThere)
        };
        let removed = removed.map_err(|error| error.to_string());
        if removed.is_ok() {
            work.interrupt.release(&resource);
        }
        if let Err(error) = record(&work.recorder, &work.asset, &resource, &removed) {
            tracing::error!(%error, "what became of a temporary resource could not be put on record");
        }
        left.extend(removed.err().map(|reason| (resource, reason)));
    }
    left
}

/// Records the outcome of a removal.
pub(crate) fn record(
    recorder: &Recorder,
    asset: &str,
    resource: &Resource,
    removed: &Result<Removed, String>,
) -> Result<(), JournalError> {
    let asset = asset.to_owned();
    let resource = resource.to_string();
    recorder.fact(&match removed {
        Ok(Removed::Gone) => Event::CloudRemoved { asset, resource },
        Ok(Removed::NeverThere) => Event::CloudNotMade { asset, resource },
        Err(reason) => Event::CloudLeftBehind { asset, resource, reason: reason.clone() },
    })
}
