//! One renewal as somebody watches it: how far it is, and how it ended.
//!
//! ```text
//! www  2 names at letsencrypt: a person asked                                       12 s
//!   ok  account  letsencrypt
//!   ok  order
//!   >   names    1 of 2 proven
//!                api.example.org: the CA is looking
//!       issue
//!       web
//!       seen     0 of 4 addresses
//! ```
//!
//! Everything is read from the state, so that it does not matter when watching began, or whether
//! somebody else asked for the renewal. [`Since`] alone remembers the beginning: what counts is the
//! first leaf after that, or the first failure. How it ends is [`Verdict`]'s.

mod verdict;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use perennial_core::decide::{due, target_at, within_attempt_at};
use perennial_core::intent::Serves;
use perennial_core::state::{
    Account, AnswerState, Attempt, Authorization, Certificate, DeployStep, Deployment, Leaf,
    Ordered, Running, Stage, State,
};
use perennial_core::words::{AuthorizationStatus, Failure, Name, OrderStatus};

use super::{Paint, ago, journal, moment, safe, shorten, span};

pub use verdict::{Cause, Ended, Verdict};

/// What was known of a certificate when watching began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// The number of its leaf, 0 without one.
    leaf: u32,
    /// When an attempt had failed last.
    failed_at: Option<Timestamp>,
}

impl Since {
    /// Takes down how a certificate stands now.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let last = match &certificate.attempt {
            Attempt::Resting(rest) => rest.last.as_deref(),
            Attempt::Running(running) => running.before.last.as_deref(),
        };
        let leaf = certificate.leaf.as_deref().map_or(0, |leaf| leaf.number);
        Self { leaf, failed_at: last.map(|last| last.at) }
    }

    /// Returns the leaf that came since.
    fn new_leaf<'a>(&self, certificate: &'a Certificate) -> Option<&'a Leaf> {
        certificate.leaf.as_deref().filter(|leaf| leaf.number > self.leaf)
    }
}

/// How far a renewal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which certificate, for how many names, by whom and why.
    head: String,
    /// The steps, in their order.
    steps: Vec<Step>,
}

/// One step on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    mark: Mark,
    label: String,
    text: String,
    /// More about it, a line each.
    below: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Done,
    Doing,
    /// Being done, and something went wrong last time.
    Hindered,
    Todo,
}

/// How many names that are not proven yet are listed.
const NAMES_SHOWN: usize = 5;

/// How many targets are listed.
const TARGETS_SHOWN: usize = 8;

impl Progress {
    /// Returns how far the renewal is that is watched since then.
    #[must_use]
    pub fn of(
        state: &State,
        name: &Name,
        certificate: &Certificate,
        since: Since,
        now: Timestamp,
    ) -> Self {
        let count = certificate.spec.identifiers.len();
        let names = if count == 1 { String::from("1 name") } else { format!("{count} names") };
        let (issuer, reason) = match &certificate.attempt {
            Attempt::Running(running) => (Some(&running.plan.issuer), running.plan.reason),
            Attempt::Resting(_) => (certificate.spec.issuers.first(), due(certificate).reason),
        };
        let by = issuer.map(|issuer| format!(" at {issuer}")).unwrap_or_default();
        let issued = since.new_leaf(certificate);
        let why = match issued {
            Some(_) => String::new(),
            None => format!(": {}", journal::reason(reason)),
        };
        let looking = Looking { state, certificate, issued, now };
        let mut steps = looking.issuing();
        steps.extend(looking.deploying());
        steps.push(looking.seeing());
        Self { head: format!("{name}  {names}{by}{why}"), steps }
    }

