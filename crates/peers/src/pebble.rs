//! Pebble, Let's Encrypt's ACME server for tests, with real validation.
//!
//! It asks one DNS server (over TCP) for everything it validates: any server here that answers
//! A, AAAA and TXT for the names does. It keeps everything in memory: [`Pebble::restart`] makes it
//! forget accounts, orders, certificates and even its roots, as a CA that lost its database would.
//! It refuses [`PebbleOptions::nonce_reject_percent`] of all good nonces, so that no client passes
//! that cannot meet a `badNonce`. It does not look at CAA.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::client::{body, client};
use crate::error::{temp_dir, write};
use crate::process::Process;
use crate::{Authority, Error, Port, Program};

/// A running Pebble.
#[derive(Debug)]
pub struct Pebble {
    options: PebbleOptions,
    program: PathBuf,
    api: Port,
    management: Port,
    http: u16,
    tls: u16,
    _validation: Vec<Port>,
    ca_pem: String,
    client: reqwest::Client,
    process: Option<Process>,
    dir: TempDir, // after the process, whose log is in it
}

/// How a Pebble behaves. Made by [`PebbleOptions::asking`], then changed field by field.
#[derive(Debug, Clone)]
pub struct PebbleOptions {
    /// The DNS server it validates with (asked over TCP).
    pub dns: SocketAddr,
    /// The port http-01 is validated on; a free one is drawn when there is none.
    pub http_port: Option<u16>,
    /// The port tls-alpn-01 is validated on; a free one is drawn when there is none.
    pub tls_port: Option<u16>,
    /// The external accounts it knows.
    pub eab: Vec<Eab>,
    /// Whether an account must be bound to one of them.
    pub eab_required: bool,
    /// Profiles by name, with the lifetime each issues for. Without a profile in the order Pebble
    /// takes *any* of them, so a test that declares several orders by name.
    pub profiles: Vec<(String, Duration)>,
    /// Names it refuses (`rejectedIdentifier`).
    pub blocked: Vec<String>,
    /// What its directory says in `caaIdentities`.
    pub caa_identities: Vec<String>,
    /// Whether it previews breaking changes (`-strict`).
    pub strict: bool,
    /// How many of a hundred good nonces it refuses.
    pub nonce_reject_percent: u8,
    /// How often of a hundred it reuses a valid authorization.
    pub authz_reuse_percent: u8,
    /// How many intermediates there are in a chain.
    pub chain_length: u8,
    /// How many further roots it offers chains to (`Link: rel="alternate"`).
    pub alternate_roots: u8,
    /// Whether it dawdles, up to 5 s, before it validates.
    pub dawdles: bool,
    /// The `Retry-After` of an unfinished authorization and order, in seconds.
    pub retry_after_secs: u16,
    /// The algorithm of its own keys.
    pub key_algorithm: KeyAlgorithm,
}

/// An external account: what a CA's web page would have given to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eab {
    /// The key's id.
    pub kid: String,
    /// The MAC key, base64url without padding.
    pub mac_key: String,
}

/// The algorithm of Pebble's own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// P-256.
    Ecdsa,
    /// RSA with 2048 bits; its keys take a second to make.
    Rsa,
}

impl PebbleOptions {
    /// A Pebble that validates through the given DNS server: quick, unkind about nonces, and with
    /// one profile, `default`, of 90 days.
    #[must_use]
    pub fn asking(dns: SocketAddr) -> Self {
        Self {
            dns,
            http_port: None,
            tls_port: None,
            eab: Vec::new(),
            eab_required: false,
            profiles: vec![("default".into(), Duration::from_secs(90 * 86_400))],
            blocked: Vec::new(),
            caa_identities: vec!["pebble.letsencrypt.org".into()],
            strict: false,
            nonce_reject_percent: 30,
            authz_reuse_percent: 50,
            chain_length: 1,
            alternate_roots: 0,
            dawdles: false,
            retry_after_secs: 1,
            key_algorithm: KeyAlgorithm::Ecdsa,
        }
    }
}

impl Pebble {
    /// Starts Pebble and waits until its directory answers.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not answer in time (with its log).
    pub async fn start(options: PebbleOptions) -> Result<Self, Error> {
        let program = Program::PEBBLE.locate()?;
        let dir = temp_dir("pebble")?;
        let authority = Authority::new("Pebble's listener")?;
        let listener = authority.issue(&["localhost", "127.0.0.1", "::1"])?;
        write(&dir.path().join("cert.pem"), listener.cert_pem)?;
        write(&dir.path().join("key.pem"), listener.key_pem)?;
        let mut validation = Vec::new();
        let mut port = |chosen: Option<u16>| match chosen {
            Some(number) => Ok(number),
            None => {
                let port = Port::free()?;
                let number = port.number();
                validation.push(port);
                Ok::<_, Error>(number)
            }
        };
        let (http, tls) = (port(options.http_port)?, port(options.tls_port)?);
        let mut pebble = Self {
            program,
            api: Port::free()?,
            management: Port::free()?,
            http,
            tls,
            _validation: validation,
            client: client(authority.pem())?,
            ca_pem: authority.pem().to_owned(),
            options,
            dir,
            process: None,
        };
        pebble.restart().await?;
        Ok(pebble)
    }

