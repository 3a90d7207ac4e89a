//! PostgreSQL with a fresh cluster, which trusts whoever comes.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::daemon::{Home, as_user, give};
use crate::error::{make_dir, write};
use crate::process::run;
use crate::{Daemon, Error, Program, TlsFiles};

/// The user that Debian's package makes; PostgreSQL refuses to run as root.
const USER: &str = "postgres";

impl Daemon {
    /// Starts PostgreSQL with TLS on one address. The key must be its user's own, and nobody else's
    /// to read: [`Daemon::give_to_postgresql`].
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time (with its
    /// log).
    pub async fn postgresql(at: SocketAddr, tls: &TlsFiles) -> Result<Self, Error> {
        let postgres = Program::POSTGRES.locate()?;
        let initdb = Program::INITDB.locate()?;
        let home = Home::new("postgresql", "data/postgresql.conf")?;
        let data = home.path("data");
        make_dir(&data)?;
        give(&data, USER)?;
        let mut init = as_user(USER, &initdb);
        init.arg("-D").arg(&data).args(["-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8"]);
        init.args(["--locale", "C"]).current_dir("/");
        run("initdb", init, Duration::from_secs(120)).await?;
        write(&home.config, config(at, tls))?;
        let mut command = as_user(USER, &postgres);
        command.arg("-D").arg(&data).current_dir("/");
        Self::start("postgresql", home, command, &[at]).await
    }

    /// Gives a key to the user that PostgreSQL runs as.
    ///
    /// # Errors
    ///
    /// When it cannot be given.
    pub fn give_to_postgresql(key: &Path) -> Result<(), Error> {
        give(key, USER)
    }
}

fn config(at: SocketAddr, tls: &TlsFiles) -> String {
    format!(
        "listen_addresses = '{ip}'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n\
         ssl = on\nssl_cert_file = '{chain}'\nssl_key_file = '{key}'\n",
        ip = at.ip(),
        port = at.port(),
        chain = tls.chain.display(),
        key = tls.key.display(),
    )
}
