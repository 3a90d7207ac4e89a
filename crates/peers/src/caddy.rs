//! Caddy, with certificates from files: its own management is off.

use std::net::SocketAddr;
use std::process::Command;

use crate::daemon::Home;
use crate::error::write;
use crate::{Daemon, Error, Program, TlsFiles};

impl Daemon {
    /// Starts Caddy with TLS for one name on one address, and its control port on another one.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time (with its
    /// log).
    pub async fn caddy(
        name: &str,
        at: SocketAddr,
        admin: SocketAddr,
        tls: &TlsFiles,
    ) -> Result<Self, Error> {
        let caddy = Program::CADDY.locate()?;
        let home = Home::new("caddy", "Caddyfile")?;
        let text = format!(
            "{{\n\tadmin {admin}\n\tauto_https off\n\tstorage file_system \
             {dir}/data\n}}\n\nhttps://{name}:{port} {{\n\tbind {ip}\n\ttls {chain} {key}\n\t\
             respond \"ok\"\n}}\n",
            dir = home.dir.path().display(),
            port = at.port(),
            ip = at.ip(),
            chain = tls.chain.display(),
            key = tls.key.display(),
        );
        write(&home.config, text)?;
        let mut command = Command::new(caddy);
        command.arg("run").arg("--config").arg(&home.config).env("HOME", home.dir.path());
        Self::start("caddy", home, command, &[at, admin]).await
    }
}
