//! A report as text for people: calm, aligned, wrapped.

use std::fmt::Write as _;

use perennial_core::finding::Severity;

use crate::view::Paint;

use super::report::{Finding, Mark, Outcome, Report, Row, Runway, span};

/// Where the runway ends, and text wraps, in columns.
const WIDTH: usize = 100;

/// Where what is said of a row begins, unless an address is longer.
const LABEL: usize = 15;

/// How wide the mark of an address is.
const MARK: usize = 8;

/// Writes a report: a head, a row for each thing seen, the findings with what to do.
pub(super) fn text(report: &Report, paint: Paint) -> String {
    let mut out = head(report, paint);
    let label = report.rows.iter().map(|row| row.label.len()).max().unwrap_or_default().max(LABEL);
    for row in &report.rows {
        out.push_str(&line(row, label, paint));
    }
    for finding in &report.findings {
        out.push_str(&advice(finding, paint));
    }
    out
}

fn head(report: &Report, paint: Paint) -> String {
    let subject = paint.bold(&report.subject);
    let runway = match report.runway {
        Runway::Left(left) if left.is_negative() => "lapsed".to_owned(),
        Runway::Left(left) => format!("runway {}", span(left)),
        Runway::Lapsed { at: 1, of: 1 } => "lapsed".to_owned(),
        Runway::Lapsed { at, of } => format!("lapsed at {at} of {of} addresses"),
        Runway::Unknown => return format!("{subject}\n"),
    };
    let gap = WIDTH.saturating_sub(report.subject.chars().count() + runway.chars().count()).max(2);
    format!("{subject}{:gap$}{runway}\n", "")
}

fn line(row: &Row, label: usize, paint: Paint) -> String {
    if row.mark == Mark::Plain {
        return wrapped(&format!("  {:<label$} ", row.label), label + 3, &row.text);
    }
    let mark = match row.mark {
        Mark::Wrong => "WRONG",
        Mark::Unseen => "-",
        Mark::Fine | Mark::Plain => "ok",
    };
    let head = format!("  {:<label$} {mark:<MARK$}", row.label);
    let text = wrapped(&head, head.chars().count(), &row.text);
    // Painted last: escapes have no width.
    let painted = match row.mark {
        Mark::Wrong => paint.severity(Some(Severity::Critical), mark),
        Mark::Unseen => paint.faint(mark),
        Mark::Fine | Mark::Plain => paint.severity(None, mark),
    };
    text.replacen(&format!(" {mark} "), &format!(" {painted} "), 1)
}

fn advice(finding: &Finding, paint: Paint) -> String {
    let code = paint.severity(Some(Severity::Warning), finding.code);
    let head = format!("\n  {code}: {}\n", finding.subject);
    let hint = wrapped("    hint: ", 10, &finding.advice);
    head + &hint
}

/// Writes words after a head, on as many lines as they take.
fn wrapped(head: &str, indent: usize, text: &str) -> String {
    let mut out = head.to_owned();
    let mut column = head.chars().count();
    let mut fresh = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !fresh && column + 1 + length > WIDTH {
            let _ = write!(out, "\n{:indent$}", "");
            (column, fresh) = (indent, true);
        }
        if !fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        fresh = false;
    }
    let mut out = out.trim_end().to_owned();
    out.push('\n');
    out
}

/// Writes the last line, over all hosts.
pub(super) fn summary<'a>(reports: impl Iterator<Item = &'a Report>) -> String {
    let (mut hosts, mut findings, mut blind) = (0_usize, 0_usize, 0_usize);
    for report in reports {
        hosts += 1;
        findings += report.findings.len();
        blind += usize::from(report.outcome == Outcome::CouldNot);
    }
    let mut parts = Vec::new();
    if hosts > 1 {
        parts.push(format!("{hosts} hosts"));
    }
    parts.push(match findings {
        0 => "no findings".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    });
    match (blind, hosts) {
        (0, _) => {}
        (1, 1) => parts.push("nothing could be looked at".to_owned()),
        (blind, _) => parts.push(format!("{blind} could not be looked at")),
    }
    format!("\n{}\n", parts.join(", "))
}
