//! The process's variables, as [`super::LoadOptions`] takes them.

use std::ffi::OsString;

use super::layers::{KeyPath, Layer};
use super::load::PREFIX;
use super::problem::{Problem, SettingsError};

/// Those that are text. Others are not ours, and nobody is asked about them, unless they are named like a setting.
///
/// # Errors
/// A setting that is not UTF-8.
pub fn environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, SettingsError> {
    let mut read = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => read.push((name, value)),
            (Ok(name), Err(_)) => problems.extend(problem(name)),
            (Err(name), _) => problems.extend(problem(name.to_string_lossy().into_owned())),
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(SettingsError::Invalid(problems)) }
}

fn problem(name: String) -> Option<Problem> {
    let key = KeyPath(name.strip_prefix(PREFIX)?.split("__").map(str::to_ascii_lowercase).collect());
    let layer = Some(Layer::Environment(name));
    Some(Problem { key, value: None, layer, message: "is not UTF-8".to_owned(), hint: None })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_variable_that_is_no_text_is_refused_by_name_if_it_is_a_setting_and_passed_by_if_not() {
        let text = |text: &str| OsString::from(text);
        let garbage = || OsString::from_vec(vec![b'a', 0xff]);
        let read = environment([(text("LS_COLORS"), garbage()), (garbage(), text("x")), (text("A"), text("b"))]);
        assert_eq!(read.expect("none of them is ours"), [("A".to_owned(), "b".to_owned())]);
        let refused = environment([(text("GATEKEEPER__LEDGER__URL"), garbage())]).expect_err("it is a setting");
        let said = refused.to_string();
        assert!(said.contains("`ledger.url`") && said.contains("GATEKEEPER__LEDGER__URL"), "{said}");
    }
}
