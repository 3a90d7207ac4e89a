//! What can be asked on the command line.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use perennial_core::words::RevocationReason;

use crate::check::CheckArgs;
use crate::view::Paint;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "perennial",
    version,
    about = "Keeps every TLS certificate you depend on valid, deployed and served",
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = ENDINGS
)]
pub struct Args {
    /// What every command knows.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const ENDINGS: &str = "\
Exit codes:
  0  fine
  1  findings: something needs attention
  2  usage: the command line makes no sense
  3  could not: it was not done

Topics: perennial help solvers|issuers|targets|certificates|secrets|configuration|exit-codes";

/// What every command knows.
#[derive(Clone, Debug, ClapArgs)]
pub struct Globals {
    /// The configuration: a file, or a folder with *.toml
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "PERENNIAL_CONFIG",
        default_value = "/etc/perennial/perennial.toml"
    )]
    pub config: PathBuf,
    /// Write JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Globals {
    /// Returns whether standard output is coloured.
    #[must_use]
    pub fn paint(&self) -> Paint {
        self.paint_of(&std::io::stdout())
    }

    /// Returns whether standard error is coloured.
    #[must_use]
    pub fn paint_of_errors(&self) -> Paint {
        self.paint_of(&std::io::stderr())
    }

    //= https://no-color.org: any value but the empty one
    fn paint_of(&self, stream: &impl IsTerminal) -> Paint {
        let unwanted = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let wanted = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => stream.is_terminal() && !unwanted("NO_COLOR") && !dumb,
        };
        if wanted { Paint::Colour } else { Paint::Plain }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say how the certificates of hosts stand; needs no configuration
    Check(CheckArgs),
    /// Run the daemon in the foreground
    Run(RunArgs),
    /// Show the main job on a small internet of its own, about a day a second
    Demo(DemoArgs),
    /// Show how everything stands, what lapses first on top
    Status(StatusArgs),
    /// Look for web servers and certbot on this machine, and write a configuration to begin with
    Init(InitArgs),
    /// Show what the configuration would do, and why; nothing is changed
    Plan,
    /// Renew certificates that are due or failing, and watch until they are seen; with --now, also
    /// others
    Renew(RenewArgs),
    /// Have the newest leaf of a certificate revoked, once its replacement is seen everywhere
    Revoke(RevokeArgs),
    /// Show our account at an issuer, give it another key, or end it
    Account(AccountArgs),
    /// Show what happened
    Journal(JournalArgs),
    /// Let the daemon read its configuration again
    Reload,
    /// Let a held leaf go to its targets, once you have seen why; without a name, confirm what else waits for a person (many
    /// certificates that go, an account's new URL, answers that cannot be taken down) and reload
    Confirm(ConfirmArgs),
    /// Go on with the accounts, keys and leaves of another tool: certbot, lego or acme.sh
    Import(ImportArgs),
    /// Write the whole store to a file that only its recipients can open; beside a running daemon too
    Backup(BackupArgs),
    /// Make the store anew from a backup; it only looks until you say `perennial resume`
    Restore(RestoreArgs),
    /// Let a restored store go on, once the one that was backed up runs no more
    Resume,
    /// Let the daemon finish what is in flight and end
    Stop,
    /// Print the configuration's JSON Schema, for editors
    Schema,
    /// Print a shell's completions
    Completions(CompletionsArgs),
    /// Write the man pages into a folder
    Man(ManArgs),
    /// Explain a command or a topic
    Help(HelpArgs),
}

/// `perennial run`
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// Where the store is, should the configuration be unreadable [default: /var/lib/perennial]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// `perennial demo`
#[derive(Debug, ClapArgs)]
pub struct DemoArgs {
    /// End as soon as the first certificate was seen
    #[arg(long)]
    pub exit_after_seen: bool,
    /// How many days to live through
    #[arg(long, value_name = "N", default_value_t = 90)]
    pub days: u32,
}

/// `perennial status`
#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// Only this certificate, or those for this name: how each name stands at each target
    #[arg(value_name = "NAME")]
    pub about: Option<String>,
    /// List at most this many certificates
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub limit: usize,
}

/// `perennial confirm`
#[derive(Debug, ClapArgs)]
pub struct ConfirmArgs {
    /// The certificate whose newest leaf may take the place of what is served
    #[arg(value_name = "CERTIFICATE")]
    pub certificate: Option<String>,
    /// The leaf that may, by its number; without it, what is held is shown and nothing is confirmed
    #[arg(long, value_name = "NUMBER", requires = "certificate")]
    pub leaf: Option<u32>,
}

