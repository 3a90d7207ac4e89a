//! Postfix, as far as its SMTP server: nothing is delivered, and no queue is run.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::daemon::{Home, give};
use crate::error::{make_dir, write};
use crate::process::run;
use crate::{Daemon, Error, Program, TlsFiles};

impl Daemon {
    /// Starts Postfix with `STARTTLS` on one address.
    ///
    /// # Errors
    ///
    /// When it is not installed, we are not root (it has to be started by root), it refuses its
    /// configuration, or does not listen in time (with its log).
    pub async fn postfix(at: SocketAddr, tls: &TlsFiles) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::failed("starting postfix", "only root can: run the tests as root"));
        }
        let postfix = Program::POSTFIX.locate()?;
        let master = Program::POSTFIX_MASTER.locate()?;
        let home = Home::new("postfix", "main.cf")?;
        for dir in ["queue", "data"] {
            make_dir(&home.path(dir))?;
        }
        give(&home.path("data"), "postfix")?;
        write(&home.config, main_cf(&home, at, tls))?;
        write(&home.path("master.cf"), master_cf(at))?;
        let dir = home.dir.path().display().to_string();
        let mut check = Command::new(&postfix);
        check.args(["-c", &dir, "check"]);
        run("postfix check", check, Duration::from_secs(60)).await?;
        let mut command = Command::new(master);
        command.args(["-c", &dir, "-d"]);
        Self::start("postfix", home, command, &[at]).await
    }
}

fn main_cf(home: &Home, at: SocketAddr, tls: &TlsFiles) -> String {
    let dir = home.dir.path().display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {dir}/queue\ndata_directory = {dir}/data\n\
         mail_owner = postfix\ninet_interfaces = {ip}\nmyhostname = mail.test\nmydestination =\n\
         local_recipient_maps =\nalias_maps =\nsmtpd_tls_security_level = may\n\
         smtpd_tls_chain_files = {key}, {chain}\nsmtpd_tls_loglevel = 1\n\
         maillog_file_prefixes = /\nmaillog_file = {dir}/mail.log\n\
         smtpd_client_connection_count_limit = 0\n",
        ip = at.ip(),
        key = tls.key.display(),
        chain = tls.chain.display(),
    )
}

fn master_cf(at: SocketAddr) -> String {
    format!(
        "{at} inet n - n - - smtpd\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         anvil unix - - n - 1 anvil\nrewrite unix - - n - - trivial-rewrite\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}
