//! Pebble's companion: a name server (and http-01 responder) that answers as it is told.
//!
//! What it was not told it answers with a default address, so that a CA finds every name.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{body, client};
use crate::error::temp_dir;
use crate::process::{Process, listens};
use crate::{Error, Port, Program};

/// A running pebble-challtestsrv.
#[derive(Debug)]
pub struct ChallTestSrv {
    process: Process,
    dns: Port,
    management: Port,
    client: reqwest::Client,
    http: Option<u16>,
    _dir: TempDir,
}

impl ChallTestSrv {
    /// Starts it as a name server, and as an http-01 responder when given a port for that.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not answer in time (with its log).
    pub async fn start(http_port: Option<u16>) -> Result<Self, Error> {
        let program = Program::CHALLTESTSRV.locate()?;
        let dir = temp_dir("challtestsrv")?;
        let (dns, management) = (Port::free()?, Port::free()?);
        let http = http_port.map(|port| format!("127.0.0.1:{port},[::1]:{port}"));
        let mut command = Command::new(program);
        command
            .args(["-dnsserver", &dns.v4().to_string()])
            .args(["-management", &management.v4().to_string()])
            .args(["-http01", &http.unwrap_or_default()])
            .args(["-https01", "", "-doh", "", "-tlsalpn01", ""]);
        let process = Process::start("pebble-challtestsrv", command, &dir.path().join("log"))?;
        let client = client("")?;
        let started = Self { process, dns, management, client, http: http_port, _dir: dir };
        let told = async || started.set_default_ipv4(Some(Ipv4Addr::LOCALHOST)).await;
        started.process.ready(told).await?;
        started.process.ready(async || listens(started.dns.v4()).await).await?;
        Ok(started)
    }

    /// Returns the address of the name server (UDP and TCP).
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.dns.v4()
    }

    /// Returns where it is told, for programs that tell it by themselves.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("http://{}", self.management.v4())
    }

    /// Returns the port of the http-01 responder, if there is one.
    #[must_use]
    pub const fn http_port(&self) -> Option<u16> {
        self.http
    }

    /// Sets the A records of a name.
    ///
    /// # Errors
    ///
    /// When it does not answer; so for all calls below.
    pub async fn add_a(&self, host: &str, addresses: &[Ipv4Addr]) -> Result<(), Error> {
        self.tell("add-a", &json!({ "host": fqdn(host), "addresses": addresses })).await
    }

    /// Sets the AAAA records of a name.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn add_aaaa(&self, host: &str, addresses: &[Ipv6Addr]) -> Result<(), Error> {
        self.tell("add-aaaa", &json!({ "host": fqdn(host), "addresses": addresses })).await
    }

    /// Adds a TXT record.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn set_txt(&self, host: &str, value: &str) -> Result<(), Error> {
        self.tell("set-txt", &json!({ "host": fqdn(host), "value": value })).await
    }

    /// Removes all TXT records of a name.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn clear_txt(&self, host: &str) -> Result<(), Error> {
        self.tell("clear-txt", &json!({ "host": fqdn(host) })).await
    }

    /// Makes a name an alias.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn set_cname(&self, host: &str, target: &str) -> Result<(), Error> {
        self.tell("set-cname", &json!({ "host": fqdn(host), "target": fqdn(target) })).await
    }

    /// Removes an alias.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn clear_cname(&self, host: &str) -> Result<(), Error> {
        self.tell("clear-cname", &json!({ "host": fqdn(host) })).await
    }

    /// Adds CAA records, each a tag and a value.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn add_caa(&self, host: &str, policies: &[(&str, &str)]) -> Result<(), Error> {
        let policies: Vec<Value> =
            policies.iter().map(|(tag, value)| json!({ "tag": tag, "value": value })).collect();
        self.tell("add-caa", &json!({ "host": fqdn(host), "policies": policies })).await
    }

    /// Removes all CAA records of a name.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn clear_caa(&self, host: &str) -> Result<(), Error> {
        self.tell("clear-caa", &json!({ "host": fqdn(host) })).await
    }

    /// Makes every question about a name end in SERVFAIL.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn set_servfail(&self, host: &str) -> Result<(), Error> {
        self.tell("set-servfail", &json!({ "host": fqdn(host) })).await
    }

    /// Ends the SERVFAIL.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn clear_servfail(&self, host: &str) -> Result<(), Error> {
        self.tell("clear-servfail", &json!({ "host": fqdn(host) })).await
    }

    /// Sets the address of every name it was told nothing about; `None` for no address.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn set_default_ipv4(&self, address: Option<Ipv4Addr>) -> Result<(), Error> {
        let ip = address.map(|address| address.to_string()).unwrap_or_default();
        self.tell("set-default-ipv4", &json!({ "ip": ip })).await
    }

    /// Sets the IPv6 address of every name it was told nothing about; `None` for no address.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn set_default_ipv6(&self, address: Option<Ipv6Addr>) -> Result<(), Error> {
        let ip = address.map(|address| address.to_string()).unwrap_or_default();
        self.tell("set-default-ipv6", &json!({ "ip": ip })).await
    }

    /// Puts up an http-01 answer.
    ///
    /// # Errors
    ///
    /// When it does not answer, or was started without a port for http-01.
    pub async fn add_http01(&self, token: &str, content: &str) -> Result<(), Error> {
        self.tell("add-http01", &json!({ "token": token, "content": content })).await
    }

    /// Takes down an http-01 answer.
    ///
    /// # Errors
    ///
    /// When it does not answer, or was started without a port for http-01.
    pub async fn del_http01(&self, token: &str) -> Result<(), Error> {
        self.tell("del-http01", &json!({ "token": token })).await
    }

    /// Returns the end of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    async fn tell(&self, what: &str, told: &Value) -> Result<(), Error> {
        let url = format!("http://{}/{what}", self.management.v4());
        body(what, self.client.post(url).body(told.to_string()).send().await).await.map(drop)
    }
}

/// Returns a name as the server keys it, with the root's dot.
fn fqdn(host: &str) -> String {
    format!("{}.", host.trim_end_matches('.'))
}
