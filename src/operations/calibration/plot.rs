//! Reliability diagrams as one SVG: a panel for each tenant and field, with the diagonal that honest confidence lies on.
//!
//! Circles are bins of what stood in decisions, larger the more was judged; the line is the table that could be made of the
//! model's own word, where there is exactly one. No script, no font and nothing from elsewhere: it opens anywhere.

use std::fmt::{self, Display};

use super::report::{Candidate, Group, Report};

const SIDE: f64 = 240.0;
const MARGIN: f64 = 44.0;
const PANEL: f64 = SIDE + 2.0 * MARGIN;
const COLUMNS: usize = 3;

/// The report, drawn.
#[derive(Debug)]
pub struct Plot<'a>(pub &'a Report);

impl Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = &self.0.groups;
        let rows = groups.len().div_ceil(COLUMNS).max(1);
        let (width, height) = (PANEL * COLUMNS.min(groups.len().max(1)) as f64, PANEL * rows as f64);
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">"
        )?;
        writeln!(f, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
        for (number, group) in groups.iter().enumerate() {
            let (x, y) = ((number % COLUMNS) as f64 * PANEL + MARGIN, (number / COLUMNS) as f64 * PANEL + MARGIN);
            writeln!(f, "<g transform=\"translate({x} {y})\">")?;
            panel(f, group, table_of(self.0, group))?;
            writeln!(f, "</g>")?;
        }
        writeln!(f, "</svg>")
    }
}

fn table_of<'a>(report: &'a Report, group: &Group) -> Option<&'a Candidate> {
    let mut tables = report.tables.iter().filter(|table| table.tenant == group.tenant && table.field == group.field);
    match (tables.next(), tables.next(), &group.by) {
        (Some(table), None, None) if table.is_enough => Some(table),
        _ => None,
    }
}

fn panel(f: &mut fmt::Formatter<'_>, group: &Group, table: Option<&Candidate>) -> fmt::Result {
    let by = group.by.as_ref().map(|by| format!(", {by}")).unwrap_or_default();
    let name = escaped(&format!("{} {}{by}", group.tenant, group.field));
    let (shown, rate) = (&group.shown, group.override_rate);
    writeln!(f, "<text x=\"0\" y=\"-24\" font-size=\"13\" font-weight=\"bold\">{name}</text>")?;
    writeln!(
        f,
        "<text x=\"0\" y=\"-8\" fill=\"#555\">{} judged, {rate:.3} overridden, ECE {:.3}, Brier {:.3}</text>",
        shown.reviews, shown.ece, shown.brier
    )?;
    writeln!(f, "<rect width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#999\"/>")?;
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (across, down) = at(tick, tick);
        writeln!(f, "<text x=\"{across:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>", SIDE + 14.0)?;
        writeln!(f, "<text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>", down + 4.0)?;
    }
    writeln!(f, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">confidence</text>", SIDE / 2.0, SIDE + 30.0)?;
    writeln!(f, "<line x1=\"0\" y1=\"{SIDE}\" x2=\"{SIDE}\" y2=\"0\" stroke=\"#999\" stroke-dasharray=\"4 4\"/>")?;
    if let Some(table) = table {
        let points: Vec<String> = table.points.iter().map(|[raw, worth]| coordinates(*raw, *worth)).collect();
        writeln!(f, "<polyline points=\"{}\" fill=\"none\" stroke=\"#d55e00\" stroke-width=\"2\"/>", points.join(" "))?;
    }
    for bin in &shown.bins {
        let (across, down) = at(bin.confidence, bin.accuracy);
        let radius = 3.0 + 12.0 * (f64::from(bin.reviews) / f64::from(shown.reviews)).sqrt();
        writeln!(
            f,
            "<circle cx=\"{across:.1}\" cy=\"{down:.1}\" r=\"{radius:.1}\" fill=\"#0072b2\" fill-opacity=\"0.6\">\
             <title>{} judged, sure {:.3}, right {:.3}</title></circle>",
            bin.reviews, bin.confidence, bin.accuracy
        )?;
    }
    Ok(())
}

/// In a panel: from the left, and from above.
fn at(confidence: f64, accuracy: f64) -> (f64, f64) {
    (confidence * SIDE, (1.0 - accuracy) * SIDE)
}

fn coordinates(confidence: f64, accuracy: f64) -> String {
    let (across, down) = at(confidence, accuracy);
    format!("{across:.1},{down:.1}")
}

/// Names come from outside.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::report::{Quality, report};
    use super::*;
    use crate::operations::calibration::judgements::Judgement;

    fn judgements(field: &str) -> Vec<Judgement> {
        let text = str::to_owned;
        let one = |n: u32| Judgement {
            tenant: text("a<b>&\"c\""),
            ticket: n.to_string(),
            field: text(field),
            label: text("billing"),
            language: None,
            model: text("small"),
            prompt: text("p1"),
            raw: 0.75,
            confidence: 0.75,
            right: n.is_multiple_of(2),
        };
        (0..100).map(one).collect()
    }

    #[test]
    fn each_group_is_a_panel_with_its_bins_where_they_belong() {
        let all = [judgements("category"), judgements("queue")].concat();
        let report = report(all.iter(), None, 100);
        let drawn = Plot(&report).to_string();
        assert_eq!(drawn.matches("<g ").count(), 2);
        assert_eq!(drawn.matches("<circle cx=\"180.0\" cy=\"120.0\" r=\"15.0\"").count(), 2, "{drawn}");
        assert_eq!(drawn.matches("<polyline points=\"180.0,120.0\"").count(), 2, "{drawn}");
        assert!(drawn.contains("a&lt;b&gt;&amp;&quot;c&quot; category"), "{drawn}");
        let opened = drawn.matches('<').count() - drawn.matches("</").count() - drawn.matches("/>").count();
        assert_eq!(opened, drawn.matches("</").count(), "every element is closed");
    }

    #[test]
    fn nothing_said_is_an_empty_picture_and_too_little_has_no_line() {
        let nothing = Report { groups: Vec::new(), tables: Vec::new(), by_hand: Vec::new(), min_reviews: 1 };
        assert!(Plot(&nothing).to_string().ends_with("</svg>\n"));
        let all = judgements("category");
        let little = report(all.iter(), None, 101);
        assert!(!Plot(&little).to_string().contains("<polyline"));
        assert_eq!(little.tables[0].before, Quality { ece: 0.25, brier: 0.3125 });
    }
}
