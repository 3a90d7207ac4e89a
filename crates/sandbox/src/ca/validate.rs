//! Real validation: http-01 by HTTP, dns-01 and CAA by DNS. Judging is the model's.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, LOCATION, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use perennial_core::words::{ChallengeKind, Identifier, Problem, Url};
use perennial_sim::model::ca::verdict::{
    CaaQuestion, Fetched, caa, caa_names, dns_persist01, dns01, http01,
};
use perennial_sim::model::ca::{Validation, problem};
use perennial_sim::model::dns::{Data, Kind, Lookup};
use perennial_wire::authorization::record_name;
use tokio::net::TcpStream;

use super::jose::digest_of;
use crate::dns::resolve;

/// How long a connection may take, and how long an answer (Boulder: 10 s in all).
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many redirects are followed.
///
/// Source: Boulder.
const MAX_REDIRECTS: usize = 10;

/// How many bytes of an answer are read.
const MAX_ANSWER: usize = 64 * 1024;

/// Validates.
pub(super) struct Validator {
    resolver: SocketAddr,
    http_port: AtomicU16,
    identities: Box<[Box<str>]>,
}

impl Validator {
    pub(super) const fn new(
        resolver: SocketAddr,
        http_port: u16,
        identities: Box<[Box<str>]>,
    ) -> Self {
        Self { resolver, http_port: AtomicU16::new(http_port), identities }
    }

    pub(super) fn set_http_port(&self, port: u16) {
        self.http_port.store(port, Ordering::Relaxed);
    }

    /// Validates a challenge, then evaluates CAA.
    pub(super) async fn validate(&self, validation: &Validation) -> Result<(), Problem> {
        match validation.kind {
            ChallengeKind::Http01 => {
                let fetched = self.fetch(validation).await;
                http01(validation, &fetched)?;
            }
            ChallengeKind::Dns01 | ChallengeKind::DnsAccount01 => {
                let digest = digest_of(&validation.key_authorization());
                let (kind, account) = (&validation.kind, &validation.account);
                let name = record_name(kind, &validation.identifier, account);
                let found = resolve(self.resolver, &name, Kind::Txt).await;
                dns01(&name, &digest, &found)?;
            }
            ChallengeKind::DnsPersist01 => {
                let (kind, account) = (&validation.kind, &validation.account);
                let name = record_name(kind, &validation.identifier, account);
                let found = resolve(self.resolver, &name, Kind::Txt).await;
                dns_persist01(validation, &self.identities, &found)?;
            }
            ChallengeKind::TlsAlpn01 | ChallengeKind::Other(_) => {
                let detail = "this CA cannot validate challenges of this type";
                return Err(problem(400, "malformed", detail));
            }
        }
        self.check_caa(&validation.identifier, &validation.account, &validation.kind).await
    }

    /// Evaluates CAA: the first name with records decides.
    pub(super) async fn check_caa(
        &self,
        identifier: &Identifier,
        account: &Url,
        kind: &ChallengeKind,
    ) -> Result<(), Problem> {
        let identities = &self.identities;
        let question = CaaQuestion { identities, identifier, account, kind };
        for name in caa_names(identifier) {
            let found = resolve(self.resolver, name, Kind::Caa).await;
            let nothing = match &found {
                Lookup::NoName => true,
                Lookup::Found(_) => found.data(Kind::Caa).next().is_none(),
                Lookup::ServFail | Lookup::Silence => false,
            };
            if !nothing {
                return caa(&question, name, &found);
            }
        }
        Ok(())
    }

    async fn fetch(&self, validation: &Validation) -> Fetched {
        let port = self.http_port.load(Ordering::Relaxed);
        let base = validation.identifier.base();
        let host = if base.contains(':') { format!("[{base}]") } else { base.to_owned() };
        let path = format!("/.well-known/acme-challenge/{}", validation.token);
        let mut target = Target { host, port, path };
        for _ in 0..=MAX_REDIRECTS {
            match self.fetch_once(&target).await {
                Met::Done(fetched) => return fetched,
                Met::Redirect { address, to } => match target.redirected(&to, port) {
                    Some(next) => target = next,
                    None => {
                        let cause = format!("Invalid redirect to {to}").into();
                        return Fetched::Failed { address, cause };
                    }
                },
            }
        }
        let cause = "Too many redirects".into();
        Fetched::Failed { address: target.host.into(), cause }
    }

