//! The demo's small internet, and the file that declares what is wanted of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use perennial_sandbox::{CaSetup, HostSetup, Sandbox, SandboxConfig, TsigKey};
use tempfile::TempDir;

use crate::clock::Time;

/// One web server, its names and how they are proven.
pub(super) struct Site {
    /// What its certificate is called.
    pub(super) certificate: &'static str,
    /// Its zone.
    zone: &'static str,
    /// The names of its certificate.
    pub(super) names: &'static [&'static str],
    /// Who proves them.
    pub(super) solver: &'static str,
    /// What is looked at.
    endpoints: &'static [&'static str],
    /// The last part of its address.
    last: u8,
}

/// The fleet.
pub(super) const SITES: [Site; 3] = [
    Site {
        certificate: "www",
        zone: "garden.test",
        names: &["garden.test", "www.garden.test"],
        solver: "http",
        endpoints: &["garden.test", "www.garden.test"],
        last: 11,
    },
    Site {
        certificate: "shop",
        zone: "shop.test",
        names: &["shop.test", "*.shop.test"],
        solver: "dns",
        endpoints: &["shop.test", "checkout.shop.test"],
        last: 12,
    },
    Site {
        certificate: "api",
        zone: "api.test",
        names: &["api.test"],
        solver: "http",
        endpoints: &["api.test"],
        last: 13,
    },
];

/// Everything that runs, until dropped.
pub(super) struct World {
    sandbox: Sandbox,
    key: TsigKey,
    folder: TempDir,
}

impl World {
    /// Starts the internet and writes the file.
    pub(super) async fn start(time: &Time) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for the demo")?;
        let http_port = free_port().await.context("find a free port")?;
        let mut config = SandboxConfig::new(time.logical(), Time::wall());
        let mut ca = CaSetup::new("Sandbox");
        ca.http_port = http_port;
        config.cas = vec![ca];
        config.hosts = SITES.iter().map(|site| host(folder.path(), site)).collect();
        let key = config.dns.keys.first().cloned().context("the sandbox has a TSIG key")?;
        let sandbox = Sandbox::start(config).await.context("start the sandbox")?;
        for site in &SITES {
            sandbox.add_zone(site.zone, &[site.address()]);
        }
        let world = Self { sandbox, key, folder };
        world.write(http_port).context("write the demo's files")?;
        Ok(world)
    }

    /// Returns the operator's file.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("perennial.toml")
    }

    /// Returns the store's folder.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Returns what runs, a line each: what it is, and where.
    pub(super) fn places(&self) -> Vec<(String, String)> {
        let ca = self.sandbox.cas.first().map_or_else(String::new, |ca| ca.directory().to_owned());
        let mut places = vec![
            ("a CA".to_owned(), ca),
            ("name servers".to_owned(), self.sandbox.dns.resolver().to_string()),
        ];
        for (site, host) in SITES.iter().zip(&self.sandbox.hosts) {
            let at = host.addresses().first().map_or_else(String::new, ToString::to_string);
            places.push((format!("web server {}", site.certificate), at));
        }
        places
    }

    fn write(&self, http_port: u16) -> Result<()> {
        let ca = self.sandbox.cas.first().context("the sandbox has a CA")?;
        let roots = format!("{}{}", ca.api_root_pem(), ca.root_pem());
        std::fs::write(self.folder.path().join("roots.pem"), roots)?;
        for site in &SITES {
            std::fs::write(self.trigger(site), "")?;
        }
        std::fs::write(self.config(), self.declaration(http_port)?)?;
        Ok(())
    }

    fn declaration(&self, http_port: u16) -> Result<String> {
        let ca = self.sandbox.cas.first().context("the sandbox has a CA")?;
        let secret = base64::engine::general_purpose::STANDARD.encode(&self.key.secret);
        let servers = ["ns1.sandbox.test", "ns2.sandbox.test"];
        let servers = servers.iter().filter_map(|name| self.sandbox.dns.server(name));
        let servers: Vec<SocketAddr> = servers.collect();
        std::fs::write(self.folder.path().join("tsig.key"), secret)?;
        let mut text = format!(
            r#"# The demo's declaration: what an operator would write.
contact = "ops@garden.test"
agree_terms = true

[store]
dir = "store"

[resolver]
servers = ["{resolver}"]

[issuer.sandbox]
directory = "{directory}"
roots = "roots.pem"
kind = "private"

[solver.http]
http-01 = "listener"
listen = [{listen}]

[solver.dns]
dns-01 = "rfc2136"
server = "{primary}"
tsig = {{ name = "{tsig}", key = "file:tsig.key" }}
nameservers = [{nameservers}]
"#,
            resolver = self.sandbox.dns.resolver(),
            directory = ca.directory(),
            listen = list(SITES.iter().map(|site| format!("{}:{http_port}", site.address()))),
            primary = servers.first().context("the sandbox has a name server")?,
            tsig = self.key.name,
            nameservers = list(servers.iter().map(ToString::to_string)),
        );
        for (site, host) in SITES.iter().zip(&self.sandbox.hosts) {
            let port = host.addresses().first().map_or(443, SocketAddr::port);
            let endpoints = site.endpoints.iter().map(|name| format!("{name}:{port}"));
            text.push_str(&format!(
                r#"
[target.{name}]
files = "{dir}"
reload = ["touch", "{trigger}"]

[certificate.{name}]
names = [{names}]
issuers = ["sandbox"]
solvers = ["{solver}"]
targets = ["{name}"]
endpoints = [{endpoints}]
"#,
                name = site.certificate,
                dir = live(self.folder.path()).display(),
                trigger = self.trigger(site).display(),
                names = list(site.names.iter().map(ToString::to_string)),
                solver = site.solver,
                endpoints = list(endpoints),
            ));
        }
        Ok(text)
    }

    fn trigger(&self, site: &Site) -> PathBuf {
        trigger(self.folder.path(), site)
    }
}

impl Site {
    const fn address(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, self.last))
    }
}

fn host(folder: &Path, site: &Site) -> HostSetup {
    let current = live(folder).join(site.certificate).join("current");
    HostSetup {
        name: site.certificate.to_owned(),
        addresses: vec![site.address()],
        port: 0,
        chain: current.join("fullchain.pem"),
        key: current.join("privkey.pem"),
        trigger: Some(trigger(folder, site)),
    }
}

fn live(folder: &Path) -> PathBuf {
    folder.join("live")
}

fn trigger(folder: &Path, site: &Site) -> PathBuf {
    folder.join(format!("{}.reload", site.certificate))
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", ")
}

/// Returns a port that is free on the first site's address; the other sites' are as free as ours.
async fn free_port() -> std::io::Result<u16> {
    let first = SITES.first().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), Site::address);
    let listener = tokio::net::TcpListener::bind((first, 0)).await?;
    Ok(listener.local_addr()?.port())
}
