//! A target's folder that others may change: whatever they put in the way, nothing outside of it is
//! written, removed or given away.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::access::AccessSettings;
use super::super::door::Group;
use super::super::install::{self, Writing};
use super::super::layout::{File, Layout};
use super::super::step::Writer;
use super::super::trouble::Trouble;
use super::world::{World, id, www};
use perennial_core::words::Installed;

/// How many deployments somebody interferes with: a second's worth.
const DEPLOYMENTS: u16 = 2000;

/// What lies outside, with owner, mode and bytes.
fn seen(dir: &Path) -> Vec<(PathBuf, u32, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let below = if metadata.is_dir() { seen(&path) } else { Vec::new() };
        let bytes = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        all.push((path, metadata.uid(), metadata.mode(), bytes));
        all.extend(below);
    }
    all.sort();
    all
}

/// A world whose target's directory anybody may write to, and one outside with the same names.
fn open_world() -> World {
    let world = World::new();
    for place in ["live", "outside"] {
        fs::create_dir(world.path(place)).unwrap();
    }
    fs::set_permissions(world.path("live"), fs::Permissions::from_mode(0o777)).unwrap();
    for name in ["0100000000000000", ".staging-0100000000000000", "current"] {
        world.write(&format!("outside/www/{name}/privkey.pem"), "theirs");
        world.write(&format!("outside/www/{name}/fullchain.pem"), "theirs");
    }
    world.write("outside/etc/www.pem", "theirs");
    world
}

fn stage(world: &World, number: u8) -> Result<(), Trouble> {
    let bundle = perennial_wire::shelf::Shelf::bundle(&*world.bundles, id(number)).unwrap();
    let layout = Layout::new(&world.path("live"), &www())?;
    // As much as can be given away: by root to somebody else, by others to themselves.
    let us = rustix::process::geteuid().as_raw();
    let owner = Some(if us == 0 { 4711 } else { us }.to_string());
    let settings = AccessSettings { owner, ..AccessSettings::default() };
    install::stage(&mut Writer::default(), &layout, id(number), &bundle, settings.resolve()?)
}

fn switch(world: &World, number: u8) -> Result<(), Trouble> {
    let layout = Layout::new(&world.path("live"), &www())?;
    let paths = vec![(File::Fullchain, world.path("live/etc/www.pem"))];
    let groups = [Group::new(paths)];
    install::switch(&mut Writer::default(), &layout, id(number), &groups, true)?;
    install::retire(&mut Writer::default(), &layout)
}

#[test]
fn a_link_in_the_place_of_any_directory_on_the_way_leads_nothing_outside() {
    for component in ["live/www", "live/www/.staging-0100000000000000", "live/www/0100000000000000"]
    {
        let world = open_world();
        let before = seen(&world.path("outside"));
        let outside = world.path("outside").join(component.strip_prefix("live/").unwrap());
        fs::create_dir_all(world.path(component).parent().unwrap()).unwrap();
        symlink(outside, world.path(component)).unwrap();
        // Refused, or put in the link's own place.
        let _ = stage(&world, 1).and_then(|()| switch(&world, 1));
        assert_eq!(seen(&world.path("outside")), before, "{component}");
    }
}

#[test]
fn a_link_in_the_place_of_the_folder_is_refused_with_its_name() {
    let world = open_world();
    symlink(world.path("outside/www"), world.path("live/www")).unwrap();
    let trouble = stage(&world, 1).unwrap_err();
    let told = trouble.classify(&perennial_core::words::Name::new("web"), "stage").cause;
    assert!(told.contains("`www` on the way to") && told.contains("not followed"), "{told}");
}

/// Looks, and returns what was found or why nothing was.
fn look(world: &World, take_over: bool) -> Result<Installed, String> {
    let layout = Layout::new(&world.path("live"), &www()).unwrap();
    let groups = [Group::new(vec![(File::Fullchain, world.path("live/etc/www.pem"))])];
    let looked = install::inspect(&layout, &groups, take_over, Vec::new(), Writing::Nobody);
    looked.map_err(|trouble| trouble.to_string())
}

