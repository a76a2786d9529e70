//! Reads a meter ten times a second and reports the reading as progress, until it is dropped.

use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    domain::event::{Monitor, Phase, Progress},
    transfer::meter::Meter,
};

const PERIOD: Duration = Duration::from_millis(100);

/// A running ticker; its end reports the last reading.
pub struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub fn start(monitor: &Arc<dyn Monitor>, asset: &str, phase: Phase, meter: &Arc<Meter>) -> Self {
        let (stop, stopped) = channel();
        let monitor = Arc::clone(monitor);
        let meter = Arc::clone(meter);
        let asset = asset.to_owned();
        let thread = std::thread::spawn(move || {
            loop {
                let waited = stopped.recv_timeout(PERIOD);
                let now = meter.read();
                let items = now.items;
                let items_total = now.items_total;
                let bytes = now.bytes;
                let bytes_total = now.bytes_total;
                let progress = Progress { asset: asset.clone(), phase, items, items_total, bytes, bytes_total };
                monitor.progress(&progress);
                if waited != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Ticker { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A monitor's panic has been reported already; the run continues without it.
            let _ = thread.join();
        }
    }
}
