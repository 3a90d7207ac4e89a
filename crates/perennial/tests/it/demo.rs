//! The demo, as a newcomer starts it.

use std::process::Command;

#[test]
fn the_demo_ends_when_the_first_certificate_was_seen() {
    let binary = env!("CARGO_BIN_EXE_perennial");
    let output = Command::new(binary).args(["demo", "--exit-after-seen", "--json"]).output();
    let output = output.expect("the demo starts");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!(of("demo.seen"), 1, "{text}");
    assert!(of("endpoint.seen") > 1, "it looked before and after: {text}");
    assert_eq!(lines.last().expect("lines")["well"], true);
}

/// Two thirds of a leaf's life and more: each certificate is renewed once.
#[test]
fn the_demo_lives_through_a_renewal_of_each_certificate_without_a_lapse() {
    let binary = env!("CARGO_BIN_EXE_perennial");
    let output = Command::new(binary).args(["demo", "--days", "65"]).env("NO_COLOR", "1").output();
    let output = output.expect("the demo starts");
    let text = String::from_utf8(output.stdout).expect("the story is text");
    assert_eq!(output.status.code(), Some(0), "{text}");
    for certificate in ["www", "shop", "api"] {
        let end = format!("{certificate}: leaf 2 is served at every address");
        assert!(text.contains(&end), "{text}");
    }
    assert!(text.contains("65 days, no lapse"), "{text}");
}
