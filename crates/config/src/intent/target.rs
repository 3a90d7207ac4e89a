//! What a `[target.NAME]` means.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::SignedDuration;
use perennial_core::intent::{Intent, TargetSpec};
use perennial_core::words::Name;

use super::{Meaning, flag};
use crate::raw::{RawFile, RawTarget, value};
use crate::settings::{FilePaths, Settings, TargetPlace, TargetSettings};
use crate::source::{Span, Spanned};

/// How long after a reload the old leaf may be served: nginx lets old workers finish.
const SETTLE: SignedDuration = SignedDuration::from_secs(60);

/// Nobody but the owner reads a key.
const MODE: u32 = 0o600;

/// What stands for the certificate's name in a path.
const PLACEHOLDER: &str = "{certificate}";

impl Meaning<'_> {
    pub(super) fn target(
        &mut self,
        name: &Name,
        section: &Spanned<RawTarget>,
    ) -> Option<(TargetSpec, TargetSettings)> {
        let raw = &section.value;
        let mode = self.mode(raw);
        let validate = raw.validate.as_ref().map(|command| self.command(command));
        let reload = raw.reload.as_ref().map(|command| self.command(command));
        let place = self.place(name, section)?;
        let recipe = matches!(place, TargetPlace::Nginx { .. });
        if !recipe && reload.is_none() {
            let text = format!("target `{name}` has no reload command");
            let hint = "most servers read files only when told: reload = [\"systemctl\", \
                        \"reload\", \"NAME\"]; [\"true\"] if yours watches them";
            self.report.warn(section.key, text, hint);
        }
        let spec = TargetSpec {
            take_over: flag(&raw.take_over),
            validates: recipe || validate.is_some(),
            settle: value(&raw.settle).unwrap_or(SETTLE),
        };
        let (owner, group) = (value(&raw.owner), value(&raw.group));
        Some((spec, TargetSettings { place, owner, group, mode, validate, reload }))
    }

    fn place(&mut self, name: &Name, section: &Spanned<RawTarget>) -> Option<TargetPlace> {
        let raw = &section.value;
        let mut path = |field: &Option<Spanned<String>>| field.as_ref().map(|f| self.path(f));
        let (folder, nginx) = (path(&raw.files), path(&raw.nginx));
        let paths = FilePaths {
            fullchain: path(&raw.fullchain),
            key: path(&raw.key),
            leaf: path(&raw.leaf),
            chain: path(&raw.chain),
        };
        let prefix = path(&raw.prefix);
        if let Some((_, second)) = self.places(raw) {
            let hint = "declare two targets; a certificate may have both";
            self.report.error(second, "a target is one place", hint);
            return None;
        }
        self.misplaced_in_target(raw, nginx.is_some());
        match (folder, nginx) {
            (Some(folder), _) => Some(TargetPlace::Folder(folder)),
            (None, Some(dir)) => {
                let binary = raw.binary.as_ref();
                let binary =
                    binary.map_or_else(|| PathBuf::from("nginx"), |b| PathBuf::from(&b.value));
                Some(TargetPlace::Nginx { dir, binary, prefix })
            }
            (None, None) if paths != FilePaths::default() => self.paths(paths, section),
            (None, None) => {
                let text = format!("target `{name}` has no place");
                let hint = "write files = \"/etc/ssl/perennial\", nginx = \"/etc/nginx\", or \
                            fullchain and key with the paths of files";
                self.report.error(section.key, text, hint);
                None
            }
        }
    }

    /// Returns two places that are both declared, if there are two.
    fn places(&self, raw: &RawTarget) -> Option<(Span, Span)> {
        let explicit = [&raw.fullchain, &raw.key, &raw.leaf, &raw.chain];
        let explicit = explicit.into_iter().flatten().map(|field| field.key).min();
        let named = [&raw.files, &raw.nginx].into_iter().flatten().map(|field| field.key);
        let mut keys: Vec<Span> = named.chain(explicit).collect();
        keys.sort();
        Some((*keys.first()?, *keys.get(1)?))
    }

    fn misplaced_in_target(&mut self, raw: &RawTarget, nginx: bool) {
        for (name, field) in [("binary", &raw.binary), ("prefix", &raw.prefix)] {
            if let Some(field) = field.as_ref().filter(|_| !nginx) {
                let text = format!("`{name}` means nothing without `nginx`");
                self.report.error(field.key, text, "write nginx = \"/etc/nginx\" as well");
            }
        }
    }

    fn paths(&mut self, paths: FilePaths, section: &Spanned<RawTarget>) -> Option<TargetPlace> {
        if paths.key.is_some() && (paths.fullchain.is_some() || paths.leaf.is_some()) {
            return Some(TargetPlace::Paths(paths));
        }
        let lack = if paths.key.is_none() { "`key`" } else { "`fullchain` or `leaf`" };
        let hint = "servers need a key and a leaf with its chain: fullchain = \"/path\", key = \
                    \"/path\"";
        self.report.error(section.key, format!("the target has no path for {lack}"), hint);
        None
    }

    fn mode(&mut self, raw: &RawTarget) -> u32 {
        let Some(field) = &raw.mode else { return MODE };
        let text = field.value.0.as_str();
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let parsed = u32::from_str_radix(digits, 8).ok();
        let octal = digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit());
        let Some(mode) = parsed.filter(|mode| octal && *mode <= 0o777) else {
            let what = format!("`{text}` is no mode");
            self.report.error(field.span, what, "write it as for chmod: \"0640\"");
            return MODE;
        };
        if mode & 0o400 == 0 {
            let hint = "\"0600\", or \"0640\" with a group";
            self.report.error(field.span, "the owner could not read the key", hint);
        } else if mode & 0o007 != 0 {
            let hint = "\"0640\" with the server's group is enough";
            self.report.warn(field.span, "every user of the machine could read the key", hint);
        }
        mode
    }

    /// Two certificates cannot lie in one file.
    pub(super) fn shared_paths(&mut self, raw: &RawFile, intent: &Intent, settings: &Settings) {
        let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
        for (certificate, spec) in &intent.certificates {
            for target in &spec.targets {
                users.entry(target.as_str()).or_default().push(certificate.as_str());
            }
        }
        for (name, section) in raw.target.iter().flat_map(|named| &named.value.0) {
            let Some(own) = settings.targets.get(&Name::new(name)) else { continue };
            let TargetPlace::Paths(paths) = &own.place else { continue };
            let all = [&paths.fullchain, &paths.key, &paths.leaf, &paths.chain];
            let fixed = all
                .into_iter()
                .flatten()
                .any(|path| !path.as_os_str().to_string_lossy().contains(PLACEHOLDER));
            let users = users.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            if let (true, [one, other, ..]) = (fixed, users) {
                let text = format!("certificates `{one}` and `{other}` would share its files");
                let hint = "write {certificate} in each path, or declare a target for each";
                self.report.error(section.key, text, hint);
            }
        }
    }
}
