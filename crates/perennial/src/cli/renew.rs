//! `perennial renew`: what is due or failing is tried at once; what is not due needs `--now`.

use anyhow::Result;
use perennial_core::words::Name;
use serde::Serialize;

use super::args::RenewArgs;
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
    let view = status::view(&settings, usize::MAX)?;
    if view.source == Source::Journal {
        let hint = "start it: systemctl start perennial, or perennial run";
        return Err(Hinted::new("renewing needs a running daemon", hint).into());
    }
    let mut asked = Vec::new();
    for certificate in chosen(args, &view)? {
        let question = Question::Renew { certificate: certificate.clone() };
        match ask(&settings.socket, &question)? {
            Answer::Done { text } => asked.push(Asked { certificate, text }),
            Answer::Refused { text, hint } => return Err(Hinted::new(text, hint).into()),
            Answer::Status { .. } => return Err(Hinted::mismatch().into()),
        }
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

/// Returns which certificates to renew.
fn chosen(args: &RenewArgs, view: &StatusView) -> Result<Vec<Name>> {
    if args.certificates.is_empty() {
        let wanting = view.certificates.iter().filter(|row| wants_renewal(row, view));
        return Ok(wanting.map(|row| row.certificate.clone()).collect());
    }
    let mut names = Vec::new();
    for text in &args.certificates {
        let row = view.certificates.iter().find(|row| row.certificate.as_str() == text);
        let Some(row) = row else {
            let hint = "see which there are: perennial status";
            return Err(Hinted::new(format!("no certificate `{text}` is declared"), hint).into());
        };
        if row.renewing {
            let hint = format!("follow it: perennial journal --follow {text}");
            return Err(Hinted::new(format!("`{text}` is being renewed already"), hint).into());
        }
        if !args.now && !wants_renewal(row, view) {
            let due = ago(row.renew_at, view.at);
            let hint = format!(
                "perennial renew --now {text} renews it all the same, and spends the CA's limits"
            );
            return Err(Hinted::new(format!("`{text}` is due {due}"), hint).into());
        }
        names.push(row.certificate.clone());
    }
    Ok(names)
}

/// Returns whether a certificate is due, or waits after a failure.
fn wants_renewal(row: &CertificateRow, view: &StatusView) -> bool {
    !row.renewing && row.renew_at <= view.at
}
