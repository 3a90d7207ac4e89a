//! Solvers: means to put challenge answers up and to take them down.
//!
//! Presenting is idempotent, and so is withdrawing: both are repeated after a crash, and an answer
//! that is not there is withdrawn already. What must be taken down later is never kept in memory:
//! the act carries all of it.
//!
//! | solver | answers | a crash leaves |
//! |---|---|---|
//! | [`Listener`] | http-01 or tls-alpn-01, from memory, by a server of our own | nothing: core presents again |
//! | [`WebrootSettings`] | http-01, as a file of some web server | the file, withdrawn later |
//! | [`Rfc2136Settings`] | dns-01 and its kin, by signed update | the record, withdrawn later |
//! | [`ProviderSettings`] | dns-01 and its kin, by a provider's API | the record, withdrawn later |
//! | [`ProgramSettings`] | dns-01 and its kin or http-01, by a program as other tools call it | what the program leaves |
//! | `ByHand` | dns-persist-01, by a person | what the person put up |

mod crowd;
mod http;
mod listener;
mod program;
mod provider;
mod rfc2136;
mod trouble;
mod webroot;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_core::action::{ActKind, Fact, Outcome};
use perennial_core::words::{Answer, ChallengeKind, Name};

pub use listener::Listener;
pub use program::{Convention, ProgramSettings};
pub use provider::{Credentials, Holding, ProviderSettings, ZoneLocks};
pub use rfc2136::{DEFAULT_TTL_SECS, Rfc2136Settings};
pub use webroot::WebrootSettings;

use program::ProgramSolver;
use provider::Provider;
use rfc2136::Rfc2136;
use trouble::Trouble;
use webroot::Webroot;

/// How a solver answers.
#[derive(Clone, Debug)]
pub enum SolverSettings {
    /// By a server of our own, which outlives reloads of the configuration: several solvers, and
    /// the solvers of the next configuration, share it.
    Listen(Arc<Listener>),
    /// By files below a web server's root.
    Webroot(WebrootSettings),
    /// By DNS updates.
    Rfc2136(Rfc2136Settings),
    /// By the API of a DNS provider.
    Provider(ProviderSettings),
    /// By a program.
    Program(ProgramSettings),
    /// By a person: nothing is done here, and what is in DNS is looked at.
    ByHand,
}

/// All solvers, by name.
#[derive(Debug)]
pub struct Solvers {
    solvers: BTreeMap<Name, Solver>,
}

#[derive(Debug)]
enum Solver {
    Listen(Arc<Listener>),
    Webroot(Webroot),
    Rfc2136(Rfc2136),
    Provider(Provider),
    Program(ProgramSolver),
    ByHand,
}

/// Whether an answer goes up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Present,
    Withdraw,
}

impl Direction {
    const fn verb(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Withdraw => "withdraw",
        }
    }
}

impl Solvers {
    /// Makes the solvers of what was configured.
    #[must_use]
    pub fn new(settings: BTreeMap<Name, SolverSettings>) -> Self {
        let solver = |settings| match settings {
            SolverSettings::Listen(listener) => Solver::Listen(listener),
            SolverSettings::Webroot(settings) => Solver::Webroot(Webroot::new(settings)),
            SolverSettings::Rfc2136(settings) => Solver::Rfc2136(Rfc2136::new(settings)),
            SolverSettings::Provider(settings) => Solver::Provider(Provider::new(settings)),
            SolverSettings::Program(settings) => Solver::Program(ProgramSolver::new(settings)),
            SolverSettings::ByHand => Solver::ByHand,
        };
        Self { solvers: settings.into_iter().map(|(name, s)| (name, solver(s))).collect() }
    }

    /// Returns the listeners among them, each with the solver's name: whoever looks after them has
    /// them listen before an answer is needed.
    #[must_use]
    pub fn listeners(&self) -> Vec<(Name, Arc<Listener>)> {
        let listener = |(name, solver): (&Name, &Solver)| match solver {
            Solver::Listen(listener) => Some((name.clone(), Arc::clone(listener))),
            Solver::Webroot(_)
            | Solver::Rfc2136(_)
            | Solver::Provider(_)
            | Solver::Program(_)
            | Solver::ByHand => None,
        };
        self.solvers.iter().filter_map(listener).collect()
    }

    /// Performs `Present` or `Withdraw`.
    pub async fn perform(&self, act: &ActKind) -> Outcome {
        let (answer, direction, fact) = match act {
            ActKind::Present { answer } => (answer, Direction::Present, Fact::Presented),
            ActKind::Withdraw { answer } => (answer, Direction::Withdraw, Fact::Withdrawn),
            other => {
                let attempted = format!("perform {other:?} by a solver");
                return Outcome::Failed(Trouble::NotOurs.classify(&Name::new("none"), &attempted));
            }
        };
        match self.perform_answer(answer, direction).await {
            Ok(()) => Outcome::Done(fact),
            Err(trouble) => {
                let Answer { solver, identifier, .. } = answer;
                let kind = answer.kind.as_str();
                let verb = direction.verb();
                let attempted = format!("{verb} the {kind} answer for {identifier} by {solver}");
                Outcome::Failed(trouble.classify(solver, &attempted))
            }
        }
    }

    async fn perform_answer(&self, answer: &Answer, direction: Direction) -> Result<(), Trouble> {
        let solver = self.solvers.get(&answer.solver).ok_or(Trouble::UnknownSolver)?;
        if !solver.answers(&answer.kind) {
            return Err(Trouble::WrongKind(answer.kind.clone()));
        }
        match (solver, direction) {
            (Solver::Listen(listener), Direction::Present) => listener.present(answer).await,
            (Solver::Listen(listener), Direction::Withdraw) => {
                listener.withdraw(answer);
                Ok(())
            }
            (Solver::Webroot(webroot), direction) => webroot.perform(answer, direction).await,
            (Solver::Rfc2136(rfc2136), direction) => rfc2136.perform(answer, direction).await,
            (Solver::Provider(provider), direction) => provider.perform(answer, direction).await,
            (Solver::Program(program), direction) => program.perform(answer, direction).await,
            (Solver::ByHand, Direction::Present | Direction::Withdraw) => Ok(()),
        }
    }
}

impl Solver {
    fn answers(&self, kind: &ChallengeKind) -> bool {
        match self {
            Self::Listen(listener) => *kind == listener.kind(),
            Self::Webroot(_) => *kind == ChallengeKind::Http01,
            Self::Rfc2136(_) | Self::Provider(_) => kind.is_in_dns(),
            Self::Program(program) => *kind == program.kind(),
            Self::ByHand => *kind == ChallengeKind::DnsPersist01,
        }
    }
}

/// Returns the token if it is one: it becomes part of paths and of requests.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.3
fn token(answer: &Answer) -> Result<&str, Trouble> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let token = &*answer.token;
    let is_token = !token.is_empty() && token.len() <= MAX_TOKEN_LEN && token.bytes().all(fits);
    if is_token { Ok(token) } else { Err(Trouble::Token) }
}

/// How long a token may be. CAs use 22 to 43 characters; file names may have 255.
const MAX_TOKEN_LEN: usize = 200;

/// Where http-01 answers are, below the root of a web server.
const WELL_KNOWN: &str = ".well-known";

/// The directory in [`WELL_KNOWN`].
const ACME_CHALLENGE: &str = "acme-challenge";
