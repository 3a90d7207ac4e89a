//! `perennial renew`: what is due or failing is tried at once; what is not due needs `--now`.
//!
//! The daemon renews; this command asks it to, and watches ([`super::watch`]) until every new leaf is
//! seen or nothing more happens soon. A certificate that is being renewed already is watched too.

use anyhow::Result;
use perennial_core::words::Name;
use serde::Serialize;

use super::args::RenewArgs;
use super::watch::Watch;
use super::{Ending, Globals, Hinted, known, say, status};
use crate::control::{Answer, Question, ask};
use crate::view::{CertificateRow, Source, StatusView, ago};

/// What became of the request for one certificate.
#[derive(Serialize)]
struct Asked {
    certificate: Name,
    text: String,
}

pub(super) fn main(args: &RenewArgs, globals: &Globals) -> Result<Ending> {
    let settings = known::Settings::load(globals)?;
    let view = status::view(&settings, usize::MAX, None)?;
    if view.source == Source::Journal {
        let hint = "start it: systemctl start perennial, or perennial run";
        return Err(Hinted::new("renewing needs a running daemon", hint).into());
    }
    let chosen = chosen(args, &view)?;
    let watch = if args.no_wait || chosen.is_empty() {
        None
    } else {
        let names: Vec<Name> = chosen.iter().map(|row| row.certificate.clone()).collect();
        Some(Watch::begin(globals, &settings, &names)?)
    };
    let asked = request(&settings, &chosen)?;
    if let Some(watch) = watch {
        return watch.run();
    }
    say(globals, &asked, || {
        if asked.is_empty() {
            return String::from("nothing is due or failing");
        }
        let lines = asked.iter().map(|asked| format!("{}: {}", asked.certificate, asked.text));
        lines.collect::<Vec<_>>().join("\n") + "\nfollow it: perennial journal --follow"
    });
    Ok(Ending::Fine)
}

/// Asks the daemon to renew, one after the other, those that are not being renewed already.
fn request(settings: &known::Settings, chosen: &[&CertificateRow]) -> Result<Vec<Asked>> {
    let mut asked = Vec::new();
    for row in chosen {
        let certificate = row.certificate.clone();
        if row.renewing {
            let text = String::from("is being renewed already");
            asked.push(Asked { certificate, text });
            continue;
        }
        match ask(&settings.socket, &Question::Renew { certificate: certificate.clone() })? {
            Answer::Done { text } => asked.push(Asked { certificate, text }),
            Answer::Refused { text, hint } => return Err(Hinted::new(text, hint).into()),
            Answer::Status { .. } => return Err(Hinted::mismatch().into()),
        }
    }
    Ok(asked)
}

/// Returns which certificates to renew.
fn chosen<'v>(args: &RenewArgs, view: &'v StatusView) -> Result<Vec<&'v CertificateRow>> {
    if args.certificates.is_empty() {
        let wanting = view.certificates.iter();
        return Ok(wanting.filter(|row| row.renewing || wants_renewal(row, view)).collect());
    }
    let mut rows: Vec<&CertificateRow> = Vec::new();
    for text in &args.certificates {
        let row = view.certificates.iter().find(|row| row.certificate.as_str() == text);
        let Some(row) = row else {
            let hint = "see which there are: perennial status";
            return Err(Hinted::new(format!("no certificate `{text}` is declared"), hint).into());
        };
        if !args.now && !row.renewing && !wants_renewal(row, view) {
            let due = ago(row.renew_at, view.at);
            let hint = format!(
                "perennial renew --now {text} renews it all the same, and spends the CA's limits"
            );
            return Err(Hinted::new(format!("`{text}` is due {due}"), hint).into());
        }
        if !rows.iter().any(|known| known.certificate == row.certificate) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Returns whether a certificate is due, or waits after a failure.
fn wants_renewal(row: &CertificateRow, view: &StatusView) -> bool {
    row.renew_at <= view.at
}
