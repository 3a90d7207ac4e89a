//! OpenLDAP's server, with nothing in it.

use std::net::SocketAddr;
use std::process::Command;

use crate::daemon::Home;
use crate::error::write;
use crate::{Daemon, Error, Program, TlsFiles};

impl Daemon {
    /// Starts slapd with `StartTLS` on one address, or without any TLS.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time (with its
    /// log).
    pub async fn slapd(at: SocketAddr, tls: Option<&TlsFiles>) -> Result<Self, Error> {
        let slapd = Program::SLAPD.locate()?;
        let home = Home::new("slapd", "slapd.conf")?;
        let mut text = format!("pidfile {}\n", home.path("pid").display());
        if let Some(tls) = tls {
            let (chain, key) = (tls.chain.display(), tls.key.display());
            text.push_str(&format!(
                "TLSCertificateFile {chain}\nTLSCertificateKeyFile {key}\n\
                 TLSCACertificateFile {chain}\n"
            ));
        }
        write(&home.config, text)?;
        let mut command = Command::new(slapd);
        command.args(["-d", "0", "-h", &format!("ldap://{at}"), "-f"]).arg(&home.config);
        Self::start("slapd", home, command, &[at]).await
    }
}