    /// Returns the lines of a block that is this wide.
    #[must_use]
    pub fn block(&self, elapsed: SignedDuration, width: usize, paint: Paint) -> Vec<String> {
        let took = span(elapsed);
        let room = width.saturating_sub(took.len() + 2);
        let head = shorten(&self.head, room);
        let gap = width.min(WIDEST).saturating_sub(head.chars().count() + took.len()).max(2);
        let mut lines = vec![format!("{}{:gap$}{}", paint.bold(&head), "", paint.faint(&took))];
        let label = self.steps.iter().map(|step| step.label.chars().count()).max();
        let label = label.unwrap_or_default().min(width / 3);
        let room = width.saturating_sub(MARK + label + 2).max(1);
        for step in &self.steps {
            let name = format!("{:<label$}", shorten(&step.label, label));
            let text = shorten(&step.text, room);
            let mark = format!("  {:<4}", step.mark.word());
            lines.push(match step.mark {
                Mark::Done => format!("{}{name}  {text}", paint.severity(None, &mark)),
                Mark::Doing => format!("{}  {text}", paint.bold(&format!("{mark}{name}"))),
                Mark::Hindered => {
                    let warning = Some(perennial_core::finding::Severity::Warning);
                    format!("{}  {text}", paint.severity(warning, &format!("{mark}{name}")))
                }
                Mark::Todo => paint.faint(&format!("{mark}{name}  {text}")),
            });
            for line in step.below.iter().flat_map(|text| wrapped(text, room)) {
                lines.push(format!("{:indent$}{line}", "", indent = MARK + label + 2));
            }
        }
        for line in &mut lines {
            line.truncate(line.trim_end().len());
        }
        lines
    }

    /// Returns where it is, in one line, for a list of several.
    #[must_use]
    pub fn line(&self) -> String {
        let is_open = |step: &&Step| step.mark != Mark::Done;
        let Some(step) = self.steps.iter().find(is_open) else { return String::from("done") };
        let why = step.below.first().filter(|_| step.mark == Mark::Hindered);
        let parts = [Some(&step.label), Some(&step.text), why];
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        safe(&parts.map(String::as_str).collect::<Vec<_>>().join(": "))
    }
}

/// Breaks a text between words into lines of at most so many characters; the last one says so if
/// there would be more.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let text = safe(text);
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while rest.chars().count() > room && lines.len() + 1 < LINES_OF_A_TEXT {
        let end = rest.char_indices().nth(room).map_or(rest.len(), |(at, _)| at);
        let fits = rest.get(..end).unwrap_or(rest);
        let at = fits.rfind(' ').filter(|at| *at > 0).unwrap_or(end);
        let (line, more) = rest.split_at(at);
        lines.push(line.to_owned());
        rest = more.trim_start();
    }
    lines.push(shorten(rest, room));
    lines
}

/// The most lines that a text below a step takes.
const LINES_OF_A_TEXT: usize = 3;

/// Where what is said at the right ends, however wide the terminal is.
const WIDEST: usize = 90;

/// How wide a mark is, with its margins.
const MARK: usize = 6;

impl Mark {
    const fn word(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Doing => ">",
            Self::Hindered => "!",
            Self::Todo => "",
        }
    }
}

impl Step {
    fn new(mark: Mark, label: impl Into<String>, text: impl Into<String>) -> Self {
        Self { mark, label: label.into(), text: text.into(), below: Vec::new() }
    }

    /// Says what went wrong, and when it is tried again.
    fn hinder(&mut self, failure: &Failure, again_at: Option<Timestamp>, now: Timestamp) {
        self.mark = Mark::Hindered;
        let again = again_at.filter(|at| *at > now).map(|at| format!("again {}: ", ago(at, now)));
        self.below.insert(0, format!("{}{failure}", again.unwrap_or_default()));
    }
}

/// What steps are made from.
struct Looking<'a> {
    state: &'a State,
    certificate: &'a Certificate,
    /// The leaf that came since watching began.
    issued: Option<&'a Leaf>,
    now: Timestamp,
}

