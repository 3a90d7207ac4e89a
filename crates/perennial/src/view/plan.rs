//! What would be done, and why: the file as it is now against what the journal knows.
//!
//! Nothing is written and nobody is asked. A plan says what a daemon that took on this file would
//! do at once, what it would do later, and what it would leave alone.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use perennial_config::Loaded;
use perennial_core::decide::{Context, Draw, Hold, Runway, due, has_place, holds, may_write};
use perennial_core::driver::{Removal, removal};
use perennial_core::event::{CertificateRenamed, Event, Reason};
use perennial_core::intent::{CertificateSpec, Intent, solver_for};
use perennial_core::record::{Stream, StreamKind};
use perennial_core::state::{Attempt, Certificate, Deployment, State};
use perennial_core::words::Name;
use serde::Serialize;

use super::{Paint, act, ago, journal, safe, span};

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanView {
    /// Seen from when.
    pub at: Timestamp,
    /// What the file changes.
    pub changes: Vec<Change>,
    /// Certificates that the file drops, when so many that a person must confirm.
    pub held: Vec<Name>,
    /// What would be done for each certificate, what is due first on top.
    pub steps: Vec<PlanStep>,
    /// What the file says that is allowed and unwise.
    pub warnings: Vec<String>,
}

/// A change of what is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Of what.
    pub subject: Stream,
    /// Which.
    pub kind: ChangeKind,
    /// In words, where there is more to say.
    pub text: String,
}

/// How something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It says something else.
    Changed,
    /// It is there no more.
    Removed,
}

/// Something that would be done for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanStep {
    /// For which.
    pub certificate: Name,
    /// When.
    pub when: When,
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// When a step would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// At once.
    Now,
    /// At a moment.
    At(Timestamp),
    /// Not at all, as long as nothing changes.
    Never,
}

impl PlanView {
    /// Makes the plan for a configuration on top of what is known.
    #[must_use]
    pub fn of(known: &State, loaded: &Loaded, now: Timestamp) -> Self {
        let before = known.intent();
        let removal = removal(known, &loaded.intent);
        let changes = changes(&before, &loaded.intent, &removal);
        let after = declared(known, &loaded.intent, now);
        let mut steps = Vec::new();
        for (_, name, certificate) in after.certificates() {
            if certificate.renamed_to.is_none() {
                steps.extend(Planner { state: &after, name, certificate, now }.steps());
            }
        }
        steps.sort_by(|left, right| {
            (left.when, &left.certificate).cmp(&(right.when, &right.certificate))
        });
        let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
        let held = if removal.is_held { removal.certificates } else { Vec::new() };
        Self { at: now, changes, held, steps, warnings }
    }

    /// Returns whether something would be left alone, or held.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        !self.held.is_empty() || self.steps.iter().any(|step| step.when == When::Never)
    }

    /// Shows what changes, then what would be done.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let sign = match change.kind {
                ChangeKind::Added => paint.severity(None, "+"),
                ChangeKind::Changed => "~".into(),
                ChangeKind::Removed => "-".into(),
            };
            let said =
                if change.text.is_empty() { String::new() } else { format!("  {}", change.text) };
            let _ = writeln!(text, "  {sign} {}{}", change.subject, safe(&said));
        }
        if !self.changes.is_empty() {
            text.push('\n');
        }
        if !self.held.is_empty() {
            let count = self.held.len();
            let _ = writeln!(text, "the removal of {count} certificates would be held");
            let _ = writeln!(text, "  hint: if it is meant: perennial confirm\n");
        }
        let width = self.steps.iter().map(|step| step.certificate.as_str().len()).max();
        let width = width.unwrap_or_default().max("certificate".len());
        for step in &self.steps {
            let when = match step.when {
                When::Now => String::from("now"),
                When::At(at) => ago(at, self.at),
                When::Never => String::from("not"),
            };
            let when = format!("{when:>9}");
            let when = match step.when {
                When::Now => paint.bold(&when),
                When::At(_) => paint.faint(&when),
                When::Never => {
                    paint.severity(Some(perennial_core::finding::Severity::Warning), &when)
                }
            };
            let name = step.certificate.as_str();
            let _ =
                writeln!(text, "{when}  {name:<width$}  {}: {}", safe(&step.what), safe(&step.why));
        }
        if self.steps.is_empty() {
            text.push_str("nothing to do\n");
        }
        text
    }
}