/// `perennial renew`
#[derive(Debug, ClapArgs)]
pub struct RenewArgs {
    /// Which certificates; without any, all that are due or failing
    #[arg(value_name = "CERT")]
    pub certificates: Vec<String>,
    /// Renew also what is not due yet; this spends the CA's limits
    #[arg(long, requires = "certificates")]
    pub now: bool,
    /// Return at once instead of watching until the new leaf is seen
    #[arg(long)]
    pub no_wait: bool,
}

/// `perennial revoke`
#[derive(Debug, ClapArgs)]
pub struct RevokeArgs {
    /// Of which certificate
    #[arg(value_name = "CERT")]
    pub certificate: String,
    /// Why; after key-compromise the key is never used again
    #[arg(long, value_enum, default_value_t = Reason::Unspecified)]
    pub reason: Reason,
    /// Revoke at once, although it is served still
    #[arg(long)]
    pub now: bool,
}

/// Why a leaf is revoked.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Reason {
    /// No reason is given
    Unspecified,
    /// Others know the key, or may
    KeyCompromise,
    /// The names are somebody else's now
    AffiliationChanged,
    /// Another leaf has taken its place
    Superseded,
    /// The names are not used any more
    CessationOfOperation,
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

/// `perennial account`
#[derive(Debug, ClapArgs)]
pub struct AccountArgs {
    /// What to do
    #[command(subcommand)]
    pub wish: AccountCommand,
}

/// What to do about an account.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Show how it stands
    Show {
        /// At which issuer
        #[arg(value_name = "ISSUER")]
        issuer: String,
    },
    /// Give it another key, of the kind that `account_key` says
    RotateKey {
        /// At which issuer
        #[arg(value_name = "ISSUER")]
        issuer: String,
    },
    /// End it for good
    Deactivate {
        /// At which issuer
        #[arg(value_name = "ISSUER")]
        issuer: String,
        /// End it although certificates depend on it
        #[arg(long)]
        force: bool,
    },
}

/// `perennial journal`
#[derive(Debug, ClapArgs)]
pub struct JournalArgs {
    /// Only of this certificate, issuer, solver, target or name
    #[arg(value_name = "SUBJECT")]
    pub subject: Option<String>,
    /// Go on as things happen
    #[arg(short, long)]
    pub follow: bool,
    /// Show every step, not just the story
    #[arg(short, long)]
    pub all: bool,
    /// How many lines to show; 0 shows all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub lines: usize,
}

/// `perennial backup`
#[derive(Debug, ClapArgs)]
pub struct BackupArgs {
    /// Where to; nothing may be there yet
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// Who can open it, as age-keygen shows it: age1...; may be said more than once
    #[arg(long = "recipient", short, value_name = "AGE1")]
    pub recipients: Vec<String>,
    /// Write a folder instead, as secret as the store itself
    #[arg(long, conflicts_with = "recipients")]
    pub plain: bool,
}

/// `perennial restore`
#[derive(Debug, ClapArgs)]
pub struct RestoreArgs {
    /// The backup: a file or a folder
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// The file with the identity that opens it, as age-keygen wrote it
    #[arg(long, short, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Where the store is made [default: what the configuration says, or /var/lib/perennial]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// `perennial init`
#[derive(Debug, ClapArgs)]
pub struct InitArgs {
    /// Whom the CA may write to
    #[arg(long, value_name = "MAIL")]
    pub contact: Option<String>,
    /// A name to keep covered; may be said more than once [default: those that web servers here have]
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// You agree to the CA's terms of service
    #[arg(long)]
    pub agree_terms: bool,
    /// Ask nothing, also on a terminal
    #[arg(long)]
    pub no_questions: bool,
    /// Where the machine's files are, for looking at another one's
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// `perennial completions`
#[derive(Debug, ClapArgs)]
pub struct CompletionsArgs {
    /// Which shell's
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `perennial man`
#[derive(Debug, ClapArgs)]
pub struct ManArgs {
    /// The folder, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
}

/// `perennial import`
#[derive(Debug, ClapArgs)]
pub struct ImportArgs {
    /// Whose
    #[arg(value_name = "TOOL")]
    pub tool: ToolName,
    /// Where its tree is [default: /etc/letsencrypt, .lego or ~/.acme.sh]
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
}

/// A tool whose tree can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ToolName {
    /// The EFF's certbot.
    Certbot,
    /// lego's command line.
    Lego,
    /// acme.sh.
    #[value(name = "acme.sh", alias = "acme-sh")]
    AcmeSh,
}

/// `perennial help`
#[derive(Debug, ClapArgs)]
pub struct HelpArgs {
    /// A command or a topic
    #[arg(value_name = "TOPIC")]
    pub topic: Option<String>,
}
