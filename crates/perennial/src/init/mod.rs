//! Beginning: what lies on this machine becomes a first configuration.
//!
//! Looked for are nginx, Apache and HAProxy at their usual places, and certbot's tree. Nothing is
//! started or asked, only files are read; what cannot be read is told and passed over. Each name that a
//! web server has gets covered, by one certificate for the names that one server block has together.

mod apache;
mod draft;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use perennial_adapters::deploy::{Site, sites};

pub use draft::draft;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// nginx's folder and its server blocks.
    pub nginx: Option<(PathBuf, Vec<Site>)>,
    /// Apache's folder and its virtual hosts.
    pub apache: Option<(PathBuf, Vec<Site>)>,
    /// HAProxy's configuration.
    pub haproxy: Option<PathBuf>,
    /// certbot's tree.
    pub certbot: Option<PathBuf>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// What a person decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Whom the CA may write to.
    pub contact: Option<String>,
    /// Names to cover besides those found; where there are any, only these.
    pub names: Vec<String>,
}

impl Found {
    /// Looks below a folder that stands for `/`.
    #[must_use]
    pub fn look(root: &Path) -> Self {
        let mut found = Self::default();
        let nginx = root.join("etc/nginx");
        if nginx.join("nginx.conf").exists() {
            let sites = sites(&nginx).unwrap_or_else(|problem| {
                found.problems.push(problem);
                Vec::new()
            });
            found.nginx = Some((PathBuf::from("/etc/nginx"), sites));
        }
        for (folder, enabled) in [("etc/apache2", "sites-enabled"), ("etc/httpd", "conf.d")] {
            if root.join(folder).join(enabled).is_dir() {
                let hosts = apache::hosts(&root.join(folder).join(enabled), &mut found.problems);
                found.apache = Some((Path::new("/").join(folder), hosts));
            }
        }
        let haproxy = "etc/haproxy/haproxy.cfg";
        found.haproxy = root.join(haproxy).exists().then(|| Path::new("/").join(haproxy));
        let certbot = "etc/letsencrypt";
        let is_used = std::fs::read_dir(root.join(certbot).join("renewal"));
        let is_used = is_used.is_ok_and(|mut entries| entries.next().is_some());
        found.certbot = is_used.then(|| Path::new("/").join(certbot));
        found
    }

    /// Says what was found, a line each.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let server = |name: &str, found: &Option<(PathBuf, Vec<Site>)>| {
            let (folder, sites) = found.as_ref()?;
            let names = names_of(sites).len();
            Some(format!("{name} in {}, with {names} names", folder.display()))
        };
        let mut told = Vec::new();
        told.extend(server("nginx", &self.nginx));
        told.extend(server("Apache", &self.apache));
        told.extend(self.haproxy.as_ref().map(|path| format!("HAProxy, {}", path.display())));
        told.extend(self.certbot.as_ref().map(|path| format!("certbot in {}", path.display())));
        told
    }
}

/// Returns the names of some sites, each once, in order.
fn names_of(sites: &[Site]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in sites.iter().flat_map(|site| &site.names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
