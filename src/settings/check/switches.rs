//! Rules for flags, and for the local model that looks first.

use super::super::Settings;
use super::super::flags::Flags;
use super::super::layers::KeyPath;
use super::super::models::Model;
use super::super::naming::is_name;
use super::super::problem::Violation;
use super::super::triage::LocalFirst;
use crate::domain::flags::Flag;

pub(super) fn check(settings: &Settings, broken: &mut Vec<Violation>) {
    flags(&settings.flags, broken);
    local_first(settings, broken);
}

fn flags(flags: &Flags, broken: &mut Vec<Violation>) {
    for tenant in flags.tenants.keys().filter(|tenant| !is_name(tenant, 64)) {
        let keys = vec![KeyPath::dotted("flags.tenants").join(tenant)];
        broken.push(Violation { keys, message: "expected a tenant's id: 1 to 64 of A-Z a-z 0-9 . _ -".to_owned() });
    }
    for (tenant, name, _) in flags.rules() {
        if let Err(unknown) = Flag::named(name) {
            let whose = match tenant {
                Some(tenant) => KeyPath::dotted("flags.tenants").join(tenant),
                None => KeyPath::dotted("flags.everybody"),
            };
            broken.push(Violation { keys: vec![whose.join(name)], message: unknown.to_string() });
        }
    }
}

fn local_first(settings: &Settings, broken: &mut Vec<Violation>) {
    let LocalFirst { enabled, threshold } = settings.triage.local_first;
    // Written so that a threshold of NaN is refused.
    if !(threshold > 0.0 && threshold <= 1.0) {
        broken.push(Violation::new(&["triage.local_first.threshold"], "must be above 0 and at most 1"));
    }
    let is_local = |name: &String| matches!(settings.models.get(name), Some(Model::Local(_)));
    if enabled && !settings.triage.chain.iter().any(is_local) {
        let keys = &["triage.local_first.enabled", "triage.chain"];
        broken.push(Violation::new(keys, "triage.chain has no local model that could answer first"));
    }
}
