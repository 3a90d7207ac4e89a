//! A person wants a leaf revoked.

use perennial_core::driver::{Driver, Input};
use perennial_core::event::RevocationRequested;
use perennial_core::state::Certificate;
use perennial_core::words::{Name, RevocationReason};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::serve::{gone, look, unknown};
use super::{Event, Look};
use crate::control::Answer;

/// What a person asks.
pub(super) struct Wish {
    pub(super) certificate: Name,
    pub(super) reason: RevocationReason,
    pub(super) at_once: bool,
}

/// Has the newest leaf revoked, or says why it cannot be.
pub(super) fn revoke(wish: Wish, events: &UnboundedSender<Event>, reply: oneshot::Sender<Answer>) {
    let again = events.clone();
    let look = Look::new(move |driver, _| match leaf_of(driver, &wish) {
        Ok(leaf) => take(wish, leaf, &again, reply),
        Err(refused) => {
            // An asker that has hung up wants no answer.
            let _ = reply.send(refused);
        }
    });
    // A reply that is dropped unanswered tells the asker that the daemon is ending.
    let _ = events.send(Event::Look(look));
}

fn certificate_of<'a>(driver: &'a Driver, name: &Name) -> Option<&'a Certificate> {
    driver.state().certificate(driver.state().id(name)?)
}

/// Returns the number of the leaf to revoke: one that is being revoked already, or the newest.
fn leaf_of(driver: &Driver, wish: &Wish) -> Result<u32, Answer> {
    let Wish { certificate: name, at_once, .. } = wish;
    let certificate = certificate_of(driver, name).ok_or_else(|| unknown(name))?;
    let waiting = certificate.revoking.iter().next();
    if let Some(waiting) = waiting.filter(|_| *at_once) {
        return Ok(waiting.number);
    }
    if let Some((leaf, ..)) = certificate.to_revoke() {
        return Ok(leaf.number);
    }
    let text = match &certificate.leaf {
        Some(_) => format!("the leaf of `{name}` was installed by somebody else"),
        None => format!("`{name}` has no leaf to revoke"),
    };
    let hint = format!(
        "who has its key may have it revoked; one of our own replaces it: perennial renew {name} --now"
    );
    Err(Answer::Refused { text, hint })
}

/// Passes the wish on, and answers by what became of it: events keep their order.
fn take(wish: Wish, leaf: u32, events: &UnboundedSender<Event>, reply: oneshot::Sender<Answer>) {
    let Wish { certificate, reason, at_once } = wish;
    let asked = RevocationRequested { leaf, reason, at_once };
    let input = Input::Revoke { certificate: certificate.clone(), asked };
    if events.send(Event::Input(input)).is_err() {
        let _ = reply.send(gone());
        return;
    }
    look(events, reply, move |driver, _| {
        let known = certificate_of(driver, &certificate);
        let is_taken =
            known.is_some_and(|known| known.revoking.iter().any(|own| own.number == leaf));
        if !is_taken {
            return Answer::Refused {
                text: format!("leaf {leaf} of `{certificate}` is not the newest one any more"),
                hint: format!("ask again: perennial revoke {certificate}"),
            };
        }
        let when = if at_once {
            "now; another one is ordered at once"
        } else {
            "as soon as another one, which is ordered now, is seen everywhere in its place"
        };
        Answer::Done { text: format!("leaf {leaf} of {certificate} is revoked ({reason}) {when}") }
    });
}
