//! The `files` recipe, act by act.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use perennial_core::action::{ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{Blame, FailureKind, Name};
use perennial_wire::program::Program;

use super::super::{AccessSettings, PublicPaths, TargetSettings};
use super::world::{EXPIRED, World, activate, failure, id, inspect, stage, validate, www};

fn paths(world: &World) -> PublicPaths {
    PublicPaths {
        fullchain: Some(world.path("etc/{certificate}.pem")),
        key: Some(world.path("etc/{certificate}.key")),
        ..PublicPaths::default()
    }
}

#[tokio::test]
async fn a_bundle_is_staged_checked_and_activated_and_the_one_before_the_last_goes() {
    let world = World::new();
    let mut files = world.files();
    let mut check = world.script();
    check.args.push("check {certificate} {fullchain} {key}".to_owned());
    let mut reload = world.script();
    reload.args.push("reload {dir}".to_owned());
    (files.validate, files.reload) = (Some(check), Some(reload));
    let targets = world.targets(TargetSettings::Files(files));

    assert_eq!(targets.perform(&stage(1)).await, Outcome::Done(Fact::Staged));
    assert_eq!(inspect(&targets).await.staged, [world.bundles.leaf(1)].into());
    assert_eq!(targets.perform(&validate(1)).await, Outcome::Done(Fact::Validated));
    assert_eq!(targets.perform(&activate(1, false)).await, Outcome::Done(Fact::Activated));
    let folder = world.path("live/www").display().to_string();
    let version = format!("{folder}/0100000000000000");
    let log = format!(
        "check www {version}/fullchain.pem {version}/privkey.pem\nreload {folder}/current\n"
    );
    assert_eq!(world.read("log"), log);
    let installed = inspect(&targets).await;
    assert_eq!(installed.leaf.unwrap().fingerprint, world.bundles.leaf(1));
    assert!(installed.ours && installed.staged.is_empty());
    assert_eq!(installed.key_matches, Some(true));

    for number in [2, 3] {
        assert_eq!(world.deploy(&targets, number).await, Outcome::Done(Fact::Activated));
    }
    let names = ["0200000000000000", "0300000000000000", "current", "previous"];
    assert_eq!(world.names(), names);
    assert_eq!(world.read("live/www/current/fullchain.pem"), world.bundles.fullchain(3));
}