impl Looking<'_> {
    /// The steps until there is a leaf.
    fn issuing(&self) -> Vec<Step> {
        if let Some(leaf) = self.issued {
            let until = format!("until {}", moment(leaf.facts.ends_at()));
            let done = |label: &str| Step::new(Mark::Done, label, "");
            let issue = Step::new(Mark::Done, "issue", until);
            return vec![done("account"), done("order"), done("names"), issue];
        }
        let Attempt::Running(running) = &self.certificate.attempt else {
            let waits = if self.certificate.is_looked_at() {
                "waiting to begin"
            } else {
                "looking at what is there first"
            };
            let todo = |label: &str| Step::new(Mark::Todo, label, "");
            let begin = Step::new(Mark::Doing, "account", waits);
            return vec![begin, todo("order"), todo("names"), todo("issue")];
        };
        let mut steps =
            vec![self.account(running), self.order(running), names(running), issue(running)];
        let hindrance = match &running.trouble {
            Some(trouble) => {
                let again_at = within_attempt_at(trouble.at, trouble.failures);
                Some((&trouble.failure, Some(again_at)))
            }
            None => self.issuer_trouble(running),
        };
        if let Some((failure, again_at)) = hindrance
            && let Some(step) = steps.iter_mut().find(|step| step.mark == Mark::Doing)
        {
            step.hinder(failure, again_at, self.now);
        }
        steps
    }

    /// Returns what keeps the issuer from taking an order, and when it is asked again.
    fn issuer_trouble(&self, running: &Running) -> Option<(&Failure, Option<Timestamp>)> {
        let issuer = self.state.issuers.get(&running.plan.issuer)?;
        if let Account::Refused { failure, retry_at, .. } = &issuer.account {
            return Some((failure, Some(*retry_at)));
        }
        let is_troubled = issuer.health.failures > 0 || issuer.health.is_limited(self.now);
        let failure = issuer.health.last.as_deref().filter(|_| is_troubled)?;
        Some((failure, issuer.health.closed_until.max(issuer.health.limited_until)))
    }

    fn account(&self, running: &Running) -> Step {
        let issuer = self.state.issuers.get(&running.plan.issuer);
        let is_needed = matches!(running.stage, Stage::Unordered { .. });
        let (mark, text) = match issuer.map(|issuer| &issuer.account) {
            _ if !is_needed => (Mark::Done, ""),
            Some(Account::Ready { .. }) => (Mark::Done, ""),
            Some(Account::Refused { .. }) => (Mark::Doing, "refused"),
            Some(Account::Keyed { .. }) => (Mark::Doing, "being registered"),
            Some(Account::Absent) | None => (Mark::Doing, "its key is being made"),
        };
        Step::new(mark, "account", text)
    }

    fn order(&self, running: &Running) -> Step {
        if !matches!(running.stage, Stage::Unordered { .. }) {
            return Step::new(Mark::Done, "order", "");
        }
        let issuer = self.state.issuers.get(&running.plan.issuer);
        let is_ready = issuer.is_some_and(|i| matches!(i.account, Account::Ready { .. }));
        if !is_ready {
            return Step::new(Mark::Todo, "order", "");
        }
        let is_open = issuer.is_some_and(|issuer| issuer.health.is_open(self.now));
        let text = match (is_open, &running.key) {
            (false, _) => "the CA is left alone for a while",
            (true, None) => "the certificate's key is being made",
            (true, Some(_)) => "being made",
        };
        Step::new(Mark::Doing, "order", text)
    }

    /// A step for each target.
    fn deploying(&self) -> Vec<Step> {
        let all = &self.certificate.targets;
        let mut steps: Vec<Step> =
            all.iter().take(TARGETS_SHOWN).map(|ledger| self.target(ledger)).collect();
        let hidden = all.len().saturating_sub(TARGETS_SHOWN);
        if hidden > 0 {
            let done = all.iter().skip(TARGETS_SHOWN).filter(|ledger| self.is_active(ledger));
            let done = done.count();
            let mark = if done == hidden { Mark::Done } else { Mark::Todo };
            let text = format!("{done} of {hidden} have it");
            steps.push(Step::new(mark, format!("{hidden} more"), text));
        }
        steps
    }

    fn is_active(&self, ledger: &Deployment) -> bool {
        self.issued.is_some_and(|leaf| ledger.active() == Some(leaf.number))
    }

    fn target(&self, ledger: &Deployment) -> Step {
        let label = ledger.target.as_str();
        let Some(leaf) = self.issued else { return Step::new(Mark::Todo, label, "") };
        let number = leaf.number;
        let (mark, text) = match ledger.step {
            DeployStep::Seen { leaf, .. } if leaf == number => (Mark::Done, "installed, seen"),
            DeployStep::Activated { leaf, .. } if leaf == number => {
                (Mark::Done, "installed, server told")
            }
            DeployStep::Validated { leaf } if leaf == number => (Mark::Doing, "validated"),
            DeployStep::Staged { leaf } if leaf == number => (Mark::Doing, "staged"),
            DeployStep::Behind
            | DeployStep::Staged { .. }
            | DeployStep::Validated { .. }
            | DeployStep::Activated { .. }
            | DeployStep::Seen { .. } => (Mark::Doing, "being staged"),
        };
        let mut step = Step::new(mark, label, text);
        if let Some(trouble) = &ledger.trouble {
            step.hinder(&trouble.failure, Some(target_at(trouble)), self.now);
        }
        step
    }

    /// The last step: handshakes.
    fn seeing(&self) -> Step {
        let (seen, all) = addresses(self.certificate, self.issued);
        let is_told = self.issued.is_some_and(|leaf| {
            self.certificate.targets.iter().any(|ledger| ledger.active() == Some(leaf.number))
        });
        let mark = match (seen == all && all > 0, is_told) {
            (true, _) => Mark::Done,
            (false, true) => Mark::Doing,
            (false, false) => Mark::Todo,
        };
        let text = match all {
            0 => String::from("no endpoint is known"),
            1 => format!("{seen} of 1 address"),
            _ => format!("{seen} of {all} addresses"),
        };
        Step::new(mark, "seen", text)
    }
}