    /// Starts Pebble again on the same ports, ending it first when it runs. It has forgotten
    /// everything: accounts, orders, certificates, its issuing roots.
    ///
    /// # Errors
    ///
    /// When it does not answer in time (with its log).
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        let config = self.dir.path().join("pebble.json");
        write(&config, self.config().to_string())?;
        let process = Process::start("pebble", self.command(&config), &self.log_path())?;
        let url = self.directory_url();
        process
            .ready(async || {
                body("asking for the directory", self.client.get(&url).send().await).await
            })
            .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends Pebble: its ports refuse connections until [`Self::restart`].
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Changes how it behaves from the next [`Self::restart`] on; its ports stay.
    pub fn change(&mut self, change: impl FnOnce(&mut PebbleOptions)) {
        change(&mut self.options);
    }

    /// Returns the URL of its directory.
    #[must_use]
    pub fn directory_url(&self) -> String {
        format!("https://{}/dir", self.api.v4())
    }

    /// Returns the base of its management interface, without a slash at the end.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("https://{}", self.management.v4())
    }

    /// Returns the root, in PEM, that a client must trust to speak with it.
    #[must_use]
    pub fn ca_root_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Returns the port http-01 is validated on, whatever the name.
    #[must_use]
    pub const fn http_port(&self) -> u16 {
        self.http
    }

    /// Returns the port tls-alpn-01 is validated on, whatever the name.
    #[must_use]
    pub const fn tls_port(&self) -> u16 {
        self.tls
    }

    /// Returns, in PEM, the root it issues under; `index` counts the alternate ones from 1.
    ///
    /// # Errors
    ///
    /// When it does not run, or there is no such root.
    pub async fn issuing_root_pem(&self, index: u8) -> Result<String, Error> {
        let url = format!("{}/roots/{index}", self.management_url());
        body("asking Pebble for its root", self.client.get(url).send().await).await
    }

    /// Sets what it answers when asked for a certificate's renewal information. Any text goes, so
    /// that nonsense can be answered too.
    ///
    /// # Errors
    ///
    /// When it does not run, or did not issue the certificate (the first in `cert_pem` counts).
    pub async fn set_renewal_info(&self, cert_pem: &str, ari_json: &str) -> Result<(), Error> {
        let url = format!("{}/set-renewal-info/", self.management_url());
        let text = json!({ "Certificate": cert_pem, "ARIResponse": ari_json }).to_string();
        body("setting renewal information", self.client.post(url).body(text).send().await)
            .await
            .map(drop)
    }

    /// Returns a client that trusts its listener.
    #[must_use]
    pub const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Returns the end of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Returns the file with all that it wrote.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn command(&self, config: &std::path::Path) -> Command {
        let options = &self.options;
        let mut command = Command::new(&self.program);
        command.arg("-config").arg(config).arg("-dnsserver").arg(options.dns.to_string());
        if options.strict {
            command.arg("-strict");
        }
        command
            .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject_percent.to_string())
            .env("PEBBLE_AUTHZREUSE", options.authz_reuse_percent.to_string())
            .env("PEBBLE_CHAIN_LENGTH", options.chain_length.to_string())
            .env("PEBBLE_ALTERNATE_ROOTS", options.alternate_roots.to_string())
            .env("PEBBLE_VA_NOSLEEP", if options.dawdles { "0" } else { "1" })
            .env_remove("PEBBLE_VA_ALWAYS_VALID");
        command
    }

    fn config(&self) -> serde_json::Value {
        let options = &self.options;
        let keys: serde_json::Map<_, _> = options
            .eab
            .iter()
            .map(|account| (account.kid.clone(), json!(account.mac_key)))
            .collect();
        let profile = |(name, lifetime): &(String, Duration)| {
            let description = format!("{} s", lifetime.as_secs());
            let body = json!({ "description": description, "validityPeriod": lifetime.as_secs() });
            (name.clone(), body)
        };
        let profiles: serde_json::Map<_, _> = options.profiles.iter().map(profile).collect();
        json!({ "pebble": {
            "listenAddress": self.api.v4().to_string(),
            "managementListenAddress": self.management.v4().to_string(),
            "certificate": self.dir.path().join("cert.pem"),
            "privateKey": self.dir.path().join("key.pem"),
            "httpPort": self.http,
            "tlsPort": self.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": options.eab_required,
            "externalAccountMACKeys": keys,
            "caaIdentities": options.caa_identities,
            "domainBlocklist": options.blocked,
            "retryAfter": { "authz": options.retry_after_secs, "order": options.retry_after_secs },
            "keyAlgorithm": match options.key_algorithm {
                KeyAlgorithm::Ecdsa => "ecdsa",
                KeyAlgorithm::Rsa => "rsa",
            },
            "profiles": profiles,
        }})
    }
}