#[tokio::test]
async fn owner_and_modes_are_as_declared_and_mended() {
    let world = World::new();
    let mut files = world.files();
    let targets = world.targets(TargetSettings::Files(files.clone()));
    world.deploy(&targets, 1).await;
    let mode = |file: &str| {
        let metadata = fs::metadata(world.path("live/www/current").join(file)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!((mode("privkey.pem"), mode("fullchain.pem")), (0o600, 0o644));
    // Our own number is one that anybody may set.
    let own = fs::metadata(world.path("live")).unwrap().uid();
    files.access = AccessSettings {
        owner: Some(own.to_string()),
        key_mode: 0o640,
        ..AccessSettings::default()
    };
    let targets = world.targets(TargetSettings::Files(files));
    assert_eq!(world.deploy(&targets, 1).await, Outcome::Done(Fact::Activated));
    assert_eq!(mode("privkey.pem"), 0o640);
}

#[tokio::test]
async fn foreign_files_are_found_left_alone_and_taken_over_only_when_allowed() {
    let world = World::new();
    world.write("etc/www.pem", &world.bundles.fullchain(4));
    world.write("etc/www.key", world.bundles.key(4));
    let mut files = world.files();
    files.paths = paths(&world);
    let targets = world.targets(TargetSettings::Files(files));

    let found = inspect(&targets).await;
    assert_eq!(found.leaf.unwrap().fingerprint, world.bundles.leaf(4));
    assert_eq!((found.ours, found.key_matches), (false, Some(true)));

    let refused = failure(world.deploy(&targets, 1).await);
    assert_eq!((refused.kind, refused.blame), (FailureKind::Refused, Blame::Target("web".into())));
    assert!(refused.cause.contains("take_over = true"));
    assert_eq!(world.read("etc/www.pem"), world.bundles.fullchain(4));

    assert_eq!(targets.perform(&activate(1, true)).await, Outcome::Done(Fact::Activated));
    assert_eq!(world.read("etc/www.pem"), world.bundles.fullchain(1));
    assert_eq!(world.read("etc/www.key"), world.bundles.key(1));
    assert_eq!(world.read("etc/www.key.before-perennial"), world.bundles.key(4));
    assert!(inspect(&targets).await.ours);

    // What is ours stays ours without `take_over`, and the copy of the old files goes with time.
    for number in [2, 3] {
        assert_eq!(world.deploy(&targets, number).await, Outcome::Done(Fact::Activated));
    }
    assert!(!world.names().iter().any(|name| name.starts_with("before")), "{:?}", world.names());
    assert_eq!(world.read("etc/www.key"), world.bundles.key(3));
}

#[tokio::test]
async fn bundles_of_the_past_that_cannot_be_removed_are_told_and_undo_nothing() {
    let world = World::new();
    let targets = world.targets(TargetSettings::Files(world.files()));
    world.deploy(&targets, 1).await;
    // What lies inside of a bundle's folder and is not ours keeps the folder from being removed.
    let first = fs::read_link(world.path("live/www/current")).unwrap();
    world.write(&format!("live/www/{}/kept/by-somebody", first.display()), "");
    // Older than the next one by more than the clock of a file system tells apart.
    let folder = fs::File::open(world.path("live/www").join(&first)).unwrap();
    folder.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    world.deploy(&targets, 2).await;
    assert!(inspect(&targets).await.leftovers.is_empty(), "the previous one is kept on purpose");
    for number in [3, 4] {
        let activated = world.deploy(&targets, number).await;
        assert_eq!(activated, Outcome::Done(Fact::Activated), "{number} is not kept waiting");
        let found = inspect(&targets).await;
        assert_eq!(found.leaf.unwrap().fingerprint, world.bundles.leaf(number));
        let [left] = &*found.leftovers else { panic!("{:?}", found.leftovers) };
        assert!(left.contains("/live/www/"), "{left}");
    }
}

#[tokio::test]
async fn files_put_back_by_somebody_else_are_foreign_again_and_can_be_taken_over_again() {
    let world = World::new();
    let mut files = world.files();
    files.paths = paths(&world);
    world.write("etc/www.pem", &world.bundles.fullchain(4));
    world.write("etc/www.key", world.bundles.key(4));
    let targets = world.targets(TargetSettings::Files(files));
    targets.perform(&stage(1)).await;
    targets.perform(&activate(1, true)).await;
    fs::remove_file(world.path("etc/www.pem")).unwrap();
    world.write("etc/www.pem", &world.bundles.fullchain(3));
    assert!(!inspect(&targets).await.ours);
    assert_eq!(targets.perform(&activate(1, true)).await, Outcome::Done(Fact::Activated));
    assert_eq!(world.read("etc/www.pem"), world.bundles.fullchain(1));
    assert_eq!(world.read("etc/www.pem.before-perennial-2"), world.bundles.fullchain(3));
}

#[tokio::test]
async fn nothing_there_is_nothing_foreign() {
    let world = World::new();
    let mut files = world.files();
    files.paths = paths(&world);
    let targets = world.targets(TargetSettings::Files(files));
    let found = inspect(&targets).await;
    assert_eq!((found.leaf, found.ours, found.key_matches), (None, true, None));
}

#[tokio::test]
async fn a_failing_reload_makes_the_old_bundle_active_again_and_says_why() {
    let world = World::new();
    let mut files = world.files();
    files.reload = Some(world.script());
    let targets = world.targets(TargetSettings::Files(files));
    world.deploy(&targets, 1).await;
    world.write("exit", "7");
    let failed = failure(world.deploy(&targets, 2).await);
    assert_eq!((failed.kind, failed.blame), (FailureKind::Refused, Blame::Target("web".into())));
    assert_eq!(
        &*failed.cause,
        "telling the server failed: `sh` ended with exit status: 7, saying: broken; \
         the bundle before it is active again"
    );
    assert_eq!(world.read("live/www/current/fullchain.pem"), world.bundles.fullchain(1));
    // Once for the first, once in vain, once for going back.
    assert_eq!(world.read("log").lines().count(), 3);
    assert_eq!(targets.perform(&activate(2, false)).await, Outcome::Done(Fact::Activated));
    assert_eq!(world.read("live/www/current/fullchain.pem"), world.bundles.fullchain(2));
}

#[tokio::test]
async fn nobody_goes_back_to_nothing_or_to_an_expired_bundle() {
    for before in [None, Some(EXPIRED)] {
        let world = World::new();
        let mut files = world.files();
        files.reload = Some(world.script());
        let targets = world.targets(TargetSettings::Files(files));
        if let Some(number) = before {
            world.deploy(&targets, number).await;
        }
        world.write("exit", "1");
        let failed = failure(world.deploy(&targets, 2).await);
        assert!(failed.cause.ends_with("; the new bundle stays"));
        assert_eq!(world.read("live/www/current/fullchain.pem"), world.bundles.fullchain(2));
    }
}

#[tokio::test]
async fn activating_again_tells_the_server_again_and_never_goes_back() {
    let world = World::new();
    let mut files = world.files();
    files.reload = Some(world.script());
    let targets = world.targets(TargetSettings::Files(files));
    world.deploy(&targets, 1).await;
    world.deploy(&targets, 2).await;
    world.write("exit", "1");
    failure(targets.perform(&activate(2, false)).await);
    assert_eq!(world.read("live/www/current/fullchain.pem"), world.bundles.fullchain(2));
    assert_eq!(targets.perform(&activate(2, false)).await, Outcome::Done(Fact::Activated));
    assert_eq!(world.read("log").lines().count(), 4);
}

#[tokio::test]
async fn a_hanging_check_is_killed_at_its_limit() {
    let world = World::new();
    let mut files = world.files();
    let sleep = ["sleep".to_owned(), "1000".to_owned()];
    files.validate = Program::new(&sleep, Duration::from_millis(200));
    let targets = world.targets(TargetSettings::Files(files));
    targets.perform(&stage(1)).await;
    let failed = failure(targets.perform(&validate(1)).await);
    assert_eq!(failed.kind, FailureKind::Transient);
    assert!(failed.cause.contains("did not end within 0.2 s"), "{failed}");
}

#[tokio::test]
async fn what_is_not_staged_cannot_be_activated() {
    let world = World::new();
    let targets = world.targets(TargetSettings::Files(world.files()));
    let failed = failure(targets.perform(&activate(1, false)).await);
    assert_eq!((failed.kind, failed.blame), (FailureKind::Gone, Blame::Target("web".into())));
    assert_eq!(failed.attempted.as_ref(), "activate www at web");
}

#[tokio::test]
async fn what_is_in_the_way_is_told_and_not_touched() {
    let world = World::new();
    world.write("live/www/current/fullchain.pem", "a directory of somebody's");
    let targets = world.targets(TargetSettings::Files(world.files()));
    let failed = failure(world.deploy(&targets, 1).await);
    assert!(failed.cause.contains("is in the way"), "{failed}");
    assert_eq!(world.read("live/www/current/fullchain.pem"), "a directory of somebody's");
}

#[tokio::test]
async fn names_that_lead_elsewhere_and_foreign_actions_are_refused() {
    let world = World::new();
    let targets = world.targets(TargetSettings::Files(world.files()));
    for name in ["..", "../../etc", ".hidden", ""] {
        let act = ActKind::Stage {
            target: Name::new("web"),
            certificate: Name::new(name),
            bundle: super::world::id(1),
        };
        assert_eq!(failure(targets.perform(&act).await).blame, Blame::Ourselves, "{name}");
    }
    let unknown = ActKind::Stage {
        target: Name::new("nowhere"),
        certificate: www(),
        bundle: super::world::id(1),
    };
    assert_eq!(failure(targets.perform(&unknown).await).blame, Blame::Ourselves);
    let other = ActKind::DropKey { slot: perennial_core::words::Slot("x".into()) };
    assert_eq!(failure(targets.perform(&other).await).blame, Blame::Ourselves);
}

/// Runs itself again inside a namespace with a full disk, since mounting needs one.
#[test]
fn a_full_disk_is_our_own_fault_and_leaves_the_old_bundle_active() {
    const INSIDE: &str = "PERENNIAL_TEST_FULL_DISK";
    let name =
        "deploy::tests::files::a_full_disk_is_our_own_fault_and_leaves_the_old_bundle_active";
    if let Ok(dir) = std::env::var(INSIDE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(on_a_full_disk(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64k none \"$1\" && exec \"$2\" --exact \"$3\" --nocapture";
    let ran = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(INSIDE, dir.path())
        .output()
        .expect("unshare is part of util-linux: apt-get install util-linux");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "user namespaces are needed to mount a small disk: {said}");
}

async fn on_a_full_disk(dir: &str) {
    let world = World::new();
    let mut files = world.files();
    files.dir = dir.into();
    let targets = world.targets(TargetSettings::Files(files));
    world.deploy(&targets, 1).await;
    let active = fs::read_to_string(format!("{dir}/www/current/fullchain.pem")).unwrap();
    let filler = vec![0; 64 * 1024];
    // Fills what is left, as far as it goes.
    let _full = fs::write(format!("{dir}/filler"), filler);
    let failed = failure(targets.perform(&stage(2)).await);
    assert_eq!((failed.kind, failed.blame), (FailureKind::Transient, Blame::Ourselves));
    assert!(failed.cause.contains("No space left on device"), "{}", failed.cause);
    assert_eq!(fs::read_to_string(format!("{dir}/www/current/fullchain.pem")).unwrap(), active);
    fs::remove_file(format!("{dir}/filler")).unwrap();
    assert_eq!(world.deploy(&targets, 2).await, Outcome::Done(Fact::Activated));
}

#[tokio::test]
async fn a_renamed_certificate_is_read_under_both_names() {
    let world = World::new();
    let mut files = world.files();
    files.paths.fullchain = Some(world.path("etc/site.pem"));
    files.paths.key = Some(world.path("etc/{certificate}.key"));
    let targets = world.targets(TargetSettings::Files(files.clone()));
    fs::create_dir(world.path("etc")).unwrap();
    assert_eq!(world.deploy(&targets, 1).await, Outcome::Done(Fact::Activated));

    files.former.insert(Name::new("web"), www());
    let targets = world.targets(TargetSettings::Files(files));
    let (target, certificate) = (Name::new("web"), Name::new("web"));
    let ask = AskKind::Inspect { target: target.clone(), certificate: certificate.clone() };
    let Reply::Installed(installed) = targets.ask(&ask).await else { panic!("it is inspected") };
    assert!(installed.ours, "the path leads through our own former folder");
    for number in [2, 3] {
        let bundle = id(number);
        let stage =
            ActKind::Stage { target: target.clone(), certificate: certificate.clone(), bundle };
        assert_eq!(targets.perform(&stage).await, Outcome::Done(Fact::Staged));
        let (target, certificate) = (target.clone(), certificate.clone());
        let activate = ActKind::Activate { target, certificate, bundle, take_over: false };
        assert_eq!(targets.perform(&activate).await, Outcome::Done(Fact::Activated));
        for path in
            ["live/www/current/fullchain.pem", "live/web/current/fullchain.pem", "etc/site.pem"]
        {
            assert_eq!(world.read(path), world.bundles.fullchain(number), "{path}");
        }
        assert_eq!(world.read("etc/www.key"), world.read("etc/web.key"));
    }
    // The path leads to the new folder now, so that `was` may go from the file.
    let to = fs::read_link(world.path("etc/site.pem")).unwrap();
    assert_eq!(to, world.path("live/web/current/fullchain.pem"));
}
