//! Which models are asked about a ticket at all, and in which order: the chain, the chain without its remote models, or the
//! local model first.
//!
//! Only the chain costs money, so only it has to wait for limits and room. A look of the local model alone ends in an
//! answer or in doubt; in doubt the ticket goes down the chain like any other, with the look in its answer.
//!
//! The local model may look first only where its confidence in the category was calibrated on the tenant's own feedback
//! (`calibrated_fields`): elsewhere how sure it is says nothing about how often it is right.

use crate::domain::answer::{FirstLook, Predicted};
use crate::domain::flags::{Flag, Flags};
use crate::domain::tenant::Tenant;
use crate::settings::triage::LocalFirst;

/// How a ticket is triaged.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// Down the chain; what the local model said before, if it was asked first.
    Chain(Option<FirstLook>),
    /// The first model of the chain, which is not waited for: what the others say was heard before.
    FirstOnly,
    /// Down the chain, past its remote models: none may be asked.
    WithoutRemote,
    /// The local model alone.
    LookFirst,
}

impl Way {
    /// Whether it may lead to a paid call.
    #[must_use]
    pub const fn is_paid(&self) -> bool {
        matches!(self, Self::Chain(_) | Self::FirstOnly)
    }
}

/// The way of a ticket whose chain begins with a remote model.
pub(super) fn of(tenant: &Tenant, flags: &Flags, settings: LocalFirst, looked: Option<FirstLook>) -> Way {
    let is_calibrated = || tenant.calibrated_fields.iter().any(|field| field == "category");
    if !flags.is_on(Flag::RemoteModels) {
        Way::WithoutRemote
    } else if looked.is_none() && settings.enabled && flags.is_on(Flag::LocalFirst) && is_calibrated() {
        Way::LookFirst
    } else {
        Way::Chain(looked)
    }
}

/// What the local model's prediction is worth. No prediction (it could not be read) is a doubt.
pub(super) fn look(model: &str, predicted: Option<&Predicted>, threshold: f64) -> FirstLook {
    let category = predicted.and_then(|predicted| predicted.category.as_ref());
    FirstLook { model: model.to_owned(), confidence: category.map(|category| category.confidence), threshold }
}

#[cfg(test)]
mod tests {
    use super::super::testing::tenant;
    use super::*;
    use crate::domain::flags::{Context, FlagBook, Rule, Share, Source};

    const ON: LocalFirst = LocalFirst { enabled: true, threshold: 0.95 };

    fn without(flag: Flag) -> Flags {
        let mut book = FlagBook::default();
        book.put(flag, None, Rule::new(Share::OFF, Source::Configuration));
        Flags::of(&book, Context { tenant_id: "acme", ticket_id: "1" })
    }

    #[test]
    fn the_local_model_looks_first_where_settings_flag_and_calibration_all_let_it_and_once() {
        let flags = Flags::without_rules();
        let calibrated = Tenant { calibrated_fields: vec!["category".to_owned()], ..tenant() };
        let other = Tenant { calibrated_fields: vec!["queue".to_owned()], ..tenant() };
        assert_eq!(of(&calibrated, &flags, ON, None), Way::LookFirst);
        assert_eq!(of(&other, &flags, ON, None), Way::Chain(None), "not calibrated");
        assert_eq!(of(&calibrated, &without(Flag::LocalFirst), ON, None), Way::Chain(None), "switched off");
        assert_eq!(of(&calibrated, &flags, LocalFirst { enabled: false, ..ON }, None), Way::Chain(None), "as shipped");
        let doubt = look("local", None, 0.95);
        assert_eq!(of(&calibrated, &flags, ON, Some(doubt.clone())), Way::Chain(Some(doubt)));
        assert_eq!(of(&calibrated, &without(Flag::RemoteModels), ON, None), Way::WithoutRemote);
    }

    #[test]
    fn it_is_sure_at_its_threshold_and_never_without_a_category() {
        let of = |confidence: f64| {
            let category = Some(crate::domain::answer::Scored { value: "x".to_owned(), confidence });
            look("local", Some(&Predicted { category, ..Predicted::default() }), 0.95).is_sure()
        };
        assert_eq!([of(0.949_999), of(0.95), of(f64::NAN)], [false, true, false]);
        assert!(!look("local", Some(&Predicted::default()), 0.95).is_sure());
        assert!(!look("local", None, 0.0).is_sure());
    }
}
