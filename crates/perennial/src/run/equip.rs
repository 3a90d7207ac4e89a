//! Makes the adapters of the operator's settings.
//!
//! Secrets are read here, once for each equipping: a rotated credential is taken up when the
//! configuration is read again (`SIGHUP`). Whatever cannot be had is told with the name of the
//! thing it belongs to. A reload then takes on nothing of the new configuration; a start goes on
//! with everything else, since one lost secret must not keep all certificates from being renewed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use perennial_adapters::acme::{Client, Eab, Settings as AcmeSettings};
use perennial_adapters::challenge::{
    Convention, Holding, Listener, ProgramSettings, ProviderSettings, Rfc2136Settings,
    SolverSettings, Solvers, WebrootSettings, ZoneLocks,
};
use perennial_adapters::deploy::{
    AccessSettings, Covers, FilesSettings, HaproxySettings, NginxSettings, PublicPaths, ServerKind,
    ServerSettings, TargetSettings, Targets,
};
use perennial_adapters::dns::{PlaceSettings, Places};
use perennial_adapters::probe::Probe;
use perennial_config::{
    ExecSettings, Holds, HookConvention, HostPort, IssuerSettings, Protocol,
    ProviderSettings as DeclaredProvider, Settings, SolverSettings as Declared, StoreSettings,
    TargetRecipe, TsigSettings,
};
use perennial_core::intent::{CertificateSpec, Intent};
use perennial_core::state::State;
use perennial_core::words::{ChallengeKind, Name};
use perennial_store::{Unseal, Vault};
use perennial_wire::dns::{Resolver, Tsig, TsigAlgorithm};
use perennial_wire::http::{Http, Plaintext, Roots as HttpRoots, Settings as HttpSettings};
use perennial_wire::mac::MacAlgorithm;
use perennial_wire::program::Program;
use perennial_wire::revocation::Revocations;
use perennial_wire::shelf::Shelf;
use perennial_wire::tls::{Roots, Stores};

use super::RunError;
use super::hands::{Hands, Unfit};
use super::shelf::VaultShelf;
use crate::clock::Time;

/// Listeners by what they speak, and where.
type Listeners = BTreeMap<(Protocol, Vec<SocketAddr>), Arc<Listener>>;

/// What surrounds the adapters beyond the operator's settings, and outlives a change of these.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Listeners by what they answer and their addresses: an unchanged one goes on listening.
    listeners: Arc<Mutex<Listeners>>,
    /// Who writes to which zone: what a former configuration still writes must not meet ours.
    zones: ZoneLocks,
    /// The CAs' lists of revoked leaves: a CA is not to be asked again at every reload.
    revocations: Arc<Mutex<Option<Arc<Revocations>>>>,
}

/// How long a command of the operator's may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Returns where the secret that seals the store comes from.
pub fn unseal(store: &StoreSettings) -> Unseal {
    Unseal::from(store.unseal.clone())
}

/// Returns the declaration with the certificates that are in it no more and are renewed all the
/// same (law 8): adapters need to know their names, their endpoints and whose roots they trust.
pub(super) fn with_undeclared(intent: &Intent, state: &State) -> Intent {
    let mut whole = intent.clone();
    for (_, name, known) in state.certificates().filter(|(.., known)| known.renamed_to.is_none()) {
        let is_renamed = intent.certificates.values().any(|spec| spec.was.as_ref() == Some(name));
        if !is_renamed && !whole.certificates.contains_key(name) {
            whole.certificates.insert(name.clone(), (*known.spec).clone());
        }
    }
    whole
}

