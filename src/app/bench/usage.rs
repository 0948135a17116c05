//! What a process has used of the machine, and what the child tells its parent at the end.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;

/// The child's last words, one line of JSON on its standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worked {
    /// When it began to open the log.
    pub started_at: Timestamp,
    /// Bytes of its largest resident set; unknown where there is no `/proc`.
    pub peak_rss: Option<u64>,
    /// CPU seconds of all its threads, from `started_at` on.
    pub cpu_seconds: f64,
    /// Calls of the simulated model.
    pub calls: u64,
    /// How long they really took on average, in seconds.
    pub call_mean: f64,
    /// Most of them at once.
    pub most_calls: u64,
    /// Characters of the longest metadata of a commit that was seen, looked at every now and then.
    pub longest_metadata: u64,
    /// Records a second, of a bare loop.
    pub bare_rate: Option<f64>,
}

/// CPU seconds of this process so far, in user and system mode.
pub fn cpu_seconds() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Bytes of this process's largest resident set.
pub fn peak_rss() -> Option<u64> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_kernels_words() {
        assert_eq!(peak_in("Name:\tgatekeeper\nVmHWM:\t   51200 kB\nVmRSS:\t     100 kB\n"), Some(50 << 20));
        assert_eq!(peak_in("Name:\tgatekeeper\n"), None);
    }
}
