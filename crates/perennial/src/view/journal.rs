//! The journal as a timeline that a person understands.
//!
//! Most records are steps that only matter when something goes wrong; those are [`Weight::Detail`].
//! What is left tells the story: declared, ordered, proven, issued, installed, seen, and whatever
//! went wrong, with its cause.

use std::collections::HashMap;

use jiff::Timestamp;
use perennial_core::action::Outcome;
use perennial_core::event::{
    Decoded, Ended, EndpointSeen, Event, HoldOverruled, Reason, TargetInspected,
};
use perennial_core::finding::Severity;
use perennial_core::record::{Record, Stream, StreamKind};
use perennial_core::words::{AuthorizationFacts, AuthorizationStatus, LeafFacts, SightState};
use serde::Serialize;

use super::{Paint, act, moment, safe, shorten};

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// Whose history.
    pub stream: Stream,
    /// Its place there.
    pub version: u64,
    /// The record's kind.
    pub kind: String,
    /// What happened, in words.
    pub text: String,
    /// How much it matters.
    pub weight: Weight,
    /// How bad it is, if it is bad.
    pub severity: Option<Severity>,
}

/// How much a line matters to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// A step on the way.
    Detail,
    /// A part of the story.
    Main,
}

/// Turns records into lines; remembers what acts do until they end.
#[derive(Debug, Default)]
pub struct Timeline {
    acting: HashMap<(Stream, u64), String>,
}

/// How many acts are remembered; in a journal that was cut short some never end.
const ACTING_LIMIT: usize = 10_000;

/// What is said of a record.
struct Told {
    text: String,
    weight: Weight,
    severity: Option<Severity>,
}

impl Told {
    fn main(text: impl Into<String>) -> Self {
        Self { text: text.into(), weight: Weight::Main, severity: None }
    }

    fn detail(text: impl Into<String>) -> Self {
        Self { text: text.into(), weight: Weight::Detail, severity: None }
    }

    fn bad(severity: Severity, text: impl Into<String>) -> Self {
        Self { text: text.into(), weight: Weight::Main, severity: Some(severity) }
    }
}

impl Timeline {
    /// Begins a timeline.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the line of the next record.
    pub fn line(&mut self, record: &Record) -> Line {
        let told = match Event::decode(&record.kind, &record.body) {
            Decoded::Event(event) => self.tell(record, &event),
            Decoded::Unknown => Told::detail(format!("{} {}", record.kind, record.body)),
            Decoded::Unreadable(cause) => {
                let text = format!("the record cannot be read: {cause}");
                Told::bad(Severity::Critical, text)
            }
        };
        Line {
            at: record.at,
            stream: record.stream.clone(),
            version: record.version,
            kind: record.kind.to_string(),
            text: told.text,
            weight: told.weight,
            severity: told.severity,
        }
    }

    fn tell(&mut self, record: &Record, event: &Event) -> Told {
        match event {
            Event::Started(started) => {
                let text = act::act(&started.act);
                if self.acting.len() < ACTING_LIMIT {
                    self.acting.insert((record.stream.clone(), record.version), text.clone());
                }
                Told::detail(format!("begins to {text}"))
            }
            Event::Ended(ended) => self.ended(&record.stream, ended),
            other => tell(record.stream.kind, other),
        }
    }

    fn ended(&mut self, stream: &Stream, ended: &Ended) -> Told {
        let did = self.acting.remove(&(stream.clone(), ended.of));
        match &ended.outcome {
            Outcome::Done(fact) => Told::main(act::fact(fact, did.as_deref())),
            Outcome::Failed(failure) => Told::bad(Severity::Warning, failure.to_string()),
            Outcome::Unknown => {
                let what = did.unwrap_or_else(|| format!("act {}", ended.of));
                if ended.interrupted {
                    return Told::main(format!("interrupted, and done again if need be: {what}"));
                }
                Told::bad(Severity::Notice, format!("not known whether this took effect: {what}"))
            }
        }
    }
}