/// Makes every adapter. The intent is the whole one, of [`with_undeclared`].
///
/// What cannot be made is among [`Hands::unfit`] afterwards.
///
/// # Errors
///
/// Returns why nothing can be looked up at all.
pub async fn equip(
    intent: &Intent,
    settings: &Settings,
    surroundings: &Surroundings,
    vault: Arc<dyn Vault>,
    time: &Time,
) -> Result<Hands, RunError> {
    let shelf: Arc<dyn Shelf> = Arc::new(VaultShelf(Arc::clone(&vault)));
    let resolver = resolver(settings)?;
    let mut issuers = BTreeMap::new();
    let mut unfit = Unfit::default();
    for (name, issuer) in &settings.issuers {
        match client(name, issuer, &shelf, time) {
            Ok(client) => drop(issuers.insert(name.clone(), client)),
            Err(error) => unfit.note_issuer(name, &error),
        }
    }
    let mut solvers = BTreeMap::new();
    let mut places = BTreeMap::new();
    let memory_of_hooks = settings.store.dir.join(MEMORY_OF_HOOKS);
    for (name, declared) in &settings.solvers {
        match solver(name, declared, surroundings, &memory_of_hooks).await {
            Ok((solver, place)) => {
                solvers.insert(name.clone(), solver);
                places.extend(place.map(|place| (name.clone(), place)));
            }
            Err(error) => unfit.note_solver(name, &error),
        }
    }
    surroundings.retain(settings);
    let revocations = surroundings.revocations()?;
    Ok(Hands {
        issuers,
        solvers: Solvers::new(solvers),
        places: Places::new(resolver.clone(), places),
        targets: Targets::new(targets(intent, settings), &shelf, &time.logical()),
        probe: probe(intent, settings, resolver, time, &mut unfit).with_revocations(revocations),
        vault,
        unfit,
    })
}

fn failed(what: &str, name: &Name) -> impl Fn(&dyn Display) -> RunError {
    let what = format!("{what} {name}");
    move |cause| RunError::Equip(format!("{what}: {cause}"))
}

fn resolver(settings: &Settings) -> Result<Resolver, RunError> {
    if !settings.resolvers.is_empty() {
        return Ok(Resolver::recursive(settings.resolvers.clone()));
    }
    Resolver::system().map_err(|error| RunError::Equip(format!("the system's resolver: {error}")))
}

fn client(
    name: &Name,
    issuer: &IssuerSettings,
    shelf: &Arc<dyn Shelf>,
    time: &Time,
) -> Result<Client, RunError> {
    let failed = failed("issuer", name);
    let roots = match &issuer.roots {
        None => HttpRoots::Mozilla,
        Some(path) => HttpRoots::Only(read(path).map_err(|e| failed(&e))?),
    };
    let plaintext = if issuer.directory.starts_with("http://") {
        Plaintext::Allowed
    } else {
        Plaintext::Refused
    };
    let http = HttpSettings { roots, plaintext, ..HttpSettings::default() };
    let http = Http::new(&http).map_err(|e| failed(&e))?;
    let eab = match &issuer.eab {
        None => None,
        Some(eab) => {
            let kid = eab.kid.text().map_err(|e| failed(&e))?;
            let key = eab.key.text().map_err(|e| failed(&e))?;
            Some(Eab::new(&kid, &key, MacAlgorithm::Hs256).map_err(|e| failed(&e))?)
        }
    };
    let directory = issuer.directory.as_str().into();
    let clients = match &issuer.roots {
        None => Roots::mozilla(),
        Some(path) => Roots::mozilla().and(&roots_of(name, path)?),
    };
    let settings = AcmeSettings { issuer: name.clone(), directory, eab, roots: clients };
    Ok(Client::new(settings, http, Arc::clone(shelf), time.logical()))
}

