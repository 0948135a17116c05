//! What a reason code means and what to do about it: its section of the runbook.

use crate::domain::reason_code::ReasonCode;

const RUNBOOK: &str = include_str!("../../domain/reason_codes.md");

/// The section of a code, without its heading; `None` for a code of another build.
#[must_use]
pub fn page(code: &str) -> Option<&'static str> {
    let known = ReasonCode::ALL.iter().find(|known| known.as_str() == code)?;
    RUNBOOK.split("\n## ").skip(1).find_map(|section| {
        let (heading, text) = section.split_once('\n')?;
        (heading == known.as_str()).then_some(text.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_section() {
        for code in ReasonCode::ALL {
            let page = page(code.as_str()).unwrap_or_else(|| panic!("{code} has no section"));
            assert!(page.contains("**What to do**") && !page.contains("\n## "), "{code}");
        }
        assert_eq!(page("SOMETHING_NEW"), None);
    }
}
