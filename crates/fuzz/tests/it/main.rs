//! What the fuzzer starts from, what it ever found, and every small damage to it, is borne.

use std::path::Path;

use perennial_fuzz::TARGETS;

#[test]
fn what_the_fuzzer_starts_from_breaks_no_promise_nor_does_its_damage() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} starts from nothing", target.name);
        for seed in seeds {
            (target.run)(&seed);
            for cut in [1, 2, 3, 5].map(|eighths| seed.len() * eighths / 8) {
                (target.run)(&seed[..cut]);
                let mut damaged = seed.clone();
                if let Some(byte) = damaged.get_mut(cut) {
                    *byte ^= 0x80;
                }
                (target.run)(&damaged);
            }
        }
    }
}

#[test]
fn what_was_once_found_is_never_found_again() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("found");
    for folder in std::fs::read_dir(found).unwrap().map(Result::unwrap) {
        if !folder.path().is_dir() {
            continue;
        }
        let name = folder.file_name().into_string().unwrap();
        let target = perennial_fuzz::target(&name).unwrap_or_else(|| panic!("no target {name}"));
        for input in std::fs::read_dir(folder.path()).unwrap() {
            (target.run)(&std::fs::read(input.unwrap().path()).unwrap());
        }
    }
}