async fn solver(
    name: &Name,
    declared: &Declared,
    surroundings: &Surroundings,
    memory_of_hooks: &Path,
) -> Result<(SolverSettings, Option<PlaceSettings>), RunError> {
    let failed = failed("solver", name);
    Ok(match declared {
        Declared::Listener { protocol, listen } => {
            let listener = surroundings.listener(*protocol, listen);
            // What cannot be had is tried again, and told, by who looks after it.
            let _ = listener.start(name).await;
            (SolverSettings::Listen(listener), None)
        }
        Declared::Webroot { dir } => {
            (SolverSettings::Webroot(WebrootSettings { root: dir.clone() }), None)
        }
        Declared::Rfc2136(update) => {
            let HostPort { host, port } = &update.server;
            let server = perennial_wire::host::HostPort { host: host.clone(), port: *port };
            let tsig = update.tsig.as_ref().map(tsig).transpose().map_err(|e| failed(&e))?;
            let ttl_secs = u32::try_from(update.ttl.as_secs()).unwrap_or(u32::MAX);
            let timeout = UPDATE_WITHIN;
            let settings = Rfc2136Settings { server: server.clone(), tsig, ttl_secs, timeout };
            let place = PlaceSettings {
                follows_cname: true,
                nameservers: update.nameservers.clone(),
                server: Some(server),
            };
            (SolverSettings::Rfc2136(settings), Some(place))
        }
        Declared::Provider(declared) => {
            let made = provider(declared, surroundings).map_err(|e| failed(&e))?;
            let place = PlaceSettings {
                follows_cname: true,
                nameservers: declared.nameservers.clone(),
                server: None,
            };
            (SolverSettings::Provider(made), Some(place))
        }
        Declared::Exec(declared) => {
            let memory = memory_of_hooks.join(name.as_str());
            let made = hooks(declared, memory).map_err(|e| failed(&e))?;
            let place = PlaceSettings {
                follows_cname: true,
                nameservers: declared.nameservers.clone(),
                server: None,
            };
            let in_dns = declared.kind == ChallengeKind::Dns01;
            (SolverSettings::Program(made), in_dns.then_some(place))
        }
        Declared::ByHand { nameservers } => {
            let nameservers = nameservers.clone();
            let place = PlaceSettings { follows_cname: true, nameservers, server: None };
            (SolverSettings::ByHand, Some(place))
        }
    })
}

/// The folder, in the store's, of what hooks are to remember between two calls.
const MEMORY_OF_HOOKS: &str = "hooks";

fn hooks(declared: &ExecSettings, memory: PathBuf) -> Result<ProgramSettings, String> {
    let program = |argv: &[String]| -> Result<Program, String> {
        let made = Program::new(argv, COMMAND_LIMIT).ok_or("the program is empty")?;
        let mut env = BTreeMap::new();
        for (variable, secret) in &declared.env {
            let value = secret.text().map_err(|error| error.to_string())?;
            env.insert(variable.clone(), value.to_string());
        }
        Ok(Program { env, ..made })
    };
    let convention = match declared.convention {
        HookConvention::Lego => Convention::Lego,
        HookConvention::LegoRaw => Convention::LegoRaw,
        HookConvention::Certbot => {
            let cleanup = declared.cleanup.as_deref().map(program).transpose()?;
            Convention::Certbot { cleanup }
        }
        HookConvention::AcmeSh => Convention::AcmeSh,
        HookConvention::Dehydrated => Convention::Dehydrated,
    };
    let kind = declared.kind.clone();
    Ok(ProgramSettings { program: program(&declared.program)?, convention, kind, memory })
}

fn provider(
    declared: &DeclaredProvider,
    surroundings: &Surroundings,
) -> Result<ProviderSettings, String> {
    let text = |(name, secret): (&String, &perennial_config::Secret)| {
        Ok((name.clone(), secret.text().map_err(|error| error.to_string())?))
    };
    let credentials = declared.credentials.iter().map(text).collect::<Result<_, String>>()?;
    let holds = match declared.provider.holds {
        Holds::Many => Holding::Many,
        Holds::One => Holding::One,
    };
    let ttl_secs = u32::try_from(declared.ttl.as_secs()).unwrap_or(u32::MAX);
    let zones = surroundings.zones.clone();
    ProviderSettings::new(declared.provider.word, &credentials, (holds, ttl_secs), zones)
}

/// How long one DNS update may take.
const UPDATE_WITHIN: Duration = Duration::from_secs(10);

