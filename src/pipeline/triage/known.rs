//! What is computed once per tenant policy instead of once per event: fingerprint, versions, the prompt's frame.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::model::ModelCard;
use super::prompt::{Frame, NoPrompt, Prompts};
use crate::domain::answer::Versions;
use crate::domain::identity::{hash_parts, hex};
use crate::domain::tenant::{Limits, Tenant};

/// More policies than this are forgotten and computed again: the memory is bounded, the answers are the same.
const MAX_KNOWN: usize = 10_000;

/// One policy's.
pub(super) struct Known {
    /// Compared as a whole: a policy that changed without a new version is another policy.
    tenant: Arc<Tenant>,
    /// The versions an answer is made under.
    pub versions: Versions,
    frame: OnceLock<Result<Frame, NoPrompt>>,
}

impl Known {
    /// What every prompt of this policy shares; made when the first remote model is asked.
    pub fn frame(&self, prompts: &Prompts) -> Result<&Frame, NoPrompt> {
        let made = || prompts.frame(&self.tenant.taxonomy, self.tenant.instructions.as_deref());
        self.frame.get_or_init(made).as_ref().map_err(|why| *why)
    }
}

/// By tenant id.
#[derive(Default)]
pub(super) struct KnownTenants(RwLock<HashMap<String, Arc<Known>>>);

impl KnownTenants {
    /// The entry of this very policy.
    pub fn of(&self, tenant: &Arc<Tenant>, prompts: &Prompts, chain: &[ModelCard]) -> Arc<Known> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&tenant.id).map(Arc::clone);
        // Nearly always it is the very same one, which need not be compared.
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.tenant, tenant) || known.tenant == *tenant) {
            return known;
        }
        let prompt = prompts.version(tenant.instructions.as_deref());
        let known = Arc::new(Known {
            tenant: Arc::clone(tenant),
            versions: Versions {
                policy: tenant.version.clone(),
                taxonomy: tenant.taxonomy.version.clone(),
                fingerprint: fingerprint(tenant, &prompt, chain),
                prompt,
            },
            frame: OnceLock::new(),
        });
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_KNOWN {
            all.clear();
        }
        all.insert(tenant.id.clone(), Arc::clone(&known));
        known
    }
}

/// Hash of policy, taxonomy, prompt and chain. How much a tenant may ask does not change what is decided.
fn fingerprint(tenant: &Tenant, prompt_version: &str, chain: &[ModelCard]) -> String {
    let policy = Tenant { limits: Limits::default(), ..tenant.clone() };
    let policy = serde_json::to_string(&policy).expect("a policy was read from text with the same names");
    let mut parts = vec![policy.as_str(), prompt_version];
    parts.extend(chain.iter().flat_map(|card| [card.name.as_str(), &card.provider, &card.request_model]));
    hex(&hash_parts(&parts))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{card, tenant};
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_policy_prompt_and_chain_but_not_on_limits() {
        let chain = [card("gpt", true)];
        let tenant = tenant();
        let of = |tenant: &Tenant, prompt: &str, chain: &[ModelCard]| fingerprint(tenant, prompt, chain);
        let first = of(&tenant, "p1", &chain);
        let limited = Tenant { limits: Limits { weight: 7, ..Limits::default() }, ..tenant.clone() };
        assert_eq!(first, of(&limited, "p1", &chain));
        let mut other = tenant.clone();
        other.thresholds.apply = 0.95;
        assert_ne!(first, of(&other, "p1", &chain), "same version, other policy");
        assert_ne!(first, of(&tenant, "p2", &chain));
        assert_ne!(first, of(&tenant, "p1", &[card("gpt", true), card("local", false)]));
    }

    #[test]
    fn a_policy_that_changed_under_its_version_is_not_served_from_memory() {
        let prompts = Prompts::load(None, 100).expect("the shipped templates are right");
        let known = KnownTenants::default();
        let before = tenant();
        let mut after = before.clone();
        after.taxonomy.categories.truncate(2);
        let (before, shorter) = (Arc::new(before), Arc::new(after.clone()));
        let (one, two) = (known.of(&before, &prompts, &[]), known.of(&shorter, &prompts, &[]));
        assert_ne!(one.versions.fingerprint, two.versions.fingerprint);
        let system = |known: &Known| known.frame(&prompts).expect("right templates").system.clone();
        assert_ne!(system(&one), system(&two));
        for same in [&shorter, &Arc::new(after.clone())] {
            assert!(Arc::ptr_eq(&two, &known.of(same, &prompts, &[])));
        }
        after.instructions = Some("in words of their own".to_owned());
        let three = known.of(&Arc::new(after), &prompts, &[]);
        assert!(system(&three).contains("in words of their own"));
        assert_ne!(three.versions.prompt, two.versions.prompt);
    }
}