fn names(running: &Running) -> Step {
    let ordered = match &running.stage {
        Stage::Unordered { .. } => return Step::new(Mark::Todo, "names", ""),
        Stage::Fetched(_) => return Step::new(Mark::Done, "names", ""),
        Stage::Ordered(ordered) => ordered,
    };
    if !matches!(ordered.facts.status, OrderStatus::Pending) {
        return Step::new(Mark::Done, "names", "");
    }
    let open: Vec<&Authorization> = unproven(ordered).collect();
    let all = ordered.authorizations.len();
    let proven = all.saturating_sub(open.len());
    let mut step = Step::new(Mark::Doing, "names", format!("{proven} of {all} proven"));
    step.below = open.iter().take(NAMES_SHOWN).map(|one| authorization(one)).collect();
    let more = open.len().saturating_sub(NAMES_SHOWN);
    if more > 0 {
        step.below.push(format!("and {more} more"));
    }
    step
}

fn unproven(ordered: &Ordered) -> impl Iterator<Item = &Authorization> {
    let is_proven = |authorization: &&Authorization| {
        let facts = authorization.facts.as_ref();
        facts.is_some_and(|facts| facts.status == AuthorizationStatus::Valid)
    };
    ordered.authorizations.iter().filter(move |authorization| !is_proven(authorization))
}

fn authorization(authorization: &Authorization) -> String {
    let Some(facts) = &authorization.facts else {
        return String::from("the CA is asked what it wants proven");
    };
    let text = match &authorization.answer {
        AnswerState::Absent => String::from("the answer is being put up"),
        AnswerState::Presented { showing: None, .. } => String::from("the answer is up"),
        AnswerState::Presented { showing: Some(showing), .. } => {
            let all = showing.showing.len() + showing.lagging.len() + showing.silent.len();
            format!("{} of {all} name servers show the answer", showing.showing.len())
        }
        AnswerState::Doubted => String::from("the CA is asked how far it is"),
        AnswerState::Awaited => String::from("the CA is told"),
        AnswerState::Responded { .. } => String::from("the CA is looking"),
    };
    let wildcard = if facts.wildcard { "*." } else { "" };
    format!("{wildcard}{}: {text}", facts.identifier)
}

fn issue(running: &Running) -> Step {
    let status = match &running.stage {
        Stage::Unordered { .. } => return Step::new(Mark::Todo, "issue", ""),
        Stage::Fetched(_) => return Step::new(Mark::Doing, "issue", "issued, being kept"),
        Stage::Ordered(ordered) => ordered.facts.status,
    };
    let (mark, text) = match status {
        OrderStatus::Pending => (Mark::Todo, ""),
        OrderStatus::Ready => (Mark::Doing, "the CA is asked to issue"),
        OrderStatus::Processing => (Mark::Doing, "the CA is issuing"),
        OrderStatus::Valid => (Mark::Doing, "issued, being fetched"),
        OrderStatus::Invalid | OrderStatus::Unknown => {
            (Mark::Doing, "the order is dead; finding out why")
        }
    };
    Step::new(mark, "issue", text)
}

/// Returns how many addresses of the certificate's own endpoints serve a leaf, of how many.
fn addresses(certificate: &Certificate, leaf: Option<&Leaf>) -> (usize, usize) {
    let endpoints = certificate.spec.endpoints.iter().zip(&certificate.endpoints);
    let ours = endpoints.filter(|(spec, _)| spec.serves == Serves::Ours);
    let (mut seen, mut all) = (0, 0);
    for address in ours.filter_map(|(_, endpoint)| endpoint.shown.as_ref().ok()).flatten() {
        let shows = leaf.is_some_and(|leaf| address.leaf() == Some(leaf.facts.fingerprint));
        seen += usize::from(shows);
        all += 1;
    }
    (seen, all)
}
