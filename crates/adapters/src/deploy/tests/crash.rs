//! The power is cut after every step of everything that writes, and everything is begun anew.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use super::super::access::AccessSettings;
use super::super::door::Group;
use super::super::install::{self, Switched};
use super::super::layout::{File, Layout};
use super::super::step::Writer;
use super::super::trouble::Trouble;
use super::world::{Bundles, World, assert_pair, id, www};

/// Cuts the power after every number of steps, and once more in what is done after the first cut.
///
/// `check` is called at every cut and at the end.
pub(super) fn at_every_cut(
    prepare: impl Fn(&World),
    act: impl Fn(&World, &mut Writer) -> Result<(), Trouble>,
    check: impl Fn(&World, &str),
) -> usize {
    let bundles = Arc::new(Bundles::mint());
    for first in 0.. {
        for second in 0.. {
            let world = World::with(&bundles);
            prepare(&world);
            let mut writer = Writer { power_for: Some(first), done: 0 };
            if act(&world, &mut writer).is_ok() {
                return first;
            }
            check(&world, &format!("cut after {first}"));
            let mut again = Writer { power_for: Some(second), done: 0 };
            let finished = act(&world, &mut again).is_ok();
            check(&world, &format!("cut after {first}, then after {second}"));
            if finished {
                break;
            }
            act(&world, &mut Writer::default()).unwrap();
            check(&world, &format!("cut after {first} and {second}, then finished"));
        }
    }
    unreachable!("the loop ends when nothing is cut")
}

fn layout(world: &World) -> Layout {
    Layout::new(&world.path("live"), &www()).unwrap()
}

fn stage(world: &World, writer: &mut Writer, number: u8) -> Result<(), Trouble> {
    let bundle = perennial_wire::shelf::Shelf::bundle(&*world.bundles, id(number)).unwrap();
    let accesses = AccessSettings::default().resolve()?;
    install::stage(writer, &layout(world), id(number), &bundle, accesses)
}

fn switch(world: &World, writer: &mut Writer, number: u8, groups: &[Group]) -> Result<(), Trouble> {
    install::switch(writer, &layout(world), id(number), groups, true).map(|_switched| ())
}

fn deployed(world: &World, number: u8, groups: &[Group]) {
    stage(world, &mut Writer::default(), number).unwrap();
    switch(world, &mut Writer::default(), number, groups).unwrap();
    install::retire(&mut Writer::default(), &layout(world)).unwrap();
}

/// The paths of a server's configuration.
fn paths(world: &World) -> Vec<Group> {
    let path = |name: &str| world.path("etc").join(name);
    vec![Group::new(vec![(File::Key, path("www.key")), (File::Fullchain, path("www.pem"))])]
}

/// What a server reads at its two paths belongs together, and is one of these.
fn assert_served(world: &World, allowed: &[u8], context: &str) {
    let leaf = world.read("etc/www.pem");
    let key = world.read("etc/www.key");
    let served = allowed.iter().find(|number| leaf == world.bundles.fullchain(**number));
    let served = served.unwrap_or_else(|| panic!("{context}: no known leaf is served"));
    assert_eq!(key, world.bundles.key(*served), "{context}");
}

#[test]
fn staging_survives_every_cut() {
    let steps = at_every_cut(
        |_world| {},
        |world, writer| stage(world, writer, 1),
        World::assert_no_key_without_its_leaf,
    );
    assert!(steps >= 9, "{steps} steps");
    let world = World::new();
    stage(&world, &mut Writer::default(), 1).unwrap();
    assert_eq!(world.names(), ["0100000000000000"]);
}

#[test]
fn mending_the_active_bundle_survives_every_cut() {
    let active = "live/www/current";
    at_every_cut(
        |world| {
            deployed(world, 1, &[]);
            world.write(&format!("{active}/chain.pem"), "spoilt");
        },
        |world, writer| stage(world, writer, 1),
        |world, context| {
            world.assert_no_key_without_its_leaf(context);
            assert_eq!(world.read(&format!("{active}/privkey.pem")), world.bundles.key(1));
            assert_eq!(world.read(&format!("{active}/fullchain.pem")), world.bundles.fullchain(1));
        },
    );
}

