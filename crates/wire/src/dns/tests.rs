use super::*;

#[test]
fn names_go_in_and_come_out_in_lower_case_without_final_dot() {
    for text in ["Example.ORG", "example.org."] {
        assert_eq!(to_text(&to_name(text).unwrap()), "example.org");
    }
    assert_eq!(to_text(&to_name("").unwrap()), "");
    assert_eq!(to_text(&to_name("_acme-challenge.a.b").unwrap()), "_acme-challenge.a.b");
    assert_eq!(to_text(&to_name("*.a.b").unwrap()), "*.a.b");
    assert!(matches!(to_name(&"a".repeat(64)), Err(DnsError::Name(_))));
}

#[test]
fn a_zone_holds_what_is_below_it_and_no_look_alikes() {
    assert!(is_within("a.example.org", "example.org"));
    assert!(is_within("example.org", ""));
    assert!(!is_within("badexample.org", "example.org"));
    assert!(!is_within("org", "example.org"));
    assert_eq!(parent("a.b"), Some("b"));
    assert_eq!(parent("b"), Some(""));
    assert_eq!(parent(""), None);
}
