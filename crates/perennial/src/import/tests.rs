//! Trees, and the configurations that are written for them.

use std::fs;
use std::path::Path;

use perennial_config::{Source, understand};
use perennial_peers::Authority;

use super::*;

/// Writes a lineage as certbot keeps it.
fn lineage(root: &Path, names: &[&str], params: &str) {
    let name = names[0].trim_start_matches("*.");
    let live = root.join("live").join(name);
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(root.join("renewal")).unwrap();
    let issued = Authority::new("Test CA").unwrap().issue(names).unwrap();
    fs::write(live.join("fullchain.pem"), issued.cert_pem).unwrap();
    fs::write(live.join("privkey.pem"), issued.key_pem).unwrap();
    let conf = format!(
        "[renewalparams]\nserver = https://acme-v02.api.letsencrypt.org/directory\naccount = 1\n{params}\n"
    );
    fs::write(root.join("renewal").join(format!("{name}.conf")), conf).unwrap();
}

fn drafted(root: &Path) -> (String, Loaded) {
    let tree = Tool::Certbot.read(root).unwrap();
    assert_eq!(tree.problems, Vec::<String>::new());
    let text = draft(Tool::Certbot, "/etc/letsencrypt", &tree).to_string();
    let source = Source { name: "draft".into(), folder: "/".into(), text: text.clone() };
    let loaded = understand(&[source]).map_err(|all| perennial_config::render(&all));
    (text.clone(), loaded.unwrap_or_else(|told| panic!("{told}\n{text}")))
}

#[test]
fn the_draft_goes_on_with_webroots_paths_and_hooks() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let hook = "authenticator = webroot\nwebroot_path = /var/www/html,\ndeploy_hook = systemctl reload nginx";
    lineage(root, &["shop.test", "www.shop.test"], hook);
    lineage(root, &["mail.test"], "authenticator = standalone\npre_hook = systemctl stop nginx");
    let two = "authenticator = webroot\nreuse_key = True\n[[webroot_map]]\na.test = /srv/a\nb.test = /srv/b";
    lineage(root, &["a.test", "b.test"], two);
    let (text, loaded) = drafted(root);
    let intent = &loaded.intent;
    assert_eq!(intent.certificates.len(), 3, "{text}");
    assert_eq!(intent.issuers.len(), 1);
    let solver = |certificate: &str, name: &str| {
        let spec = &intent.certificates[&Name::new(certificate)];
        let name = perennial_core::words::Identifier::new(name).unwrap();
        intent.solver_for(spec, &name).unwrap().to_string()
    };
    assert_eq!(solver("mail.test", "mail.test"), "http");
    assert_ne!(solver("a.test", "a.test"), solver("a.test", "b.test"));
    for part in [
        "fullchain = \"",
        "\"RENEWED_DOMAINS=shop.test www.shop.test\", \"sh\", \"-ec\", \"systemctl reload nginx\"]",
        "# systemctl stop nginx",
        "rotation = \"reuse\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn what_cannot_be_told_is_a_comment_and_the_rest_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    lineage(root, &["*.shop.test"], "authenticator = dns-cloudflare");
    lineage(root, &["www.test"], "authenticator = nginx\ninstaller = nginx");
    lineage(root, &["mail.test"], "authenticator = standalone");
    let (text, loaded) = drafted(root);
    let names: Vec<_> = loaded.intent.certificates.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["mail.test"], "{text}");
    assert!(text.contains("# [certificate.\"shop.test\"]"), "{text}");
    assert!(text.contains("dns-01 by `cloudflare`"), "{text}");
}

#[test]
fn a_leaf_goes_to_the_certificate_that_fits_it_best() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    lineage(root, &["shop.test", "www.shop.test"], "authenticator = standalone");
    lineage(root, &["other.test"], "authenticator = standalone");
    let tree = Tool::Certbot.read(root).unwrap();
    let text = "agree_terms = true\n[issuer.letsencrypt]\n[solver.http]\nhttp-01 = \"listener\"\n\
                [certificate.one]\nnames = [\"shop.test\"]\n\
                [certificate.both]\nnames = [\"shop.test\", \"www.shop.test\"]\n";
    let source = Source { name: "it".into(), folder: "/".into(), text: text.into() };
    let loaded = understand(&[source]).unwrap();
    let matched = match_leaves(&tree, &loaded);
    let pairs: Vec<_> =
        matched.pairs.iter().map(|(name, own)| (name.as_str(), &*own.name)).collect();
    assert_eq!(pairs, [("both", "shop.test")]);
    let why: Vec<_> = matched.unmatched.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(why, ["no certificate is declared for other.test"]);
}