/// Tells every event but acts, which need their beginning.
fn tell(kind: StreamKind, event: &Event) -> Told {
    match event {
        Event::Started(_) | Event::Ended(_) => Told::detail(event.kind()),
        Event::IncidentOpened(opened) => {
            let subject = spaced(&opened.subject);
            let (code, evidence) = (opened.code.as_str(), &opened.evidence);
            let text = format!("finding {code}{subject}: {evidence}; {}", opened.code.advice());
            Told::bad(opened.severity, text)
        }
        Event::IncidentChanged(changed) => {
            let (code, subject) = (changed.code.as_str(), spaced(&changed.subject));
            let mut text = format!("finding {code}{subject} is {} now", changed.severity.as_str());
            if let Some(evidence) = &changed.evidence {
                text = format!("{text}: {evidence}");
            }
            Told::bad(changed.severity, text)
        }
        Event::IncidentResolved(resolved) => {
            let (code, subject) = (resolved.code.as_str(), spaced(&resolved.subject));
            Told::main(format!("resolved: {code}{subject}"))
        }
        Event::Checkpoint(_) => Told::detail("checkpoint"),
        Event::InstanceStarted(started) => {
            Told::main(format!("perennial {} started", started.version))
        }
        Event::IntentRefused(refused) => {
            let text = format!("the configuration has mistakes: {}", refused.message);
            Told::bad(Severity::Warning, text)
        }
        Event::IntentAccepted(accepted) => {
            let count = accepted.certificates;
            let many = if count == 1 { "" } else { "s" };
            Told::main(format!("took on a configuration with {count} certificate{many}"))
        }
        Event::IntentHeld(held) => {
            let count = held.missing.len();
            let text = format!(
                "the configuration drops {count} certificates; held until a person says: \
                 perennial confirm"
            );
            Told::bad(Severity::Warning, text)
        }
        Event::InstanceTroubled(now) => match &*now.troubles {
            [] => Told::main("everything that it stands on works"),
            some => {
                let text: Vec<String> = some.iter().map(ToString::to_string).collect();
                Told::bad(Severity::Warning, text.join("; "))
            }
        },
        Event::InstanceRestored(restored) => {
            let from = moment(restored.backed_up_at);
            let text = format!("restored from a backup of {from}; waits for: perennial resume");
            Told::bad(Severity::Warning, text)
        }
        Event::InstanceResumed(_) => Told::main("a person lets it go on after the restore"),
        Event::IssuerDeclared(spec) => Told::main(format!("declared, at {}", spec.directory)),
        Event::SolverDeclared(spec) => Told::main(format!("declared, for {}", spec.kind.as_str())),
        Event::TargetDeclared(_) => Told::main("declared, as a place to install at"),
        Event::CertificateDeclared(spec) => {
            Told::main(format!("declared, for {}", act::list(&spec.identifiers)))
        }
        Event::Undeclared(_) if kind == StreamKind::Certificate => {
            let text = "not in the configuration any more; it is renewed all the same";
            Told::bad(Severity::Notice, text)
        }
        Event::Undeclared(_) => Told::main("not in the configuration any more"),
        other => tell_of_issuer(other).unwrap_or_else(|| tell_of_certificate(other)),
    }
}

