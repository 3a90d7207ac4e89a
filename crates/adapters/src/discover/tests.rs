use super::*;

fn id(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

#[test]
fn without_a_leaf_the_host_itself_is_to_be_validated() {
    assert_eq!(validated(&id("a.test"), &[]), id("a.test"));
}

#[test]
fn a_challenge_name_that_leads_into_another_zone_is_elsewhere() {
    let facts = |aliases: &[&str], zone: &str| ChallengeFacts {
        name: "_acme-challenge.www.a.test".into(),
        aliases: aliases.iter().map(ToString::to_string).collect(),
        texts: Vec::new(),
        zone: zone.into(),
        delegated_to: Vec::new(),
    };
    assert!(!facts(&[], "a.test").is_elsewhere());
    assert!(!facts(&["x.a.test"], "a.test").is_elsewhere());
    assert!(facts(&["x.b.test"], "b.test").is_elsewhere());
    assert_eq!(facts(&["x.b.test"], "b.test").owner(), "x.b.test");
}
