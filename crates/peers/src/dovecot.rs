//! Dovecot, as far as TLS and its greeting: nobody has mail there.

use std::net::SocketAddr;
use std::process::Command;

use crate::daemon::Home;
use crate::error::write;
use crate::{Daemon, Error, Program, TlsFiles};

impl Daemon {
    /// Starts Dovecot with `STARTTLS` for IMAP on one address and for POP3 on another one.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time (with its
    /// log).
    pub async fn dovecot(
        imap: SocketAddr,
        pop3: SocketAddr,
        tls: &TlsFiles,
    ) -> Result<Self, Error> {
        let dovecot = Program::DOVECOT.locate()?;
        Program::DOVEADM.locate()?;
        let home = Home::new("dovecot", "dovecot.conf")?;
        write(&home.config, config(&home, imap, pop3, tls))?;
        let mut command = Command::new(dovecot);
        command.arg("-F").arg("-c").arg(&home.config);
        Self::start("dovecot", home, command, &[imap, pop3]).await
    }
}

fn config(home: &Home, imap: SocketAddr, pop3: SocketAddr, tls: &TlsFiles) -> String {
    let dir = home.dir.path().display();
    let listener = |protocol: &str, at: SocketAddr| {
        format!(
            "service {protocol}-login {{\n  inet_listener {protocol} {{\n    address = {}\n    \
             port = {}\n  }}\n  inet_listener {protocol}s {{\n    port = 0\n  }}\n}}\n",
            at.ip(),
            at.port()
        )
    };
    format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = /dev/stderr\n\
         protocols = imap pop3\nmail_max_userip_connections = 1000\n\
         ssl = yes\nssl_cert = <{chain}\nssl_key = <{key}\n\
         passdb {{\n  driver = static\n  args = password=x\n}}\n\
         userdb {{\n  driver = static\n  args = uid=65534 gid=65534 home=/nonexistent\n}}\n\
         {imap}{pop3}",
        chain = tls.chain.display(),
        key = tls.key.display(),
        imap = listener("imap", imap),
        pop3 = listener("pop3", pop3),
    )
}
