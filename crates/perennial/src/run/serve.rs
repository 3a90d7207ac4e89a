//! The daemon as a service: control socket, signals, service manager.

use std::io;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use perennial_core::driver::{Driver, Input};
use perennial_core::words::Name;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, channel, unbounded_channel};
use tokio::sync::oneshot;

use super::account::account;
use super::confirm::confirm;
use super::revoke::{Wish, revoke};
use super::{Daemon, Event, Look, Pulse, Reload, Start};
use crate::control::{Answer, ControlRequest, Question, Server};
use crate::sd_notify::{Notifier, State};
use crate::view::{Source, StatusView};

/// Runs the daemon until a signal or a person ends it.
///
/// `SIGTERM` and `SIGINT` end it, `SIGHUP` lets it read its configuration again.
///
/// # Errors
///
/// Returns why it could not start, or ended by itself.
pub async fn serve(start: Start) -> Result<()> {
    // Taken before anything else: a manager's signal while we start must not end us unheard.
    let signals = Signals::take().context("take signals")?;
    let notifier = Arc::new(connect());
    let start = Start { pulse: pulse(Arc::clone(&notifier)), ..start };
    let daemon = Daemon::prepare(start, None).await?.telling(Arc::clone(&notifier));
    let socket = &daemon.settings().control_socket;
    let server = Server::bind(socket)
        .with_context(|| format!("listen on the control socket {}", socket.display()))?;
    let (reload, reloads) = unbounded_channel();
    let wishes = Wishes { events: daemon.events(), reload, notifier };
    let (ask, mut asked) = channel::<ControlRequest>(QUESTIONS_WAITING);
    let serving = tokio::spawn(server.serve(ask));
    let signals = tokio::spawn(signals.pass_on(wishes.clone()));
    let answering = tokio::spawn(async move {
        while let Some(request) = asked.recv().await {
            answer(request, &wishes);
        }
    });
    tracing::info!("running");
    let ended = daemon.run(reloads).await;
    for task in [serving, signals, answering] {
        task.abort();
        // Awaited, so that the socket is gone before the process says that it ended.
        let _ = task.await;
    }
    Ok(ended?)
}

/// How many questions may wait for the loop.
const QUESTIONS_WAITING: usize = 16;

fn connect() -> Notifier {
    Notifier::connect(|name| std::env::var_os(name)).unwrap_or_else(|error| {
        // A manager that hears nothing says so itself: it gives up the start, or restarts us.
        tracing::warn!(%error, "the service manager cannot be told how we are");
        Notifier::silent()
    })
}

/// Tells the service manager that the loop is alive: ready at its first turn, and then at each.
fn pulse(notifier: Arc<Notifier>) -> Pulse {
    let mut is_first = true;
    Box::new(move || {
        let first: &[State<'_>] = &[State::Ready, State::Watchdog, State::Status("running")];
        let is_first = std::mem::replace(&mut is_first, false);
        // A manager that cannot be told will say so itself, by its watchdog.
        let _ = notifier.notify(if is_first { first } else { &[State::Watchdog] });
    })
}

/// Whom a person's or a manager's wishes are passed on to.
#[derive(Clone)]
struct Wishes {
    events: UnboundedSender<Event>,
    reload: UnboundedSender<Reload>,
    notifier: Arc<Notifier>,
}

impl Wishes {
    /// Has the loop end; returns whether it still runs.
    fn stop(&self) -> bool {
        let finishing = State::Status("finishing what is in flight");
        // Whether the manager hears it or not: we end.
        let _ = self.notifier.notify(&[State::Stopping, finishing]);
        self.events.send(Event::Stop).is_ok()
    }

    /// Has the configuration read again; returns whether somebody will.
    fn reload(&self, confirmed: bool) -> bool {
        self.reload.send(Reload { confirmed }).is_ok()
    }
}

/// The signals that mean something to us.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Turns them into wishes, for as long as there is somebody to fulfil them.
    async fn pass_on(mut self, wishes: Wishes) {
        loop {
            let told = tokio::select! {
                _ = self.terminate.recv() => wishes.stop(),
                _ = self.interrupt.recv() => wishes.stop(),
                _ = self.hangup.recv() => wishes.reload(false),
            };
            if !told {
                return;
            }
        }
    }
}

