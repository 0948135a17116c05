//! An explanation for people.

use std::fmt::Write as _;

use crate::domain::feedback::FeedbackStatus;
use crate::operations::explain::{self, Copy, Explanation};

/// Width of the stages' names.
const MARGIN: usize = 9;

pub(super) fn of(explanation: &Explanation) -> String {
    let mut text = String::new();
    for (index, copy) in explanation.copies.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        of_copy(&mut text, explanation, copy).expect("writing to a String cannot fail");
    }
    text
}

fn of_copy(text: &mut String, explanation: &Explanation, copy: &Copy) -> std::fmt::Result {
    for stage in explain::stages(explanation, copy) {
        writeln!(text, "{:<MARGIN$}{}", stage.stage, printable(&stage.says))?;
        for line in &stage.more {
            writeln!(text, "{:MARGIN$}- {}", "", printable(line))?;
        }
    }
    // What ended well needs no instructions.
    let code =
        copy.terminal.as_ref().filter(|it| matches!(it.status, FeedbackStatus::Rejected | FeedbackStatus::Degraded));
    if let Some(code) = code.map(|terminal| &*terminal.reason_code)
        && let Some(page) = explain::page(code)
    {
        writeln!(text, "\n{code}\n{page}")?;
    }
    Ok(())
}

/// Ids and reasons may hold what came from outside: nothing in them may steer the terminal.
fn printable(line: &str) -> String {
    line.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}