fn tell_of_issuer(event: &Event) -> Option<Told> {
    Some(match event {
        Event::DirectorySeen(facts) => {
            let profiles = facts.profiles.len();
            let ari = if facts.has_renewal_info { "suggests renewal times" } else { "no ARI" };
            Told::detail(format!("the CA's directory: {ari}, {profiles} profiles"))
        }
        Event::AccountLost(lost) => Told::bad(
            Severity::Warning,
            format!("the CA does not know our account {} any more", lost.url),
        ),
        Event::OrderAdmitted(admitted) => {
            Told::detail(format!("an order for {} may be made", admitted.certificate))
        }
        Event::Blamed(failure) => Told::bad(Severity::Notice, failure.to_string()),
        Event::RevocationUnknown(seen) => Told::detail(match &seen.certificate {
            Some(own) => format!("its list of the revoked cannot be had, as {own} shows"),
            None => String::from("nothing shows any more that its list of the revoked is missing"),
        }),
        Event::AccountImported(imported) => {
            let url = imported.url.as_ref().map_or("not known yet", |url| &url.0);
            Told::main(format!("the account that {} made is ours now: {url}", imported.from))
        }
        Event::AccountConfirmed(_) => Told::main("a person has seen the account's new URL"),
        Event::AccountKeyRequested(_) => {
            Told::main("a person wants our account to have another key")
        }
        Event::AccountKeyDropped(_) => {
            let text = "the account keeps its key: the change did not come about in time";
            Told::bad(Severity::Notice, text)
        }
        Event::AccountHolderSeen(seen) => Told::detail(match &seen.url {
            Some(url) => format!("the key {} has the account {url}", seen.key),
            None => format!("the key {} has no account", seen.key),
        }),
        Event::AccountEndRequested(_) => Told::main("a person wants our account ended"),
        Event::Cleared(_) => Told::main("works again"),
        Event::ValidationFailed(failed) => {
            let said = &failed.failure;
            Told::bad(Severity::Notice, format!("refused the name {}: {said}", failed.identifier))
        }
        Event::ValidationPassed(passed) => {
            Told::main(format!("takes the name {} again", passed.identifier))
        }
        _ => return None,
    })
}

fn tell_of_certificate(event: &Event) -> Told {
    match event {
        Event::TargetInspected(inspected) => target_inspected(inspected),
        Event::EndpointSeen(seen) => endpoint_seen(seen),
        Event::SeenThrough(_) => Told::detail("nothing changed until here"),
        Event::CertificateRenamed(renamed) => Told::main(format!("goes on as {}", renamed.to)),
        Event::LeafInherited(leaf) => Told::main(format!("inherited {}", leaf_text(&leaf.facts))),
        Event::LeafAdopted(facts) => Told::main(format!("adopted {}", leaf_text(facts))),
        Event::LeafImported(imported) => {
            let (from, leaf) = (&imported.from, leaf_text(&imported.facts));
            Told::main(format!("took over from {from}: {leaf}"))
        }
        Event::RenewalInfoSeen(seen) => {
            let at = moment(seen.facts.window.at(seen.spread));
            Told::detail(format!("the CA suggests to renew; ours is {at}"))
        }
        Event::RenewalRequested(_) => Told::main("a person asks for a renewal"),
        Event::RevocationRequested(_) | Event::RevocationMoot(_) => tell_of_revocation(event),
        Event::ClockPutRight(right) => {
            let was = moment(right.was);
            Told::main(format!("the clock, which was at {was}, was set back to now"))
        }
        Event::AttemptBegan(began) => {
            let why = reason(began.reason);
            Told::main(format!(
                "renewing {} at {}: {why}",
                act::list(&began.identifiers),
                began.issuer
            ))
        }
        Event::AttemptTroubled(failure) => Told::bad(Severity::Notice, failure.to_string()),
        Event::AttemptEnded(ended) => {
            Told::bad(Severity::Warning, format!("gave up this attempt: {}", ended.failure))
        }
        Event::LeafConfirmed(confirmed) => {
            Told::main(format!("a person confirms leaf {}", confirmed.leaf))
        }
        Event::HoldOverruled(overruled) => hold_overruled(overruled),
        Event::OrderSeen(_)
        | Event::AuthorizationSeen(_)
        | Event::PlaceFound(_)
        | Event::AnswerShown(_)
        | Event::AnswerAwaited(_)
        | Event::AnswersDoubted(_) => tell_of_order(event),
        Event::ChainSeen(facts) => Told::main(format!("fetched {}", leaf_text(facts))),
        Event::ChainOffered(offered) => match &offered.found {
            Ok(chain) => Told::detail(format!("the CA offers a chain to {}", root_of(&chain.leaf))),
            Err(failure) => Told::bad(Severity::Notice, failure.to_string()),
        },
        Event::ChainChosen(_) => Told::main("chose one of the chains that the CA offers"),
        Event::AnswerGone(answer) => {
            let (kind, name) = (answer.kind.as_str(), &answer.identifier);
            Told::main(format!("the {kind} answer for {name} is gone"))
        }
        Event::AnswerSpent(answer) => {
            let (kind, name) = (answer.kind.as_str(), &answer.identifier);
            Told::main(format!("the {kind} record for {name} is of no use any more"))
        }
        Event::WithdrawalAbandoned(answer) => {
            let text = format!(
                "the {} answer for {} could not be taken down, and is left",
                answer.kind.as_str(),
                answer.identifier
            );
            Told::bad(Severity::Notice, text)
        }
        other => Told::detail(other.kind()),
    }
}

