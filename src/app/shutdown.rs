//! SIGTERM and SIGINT: the first drains, the second ends at once. Neither loses anything: what is not committed is read
//! again. SIGHUP ends nothing.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::pipeline::run_loop::Stop;

/// Listens from now on; the receiver goes to the run loop.
pub fn listen() -> std::io::Result<watch::Receiver<Stop>> {
    let (tell, told) = watch::channel(Stop::No);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for stop in [Stop::Drain, Stop::Now] {
            if !either(&mut terminate, &mut interrupt).await {
                return;
            }
            tracing::info!(?stop, "asked to stop");
            if tell.send(stop).is_err() {
                return;
            }
        }
        // The sender lives on, so that the loop does not mistake its end for another request.
        tell.closed().await;
    });
    Ok(told)
}

/// SIGHUP: files may have changed. Listened for from now on; without that it would end the process.
pub fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> bool {
    tokio::select! {
        received = terminate.recv() => received.is_some(),
        received = interrupt.recv() => received.is_some(),
    }
}
