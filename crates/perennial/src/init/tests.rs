//! What is found, and the configurations that come of it: each can be used as it is.

use std::fs;

use perennial_config::{Loaded, Source, understand};
use perennial_core::words::Name;

use super::*;

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn drafted(found: &Found, names: &[&str]) -> (String, Loaded) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let wishes = Wishes { contact: Some("ops@example.org".into()), names };
    let text = draft(found, &wishes).to_string();
    let source = Source { name: "draft".into(), folder: "/".into(), text: text.clone() };
    let loaded = understand(&[source]).map_err(|all| perennial_config::render(&all));
    (text.clone(), loaded.unwrap_or_else(|told| panic!("{told}\n{text}")))
}

#[test]
fn nginxs_names_are_covered_by_the_folder_that_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, "etc/nginx/nginx.conf", "events {}\nhttp {\n include sites/*.conf;\n}\n");
    put(
        root,
        "etc/nginx/sites/shop.conf",
        "server { listen 80; server_name shop.test www.shop.test; root /srv/shop; }\n\
         server { listen 443 ssl; server_name shop.test www.shop.test; }\n\
         server { listen 443 ssl; server_name api.test; }\n",
    );
    put(root, "etc/letsencrypt/renewal/shop.test.conf", "[renewalparams]\n");
    let found = Found::look(root);
    assert_eq!(found.told(), ["nginx in /etc/nginx, with 3 names", "certbot in /etc/letsencrypt"]);
    let (text, loaded) = drafted(&found, &[]);
    let certificates = &loaded.intent.certificates;
    assert_eq!(certificates.len(), 2, "{text}");
    assert_eq!(certificates[&Name::new("shop.test")].identifiers.len(), 2);
    for part in ["webroot = \"/srv/shop\"", "perennial import certbot", "take_over = true"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let (text, loaded) = drafted(&found, &["api.test", "new.test"]);
    let names: Vec<_> = loaded.intent.certificates.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["api.test", "new.test"], "{text}");
}

#[test]
fn a_machine_with_nothing_on_it_gets_a_configuration_too() {
    let folder = tempfile::tempdir().unwrap();
    let found = Found::look(folder.path());
    assert_eq!(found, Found::default());
    let (text, loaded) = drafted(&found, &[]);
    assert!(
        loaded.intent.certificates.is_empty() && text.contains("# [certificate.www]"),
        "{text}"
    );
    let (text, loaded) = drafted(&found, &["www.example.org"]);
    assert_eq!(loaded.intent.certificates.len(), 1, "{text}");
}

#[test]
fn apache_and_haproxy_are_found_and_written_for() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(
        root,
        "etc/apache2/sites-enabled/shop.conf",
        "<VirtualHost *:80>\nServerName shop.test\nDocumentRoot /srv/shop\n</VirtualHost>\n",
    );
    put(root, "etc/haproxy/haproxy.cfg", "frontend f\n");
    let found = Found::look(root);
    let (text, loaded) = drafted(&found, &[]);
    assert_eq!(loaded.intent.certificates.len(), 1, "{text}");
    for part in ["\"apachectl\", \"graceful\"", "# [target.haproxy]", "webroot = \"/srv/shop\""] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_told_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "etc/nginx/nginx.conf", "http { server { \n");
    let found = Found::look(folder.path());
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    let (text, _) = drafted(&found, &[]);
    assert!(text.contains("[target.nginx]"), "{text}");
}
