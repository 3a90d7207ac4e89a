//! A person lets a leaf pass that is held, or says that he has seen one that went ahead.
//!
//! What is confirmed is the leaf that the person was shown, by its number. Another one may have been
//! issued since, with something else against it: then nothing is confirmed, and the answer shows that
//! one. Whoever names no leaf is shown what there is to confirm, and how.

use perennial_core::decide::{Context, Draw, Hold, holds, to_confirm};
use perennial_core::driver::{Driver, Input};
use perennial_core::words::Name;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::serve::{gone, look, unknown};
use super::{Event, Look};
use crate::control::Answer;

/// Has a leaf confirmed, or shows which one waits for that.
pub(super) fn confirm(
    certificate: Name,
    leaf: Option<u32>,
    events: &UnboundedSender<Event>,
    reply: oneshot::Sender<Answer>,
) {
    let again = events.clone();
    let look = Look::new(move |driver, now| {
        let refused = match (Waiting::of(driver, now, &certificate), leaf) {
            (Ok(waiting), Some(leaf)) if waiting.leaf == leaf => {
                return take(certificate, waiting, &again, reply);
            }
            (Ok(waiting), asked) => waiting.show(&certificate, asked),
            (Err(nothing), _) => nothing,
        };
        // An asker that has hung up wants no answer.
        let _ = reply.send(refused);
    });
    // A reply that is dropped unanswered tells the asker that the daemon is ending.
    let _ = events.send(Event::Look(look));
}

/// Passes the wish on, and answers by what became of it: events keep their order, and others may
/// have come between.
fn take(
    certificate: Name,
    waiting: Waiting,
    events: &UnboundedSender<Event>,
    reply: oneshot::Sender<Answer>,
) {
    let leaf = waiting.leaf;
    let input = Input::Confirm { certificate: certificate.clone(), leaf };
    if events.send(Event::Input(input)).is_err() {
        let _ = reply.send(gone());
        return;
    }
    look(events, reply, move |driver, now| {
        let state = driver.state();
        let known = state.id(&certificate).and_then(|id| state.certificate(id));
        if known.is_some_and(|known| known.confirmed == Some(leaf)) {
            return waiting.confirmed();
        }
        match Waiting::of(driver, now, &certificate) {
            Ok(waiting) => waiting.show(&certificate, Some(leaf)),
            Err(nothing) => nothing,
        }
    });
}

/// The leaf that waits for a person.
struct Waiting {
    leaf: u32,
    /// The targets at which it is held.
    held: Vec<String>,
    /// What speaks against it, each with where.
    against: Vec<String>,
}

impl Waiting {
    /// Returns which leaf waits, or why none does.
    fn of(driver: &Driver, now: jiff::Timestamp, certificate: &Name) -> Result<Self, Answer> {
        let state = driver.state();
        let known = state.id(certificate).and_then(|id| state.certificate(id));
        let known = known.ok_or_else(|| unknown(certificate))?;
        let cx = Context { state, now, draw: Draw(0) };
        let Some(leaf) = to_confirm(&cx, known) else {
            return Err(Answer::Refused {
                text: format!("no leaf of `{certificate}` is held, so there is nothing to confirm"),
                hint: String::from("see what is wrong: perennial status"),
            });
        };
        let (mut held, mut against) = (Vec::new(), Vec::new());
        for (target, hold) in holds(&cx, known) {
            let Hold::Until { at, objections } = hold else { continue };
            held.push(target.to_string());
            let why =
                objections.iter().map(|objection| format!("{target}, until {at}: {objection}"));
            against.extend(why);
        }
        for ledger in &known.targets {
            let Some(overruled) = ledger.overruled.as_deref() else { continue };
            let (target, at) = (&ledger.target, overruled.at);
            let why = overruled.objections.iter();
            against.extend(why.map(|objection| format!("{target}, since {at}: {objection}")));
        }
        Ok(Self { leaf, held, against })
    }

    /// Shows the leaf to who asked for another one, or for none.
    fn show(&self, certificate: &Name, asked: Option<u32>) -> Answer {
        let Self { leaf, held, against } = self;
        let instead = match asked {
            Some(asked) if asked != *leaf => format!(
                "nothing is confirmed: leaf {asked} of `{certificate}` is not the newest one; "
            ),
            _ => String::new(),
        };
        let how = if held.is_empty() { "went ahead although" } else { "is held, since" };
        let against: String = against.iter().map(|why| format!("\n  {why}")).collect();
        Answer::Refused {
            text: format!(
                "{instead}leaf {leaf} of `{certificate}` {how} this speaks against it:{against}"
            ),
            hint: format!("if that is meant: perennial confirm {certificate} --leaf {leaf}"),
        }
    }

    fn confirmed(&self) -> Answer {
        let text = match &*self.held {
            [] => String::from("noted; nothing more is said of it"),
            held => format!("confirmed; leaf {} goes to {}", self.leaf, held.join(", ")),
        };
        Answer::Done { text }
    }
}
