//! `perennial backup`, `perennial restore` and `perennial resume`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use perennial_config::StoreSettings;
use perennial_store::Options;
use perennial_store::backup::{BackupError, Form, Identity, Recipient, backup, restore};

use super::args::{BackupArgs, RestoreArgs};
use super::{Ending, Globals, Hinted, known, say};
use crate::clock::Time;
use crate::run::{DEFAULT_STORE, unseal};
use crate::view::{moment, safe};

pub(super) fn make(args: &BackupArgs, globals: &Globals) -> Result<Ending> {
    let store = known::load(globals)?.settings.store;
    let form = form(args)?;
    // The secret may lie elsewhere; without it nobody opens what is backed up.
    let secret = match &store.unseal {
        Some(file) => Some(std::fs::read(file).with_context(|| {
            format!("could not read the secret that unseals the store, {}", file.display())
        })?),
        None => None,
    };
    let secret = secret.map(zeroize::Zeroizing::new);
    let secret = secret.as_ref().map(|bytes| bytes.as_slice());
    let done = backup(&store.dir, secret, &args.to, &form, Time::real().now()).map_err(hinted)?;
    say(globals, &done, || {
        let (to, records, files) = (args.to.display(), done.records, done.files);
        let mut text = format!("backed up {records} records and {files} sealed files to {to}");
        if done.unreadable > 0 {
            let unreadable = done.unreadable;
            text += &format!("\n{unreadable} records could not be read and are not in it");
        }
        if !done.has_secret {
            text += "\nthe secret that opens it (`unseal` in [store]) is not in it: keep that, too";
        }
        text
    });
    Ok(if done.unreadable > 0 { Ending::Findings } else { Ending::Fine })
}

fn form(args: &BackupArgs) -> Result<Form> {
    if args.plain {
        return Ok(Form::Plain);
    }
    let recipients: Result<Vec<Recipient>, _> =
        args.recipients.iter().map(|text| text.parse()).collect();
    let recipients = recipients.map_err(|error| Hinted::new(error.to_string(), KEYGEN))?;
    if recipients.is_empty() {
        let text = "nobody is named who could open the backup";
        return Err(Hinted::new(text, KEYGEN).into());
    }
    Ok(Form::Encrypted(recipients))
}

const KEYGEN: &str = "age-keygen -o key.txt makes a key and shows its recipient: perennial backup \
                      --recipient age1... TO; or --plain for a folder as secret as the store";

pub(super) fn put_back(args: &RestoreArgs, globals: &Globals) -> Result<Ending> {
    let store = match &args.store {
        Some(dir) => StoreSettings { dir: dir.clone(), unseal: None },
        None if globals.config.exists() => known::load(globals)?.settings.store,
        None => StoreSettings { dir: PathBuf::from(DEFAULT_STORE), unseal: None },
    };
    let identities = match &args.identity {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("could not read {}", file.display()))?;
            let text = zeroize::Zeroizing::new(text);
            let hint = "name the file that age-keygen wrote: --identity key.txt";
            Identity::read(&text)
                .map_err(|error| Hinted::new(format!("{}: {error}", file.display()), hint))?
        }
        None => Vec::new(),
    };
    let options = Options { unseal: unseal(&store) };
    let (id, now) = (new_id()?, Time::real().now());
    let done = restore(&args.from, &identities, &store.dir, &options, &id, now).map_err(hinted)?;
    say(globals, &done, || {
        let at = moment(done.backed_up_at);
        let (records, dir) = (done.records, store.dir.display());
        format!(
            "restored {records} records of {at} to {dir}, as instance {}\n\nstart it: systemctl \
             start perennial, or perennial run\nit only looks until you say: perennial resume",
            safe(&done.id)
        )
    });
    Ok(Ending::Fine)
}

/// Makes the name of an instance by chance.
fn new_id() -> Result<String> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).context("make a new instance's name")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Gives errors of backups their hint.
fn hinted(error: BackupError) -> anyhow::Error {
    let hint = match &error {
        BackupError::InTheWay(path) => {
            format!("choose another place, or move {} away", path.display())
        }
        BackupError::Age(_) => String::from(
            "name the file with the identity that age-keygen wrote: --identity key.txt",
        ),
        BackupError::NotABackup { .. } => {
            String::from("name a file or folder that perennial backup wrote")
        }
        BackupError::Store(store) => store.advice(),
        BackupError::Append(append) => append.advice(),
        BackupError::Io { path, .. } => format!("look at it: ls -ld {}", path.display()),
        BackupError::Journal(_) | BackupError::Unmarked(_) => {
            String::from("use another backup, or report this")
        }
    };
    let causes: Vec<String> = anyhow::Error::new(error).chain().map(ToString::to_string).collect();
    Hinted::new(causes.join(": "), hint).into()
}