fn tell_of_revocation(event: &Event) -> Told {
    match event {
        Event::RevocationRequested(asked) => {
            let when = if asked.at_once { "now" } else { "once its replacement is seen" };
            let (leaf, reason) = (asked.leaf, asked.reason);
            Told::main(format!("a person wants leaf {leaf} revoked ({reason}), {when}"))
        }
        Event::RevocationMoot(moot) => {
            Told::main(format!("leaf {} has ended, and needs no revocation", moot.leaf))
        }
        other => Told::detail(other.kind()),
    }
}

fn tell_of_order(event: &Event) -> Told {
    match event {
        Event::OrderSeen(facts) => {
            Told::detail(format!("the order is {}", act::order(facts.status)))
        }
        Event::AuthorizationSeen(facts) => match facts.status {
            AuthorizationStatus::Valid => Told::main(format!("{} is proven", proven(facts))),
            AuthorizationStatus::Pending => {
                Told::detail(format!("{} is to be proven", proven(facts)))
            }
            AuthorizationStatus::Invalid
            | AuthorizationStatus::Deactivated
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Unknown => {
                let text = format!("{} could not be proven", facts.identifier);
                Told::bad(Severity::Notice, text)
            }
        },
        Event::PlaceFound(found) => {
            let place = &found.place;
            Told::detail(format!("the answer goes to {} in zone {}", place.record, place.zone))
        }
        Event::AnswerShown(shown) => {
            let showing = &shown.showing;
            let all = showing.showing.len() + showing.lagging.len() + showing.silent.len();
            Told::detail(format!("{} of {all} name servers show the answer", showing.showing.len()))
        }
        Event::AnswerAwaited(_) => Told::detail("the CA may look now"),
        Event::AnswersDoubted(_) => Told::detail("restarted; answers may have to be put up again"),
        other => Told::detail(other.kind()),
    }
}

fn spaced(subject: &str) -> String {
    if subject.is_empty() { String::new() } else { format!(" {subject}") }
}

fn leaf_text(facts: &LeafFacts) -> String {
    format!("a leaf of {} until {}", facts.issued_by, moment(facts.ends_at()))
}

fn root_of(facts: &LeafFacts) -> &str {
    facts.traits.as_deref().map_or("an unknown root", |traits| &traits.root)
}

fn target_inspected(inspected: &TargetInspected) -> Told {
    let target = &inspected.target;
    match &inspected.found {
        Err(failure) => Told::bad(Severity::Notice, format!("{target}: {failure}")),
        Ok(installed) => match &installed.leaf {
            None => Told::detail(format!("{target} holds no leaf")),
            Some(facts) => {
                let whose = if installed.ours { "ours" } else { "somebody else's" };
                Told::detail(format!("{target} holds {}, {whose}", leaf_text(facts)))
            }
        },
    }
}

