//! Rules for flags that operators put into the database: what is in force, and changes of it.
//!
//! A rule is an entry of the trail about a [`Subject`], so its version is the entry's revision. The database wins over the
//! settings rule by rule; a rule that is removed lets the settings' count again.
//!
//! Not here: what a rule answers for a ticket ([`crate::domain::flags`]), and what each flag switches.

pub mod edit;
pub mod live;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::domain::flags::{Flag, UnknownFlag};

/// What a rule is about: `FLAG` for whoever has no rule of their own, `FLAG/TENANT` for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Subject {
    /// Which flag.
    pub flag: Flag,
    /// Whose; none: everybody's.
    pub tenant: Option<String>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Some(tenant) => write!(f, "{}/{tenant}", self.flag),
            None => write!(f, "{}", self.flag),
        }
    }
}

impl FromStr for Subject {
    type Err = UnknownFlag;

    /// As it is displayed: ids of tenants hold no `/`.
    fn from_str(text: &str) -> Result<Self, UnknownFlag> {
        let (flag, tenant) =
            text.split_once('/').map_or((text, None), |(flag, tenant)| (flag, Some(tenant.to_owned())));
        Ok(Self { flag: Flag::named(flag)?, tenant })
    }
}
