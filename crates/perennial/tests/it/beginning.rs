//! The first minutes: a configuration that is written, completions, man pages, the schema.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::process::command;

fn run(config: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(config, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn init_writes_a_configuration_that_plan_accepts_and_never_replaces_one() {
    let folder = tempfile::tempdir().unwrap();
    let nginx = folder.path().join("etc/nginx");
    fs::create_dir_all(&nginx).unwrap();
    let text = "events {}\nhttp { server { listen 80; server_name shop.test; root /srv; } }\n";
    fs::write(nginx.join("nginx.conf"), text).unwrap();
    let config = folder.path().join("new/perennial.toml");
    let root = folder.path().to_str().unwrap();
    let (code, _, err) = run(&config, &["init", "--root", root]);
    assert_eq!(code, Some(3));
    assert!(err.contains("yours to do") && err.contains("--agree-terms"), "{err}");
    let args = ["init", "--root", root, "--agree-terms", "--contact", "ops@example.org"];
    let (code, out, err) = run(&config, &args);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("found nginx in /etc/nginx, with 1 names"), "{out}");
    let (code, out, err) = run(&config, &["plan"]);
    assert_eq!(code, Some(0), "{out}{err}\n{}", fs::read_to_string(&config).unwrap());
    assert!(out.contains("shop.test"), "{out}");
    let (code, _, err) = run(&config, &args);
    assert_eq!(code, Some(3));
    assert!(err.contains("is there already"), "{err}");
}

#[test]
fn bash_completes_commands_by_the_script_that_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("none.toml");
    let (code, script, err) = run(&config, &["completions", "bash"]);
    assert_eq!(code, Some(0), "{err}");
    let asked = format!(
        "{script}\nCOMP_WORDS=(perennial sta); COMP_CWORD=1; _perennial perennial sta perennial; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["-c", &asked]).output().unwrap();
    let completed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(completed.trim(), "status", "{}", String::from_utf8_lossy(&output.stderr));
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = run(&config, &["completions", shell]);
        assert!(code == Some(0) && script.contains("status"), "{shell}");
    }
}

#[test]
fn every_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("man1");
    let config = folder.path().join("none.toml");
    let (code, _, err) = run(&config, &["man", to.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{err}");
    for (page, part) in [
        ("perennial", "Exit codes"),
        ("perennial-status", "Show how everything stands"),
        ("perennial-import", "certbot"),
        ("perennial-backup", "\\-\\-recipient"),
    ] {
        let text = fs::read_to_string(to.join(format!("{page}.1"))).unwrap();
        assert!(text.starts_with(".ie") && text.contains(part), "{page}\n{text}");
    }
}

#[test]
fn the_schema_is_json_with_every_section() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text, _) = run(&folder.path().join("none.toml"), &["schema"]);
    assert_eq!(code, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    for section in ["issuer", "solver", "target", "certificate", "store"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}
