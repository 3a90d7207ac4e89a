//! Prosody, an XMPP server, to which nobody may log in.

use std::net::SocketAddr;
use std::process::Command;

use crate::daemon::Home;
use crate::error::{make_dir, write};
use crate::{Daemon, Error, Program, TlsFiles};

impl Daemon {
    /// Starts Prosody for one domain, for clients on one address and for servers on another port
    /// of it.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time (with its
    /// log).
    pub async fn prosody(
        domain: &str,
        clients: SocketAddr,
        servers: SocketAddr,
        tls: &TlsFiles,
    ) -> Result<Self, Error> {
        let prosody = Program::PROSODY.locate()?;
        let home = Home::new("prosody", "prosody.cfg.lua")?;
        make_dir(&home.path("data"))?;
        let text = format!(
            "run_as_root = true\npidfile = \"{dir}/pid\"\ndata_path = \"{dir}/data\"\n\
             log = {{ info = \"*console\" }}\ninterfaces = {{ \"{ip}\" }}\n\
             c2s_ports = {{ {clients} }}\ns2s_ports = {{ {servers} }}\n\
             modules_enabled = {{ \"tls\", \"saslauth\", \"dialback\" }}\n\
             authentication = \"internal_hashed\"\nVirtualHost \"{domain}\"\n\
             ssl = {{ key = \"{key}\"; certificate = \"{chain}\" }}\n",
            dir = home.dir.path().display(),
            ip = clients.ip(),
            clients = clients.port(),
            servers = servers.port(),
            key = tls.key.display(),
            chain = tls.chain.display(),
        );
        write(&home.config, text)?;
        let mut command = Command::new(prosody);
        command.arg("-F").arg("--config").arg(&home.config);
        Self::start("prosody", home, command, &[clients, servers]).await
    }
}
