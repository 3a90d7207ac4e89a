//! libFuzzer on the target that `PERENNIAL_FUZZ_TARGET` names. With `PERENNIAL_FUZZ_SEEDS`, what it
//! starts from is written into that folder first.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use perennial_fuzz::{TARGETS, Target, target};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn chosen() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("PERENNIAL_FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| {
            let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("fuzz: no target `{name}`; PERENNIAL_FUZZ_TARGET is one of {known:?}");
            std::process::exit(2)
        })
    })
}

fn prepare() {
    let target = chosen();
    let Some(folder) = std::env::var_os("PERENNIAL_FUZZ_SEEDS") else { return };
    for (number, seed) in (target.seeds)().iter().enumerate() {
        if let Err(error) = std::fs::write(Path::new(&folder).join(format!("seed-{number}")), seed)
        {
            eprintln!("fuzz: cannot write what to start from to {}: {error}", folder.display());
            std::process::exit(2);
        }
    }
}

libfuzzer_sys::fuzz_target!(init: prepare(), |bytes: &[u8]| (chosen().run)(bytes));
