//! Work that may hang, such as a write to a pipe that nobody reads, and that nothing may wait for too long.

use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

/// Done on a thread of its own, and waited for at most this long; it goes on without us then. Not done where there is no thread.
pub fn within(limit: Duration, thread: &str, work: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let working = Builder::new().name(thread.to_owned()).spawn(move || {
        work();
        tell.send(()).ok();
    });
    if working.is_ok() {
        told.recv_timeout(limit).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_ends_is_waited_for_and_what_hangs_is_not() {
        let (tell, told) = mpsc::channel();
        within(Duration::from_secs(60), "ends", move || tell.send(()).expect("it is awaited"));
        assert_eq!(told.try_recv(), Ok(()));
        let (_held, hangs) = mpsc::channel::<()>();
        let begun = Instant::now();
        within(Duration::from_millis(20), "hangs", move || {
            hangs.recv().ok();
        });
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }
}