fn changes(before: &Intent, after: &Intent, removal: &Removal) -> Vec<Change> {
    let mut all = Vec::new();
    differences(&mut all, StreamKind::Issuer, &before.issuers, &after.issuers, |issuer| {
        issuer.directory.to_string()
    });
    differences(&mut all, StreamKind::Solver, &before.solvers, &after.solvers, |solver| {
        String::from(solver.kind.as_str())
    });
    differences(&mut all, StreamKind::Target, &before.targets, &after.targets, |_| String::new());
    let names = |spec: &CertificateSpec| {
        let was = spec.was.as_ref().map(|was| format!(" (was {was})")).unwrap_or_default();
        format!("{}{was}", act::list(&spec.identifiers))
    };
    let certificates = (&before.certificates, &after.certificates);
    differences(&mut all, StreamKind::Certificate, certificates.0, certificates.1, names);
    all.extend(removal.means.iter().map(|stream| removed(stream.clone(), "")));
    let text = "renewed all the same, until it is retired";
    let streams =
        removal.certificates.iter().map(|n| Stream::new(StreamKind::Certificate, n.clone()));
    all.extend(streams.map(|stream| removed(stream, text)));
    all
}

fn removed(subject: Stream, text: &str) -> Change {
    Change { subject, kind: ChangeKind::Removed, text: String::from(text) }
}

/// Notes what is new or says something else.
fn differences<T: PartialEq>(
    all: &mut Vec<Change>,
    kind: StreamKind,
    before: &std::collections::BTreeMap<Name, T>,
    after: &std::collections::BTreeMap<Name, T>,
    say: impl Fn(&T) -> String,
) {
    let mut note = |name: &Name, change: ChangeKind, text: String| {
        all.push(Change { subject: Stream::new(kind, name.clone()), kind: change, text });
    };
    for (name, spec) in after {
        match before.get(name) {
            None => note(name, ChangeKind::Added, say(spec)),
            Some(known) if known != spec => note(name, ChangeKind::Changed, say(spec)),
            Some(_) => {}
        }
    }
}

/// Returns the state as it would be after the declaration was taken on; only in memory.
fn declared(known: &State, intent: &Intent, now: Timestamp) -> State {
    let mut state = known.clone();
    let mut fold = |kind: StreamKind, name: &Name, event: Event| {
        let stream = Stream::new(kind, name.clone());
        let version = state.version(&stream) + 1;
        // What cannot be folded is quarantined in the daemon too, and planned as it was.
        let _ = state.fold(&stream, version, now, &event);
    };
    for (name, spec) in &intent.issuers {
        fold(StreamKind::Issuer, name, Event::IssuerDeclared(spec.clone()));
    }
    for (name, spec) in &intent.solvers {
        fold(StreamKind::Solver, name, Event::SolverDeclared(spec.clone()));
    }
    for (name, spec) in &intent.targets {
        fold(StreamKind::Target, name, Event::TargetDeclared(spec.clone()));
    }
    let of = |name: &Name| known.id(name).and_then(|id| known.certificate(id));
    for (name, spec) in &intent.certificates {
        let known = of(name);
        if known.is_none_or(|known| *known.spec != *spec || known.undeclared_at.is_some()) {
            fold(StreamKind::Certificate, name, Event::CertificateDeclared(Box::new(spec.clone())));
        }
        let is_new = known.is_none_or(|known| known.renamed_to.is_some());
        if let (true, Some(was)) = (is_new, &spec.was)
            && let Some(former) = of(was)
        {
            let renamed = CertificateRenamed { to: name.clone() };
            fold(StreamKind::Certificate, was, Event::CertificateRenamed(renamed));
            if let Some(leaf) = former.leaf.clone() {
                fold(StreamKind::Certificate, name, Event::LeafInherited(leaf));
            }
        }
    }
    state
}

/// One certificate's planning.
struct Planner<'a> {
    state: &'a State,
    name: &'a Name,
    certificate: &'a Certificate,
    now: Timestamp,
}

