//! What a `[target.NAME]` means.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use perennial_core::intent::{Intent, TargetSpec};
use perennial_core::words::Name;

use super::{Meaning, flag};
use crate::raw::{RawFile, RawTarget, value};
use crate::settings::{FilePaths, ServerKind, Settings, TargetRecipe, TargetSettings};
use crate::source::Spanned;

/// How long after a reload the old leaf may be served: nginx lets old workers finish.
const SETTLE: SignedDuration = SignedDuration::from_secs(60);

/// Nobody but the owner reads a key.
const MODE: u32 = 0o600;

/// What stands for the certificate's name in a path.
pub(super) const PLACEHOLDER: &str = "{certificate}";

impl Meaning<'_> {
    pub(super) fn target(
        &mut self,
        name: &Name,
        section: &Spanned<RawTarget>,
    ) -> Option<(TargetSpec, TargetSettings)> {
        let raw = &section.value;
        let mode = self.mode(raw);
        let nginx = raw.nginx.as_ref().map(|nginx| self.path(nginx));
        let haproxy = raw.haproxy.as_ref().map(|haproxy| self.path(haproxy));
        if let (Some(_), Some(field)) = (&nginx, &raw.haproxy) {
            let hint = "one target is one server: declare another for the other";
            self.report.error(field.key, "a target is `nginx` or `haproxy`", hint);
        }
        let dir = raw.files.as_ref().map(|files| self.path(files));
        let server = self.server_of(raw);
        let dir = dir.or_else(|| haproxy.as_deref().map(beside_server));
        let beside = nginx.as_deref().or(server.as_ref().map(|(_, config)| config.as_path()));
        let dir = dir.or_else(|| beside.map(beside_server));
        let Some(dir) = dir else {
            let text = format!("target `{name}` has no place");
            let hint = "write files = \"/etc/ssl/perennial\", or name its server: nginx = \
                        \"/etc/nginx\" (or haproxy, apache, caddy, dovecot, postfix, postgresql)";
            self.report.error(section.key, text, hint);
            return None;
        };
        let (recipe, validates) = match (nginx, haproxy, server) {
            (Some(config), ..) => (self.nginx(config, raw), true),
            (None, Some(config), _) => (self.haproxy(config, raw), true),
            (None, None, Some((kind, config))) => (self.server(kind, config, raw), true),
            (None, None, None) => (self.files(name, section), raw.validate.is_some()),
        };
        let spec = TargetSpec {
            take_over: flag(&raw.take_over),
            validates,
            settle: value(&raw.settle).unwrap_or(SETTLE),
            serves_at: self.sites(raw).into(),
        };
        let (owner, group) = (value(&raw.owner), value(&raw.group));
        Some((spec, TargetSettings { dir, recipe, owner, group, mode }))
    }

    fn nginx(&mut self, config: PathBuf, raw: &RawTarget) -> TargetRecipe {
        let paths = [("fullchain", &raw.fullchain), ("cert", &raw.cert)];
        let paths = paths.into_iter().chain([("chain", &raw.chain), ("key", &raw.key)]);
        for (name, field) in paths {
            let why = "its server blocks tell which files are used";
            self.misplaced_key(name, field, "nginx", why);
        }
        for (name, field) in [("validate", &raw.validate), ("reload", &raw.reload)] {
            let why = "it is validated by `nginx -t` and told by `nginx -s reload`";
            self.misplaced_key(name, field, "nginx", why);
        }
        self.misplaced_key("runtime", &raw.runtime, "nginx", "only HAProxy has a runtime API");
        let binary = raw.binary.as_ref().map_or("nginx", |binary| binary.value.as_str());
        let prefix = raw.prefix.as_ref().map(|prefix| self.path(prefix));
        TargetRecipe::Nginx { config, binary: PathBuf::from(binary), prefix }
    }

    fn haproxy(&mut self, config: PathBuf, raw: &RawTarget) -> TargetRecipe {
        let paths = [("fullchain", &raw.fullchain), ("cert", &raw.cert)];
        let paths = paths.into_iter().chain([("chain", &raw.chain), ("key", &raw.key)]);
        for (name, field) in paths {
            let why = "its `bind` lines tell which files are used";
            self.misplaced_key(name, field, "haproxy", why);
        }
        let why = "it is validated by `haproxy -c`";
        self.misplaced_key("validate", &raw.validate, "haproxy", why);
        self.misplaced_key("prefix", &raw.prefix, "haproxy", "only nginx has a prefix");
        let binary = raw.binary.as_ref().map_or("haproxy", |binary| binary.value.as_str());
        let runtime = raw.runtime.as_ref().map(|runtime| self.path(runtime));
        let usual = || ["systemctl", "reload", "haproxy"].map(String::from).to_vec();
        let reload = raw.reload.as_ref().map(|command| self.command(command));
        TargetRecipe::Haproxy {
            config,
            binary: PathBuf::from(binary),
            runtime,
            reload: reload.unwrap_or_else(usual),
        }
    }

    /// Finds the server that the target is for, of those whose own programs say what they read.
    fn server_of(&mut self, raw: &RawTarget) -> Option<(ServerKind, PathBuf)> {
        let kinds = [
            (ServerKind::Apache, "apache", &raw.apache),
            (ServerKind::Caddy, "caddy", &raw.caddy),
            (ServerKind::Dovecot, "dovecot", &raw.dovecot),
            (ServerKind::Postfix, "postfix", &raw.postfix),
            (ServerKind::Postgresql, "postgresql", &raw.postgresql),
        ];
        let mut found = None;
        for (kind, word, field) in kinds {
            let Some(field) = field else { continue };
            if found.is_some() || raw.nginx.is_some() || raw.haproxy.is_some() {
                let text = format!("`{word}` is a second server at one target");
                self.report.error(field.key, text, "declare a target for each");
            }
            found = Some((kind, self.path(field)));
        }
        found
    }

    fn server(&mut self, kind: ServerKind, config: PathBuf, raw: &RawTarget) -> TargetRecipe {
        let paths = [("fullchain", &raw.fullchain), ("cert", &raw.cert)];
        let paths = paths.into_iter().chain([("chain", &raw.chain), ("key", &raw.key)]);
        for (name, field) in paths {
            let why = "the server's configuration tells which files are used";
            self.misplaced_key(name, field, "server", why);
        }
        let why = "it is validated by its own program";
        self.misplaced_key("validate", &raw.validate, "server", why);
        self.misplaced_key("prefix", &raw.prefix, "server", "only nginx has one");
        self.misplaced_key("runtime", &raw.runtime, "server", "only HAProxy has a runtime API");
        let binary = raw.binary.as_ref().map(|binary| PathBuf::from(&binary.value));
        let reload = raw.reload.as_ref().map(|command| self.command(command));
        TargetRecipe::Server { kind, config, binary, reload }
    }

    fn files(&mut self, name: &Name, section: &Spanned<RawTarget>) -> TargetRecipe {
        let raw = &section.value;
        for (name, field) in [("binary", &raw.binary), ("prefix", &raw.prefix)] {
            self.misplaced_key(name, field, "files", "write nginx = \"/etc/nginx\" as well");
        }
        let why = "write haproxy = \"/etc/haproxy/haproxy.cfg\" as well";
        self.misplaced_key("runtime", &raw.runtime, "files", why);
        let mut path = |field: &Option<Spanned<String>>| field.as_ref().map(|f| self.path(f));
        let paths = FilePaths {
            fullchain: path(&raw.fullchain),
            cert: path(&raw.cert),
            chain: path(&raw.chain),
            key: path(&raw.key),
        };
        if raw.reload.is_none() {
            let text = format!("target `{name}` has no reload command");
            let hint = "most servers read files only when told: reload = [\"systemctl\", \
                        \"reload\", \"NAME\"]; [\"true\"] if yours watches them";
            self.report.warn(section.key, text, hint);
        }
        let validate = raw.validate.as_ref().map(|command| self.command(command));
        let reload = raw.reload.as_ref().map(|command| self.command(command));
        TargetRecipe::Files { paths, validate, reload }
    }

    fn misplaced_key<T>(&mut self, key: &str, field: &Option<Spanned<T>>, kind: &str, why: &str) {
        if let Some(field) = field {
            let text = format!("`{key}` means nothing to a target of kind `{kind}`");
            self.report.error(field.key, text, why);
        }
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
            for target in &*spec.targets {
                users.entry(target.as_str()).or_default().push(certificate.as_str());
            }
        }
        for (name, section) in raw.target.iter().flat_map(|named| &named.value.0) {
            let Some(own) = settings.targets.get(&Name::new(name)) else { continue };
            let TargetRecipe::Files { paths, .. } = &own.recipe else { continue };
            let all = [&paths.fullchain, &paths.cert, &paths.chain, &paths.key];
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

/// Returns where the bundles lie for a server with this configuration file or folder.
fn beside_server(config: &Path) -> PathBuf {
    let extension = config.extension().and_then(|extension| extension.to_str());
    let is_file = matches!(extension, Some("conf" | "cf" | "cfg")) || config.ends_with("Caddyfile");
    let folder = if is_file { config.parent().unwrap_or(config) } else { config };
    folder.join("perennial")
}
