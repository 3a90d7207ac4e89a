//! Certificates that are renamed, renamed on and renamed back: whoever reads under any of the names
//! reads a whole bundle at every moment.

use std::fs;

use perennial_core::action::{ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{Installed, Name};

use super::super::access::AccessSettings;
use super::super::install::{self, Switched};
use super::super::layout::Layout;
use super::super::step::Writer;
use super::super::trouble::Trouble;
use super::super::{FilesSettings, TargetSettings, Targets};
use super::crash::at_every_cut;
use super::world::{World, assert_pair, id};

fn layout(world: &World, name: &str, was: &str) -> Layout {
    let dir = world.path("live");
    let layout = Layout::new(&dir, &Name::new(name)).unwrap();
    if was.is_empty() { layout } else { layout.renamed_from(&dir, &Name::new(was)).unwrap() }
}

/// Deploys a bundle under a name, as a certificate that was called otherwise before.
fn deploy(
    world: &World,
    writer: &mut Writer,
    (name, was): (&str, &str),
    number: u8,
) -> Result<Switched, Trouble> {
    let bundle = perennial_wire::shelf::Shelf::bundle(&*world.bundles, id(number)).unwrap();
    let layout = layout(world, name, was);
    let accesses = AccessSettings::default().resolve()?;
    install::stage(writer, &layout, id(number), &bundle, accesses)?;
    let switched = install::switch(writer, &layout, id(number), &[], false)?;
    install::retire(writer, &layout)?;
    Ok(switched)
}

fn deployed(world: &World, names: (&str, &str), number: u8) {
    deploy(world, &mut Writer::default(), names, number).unwrap();
}

/// Panics unless one of these bundles is read under each of the names, whole.
fn assert_read(world: &World, names: &[&str], allowed: &[u8], context: &str) {
    world.assert_no_key_without_its_leaf(context);
    for name in names {
        let leaf = world.path(&format!("live/{name}/current/fullchain.pem"));
        let read = fs::read_to_string(&leaf).unwrap_or_else(|e| panic!("{context}: {name}: {e}"));
        let is_read = |number: &u8| read == world.bundles.fullchain(*number);
        assert!(allowed.iter().any(is_read), "{context}: {name}");
        let key = world.read(&format!("live/{name}/current/privkey.pem"));
        assert_pair(&leaf, key.as_bytes(), context);
    }
}

#[test]
fn renaming_there_and_back_and_there_again_survives_every_cut() {
    let first = [("www", ""), ("shop", "www"), ("www", "shop"), ("shop", "www")];
    for length in 1..first.len() {
        at_every_cut(
            |world| {
                for (names, number) in first[..length].iter().zip([1, 2, 1]) {
                    deployed(world, *names, number);
                }
            },
            |world, writer| deploy(world, writer, first[length], 3).map(drop),
            |world, context| {
                let before = if length == 2 { 2 } else { 1 };
                let read = if length == 1 { &["www"][..] } else { &["www", "shop"] };
                assert_read(world, read, &[before, 3], context);
            },
        );
    }
}

#[test]
fn a_chain_of_names_that_closes_survives_every_cut() {
    at_every_cut(
        |world| {
            for (names, number) in [("a", ""), ("b", "a"), ("c", "b")].into_iter().zip([1, 2, 4]) {
                deployed(world, names, number);
            }
            assert_read(world, &["a", "b", "c"], &[4], "before");
        },
        |world, writer| deploy(world, writer, ("a", "c"), 3).map(drop),
        |world, context| assert_read(world, &["a", "b", "c"], &[4, 3], context),
    );
}

#[test]
fn after_renaming_back_it_is_gone_back_to_what_was_read_before() {
    at_every_cut(
        |world| {
            deployed(world, ("www", ""), 1);
            deployed(world, ("shop", "www"), 2);
            deployed(world, ("www", "shop"), 3);
        },
        |world, writer| {
            let layout = layout(world, "www", "shop");
            let leaf = install::leaf_before(&layout, Switched::Bundle)?.unwrap();
            assert_eq!(leaf.fingerprint, world.bundles.leaf(2));
            install::back(writer, &layout, Switched::Bundle)
        },
        |world, context| assert_read(world, &["www", "shop"], &[2, 3], context),
    );
}

#[test]
fn the_same_bundle_renamed_back_is_what_is_gone_back_to() {
    let world = World::new();
    deployed(&world, ("www", ""), 1);
    deployed(&world, ("shop", "www"), 2);
    deployed(&world, ("www", "shop"), 2);
    assert_read(&world, &["www", "shop"], &[2], "renamed back");
    let leaf = install::leaf_before(&layout(&world, "www", "shop"), Switched::Bundle).unwrap();
    assert_eq!(leaf.unwrap().fingerprint, world.bundles.leaf(2));
}

#[test]
fn links_of_others_that_lead_in_a_circle_or_outside_are_replaced() {
    for (other, to) in [("b", "../a/current"), ("b", "nowhere"), ("outside", "")] {
        let world = World::new();
        fs::create_dir_all(world.path("live/a")).unwrap();
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, world.path(at)).unwrap();
        link(&format!("../{other}/current"), "live/a/current");
        if to.is_empty() {
            fs::create_dir_all(world.path("elsewhere/0100000000000000")).unwrap();
            link("../elsewhere", "live/outside");
            link("0100000000000000", "elsewhere/current");
        } else {
            fs::create_dir_all(world.path("live/b")).unwrap();
            link(to, "live/b/current");
        }
        deployed(&world, ("a", ""), 1);
        assert_read(&world, &["a"], &[1], other);
        assert!(fs::symlink_metadata(world.path("live/a/previous")).is_err(), "{other} {to}");
    }
}

