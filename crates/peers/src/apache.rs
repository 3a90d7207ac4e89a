//! Apache, with one virtual host in a file of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::daemon::Home;
use crate::error::{make_dir, write};
use crate::{Daemon, Error, Program, TlsFiles};

/// Where Debian keeps the modules.
const MODULES: &str = "/usr/lib/apache2/modules";

impl Daemon {
    /// Starts Apache with TLS for one name on one address.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time (with its
    /// log).
    pub async fn apache(name: &str, at: SocketAddr, tls: &TlsFiles) -> Result<Self, Error> {
        let apache = Program::APACHE.locate()?;
        let home = Home::new("apache", "apache2.conf")?;
        make_dir(&home.path("sites"))?;
        let site = format!(
            "<VirtualHost *:{port}>\n  ServerName {name}\n  SSLEngine on\n  \
             SSLCertificateFile {chain}\n  SSLCertificateKeyFile {key}\n</VirtualHost>\n",
            port = at.port(),
            chain = tls.chain.display(),
            key = tls.key.display(),
        );
        write(&home.path("sites/site.conf"), site)?;
        write(&home.config, config(home.dir.path(), name, at))?;
        let mut command = Command::new(apache);
        command.arg("-f").arg(&home.config).args(["-D", "FOREGROUND"]);
        Self::start("apache", home, command, &[at]).await
    }
}

fn config(dir: &Path, name: &str, at: SocketAddr) -> String {
    let dir = dir.display();
    let user =
        if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    let module = |name: &str| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n");
    let modules: String = ["mpm_event", "ssl", "socache_shmcb", "authz_core"].map(module).concat();
    format!(
        "ServerRoot {dir}\nPidFile {dir}/pid\nDefaultRuntimeDir {dir}\nErrorLog /dev/stderr\n\
         ServerName {name}\n{modules}{user}Listen {at} https\nSSLSessionCache none\n\
         IncludeOptional {dir}/sites/*.conf\n"
    )
}
