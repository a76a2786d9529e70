//! Watches over what is made at the provider for a while: it is removed when the work on it ends, however it ends.
//!
//! The removing is a task of its own, so that neither an error nor a dropped future can keep it from happening. Only the
//! end of the process can; what is left then is found by its tag.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{recorder::Recorder, stop::Stop};
use crate::{
    event::Event,
    source::rds::temporary::{Resource, Temporary},
};

/// Every guard of a run.
#[derive(Clone, Default)]
pub(crate) struct Guards(Arc<Mutex<Vec<JoinHandle<Vec<String>>>>>);

impl Guards {
    /// Waits until everything was removed; returns what could not be.
    pub async fn finish(&self) -> Vec<String> {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = Vec::new();
        for task in tasks {
            left.extend(task.await.unwrap_or_else(|error| vec![format!("something ({error})")]));
        }
        left
    }
}

/// Something that is about to be made at the provider, and its removal.
pub(crate) struct Guard {
    /// Dropped, it lets the removal begin.
    _held: oneshot::Sender<()>,
    removed: oneshot::Receiver<Vec<(Resource, String)>>,
}

impl Guard {
    /// Puts on record what is going to be made, and stands ready to remove it.
    pub fn set(
        guards: &Guards,
        recorder: &Arc<Recorder>,
        asset: &str,
        run: &str,
        temporary: &Temporary,
        resources: Vec<Resource>,
    ) -> Result<Self, Stop> {
        for resource in &resources {
            let (asset, resource) = (asset.to_owned(), resource.to_string());
            recorder.fact(&Event::CloudMaking { asset, resource })?;
        }
        let ((held, ended), (tell, removed)) = (oneshot::channel::<()>(), oneshot::channel());
        let (recorder, temporary) = (Arc::clone(recorder), temporary.clone());
        let (asset, run) = (asset.to_owned(), run.to_owned());
        let task = tokio::spawn(async move {
            // An error is a sender that was dropped, which is what this waits for.
            let _ = ended.await;
            let left = remove(&temporary, &recorder, &asset, &run, resources).await;
            let names = left.iter().map(|(resource, _)| resource.to_string()).collect();
            let _ = tell.send(left);
            names
        });
        guards.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        Ok(Guard { _held: held, removed })
    }

    /// Lets go, waits for the removal, and returns what could not be removed, and why.
    pub async fn release(self) -> Vec<(Resource, String)> {
        let Guard { _held, removed } = self;
        drop(_held);
        removed.await.unwrap_or_default()
    }
}

async fn remove(
    temporary: &Temporary,
    recorder: &Recorder,
    asset: &str,
    run: &str,
    resources: Vec<Resource>,
) -> Vec<(Resource, String)> {
    let mut left = Vec::new();
    for resource in resources {
        let name = resource.to_string();
        let event = match temporary.remove(&resource, run).await {
            // An export that came to its end is nothing that could be removed.
            Ok(false) if matches!(resource, Resource::Export(_)) => continue,
            Ok(_) => Event::CloudRemoved { asset: asset.to_owned(), resource: name },
            Err(error) => {
                left.push((resource, error.to_string()));
                Event::CloudLeftBehind { asset: asset.to_owned(), resource: name, reason: error.to_string() }
            }
        };
        if let Err(error) = recorder.fact(&event) {
            tracing::error!(%error, "what became of a temporary resource could not be put on record");
        }
    }
    left
}
