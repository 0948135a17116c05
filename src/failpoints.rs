//! Labelled points at which a test can kill, freeze or end the process.
//!
//! `GATEKEEPER_FAILPOINT=<label>:<n>:<kill|stop|panic|exit|hang>` acts when the label is passed for the n-th time. Without the
//! feature `failpoints` a point costs nothing; with it, a build without debug assertions does not compile.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` ends the process on request and never goes into a release build");

/// Every label there is so far, in the order of the road.
pub const LABELS: &[&str] = &[
    "polled",
    "decoded",
    "claim_begun",
    "claim_committed",
    "admitted",
    "request_sent",
    "reply_received",
    "answer_checked",
    "save_begun",
    "answer_saved",
    "verdict_saved",
    "burst_begun",
    "record_produced",
    "offsets_sent",
    "inside_commit",
    "committed_frontier_not_moved",
    "in_revocation",
    "assigned_before_restore",
    "producer_initialising",
    "producer_replacing",
    "drain_begun",
    "migration_half_done",
];

/// Those of them that only a log on a cluster passes.
pub const OF_A_CLUSTER: &[&str] = &["offsets_sent", "in_revocation", "producer_initialising", "producer_replacing"];

/// Passed the point `label`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_label: &'static str) {}

/// Passed the point `label`: maybe the last thing this process does.
#[cfg(feature = "failpoints")]
#[expect(
    clippy::disallowed_methods,
    reason = "ending the process without a word, and waiting for the end, is its work"
)]
pub fn hit(label: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PLAN: OnceLock<Option<(String, u64, String)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    debug_assert!(LABELS.contains(&label), "{label} is not in the list of labels");
    let plan = PLAN.get_or_init(|| {
        let text = std::env::var("GATEKEEPER_FAILPOINT").ok()?;
        let mut parts = text.split(':');
        let label = parts.next()?.to_owned();
        assert!(LABELS.contains(&label.as_str()), "no such failpoint: {label}");
        let nth = parts.next()?.parse().ok()?;
        Some((label, nth, parts.next()?.to_owned()))
    });
    let Some((wanted, nth, action)) = plan else { return };
    if wanted != label || PASSED.fetch_add(1, Ordering::SeqCst) + 1 != *nth {
        return;
    }
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let signal = |signal| {
        kill(Pid::this(), signal).expect("a process may signal itself");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    match action.as_str() {
        "kill" => signal(Signal::SIGKILL),
        "stop" => signal(Signal::SIGSTOP),
        "panic" => panic!("failpoint {label}"),
        "exit" => std::process::exit(99),
        // This thread only.
        "hang" => loop {
            std::thread::park();
        },
        other => panic!("no such failpoint action: {other}"),
    }
}
