//! vsftpd, to which nobody may log in.

use std::net::SocketAddr;
use std::process::Command;

use crate::daemon::Home;
use crate::error::{make_dir, write};
use crate::{Daemon, Error, Program, TlsFiles};

impl Daemon {
    /// Starts vsftpd with `AUTH TLS` on one address.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time (with its
    /// log).
    pub async fn vsftpd(at: SocketAddr, tls: &TlsFiles) -> Result<Self, Error> {
        let vsftpd = Program::VSFTPD.locate()?;
        let home = Home::new("vsftpd", "vsftpd.conf")?;
        let empty = home.path("empty");
        make_dir(&empty)?;
        let own = if rustix::process::geteuid().is_root() { "NO" } else { "YES" };
        let text = format!(
            "background=NO\nlisten=YES\nlisten_address={ip}\nlisten_port={port}\n\
             anonymous_enable=NO\nlocal_enable=YES\nssl_enable=YES\nrsa_cert_file={chain}\n\
             rsa_private_key_file={key}\nsecure_chroot_dir={empty}\nseccomp_sandbox=NO\n\
             run_as_launching_user={own}\nvsftpd_log_file={log}\n",
            ip = at.ip(),
            port = at.port(),
            chain = tls.chain.display(),
            key = tls.key.display(),
            empty = empty.display(),
            log = home.path("ftp.log").display(),
        );
        write(&home.config, text)?;
        let mut command = Command::new(vsftpd);
        command.arg(&home.config);
        Self::start("vsftpd", home, command, &[at]).await
    }
}