impl Surroundings {
    fn revocations(&self) -> Result<Arc<Revocations>, RunError> {
        let mut kept = self.revocations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept {
            return Ok(Arc::clone(kept));
        }
        let made = Revocations::new();
        let made = made.map_err(|error| RunError::Equip(format!("revocation lists: {error}")))?;
        Ok(Arc::clone(kept.insert(Arc::new(made))))
    }

    /// Forgets listeners that the settings do not name any more; they close with the adapters that
    /// still use them, and whoever wants their addresses takes these then.
    fn retain(&self, settings: &Settings) {
        let used: Vec<_> = settings
            .solvers
            .values()
            .filter_map(|solver| match solver {
                Declared::Listener { protocol, listen } => Some((*protocol, in_order(listen))),
                _ => None,
            })
            .collect();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|which, _| used.contains(which));
    }

    fn listener(&self, protocol: Protocol, addresses: &[SocketAddr]) -> Arc<Listener> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || match protocol {
            Protocol::Http => Listener::for_http(addresses.to_vec()),
            Protocol::TlsAlpn => Listener::for_tls_alpn(addresses.to_vec()),
        };
        Arc::clone(listeners.entry((protocol, in_order(addresses))).or_insert_with(make))
    }
}

/// Solvers of one kind with the same addresses share a listener, in whatever order they are declared.
fn in_order(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    addresses
}

fn tsig(settings: &TsigSettings) -> Result<Tsig, String> {
    let key = settings.key.text().map_err(|error| error.to_string())?;
    let key = base64::engine::general_purpose::STANDARD.decode(key.trim());
    let key = key.map_err(|_| format!("the TSIG key `{}` is not base64", settings.name))?;
    let algorithm = settings.algorithm.as_str();
    let algorithm = TsigAlgorithm::parse(algorithm)
        .ok_or_else(|| format!("the TSIG algorithm {algorithm} is not known"))?;
    Tsig::new(&settings.name, algorithm, &key, Time::wall()).map_err(|error| error.to_string())
}

fn targets(intent: &Intent, settings: &Settings) -> BTreeMap<Name, TargetSettings> {
    let all = settings.targets.iter();
    all.map(|(name, declared)| (name.clone(), target(intent, name, declared))).collect()
}

fn target(
    intent: &Intent,
    name: &Name,
    declared: &perennial_config::TargetSettings,
) -> TargetSettings {
    let access = AccessSettings {
        owner: declared.owner.clone(),
        group: declared.group.clone(),
        key_mode: declared.mode,
        ..AccessSettings::default()
    };
    let dir = declared.dir.clone();
    let former = former_names(intent);
    let take_over = intent.targets.get(name).is_some_and(|target| target.take_over);
    match &declared.recipe {
        TargetRecipe::Files { paths, validate, reload } => TargetSettings::Files(FilesSettings {
            dir,
            paths: public_paths(paths),
            former,
            access,
            take_over,
            validate: program(validate.as_deref()),
            reload: program(reload.as_deref()),
        }),
        TargetRecipe::Haproxy { config, binary, runtime, reload } => {
            TargetSettings::Haproxy(HaproxySettings {
                config: config.clone(),
                binary: binary.clone(),
                runtime: runtime.clone(),
                reload: telling(reload),
                dir,
                former,
                access,
                take_over,
                certificates: certificates_of(intent, name),
                limit: COMMAND_LIMIT,
            })
        }
        TargetRecipe::Nginx { config, binary, prefix } => TargetSettings::Nginx(NginxSettings {
            config: config.clone(),
            binary: binary.clone(),
            prefix: prefix.clone(),
            dir,
            former,
            access,
            take_over,
            certificates: certificates_of(intent, name),
            limit: COMMAND_LIMIT,
        }),
        TargetRecipe::Server { kind, config, binary, reload } => {
            TargetSettings::Server(ServerSettings {
                kind: server_kind(*kind),
                config: config.clone(),
                binary: binary.clone(),
                reload: program(reload.as_deref()),
                dir,
                former,
                access,
                take_over,
                certificates: certificates_of(intent, name),
                limit: COMMAND_LIMIT,
            })
        }
    }
}

