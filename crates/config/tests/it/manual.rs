//! The operator's manual knows every key.

use std::path::Path;

use perennial_config::sections;

#[test]
fn every_key_is_in_the_manual() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let manual = std::fs::read_to_string(path).unwrap();
    for section in sections() {
        for key in section.keys {
            let row = format!("| `{}` |", key.name);
            assert!(manual.contains(&row), "no row for {} of {}", key.name, section.title);
        }
    }
}
