//! The first configuration, from what was found and what a person decides.

use std::collections::BTreeSet;
use std::path::Path;

use perennial_adapters::deploy::Site;

use super::{Found, Wishes};
use crate::draft::{Draft, Section};

/// The folder that Debian's web servers show unless told otherwise.
const USUAL_ROOT: &str = "/var/www/html";

/// Writes the configuration. The terms of service must have been agreed to.
#[must_use]
pub fn draft(found: &Found, wishes: &Wishes) -> Draft {
    let mut draft = Draft::new();
    draft.add(head(found, wishes));
    draft.add(
        Section::new("issuer", "letsencrypt")
            .comment("Let's Encrypt. To try everything without spending its limits, write")
            .comment("[issuer.letsencrypt-staging] instead; its leaves are trusted by nobody."),
    );
    if let Some((folder, sites)) = &found.nginx {
        server(&mut draft, "nginx", sites, wishes, nginx_target(folder));
    }
    if let Some((_, hosts)) = &found.apache {
        server(&mut draft, "apache", hosts, wishes, apache_target());
    }
    if found.nginx.is_none() && found.apache.is_none() {
        alone(&mut draft, found, wishes);
    }
    if let Some(config) = &found.haproxy {
        draft.add(haproxy_target(config));
    }
    draft
}

fn head(found: &Found, wishes: &Wishes) -> Section {
    let mut head = Section::new("", "")
        .comment("Perennial's configuration. What it would do: perennial plan")
        .comment("Every key: docs/configuration.md, or: perennial help configuration");
    if let Some(certbot) = &found.certbot {
        head = head
            .comment(format!(
                "certbot keeps certificates in {}. To go on with its accounts and",
                certbot.display()
            ))
            .comment("leaves, remove this file and say: perennial import certbot");
    }
    head = match &wishes.contact {
        Some(contact) => head.explained("contact", contact.as_str(), "whom the CA may write to"),
        None => head.comment("contact = \"ops@example.org\"        # whom the CA may write to"),
    };
    head.explained("agree_terms", true, "the terms of service of the CAs below")
}

fn nginx_target(folder: &Path) -> Section {
    Section::new("target", "nginx")
        .comment("Server blocks tell which files are used; `nginx -t` checks, a reload follows.")
        .key("nginx", folder.display().to_string())
        .explained("take_over", true, "files that are there are copied aside first")
}

fn apache_target() -> Section {
    Section::new("target", "apache")
        .comment("Let SSLCertificateFile and SSLCertificateKeyFile of the virtual hosts point to")
        .comment("/var/lib/perennial/live/CERTIFICATE/current/fullchain.pem and privkey.pem.")
        .key("files", "/var/lib/perennial/live")
        .key("validate", &["apachectl", "configtest"][..])
        .key("reload", &["apachectl", "graceful"][..])
}

fn haproxy_target(config: &Path) -> Section {
    Section::new("target", "haproxy")
        .comment("Add \"haproxy\" to the `targets` of the certificates that HAProxy is to have.")
        .key("haproxy", config.display().to_string())
        .explained("take_over", true, "files that are there are copied aside first")
        .as_comment()
}

/// Declares a web server, how its names are proven, and a certificate for each group of them.
fn server(draft: &mut Draft, kind: &str, sites: &[Site], wishes: &Wishes, target: Section) {
    draft.add(target);
    let mut covered = BTreeSet::new();
    // Blocks with TLS first: they are what clients meet.
    let (tls, plain): (Vec<&Site>, Vec<&Site>) = sites.iter().partition(|site| site.tls);
    for site in tls.into_iter().chain(plain) {
        let is_wanted = |name: &&String| wishes.names.is_empty() || wishes.names.contains(name);
        let is_new = |name: &&String| !covered.contains(*name);
        let names: Vec<String> =
            site.names.iter().filter(is_wanted).filter(is_new).cloned().collect();
        if names.is_empty() {
            continue;
        }
        covered.extend(names.iter().cloned());
        let solver = webroot(draft, kind, sites, &names);
        certificate(draft, &names, &solver, kind);
    }
    let others: Vec<String> =
        wishes.names.iter().filter(|name| !covered.contains(*name)).cloned().collect();
    if !others.is_empty() {
        let solver = webroot(draft, kind, sites, &others);
        certificate(draft, &others, &solver, kind);
    }
    if covered.is_empty() && others.is_empty() {
        example(draft, kind);
    }
}

/// Declares the folder in which answers for some names are shown, and returns the solver's name.
fn webroot(draft: &mut Draft, kind: &str, sites: &[Site], names: &[String]) -> String {
    let shows = |site: &&Site| site.plain && site.names.iter().any(|name| names.contains(name));
    let root = sites.iter().find(shows).and_then(|site| site.root.as_ref());
    let is_known = root.is_some();
    let root = root.map_or_else(|| USUAL_ROOT.to_owned(), |root| root.display().to_string());
    let mut section =
        Section::new("solver", "webroot").key("http-01", "webroot").key("webroot", root);
    if !is_known {
        section = section
            .comment(format!(
                "{kind} must show this folder on port 80, at least /.well-known/acme-challenge/:"
            ))
            .comment("where it only redirects to https, that path must be left out of it.");
    }
    if let Some(known) = draft.alike(&section) {
        return known.to_owned();
    }
    let name = draft.free_name("solver", "webroot");
    draft.add(section.called(&name));
    name
}

fn certificate(draft: &mut Draft, names: &[String], solver: &str, target: &str) {
    let first = names.first().map_or("unnamed", String::as_str);
    let name = draft.free_name("certificate", first);
    draft.add(
        Section::new("certificate", name)
            .key("names", names)
            .key("solvers", &[solver][..])
            .key("targets", &[target][..]),
    );
}

/// Without a web server Perennial answers on port 80 itself.
fn alone(draft: &mut Draft, found: &Found, wishes: &Wishes) {
    let mut solver = Section::new("solver", "http")
        .comment("Perennial answers the CA on port 80 itself, while a certificate is renewed.")
        .key("http-01", "listener");
    if found.haproxy.is_some() {
        solver = solver
            .comment(
                "HAProxy has port 80: let it send /.well-known/acme-challenge/ to this address.",
            )
            .key("listen", &["127.0.0.1:8402"][..]);
    }
    draft.add(solver);
    draft.add(
        Section::new("target", "files")
            .comment("Servers read /var/lib/perennial/live/CERTIFICATE/current/fullchain.pem and")
            .comment("privkey.pem. Name the command that makes yours read them again.")
            .key("files", "/var/lib/perennial/live")
            .key("reload", &["true"][..]),
    );
    if wishes.names.is_empty() {
        example(draft, "files");
    } else {
        certificate(draft, &wishes.names, "http", "files");
    }
}

fn example(draft: &mut Draft, target: &str) {
    draft.add(
        Section::new("certificate", "www")
            .comment("No names were found. Write yours:")
            .key("names", &["example.org", "www.example.org"][..])
            .key("targets", &[target][..])
            .as_comment(),
    );
}