fn telling(argv: &[String]) -> Program {
    Program {
        path: argv.first().map(Into::into).unwrap_or_default(),
        args: argv.iter().skip(1).cloned().collect(),
        env: BTreeMap::new(),
        told: BTreeMap::new(),
        limit: COMMAND_LIMIT,
    }
}

fn public_paths(paths: &perennial_config::FilePaths) -> PublicPaths {
    PublicPaths {
        fullchain: paths.fullchain.clone(),
        cert: paths.cert.clone(),
        chain: paths.chain.clone(),
        key: paths.key.clone(),
    }
}

const fn server_kind(declared: perennial_config::ServerKind) -> ServerKind {
    use perennial_config::ServerKind as Declared;
    match declared {
        Declared::Apache => ServerKind::Apache,
        Declared::Caddy => ServerKind::Caddy,
        Declared::Dovecot => ServerKind::Dovecot,
        Declared::Postfix => ServerKind::Postfix,
        Declared::Postgresql => ServerKind::Postgresql,
    }
}

fn program(argv: Option<&[String]>) -> Option<Program> {
    argv.and_then(|argv| Program::new(argv, COMMAND_LIMIT))
}

fn former_names(intent: &Intent) -> BTreeMap<Name, Name> {
    let was = |(name, spec): (&Name, &CertificateSpec)| Some((name.clone(), spec.was.clone()?));
    intent.certificates.iter().filter_map(was).collect()
}

fn certificates_of(intent: &Intent, target: &Name) -> BTreeMap<Name, Covers> {
    let takes = intent.certificates.iter().filter(|(_, spec)| spec.targets.contains(target));
    let covers = |(name, spec): (&Name, &CertificateSpec)| {
        let (identifiers, variant) = (spec.identifiers.clone(), spec.key.variant());
        (name.clone(), Covers { identifiers, variant })
    };
    takes.map(covers).collect()
}

/// Clients of names that a private CA may issue for trust its roots too.
fn probe(
    intent: &Intent,
    settings: &Settings,
    resolver: Resolver,
    time: &Time,
    unfit: &mut Unfit,
) -> Probe {
    let mut private = BTreeMap::new();
    for (name, issuer) in &settings.issuers {
        let Some(path) = &issuer.roots else { continue };
        match roots_of(name, path) {
            Ok(roots) => drop(private.insert(name, roots)),
            Err(error) => unfit.note_issuer(name, &error),
        }
    }
    let usual = Stores::usual();
    let mut probe = Probe::new(resolver, usual.clone(), time.logical());
    // Certificates of the same issuers share their stores, which hold hundreds of roots.
    let mut made: BTreeMap<Vec<&Name>, Stores> = BTreeMap::new();
    for spec in intent.certificates.values() {
        let own: Vec<&Name> =
            spec.issuers.iter().filter(|issuer| private.contains_key(issuer)).collect();
        if own.is_empty() {
            continue;
        }
        let roots = own.iter().filter_map(|issuer| private.get(issuer));
        let join = || roots.fold(usual.clone(), |all, roots| all.and(roots));
        let stores = made.entry(own.clone()).or_insert_with(join);
        for endpoint in &spec.endpoints {
            probe = probe.with_stores_for(endpoint.server_name.clone(), stores.clone());
        }
    }
    probe
}

fn roots_of(issuer: &Name, path: &Path) -> Result<Roots, RunError> {
    let failed = failed("issuer", issuer);
    let pem = read(path).map_err(|e| failed(&e))?;
    Roots::from_pem(issuer.as_str(), &pem).map_err(|e| failed(&e))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let within = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if within.len() > ROOTS_LIMIT {
        return Err(format!("{}: larger than {ROOTS_LIMIT} bytes", path.display()));
    }
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// How large a file of roots may be: Mozilla's are 230 kB.
const ROOTS_LIMIT: u64 = 4 << 20;
