//! A visitor: one who keeps a connection and asks on and on, as browsers do.
//!
//! Certificates are judged, by roots that are given. A server may close a kept connection at any
//! moment, also while a request is on its way; such a request, if no byte of an answer came, is sent
//! once more on a new connection (RFC 9112 section 9.3.1). Nothing else is forgiven: what fails on
//! a connection that has not answered before, in the middle of an answer, by a handshake, or in
//! time, is a failed visit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use crate::Error;
use crate::client::{build, builder};

/// A running visitor.
#[derive(Debug)]
pub struct Visitor {
    ends: Arc<AtomicBool>,
    task: JoinHandle<Result<Visit, Error>>,
}

/// What a visitor met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visit {
    /// Requests answered well.
    pub answered: u64,
    /// Of these, how many had to be sent once more, since the server closed a kept connection.
    pub sent_again: u64,
    /// Why others failed.
    pub failures: Vec<String>,
}

impl Visitor {
    /// Starts asking for a page of a host that is at an address.
    ///
    /// # Errors
    ///
    /// When the roots cannot be read.
    pub fn start(host: &str, at: SocketAddr, roots_pem: &str) -> Result<Self, Error> {
        let ends = Arc::new(AtomicBool::new(false));
        let client = Visiting {
            host: host.to_owned(),
            at,
            roots_pem: roots_pem.to_owned(),
            client: None,
            has_answered: false,
        };
        // Made at once, so that roots that cannot be read are told here.
        client.fresh()?;
        let task = tokio::spawn(client.visit(Arc::clone(&ends)));
        Ok(Self { ends, task })
    }

    /// Ends the visits and returns what they met.
    ///
    /// # Errors
    ///
    /// When the visitor broke down.
    pub async fn stop(self) -> Result<Visit, Error> {
        self.ends.store(true, Ordering::Relaxed);
        self.task.await.map_err(|cause| Error::failed("visiting", cause))?
    }
}

/// A visitor at work. It has one connection at a time, as it asks one thing at a time.
struct Visiting {
    host: String,
    at: SocketAddr,
    roots_pem: String,
    client: Option<reqwest::Client>,
    /// Whether the client's connection has answered before.
    has_answered: bool,
}

impl Visiting {
    fn fresh(&self) -> Result<reqwest::Client, Error> {
        build(builder(&self.roots_pem)?.resolve(&self.host, self.at))
    }

    async fn visit(mut self, ends: Arc<AtomicBool>) -> Result<Visit, Error> {
        let mut visit = Visit::default();
        while !ends.load(Ordering::Relaxed) {
            let mut asked = self.ask().await?;
            if matches!(asked, Err(Failed::Unanswered(_))) {
                visit.sent_again += 1;
                asked = self.ask().await?;
            }
            match asked {
                Ok(()) => visit.answered += 1,
                Err(Failed::Unanswered(why) | Failed::Otherwise(why)) => visit.failures.push(why),
            }
        }
        Ok(visit)
    }

    /// Asks once. After a failure the next question goes on a new connection.
    async fn ask(&mut self) -> Result<Result<(), Failed>, Error> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                self.has_answered = false;
                self.fresh()?
            }
        };
        let url = format!("https://{}:{}/", self.host, self.at.port());
        let sent = client.get(url).send().await;
        let answer = match sent {
            Err(error) if self.has_answered && !error.is_connect() && !error.is_timeout() => {
                return Ok(Err(Failed::Unanswered(chain(&error))));
            }
            Err(error) => return Ok(Err(Failed::Otherwise(chain(&error)))),
            Ok(answer) => answer,
        };
        let status = answer.status();
        if let Err(error) = answer.bytes().await {
            return Ok(Err(Failed::Otherwise(chain(&error))));
        }
        if !status.is_success() {
            return Ok(Err(Failed::Otherwise(status.to_string())));
        }
        (self.client, self.has_answered) = (Some(client), true);
        Ok(Ok(()))
    }
}

/// Why a question was not answered well.
enum Failed {
    /// No byte of an answer came on a connection that had answered before.
    Unanswered(String),
    Otherwise(String),
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
