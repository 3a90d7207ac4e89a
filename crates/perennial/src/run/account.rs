//! What a person wants of an account at an issuer: to know how it stands, another key, its end.

use perennial_core::driver::{Driver, Input};
use perennial_core::state::{Account, Issuer};
use perennial_core::words::Name;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::serve::{gone, look};
use super::{Event, Look};
use crate::control::{AccountWish, Answer};

/// Fulfils a wish, or says why not.
pub(super) fn account(
    issuer: Name,
    wish: AccountWish,
    events: &UnboundedSender<Event>,
    reply: oneshot::Sender<Answer>,
) {
    let again = events.clone();
    let look = Look::new(move |driver, _| match input(driver, &issuer, wish) {
        Ok((input, done)) => take(issuer, input, done, &again, reply),
        Err(answer) => {
            // An asker that has hung up wants no answer.
            let _ = reply.send(answer);
        }
    });
    // A reply that is dropped unanswered tells the asker that the daemon is ending.
    let _ = events.send(Event::Look(look));
}

/// Returns what to tell the driver and what then holds, or the answer to who asks no more than that.
fn input(driver: &Driver, name: &Name, wish: AccountWish) -> Result<(Input, Done), Answer> {
    let Some(issuer) = driver.state().issuers.get(name) else {
        return Err(refused(
            format!("no issuer `{name}` is declared"),
            "see which there are: perennial plan",
        ));
    };
    if wish == AccountWish::Show {
        return Err(Answer::Done { text: shown(name, issuer) });
    }
    if issuer.account_ref(name).is_none() {
        return Err(refused(
            format!("there is no usable account at `{name}`"),
            &format!("see how it stands: perennial account show {name}"),
        ));
    }
    let (own, dependent) = (name.clone(), dependent(driver, name));
    match wish {
        AccountWish::ChangeKey => Ok((Input::ChangeKey { issuer: own }, Done::KeyChange)),
        AccountWish::End if !dependent.is_empty() => {
            let text = format!("the account at `{name}` is needed by {}", dependent.join(", "));
            let hint = "give them another issuer first; or end it all the same, with --force: \
                        then they are renewed by their other issuers alone";
            Err(refused(text, hint))
        }
        AccountWish::Show | AccountWish::End | AccountWish::EndAnyway => {
            Ok((Input::EndAccount { issuer: own }, Done::End))
        }
    }
}

/// What holds once the driver has taken a wish in.
#[derive(Clone, Copy)]
enum Done {
    KeyChange,
    End,
}

/// Passes the wish on, and answers by what became of it: events keep their order.
fn take(
    name: Name,
    input: Input,
    done: Done,
    events: &UnboundedSender<Event>,
    reply: oneshot::Sender<Answer>,
) {
    if events.send(Event::Input(input)).is_err() {
        let _ = reply.send(gone());
        return;
    }
    look(events, reply, move |driver, _| {
        let issuer = driver.state().issuers.get(&name);
        let is_taken = issuer.is_some_and(|issuer| match done {
            Done::KeyChange => issuer.changing.is_some(),
            Done::End => issuer.ending || issuer.ended.is_some(),
        });
        let follow = format!("follow it: perennial journal --follow {name}");
        match (is_taken, done) {
            (false, _) => refused(format!("the account at `{name}` has just changed"), &follow),
            (true, Done::KeyChange) => {
                let text = format!("the account at {name} is given another key; {follow}");
                Answer::Done { text }
            }
            (true, Done::End) => {
                Answer::Done { text: format!("the account at {name} is ended; {follow}") }
            }
        }
    });
}

/// Returns the certificates that may be ordered from an issuer, and are declared.
fn dependent(driver: &Driver, issuer: &Name) -> Vec<String> {
    let all = driver.state().certificates();
    let declared =
        all.filter(|(_, _, own)| own.undeclared_at.is_none() && own.renamed_to.is_none());
    let own = declared.filter(|(_, _, own)| own.spec.issuers.contains(issuer));
    let mut names: Vec<String> = own.map(|(_, name, _)| format!("`{name}`")).collect();
    if names.len() > NAMED {
        let more = names.len() - NAMED;
        names.truncate(NAMED);
        names.push(format!("{more} more"));
    }
    names
}

/// How many certificates are listed before the rest is counted.
const NAMED: usize = 5;

fn shown(name: &Name, issuer: &Issuer) -> String {
    let key = |id| format!("key {id}, in slot {}", issuer.slot(name));
    let stands = match &issuer.account {
        Account::Absent => String::from("no account yet; it is made when it is first needed"),
        Account::Keyed { key: facts, .. } => {
            format!("no account yet for the {}", key(facts.id))
        }
        Account::Ready { key: facts, url, .. } => format!("account {url}\n{}", key(facts.id)),
        Account::Refused { key: facts, failure, .. } => {
            format!("the CA does not want our account: {failure}\n{}", key(facts.id))
        }
    };
    let mut text = format!("{name}: {stands}\ndirectory {}", issuer.spec.directory);
    if let Some(at) = issuer.ended {
        text.push_str(&format!("\nended by a person at {at}"));
    }
    if let Some(change) = &issuer.changing {
        text.push_str(&format!("\nis given another key, since {}", change.since));
    }
    if let Some(trouble) = &issuer.trouble {
        text.push_str(&format!("\nlast trouble, at {}: {}", trouble.at, trouble.failure));
    }
    text
}

fn refused(text: String, hint: &str) -> Answer {
    Answer::Refused { text, hint: hint.to_owned() }
}
