//! Tenants as labels of metrics: at most [`MAX`] of them, the rest is `other`.
//!
//! Each label is a time series for ever, and ids of tenants come from outside: without a bound anybody who can publish an
//! event can fill the memory of this process and of Prometheus. Tenants that are configured are told first (`reserve`), and
//! ids made up by somebody get no label, so that they cannot push them out.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// How many tenants have a label of their own.
pub const MAX: usize = 100;

const OTHER: &str = "other";

static LABELS: LazyLock<TenantLabels> = LazyLock::new(|| TenantLabels::new(MAX));

/// Give these tenants a label of their own, as far as there is room.
pub fn reserve<'a>(tenants: impl IntoIterator<Item = &'a str>) {
    for tenant in tenants {
        let _label = LABELS.label(tenant);
    }
}

/// The label of a tenant: its id, or `other`.
#[must_use]
pub fn label(tenant: &str) -> Arc<str> {
    LABELS.label(tenant)
}

/// The label of everybody who has none of their own: past the bound, or made up by somebody.
#[must_use]
pub fn other() -> Arc<str> {
    Arc::clone(&LABELS.other)
}

#[derive(Debug)]
struct TenantLabels {
    max: usize,
    other: Arc<str>,
    known: RwLock<HashSet<Arc<str>>>,
}

impl TenantLabels {
    fn new(max: usize) -> Self {
        Self { max, other: OTHER.into(), known: RwLock::default() }
    }

    fn label(&self, tenant: &str) -> Arc<str> {
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(label) = known.get(tenant) {
                return Arc::clone(label);
            }
            if known.len() >= self.max {
                return Arc::clone(&self.other);
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = known.get(tenant) {
            return Arc::clone(label);
        }
        // Asked again: others may have taken the last places between the two locks.
        if known.len() >= self.max {
            return Arc::clone(&self.other);
        }
        let label: Arc<str> = tenant.into();
        known.insert(Arc::clone(&label));
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_bound_a_tenant_is_other_and_those_before_keep_their_label() {
        let labels = TenantLabels::new(2);
        let seen: Vec<_> = ["a", "b", "c", "a", "d", "b"].iter().map(|tenant| labels.label(tenant)).collect();
        assert_eq!(seen.iter().map(|label| &**label).collect::<Vec<_>>(), ["a", "b", "other", "a", "other", "b"]);
    }
}