async fn perform(targets: &Targets, act: ActKind) {
    assert!(matches!(targets.perform(&act).await, Outcome::Done(_)), "{act:?}");
}

async fn deploy_by(targets: &Targets, name: &str, number: u8) {
    let (target, certificate, bundle) = (Name::new("web"), Name::new(name), id(number));
    let stage = ActKind::Stage { target: target.clone(), certificate: certificate.clone(), bundle };
    perform(targets, stage).await;
    let activate = ActKind::Activate { target, certificate, bundle, take_over: false };
    assert_eq!(targets.perform(&activate).await, Outcome::Done(Fact::Activated));
}

async fn inspect(targets: &Targets, name: &str) -> Installed {
    let ask = AskKind::Inspect { target: Name::new("web"), certificate: Name::new(name) };
    match targets.ask(&ask).await {
        Reply::Installed(installed) => installed,
        other => panic!("{other:?}"),
    }
}

fn targets(world: &World, former: &[(&str, &str)]) -> Targets {
    let former = former.iter().map(|(name, was)| (Name::new(name), Name::new(was))).collect();
    world.targets(TargetSettings::Files(FilesSettings { former, ..world.files() }))
}

#[tokio::test]
async fn a_certificate_that_is_renamed_back_or_newly_declared_may_be_written_under_the_old_name() {
    for was in [&[("www", "shop")][..], &[]] {
        let world = World::new();
        deploy_by(&targets(&world, &[]), "www", 1).await;
        deploy_by(&targets(&world, &[("shop", "www")]), "shop", 2).await;

        let targets = targets(&world, was);
        let found = inspect(&targets, "www").await;
        assert!(found.ours, "its folder is ours");
        assert_eq!(found.leaf, None, "of this name nothing lies there yet, so it is written");
        deploy_by(&targets, "www", 3).await;
        let found = inspect(&targets, "www").await.leaf.unwrap().fingerprint;
        assert_eq!(found, world.bundles.leaf(3));
        let shop = if was.is_empty() { 2 } else { 3 };
        assert_read(&world, &["shop"], &[shop], "the name between");
    }
}