    async fn fetch_once(&self, target: &Target) -> Met {
        let addresses = match self.addresses(&target.host).await {
            Ok(addresses) => addresses,
            Err(lookup) => return Met::Done(Fetched::NoAddress(lookup)),
        };
        let mut failed = None;
        // IPv6 first, then one try with IPv4, as Boulder does.
        for address in addresses.iter().take(2) {
            let trying = get(SocketAddr::new(*address, target.port), target);
            let cause = match tokio::time::timeout(TIMEOUT, trying).await {
                Ok(Ok(met)) => return met,
                Ok(Err(cause)) => cause,
                Err(_) => "Timeout during connect (likely firewall problem)".into(),
            };
            failed = Some(Fetched::Failed { address: address.to_string().into(), cause });
        }
        Met::Done(failed.unwrap_or_else(|| Fetched::NoAddress(Lookup::Found(Vec::new()))))
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Lookup> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse() {
            return Ok(vec![ip]);
        }
        let v6 = resolve(self.resolver, host, Kind::Aaaa).await;
        let v4 = resolve(self.resolver, host, Kind::A).await;
        let ip = |data: &Data| match data {
            Data::A(ip) => Some(IpAddr::from(*ip)),
            Data::Aaaa(ip) => Some(IpAddr::from(*ip)),
            Data::Cname(_) | Data::Ns(_) | Data::Soa { .. } | Data::Txt(_) | Data::Caa(_) => None,
        };
        // One of each, so that the second try is another family.
        let firsts = [v6.data(Kind::Aaaa).find_map(ip), v4.data(Kind::A).find_map(ip)];
        let found: Vec<IpAddr> = firsts.into_iter().flatten().collect();
        if found.is_empty() { Err(v4) } else { Ok(found) }
    }
}

struct Target {
    host: String,
    port: u16,
    path: String,
}

enum Met {
    Done(Fetched),
    Redirect { address: Box<str>, to: String },
}

impl Target {
    /// Returns where a `Location` leads; only plain HTTP is followed.
    fn redirected(&self, to: &str, default_port: u16) -> Option<Self> {
        let uri: Uri = to.parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        match (uri.scheme_str(), uri.host()) {
            (None, None) => Some(Self { host: self.host.clone(), port: self.port, path }),
            (Some("http"), Some(host)) => {
                // Port 80 of the sandbox's world is the configured one.
                let port = uri.port_u16().filter(|port| *port != 80).unwrap_or(default_port);
                Some(Self { host: host.to_owned(), port, path })
            }
            _ => None,
        }
    }
}

async fn get(address: SocketAddr, target: &Target) -> Result<Met, Box<str>> {
    let cause = |error: &dyn std::error::Error| -> Box<str> { error.to_string().into() };
    let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "Connection refused".into(),
        _ => cause(&error),
    })?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| cause(&error))?;
    let running = tokio::spawn(connection);
    let request = Request::get(&target.path)
        .header(HOST, &target.host)
        .header(USER_AGENT, "perennial-sandbox-ca")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| cause(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| cause(&error))?;
    let from = address.ip().to_string().into();
    let status = answer.status();
    let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    if is_redirect(status)
        && let Some(to) = location
    {
        running.abort();
        return Ok(Met::Redirect { address: from, to: to.to_owned() });
    }
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| Box::<str>::from(error.to_string()))?.to_bytes();
    running.abort();
    let body = String::from_utf8_lossy(&body).into();
    Ok(Met::Done(Fetched::Answer { from, status: status.as_u16(), body }))
}

/// Source: BR 3.2.2.4.19.
const fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 307 | 308)
}