/// Has a question answered: by the loop where the state is asked for, here where a wish is passed on.
fn answer(request: ControlRequest, wishes: &Wishes) {
    let ControlRequest { question, reply } = request;
    let events = &wishes.events;
    let done = |text: &str| Answer::Done { text: text.to_owned() };
    match question {
        Question::Status { limit, about } => look(events, reply, move |driver, now| {
            let quarantined = driver.quarantined();
            let view = StatusView::of(driver.state(), quarantined, Source::Daemon, now, limit);
            let view = match about {
                Some(about) => view.about(driver.state(), &about),
                None => view,
            };
            Answer::Status { status: Box::new(view) }
        }),
        Question::Renew { certificate } => renew(certificate, events, reply),
        Question::Account { issuer, wish } => account(issuer, wish, events, reply),
        Question::Revoke { certificate, reason, at_once } => {
            revoke(Wish { certificate, reason, at_once }, events, reply);
        }
        Question::Confirm { certificate, leaf } => confirm(certificate, leaf, events, reply),
        Question::Reload { confirmed } => {
            let told = wishes.reload(confirmed);
            // An asker that has hung up wants no answer.
            let _ = reply.send(if told { done("the configuration is read") } else { gone() });
        }
        Question::Resume => resume(events, reply),
        Question::Stop => {
            let told = wishes.stop();
            let _ = reply.send(if told { done("ending") } else { gone() });
        }
    }
}

fn renew(certificate: Name, events: &UnboundedSender<Event>, reply: oneshot::Sender<Answer>) {
    let input = Input::Renew { certificate: certificate.clone() };
    if events.send(Event::Input(input)).is_err() {
        let _ = reply.send(gone());
        return;
    }
    // Looked at after the wish was taken in: events keep their order.
    look(events, reply, move |driver, _| {
        let known = driver.state().id(&certificate).is_some();
        if known {
            Answer::Done { text: String::from("renewal begins") }
        } else {
            unknown(&certificate)
        }
    });
}

fn resume(events: &UnboundedSender<Event>, reply: oneshot::Sender<Answer>) {
    let events = events.clone();
    let resumed = events.clone();
    // Looked at first: a store that was not restored has nothing to resume.
    let look = Look::new(move |driver, _| {
        let waits = driver.state().instance.waits_to_resume().is_some();
        let told = waits && resumed.send(Event::Input(Input::Resume)).is_ok();
        let answer = if told {
            Answer::Done { text: String::from("it goes on") }
        } else {
            Answer::Refused {
                text: String::from("the store was not restored, or goes on already"),
                hint: String::from("see how things stand: perennial status"),
            }
        };
        // An asker that has hung up wants no answer.
        let _ = reply.send(answer);
    });
    let _ = events.send(Event::Look(look));
}

pub(super) fn unknown(certificate: &Name) -> Answer {
    Answer::Refused {
        text: format!("no certificate `{certificate}` is declared"),
        hint: String::from("see which there are: perennial status"),
    }
}

pub(super) fn look(
    events: &UnboundedSender<Event>,
    reply: oneshot::Sender<Answer>,
    answer: impl FnOnce(&Driver, jiff::Timestamp) -> Answer + Send + 'static,
) {
    let look = Look::new(move |driver, now| {
        let _ = reply.send(answer(driver, now));
    });
    // A reply that is dropped unanswered tells the asker that the daemon is ending.
    let _ = events.send(Event::Look(look));
}

pub(super) fn gone() -> Answer {
    Answer::Refused {
        text: String::from("the daemon is ending"),
        hint: String::from("start it again: systemctl start perennial"),
    }
}