#[test]
fn a_way_that_would_be_refused_is_told_by_the_first_look() {
    let world = open_world();
    assert!(look(&world, true).is_ok(), "what is not there yet is no trouble");
    let etc = world.path("live/etc");
    symlink(world.path("outside/etc"), &etc).unwrap();
    let cause = look(&world, true).unwrap_err();
    assert!(cause.starts_with(&format!("write below `{}`: `etc` on", etc.display())), "{cause}");
    fs::remove_file(etc).unwrap();
    symlink(world.path("outside/www"), world.path("live/www")).unwrap();
    for take_over in [false, true] {
        let cause = look(&world, take_over).unwrap_err();
        assert!(cause.contains("`www` on the way to"), "{cause}");
    }
}

#[test]
fn what_others_link_to_is_not_read_and_left_alone_unless_it_is_to_be_taken_over() {
    let world = open_world();
    world.write("outside/etc/www.pem", &world.bundles.fullchain(2));
    fs::create_dir(world.path("live/etc")).unwrap();
    fs::copy(world.path("outside/etc/www.pem"), world.path("live/etc/www.pem")).unwrap();
    let found = look(&world, true).unwrap();
    assert!(found.leaf.is_some() && !found.ours, "a file needs no link: {found:?}");

    fs::remove_file(world.path("live/etc/www.pem")).unwrap();
    symlink(world.path("outside/etc/www.pem"), world.path("live/etc/www.pem")).unwrap();
    let planted_file = look(&world, false).unwrap();
    fs::remove_dir_all(world.path("live/etc")).unwrap();
    symlink(world.path("outside/etc"), world.path("live/etc")).unwrap();
    let planted_directory = look(&world, false).unwrap();
    for (found, name) in [(planted_file, "www.pem"), (planted_directory, "etc")] {
        assert!(found.leaf.is_none() && !found.ours, "{found:?}");
        let [remark] = &*found.remarks else { panic!("{found:?}") };
        assert!(remark.contains(&format!("`{name}` on the way to")), "{remark}");
    }
    // Another group is done without it.
    stage(&world, 1).unwrap();
    let layout = Layout::new(&world.path("live"), &www()).unwrap();
    let veiled = Group::new(vec![(File::Fullchain, world.path("live/etc/www.pem"))]);
    let own = Group::new(vec![(File::Fullchain, world.path("own/www.pem"))]);
    fs::create_dir(world.path("own")).unwrap();
    let groups = [veiled.clone(), own];
    let mut writer = Writer::default();
    install::switch(&mut writer, &layout, id(1), &groups, false).unwrap();
    let refused = install::switch(&mut writer, &layout, id(1), &[veiled], false).unwrap_err();
    assert!(refused.to_string().contains("not followed"), "{refused}");
    let found = install::inspect(&layout, &groups, false, Vec::new(), Writing::Nobody).unwrap();
    assert_eq!(found.leaf.unwrap().fingerprint, world.bundles.leaf(1));
    assert!(found.ours);
}

#[test]
fn what_is_ours_is_read_below_a_directory_that_others_may_change() {
    let world = open_world();
    fs::create_dir(world.path("live/etc")).unwrap();
    stage(&world, 1).and_then(|()| switch(&world, 1)).unwrap();
    let found = look(&world, false).unwrap();
    assert_eq!(found.leaf.unwrap().fingerprint, world.bundles.leaf(1));
    assert!(found.ours && found.remarks.is_empty());
}

#[test]
fn a_link_in_the_place_of_a_configured_paths_directory_leads_nothing_outside() {
    let world = open_world();
    let before = seen(&world.path("outside"));
    stage(&world, 1).unwrap();
    symlink(world.path("outside/etc"), world.path("live/etc")).unwrap();
    assert!(switch(&world, 1).is_err());
    assert_eq!(seen(&world.path("outside")), before);
}

#[test]
fn whoever_swaps_the_folder_for_a_link_and_back_leads_nothing_outside() {
    let world = open_world();
    let before = seen(&world.path("outside"));
    let done = AtomicBool::new(false);
    let (folder, aside) = (world.path("live/www"), world.path("live/aside"));
    let mut finished = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = fs::rename(&folder, &aside);
                let _ = symlink(world.path("outside/www"), &folder);
                std::thread::yield_now();
                let _ = fs::remove_file(&folder);
                let _ = fs::rename(&aside, &folder);
                std::thread::yield_now();
            }
        });
        for round in 0..DEPLOYMENTS {
            let number = if round % 2 == 0 { 1 } else { 2 };
            let ended = stage(&world, number).and_then(|()| switch(&world, number));
            finished += usize::from(ended.is_ok());
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(seen(&world.path("outside")), before, "{finished} deployments finished");
}