fn hold_overruled(overruled: &HoldOverruled) -> Told {
    let objections: Vec<String> = overruled.objections.iter().map(ToString::to_string).collect();
    let text = format!(
        "the reserve began: the new leaf goes to {} although {}",
        overruled.target,
        objections.join("; ")
    );
    Told::bad(Severity::Warning, text)
}

/// Returns which name an authorization is for: that of a wildcard names what is above it.
fn proven(facts: &AuthorizationFacts) -> String {
    let star = if facts.wildcard { "*." } else { "" };
    format!("{star}{}", facts.identifier)
}

/// Says what is wrong at an address.
const fn state_text(state: SightState) -> &'static str {
    match state {
        SightState::Ok => "is well",
        SightState::Expired => "shows an expired leaf",
        SightState::NotYetValid => "shows a leaf that is not valid yet",
        SightState::NameMismatch => "shows a leaf for other names",
        SightState::Untrusted => "shows a leaf that clients do not trust",
        SightState::IncompleteChain => "does not send the whole chain",
        SightState::Revoked => "shows a revoked leaf",
        SightState::Unreachable => "cannot be reached",
        SightState::NoTls => "speaks no TLS",
        SightState::ClientCertificateDemanded => "demands a client certificate",
        SightState::CannotLook => "cannot be looked at from here",
    }
}

fn endpoint_seen(seen: &EndpointSeen) -> Told {
    let place = format!("{}:{}", seen.endpoint.server_name, seen.endpoint.port);
    let sight = match &seen.sight {
        Err(failure) => return Told::bad(Severity::Notice, format!("{place}: {failure}")),
        Ok(sight) => sight,
    };
    let all = sight.handshakes.len();
    let good = sight.handshakes.iter().filter(|h| h.state == SightState::Ok).count();
    let bad = sight
        .handshakes
        .iter()
        .find(|h| !matches!(h.state, SightState::Ok | SightState::CannotLook));
    if let Some(bad) = bad {
        let state = state_text(bad.state);
        let text = format!("{place}: {good} of {all} addresses are well; {} {state}", bad.address);
        return Told::bad(Severity::Notice, text);
    }
    let leaf = sight.handshakes.iter().find_map(|handshake| handshake.leaf.as_ref());
    let leaf = leaf.map(|facts| format!(": {}", leaf_text(facts))).unwrap_or_default();
    Told::main(format!("seen at {place}, {good} of {all} addresses{leaf}"))
}

/// Returns why a renewal is due.
pub(super) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Uncovered => "no valid leaf covers them",
        Reason::NamesChanged => "the names have changed",
        Reason::TargetUncovered => "a target has none that could be used",
        Reason::Revoked => "the leaf is revoked",
        Reason::Suggested => "the CA suggests it",
        Reason::Scheduled => "it is time",
        Reason::Requested => "a person asked",
    }
}

impl Line {
    /// Returns the line as JSON, with the record's own body.
    #[must_use]
    pub fn json(&self, record: &Record) -> String {
        let body: serde_json::Value = serde_json::from_str(&record.body).unwrap_or_default();
        let mut json = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.insert(String::from("body"), body);
        }
        json.to_string()
    }

    /// Shows the line: time, whose history, what happened.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let at = self.at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let who = match self.stream.kind {
            StreamKind::Instance => String::from("perennial"),
            StreamKind::Certificate => self.stream.name.to_string(),
            StreamKind::Issuer | StreamKind::Solver | StreamKind::Target => self.stream.to_string(),
        };
        let text = shorten(&self.text, LONGEST);
        let text = match (self.severity, self.weight) {
            (Some(severity), _) => paint.severity(Some(severity), &text),
            (None, Weight::Detail) => paint.faint(&text),
            (None, Weight::Main) => text,
        };
        format!("{}  {}  {text}", paint.faint(&at), paint.bold(&format!("{:<18}", safe(&who))))
    }
}

/// The most characters of a line's text; the whole is in the journal and in `--json`.
const LONGEST: usize = 400;
