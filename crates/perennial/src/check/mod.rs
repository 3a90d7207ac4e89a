//! `perennial check`: what can be said about a host without any configuration.
//!
//! Looking ([`perennial_adapters::discover`]) and judging are apart: [`report::judge`] makes of the
//! facts a report, rows and findings, and is pure; [`render`] and [`json`] only write it.
//!
//! Exit codes: 0 all is fine, 1 there are findings, 2 the command line is wrong, 3 nothing could be
//! looked at.

mod json;
mod render;
mod report;
mod subject;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use perennial_adapters::discover::{Discover, Facts};
use perennial_wire::clock::Clock;
use perennial_wire::dns::Resolver;
use perennial_wire::revocation::Revocations;
use perennial_wire::tls::{Roots, Stores};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};

use crate::cli::Ending;
use crate::live::Live;
use crate::view::{Paint, shorten, span};
use report::{Outcome, Report};
pub use subject::Subject;

/// How many hosts are looked at once.
const AT_ONCE: usize = 16;

/// What `check` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Hosts to look at: a name or an address, with a port if it is not 443, or a URL such as
    /// smtp://HOST
    #[arg(required = true, value_name = "HOST[:PORT]", value_parser = Subject::parse)]
    pub hosts: Vec<Subject>,

    /// Ask this resolver instead of the machine's
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = subject::parse_resolver)]
    pub resolver: Option<SocketAddr>,

    /// Connect to this address instead of the host's own (an origin behind a CDN)
    #[arg(long, value_name = "ADDR")]
    pub connect: Option<IpAddr>,

    /// Judge by the roots in this PEM file alone (a private CA)
    #[arg(long, value_name = "FILE")]
    pub roots: Option<PathBuf>,

    /// Wait so many seconds for a connection, and again for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub timeout: u64,

    /// Look for http-01 at this port
    #[arg(long, value_name = "PORT", default_value_t = 80, hide = true)]
    pub http_port: u16,

    /// Ask authoritative name servers at this port
    #[arg(long, value_name = "PORT", default_value_t = 53, hide = true)]
    pub dns_port: u16,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As JSON, for programs.
    Json,
    /// As text, for people.
    Text(Paint),
}

/// Looks at the hosts, and writes what was found to `out` in the order of the arguments. `clock` is
/// the logical one.
///
/// # Errors
///
/// Returns why nothing could be looked at at all (no resolver, no readable roots), or why `out`
/// could not be written.
pub async fn run(
    args: &CheckArgs,
    form: Form,
    clock: Clock,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Ending> {
    let mut waiting = Waiting::new(args.hosts.len(), clock.clone());
    let discover = discover(args, clock)?;
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let looks: Vec<_> = args
        .hosts
        .iter()
        .map(|subject| {
            let (discover, subject) = (discover.clone(), subject.clone());
            let (at_once, done) = (Arc::clone(&at_once), Arc::clone(&waiting.done));
            tokio::spawn(async move {
                // The semaphore is never closed; without a permit we would only look sooner.
                let _permit = at_once.acquire_owned().await;
                let facts = discover.look(&subject.host, subject.port, subject.protocol).await;
                done.fetch_add(1, Ordering::Relaxed);
                facts
            })
        })
        .collect();
    let mut all: Vec<(Facts, Report)> = Vec::new();
    for (look, subject) in looks.into_iter().zip(&args.hosts) {
        let facts = waiting.until(look, subject).await.context("looking at a host")?;
        let report = report::judge(&facts);
        if let Form::Text(paint) = form {
            let gap = if all.is_empty() { "" } else { "\n" };
            write!(out, "{gap}{}", render::text(&report, paint))?;
            out.flush()?;
        }
        all.push((facts, report));
    }
    match form {
        Form::Json => writeln!(out, "{}", json::text(&all)?)?,
        Form::Text(_) => write!(out, "{}", render::summary(all.iter().map(|(_, report)| report)))?,
    }
    let worst = all.iter().map(|(_, report)| report.outcome).max();
    Ok(worst.unwrap_or(Outcome::Fine).ending())
}

/// What is said on a terminal while a host is waited for.
struct Waiting {
    hosts: usize,
    done: Arc<AtomicUsize>,
    clock: Clock,
    began_at: Timestamp,
    live: Option<Live>,
}

/// How often the line is drawn; what is quicker is not waited for.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

impl Waiting {
    fn new(hosts: usize, clock: Clock) -> Self {
        let began_at = clock.now();
        Self { hosts, done: Arc::default(), clock, began_at, live: Live::on_terminal() }
    }

    /// Waits for a look, and leaves nothing on the terminal.
    async fn until<T>(&mut self, look: JoinHandle<T>, subject: &Subject) -> Result<T, JoinError> {
        let mut look = look;
        loop {
            match tokio::time::timeout(DRAWN_EVERY, &mut look).await {
                Ok(looked) => {
                    if let Some(live) = &mut self.live {
                        live.clear();
                    }
                    return looked;
                }
                Err(_) => self.draw(subject),
            }
        }
    }

    fn draw(&mut self, subject: &Subject) {
        let done = self.done.load(Ordering::Relaxed);
        let took = span(self.clock.now().duration_since(self.began_at));
        let Some(live) = &mut self.live else { return };
        let many =
            if self.hosts > 1 { format!("; {done} of {} done", self.hosts) } else { String::new() };
        let line = format!("looking at {}:{}, {took}{many}", subject.host, subject.port);
        live.draw(&[shorten(&line, live.width())]);
    }
}

fn discover(args: &CheckArgs, clock: Clock) -> anyhow::Result<Discover> {
    let timeout = Duration::from_secs(args.timeout);
    let resolver = match args.resolver {
        Some(server) => Resolver::recursive(vec![server]),
        None => Resolver::system().context("finding a resolver")?,
    };
    let resolver = resolver.with_port(args.dns_port).with_timeout(timeout);
    let stores = match &args.roots {
        Some(file) => {
            let pem = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            let name = file.display().to_string();
            let roots = Roots::from_pem(&name, &pem);
            Stores::only(roots.with_context(|| format!("reading the roots of {name}"))?)
        }
        None => Stores::usual(),
    };
    let revocations = Revocations::new().context("setting up HTTP for revocation lists")?;
    Ok(Discover::new(resolver, stores, clock)
        .at_address(args.connect)
        .with_timeout(timeout)
        .with_http_port(args.http_port)
        .with_revocations(Arc::new(revocations)))
}

#[cfg(test)]
mod tests;