#[test]
fn switching_survives_every_cut_and_serves_a_whole_bundle_throughout() {
    at_every_cut(
        |world| {
            fs::create_dir(world.path("etc")).unwrap();
            deployed(world, 1, &paths(world));
            deployed(world, 2, &paths(world));
            stage(world, &mut Writer::default(), 3).unwrap();
        },
        |world, writer| {
            switch(world, writer, 3, &paths(world))?;
            install::retire(writer, &layout(world))
        },
        |world, context| {
            world.assert_no_key_without_its_leaf(context);
            assert_served(world, &[2, 3], context);
        },
    );
}

#[test]
fn the_first_switch_never_shows_a_key_without_its_leaf() {
    at_every_cut(
        |world| {
            fs::create_dir(world.path("etc")).unwrap();
            stage(world, &mut Writer::default(), 1).unwrap();
        },
        |world, writer| switch(world, writer, 1, &paths(world)),
        |world, context| {
            world.assert_no_key_without_its_leaf(context);
            if let Ok(key) = fs::read(world.path("etc/www.key")) {
                assert_pair(&world.path("etc/www.pem"), &key, context);
            }
        },
    );
}

#[test]
fn taking_over_survives_every_cut_and_serves_a_whole_bundle_throughout() {
    at_every_cut(
        |world| {
            world.write("etc/www.pem", &world.bundles.fullchain(4));
            world.write("etc/www.key", world.bundles.key(4));
            stage(world, &mut Writer::default(), 1).unwrap();
        },
        |world, writer| switch(world, writer, 1, &paths(world)),
        |world, context| {
            world.assert_no_key_without_its_leaf(context);
            assert_served(world, &[4, 1], context);
        },
    );
}

#[test]
fn what_is_taken_over_is_kept_beside_once() {
    at_every_cut(
        |world| {
            // As certbot has them: links into its archive.
            world.write("archive/fullchain1.pem", &world.bundles.fullchain(4));
            world.write("archive/privkey1.pem", world.bundles.key(4));
            fs::create_dir(world.path("etc")).unwrap();
            symlink("../archive/fullchain1.pem", world.path("etc/www.pem")).unwrap();
            symlink("../archive/privkey1.pem", world.path("etc/www.key")).unwrap();
            stage(world, &mut Writer::default(), 1).unwrap();
        },
        |world, writer| switch(world, writer, 1, &paths(world)),
        |world, context| {
            assert_served(world, &[4, 1], context);
            assert_eq!(world.read("archive/privkey1.pem"), world.bundles.key(4), "{context}");
            if fs::read_link(world.path("etc/www.pem")).unwrap().is_absolute() {
                let aside = fs::read_link(world.path("etc/www.pem.before-perennial")).unwrap();
                assert_eq!(aside.to_str(), Some("../archive/fullchain1.pem"), "{context}");
            }
            assert!(!world.path("etc/www.pem.before-perennial-2").exists(), "{context}");
        },
    );
}

#[test]
fn going_back_survives_every_cut() {
    for take_over in [false, true] {
        let before = if take_over { 4 } else { 1 };
        at_every_cut(
            |world| {
                if take_over {
                    world.write("etc/www.pem", &world.bundles.fullchain(4));
                    world.write("etc/www.key", world.bundles.key(4));
                } else {
                    fs::create_dir(world.path("etc")).unwrap();
                    deployed(world, 1, &paths(world));
                }
                stage(world, &mut Writer::default(), 2).unwrap();
                switch(world, &mut Writer::default(), 2, &paths(world)).unwrap();
            },
            |world, writer| install::back(writer, &layout(world), Switched::Bundle),
            |world, context| {
                world.assert_no_key_without_its_leaf(context);
                assert_served(world, &[before, 2], context);
            },
        );
    }
}