impl Planner<'_> {
    fn steps(&self) -> Vec<PlanStep> {
        if !self.certificate.is_looked_at() {
            return vec![self.look(), self.after_look()];
        }
        let mut steps = vec![self.renewal()];
        steps.extend(self.certificate.targets.iter().filter_map(|ledger| self.deployment(ledger)));
        steps
    }

    fn step(&self, when: When, what: impl Into<String>, why: impl Into<String>) -> PlanStep {
        PlanStep { certificate: self.name.clone(), when, what: what.into(), why: why.into() }
    }

    fn look(&self) -> PlanStep {
        let spec = &self.certificate.spec;
        let (targets, endpoints) = (spec.targets.len(), spec.endpoints.len());
        let counted = |count: usize, one: &str| {
            if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
        };
        let (targets, endpoints) = (counted(targets, "target"), counted(endpoints, "endpoint"));
        let what = format!("look at {targets} and {endpoints}");
        self.step(When::Now, what, "nothing is changed before it is known what is there")
    }

    fn after_look(&self) -> PlanStep {
        let what = format!("adopt a valid leaf, or {}", self.order());
        let why = match &self.certificate.leaf {
            Some(_) => "what was declared has changed",
            None => "none is known yet",
        };
        self.step(When::Now, what, why)
    }

    /// Says by whom, for which names, and how each is proven.
    fn order(&self) -> String {
        let spec = &self.certificate.spec;
        let issuer = spec.issuers.first().map_or("nobody", Name::as_str);
        let solvers = |name: &Name| self.state.solvers.get(name).map(|solver| &solver.spec);
        let mut proofs: Vec<String> = Vec::new();
        for identifier in &*spec.identifiers {
            let solver = solver_for(solvers, spec, identifier);
            let solver = solver.map_or("no solver", |(name, _)| name.as_str());
            proofs.push(format!("{identifier} by {solver}"));
        }
        let more = proofs.len().saturating_sub(PROOFS_SHOWN);
        proofs.truncate(PROOFS_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("order from {issuer} ({}{more})", proofs.join(", "))
    }

    fn renewal(&self) -> PlanStep {
        let due = due(self.certificate);
        if let Attempt::Running(running) = &self.certificate.attempt {
            let what = format!("go on with the order at {}", running.plan.issuer);
            return self.step(When::Now, what, journal::reason(running.plan.reason));
        }
        if !has_place(self.state, self.certificate) {
            let what = String::from("renew nothing");
            let why =
                "every target holds files of somebody else; `take_over = true` would allow it";
            return self.step(When::Never, what, why);
        }
        let Attempt::Resting(rest) = &self.certificate.attempt else {
            return self.step(When::At(due.at), self.order(), journal::reason(due.reason));
        };
        if let Some(last) = rest.last.as_ref().filter(|_| due.at <= self.now) {
            let what = format!("try again to {}", self.order());
            let why = format!("attempt {} failed: {}", rest.failures, last.failure);
            return self.step(When::Now, what, why);
        }
        let when = if due.at <= self.now { When::Now } else { When::At(due.at) };
        self.step(when, self.order(), self.why(due.reason))
    }

    fn why(&self, reason: Reason) -> String {
        let why = journal::reason(reason);
        let runway = Runway::of(self.certificate).lapse_at.duration_since(self.now);
        if self.certificate.leaf.is_some() && runway > SignedDuration::ZERO {
            format!("{why}; {} of runway", span(runway))
        } else {
            String::from(why)
        }
    }

    fn deployment(&self, ledger: &Deployment) -> Option<PlanStep> {
        let leaf = self.certificate.leaf.as_deref().filter(|leaf| leaf.bundle.is_some())?;
        if ledger.active() == Some(leaf.number) {
            return None;
        }
        let target = &ledger.target;
        if !may_write(self.state, ledger) {
            let why = "its files are somebody else's; `take_over = true` would allow it";
            return Some(self.step(When::Never, format!("install the leaf at {target}"), why));
        }
        let cx = Context { state: self.state, now: self.now, draw: Draw(0) };
        let held = holds(&cx, self.certificate).into_iter().find(|(held, _)| *held == target);
        if let Some((_, Hold::Until { at, objections })) = held {
            let why: Vec<String> = objections.iter().map(ToString::to_string).collect();
            let what = format!("activate the leaf at {target}, or once it is confirmed");
            return Some(self.step(When::At(at), what, why.join("; ")));
        }
        let why = match &ledger.trouble {
            Some(trouble) => format!("try {} failed: {}", trouble.failures, trouble.failure),
            None => String::from("it is not there yet"),
        };
        Some(self.step(When::Now, format!("install the leaf at {target}"), why))
    }
}

/// How many names are listed with their solvers.
const PROOFS_SHOWN: usize = 3;
