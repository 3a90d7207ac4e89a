//! Several files, and files that are not what they should be.

use std::fs;

use perennial_config::{load, render};

const ISSUER: &str = "agree_terms = true\n[issuer.letsencrypt]\n";
const SOLVER: &str =
    "[solver.http]\nhttp-01 = \"listener\"\n[target.web]\nnginx = \"/etc/nginx\"\n";
const WWW: &str = "[certificate.www]\nnames = [\"www.example.org\"]\ntargets = [\"web\"]\n";

#[test]
fn a_folder_is_read_as_one_file_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("10-issuers.toml"), ISSUER).unwrap();
    fs::write(folder.path().join("20-rest.toml"), SOLVER).unwrap();
    fs::write(folder.path().join("30-www.toml"), WWW).unwrap();
    fs::write(folder.path().join("40-api.toml"), WWW.replace("www", "api")).unwrap();
    fs::write(folder.path().join(".hidden.toml"), "nonsense").unwrap();
    fs::write(folder.path().join("README"), "nonsense").unwrap();
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.intent.certificates.len(), 2);
    assert_eq!(loaded.files.len(), 4);
    assert_eq!(render(&loaded.warnings), "");
}

#[test]
fn what_two_files_declare_names_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let all = format!("{ISSUER}{SOLVER}{WWW}");
    fs::write(folder.path().join("a.toml"), all).unwrap();
    fs::write(folder.path().join("b.toml"), format!("agree_terms = false\n{WWW}")).unwrap();
    let told = render(&load(folder.path()).unwrap_err());
    let told = told.replace(&format!("{}/", folder.path().display()), "");
    let expected = "\
b.toml:1:1: `agree_terms` is declared twice; first at a.toml:1:1
  |
1 | agree_terms = false
  | ^^^^^^^^^^^

hint: keep one of the two; the same name in two files counts as well


b.toml:2:14: `certificate.www` is declared twice; first at a.toml:7:14
  |
2 | [certificate.www]
  |              ^^^

hint: keep one of the two; the same name in two files counts as well";
    assert_eq!(told, expected);
}

#[test]
fn relative_paths_start_from_the_folder_of_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{ISSUER}{SOLVER}{WWW}[store]\ndir = \"state\"\nunseal = \"file:key\"\n");
    let path = folder.path().join("perennial.toml");
    fs::write(&path, text).unwrap();
    let settings = load(&path).unwrap().settings;
    assert_eq!(settings.store.dir, folder.path().join("state"));
    assert_eq!(settings.control_socket, folder.path().join("state/control.sock"));
    assert_eq!(settings.store.unseal, Some(folder.path().join("key")));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str| {
        let told = render(&load(&folder.path().join(name)).unwrap_err());
        told.replace(&format!("{}", folder.path().display()), "")
    };
    assert_eq!(
        told("none.toml"),
        "/none.toml: cannot be read: No such file or directory (os error 2)\n\n\
         hint: name the file or folder with `--config PATH` or in PERENNIAL_CONFIG"
    );
    assert_eq!(
        told(""),
        "/: holds no configuration file\n\n\
         hint: the names of configuration files end in `.toml`"
    );
    fs::write(folder.path().join("latin.toml"), b"# caf\xe9\nowner = \"\xe9\"\n").unwrap();
    assert_eq!(
        told("latin.toml"),
        "/latin.toml:1:6: a byte that is no UTF-8\n  |\n1 | # caf\u{fffd}\n  |      ^\n\n\
         hint: save the file as UTF-8: iconv -f latin1 -t utf-8"
    );
}
