//! `perennial help TOPIC`: what the configuration can say, from the same declarations that read it.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use perennial_config::{Provider, Section, provider, providers, sections};

use super::Ending;
use super::args::{Args, HelpArgs};

/// The topics: word, first line, titles of the sections that belong to it.
const TOPICS: [(&str, &str, &[&str]); 5] = [
    ("configuration", CONFIGURATION, &["the file", "[store]", "[control]", "[resolver]"]),
    ("issuers", ISSUERS, &["[issuer.NAME]", "eab = { }"]),
    ("solvers", SOLVERS, &["[solver.NAME]", "tsig = { }"]),
    ("targets", TARGETS, &["[target.NAME]"]),
    ("certificates", CERTIFICATES, &["[certificate.NAME]", "an endpoint"]),
];

const CONFIGURATION: &str = "\
One TOML file, or a folder with *.toml that mean what one file would. Mistakes are told all at
once, with line and column: perennial plan. Every key with its default: docs/configuration.md.";

const ISSUERS: &str = "\
A CA, our account there and a profile. A known CA needs no more than its name:
  [issuer.letsencrypt]
and `agree_terms = true`, here or at the top of the file.";

const SOLVERS: &str = "\
A means to answer challenges. Known kinds:
  http-01 = \"listener\"   Perennial answers on port 80 itself
  http-01 = \"webroot\"    it writes files that your web server shows
  dns-01 = \"rfc2136\"     signed updates to a name server
  tls-alpn-01 = \"listener\" Perennial answers within TLS handshakes on port 443 itself
  dns-01 = \"exec\"        a program, called as lego, certbot, acme.sh or dehydrated would
                         (`convention`); http-01 = \"exec\" as certbot or dehydrated would
  dns-01 = \"cloudflare\"  a DNS provider's API, by `credentials`; the providers stand below
  dns-account-01 = ...     as dns-01, below a label of the account's own
  dns-persist-01 = ...     as dns-01, by a record that stays; or \"by-hand\", put up by you
Wildcards are proven in DNS alone, addresses by http-01 and tls-alpn-01 alone.";

const TARGETS: &str = "\
A place that leaf, chain and key are written to, and a server that is told. Kinds:
  nginx = \"/etc/nginx\"              its server blocks tell which files are used
  files = \"/etc/ssl/perennial\"      a folder, with commands that validate and reload";

const CERTIFICATES: &str = "\
Names to keep covered, by whom, where. It lives through all its renewals.";

const SECRETS: &str = "\
A secret is a reference, read whenever the configuration is (perennial reload):
  \"file:/etc/perennial/tsig.key\"             the file's content
  \"env:TSIG_KEY\"                             an environment variable
  \"command:/usr/local/bin/secret\"            what the program writes, within 10 s
  { command = [\"pass\", \"show\", \"tsig\"] }     the same, with arguments and without a shell
Anything else is the secret itself: possible, with a warning.";

const EXIT_CODES: &str = "\
  0  fine
  1  findings: something needs attention
  2  usage: the command line makes no sense
  3  could not: it was not done; standard error says why and what to do";

pub(super) fn main(args: &HelpArgs) -> Ending {
    let Some(topic) = args.topic.as_deref() else {
        return print(&Args::command().render_help().to_string());
    };
    if let Some(command) = Args::command().find_subcommand_mut(topic) {
        return print(&command.render_long_help().to_string());
    }
    if let Some(text) = text(topic) {
        return print(&text);
    }
    let topics: Vec<&str> = TOPICS.iter().map(|(word, ..)| *word).collect();
    eprintln!(
        "there is no topic `{topic}`\n\nhint: topics are {}, secrets and exit-codes; commands: \
         perennial help",
        topics.join(", ")
    );
    Ending::Usage
}

fn print(text: &str) -> Ending {
    use std::io::Write as _;
    // A reader that has seen enough is no failure.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    Ending::Fine
}

/// Returns a topic's text. The singular is understood as well.
fn text(topic: &str) -> Option<String> {
    match topic {
        "secrets" | "secret" => return Some(String::from(SECRETS)),
        "exit-codes" => return Some(String::from(EXIT_CODES)),
        _ => {}
    }
    if let Some(provider) = provider(topic) {
        return Some(of_provider(provider));
    }
    let found = |word: &str| word == topic || word.strip_suffix('s') == Some(topic);
    let (_, prose, titles) = TOPICS.iter().find(|(word, ..)| found(word))?;
    let mut text = String::from(*prose);
    let wanted = |section: &&Section| titles.contains(&section.title);
    text.push('\n');
    for section in sections().iter().filter(wanted) {
        let _ = writeln!(text, "\n{}", section.title);
        for key in section.keys {
            let meaning = key.meaning.trim().trim_end_matches('.');
            let _ = writeln!(text, "  {:<16} {meaning}", key.name);
        }
    }
    if titles.contains(&"[solver.NAME]") {
        list_providers(&mut text);
    }
    Some(text)
}

fn list_providers(text: &mut String) {
    text.push_str("\nDNS providers, each with a page: perennial help cloudflare\n");
    for row in providers().chunks(WORDS_IN_A_ROW) {
        let words: Vec<String> = row.iter().map(|one| format!("{:<13}", one.word)).collect();
        let _ = writeln!(text, "  {}", words.concat().trim_end());
    }
}

/// How many words of providers fit a row of 80.
const WORDS_IN_A_ROW: usize = 6;

fn of_provider(provider: &Provider) -> String {
    let mut text = format!("{}\n\n", provider.called);
    for line in provider.example().lines() {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("\nCredentials\n");
    for field in provider.fields {
        let _ = writeln!(text, "  {:<28} {} ({})", field.name, field.meaning, field.kind());
    }
    let _ = write!(text, "\n{}", provider.told().replace("**", "").replace('`', "'"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_of_the_file_belongs_to_a_topic() {
        for section in sections() {
            let told = TOPICS.iter().any(|(.., titles)| titles.contains(&section.title));
            assert!(told, "{}", section.title);
        }
    }

    #[test]
    fn the_topic_that_messages_name_lists_every_kind_and_key_of_solver() {
        let text = text("solvers").unwrap();
        for word in ["listener", "webroot", "rfc2136", "exec", "visible_within", "nameservers"] {
            assert!(text.contains(word), "{word}");
        }
    }

    #[test]
    fn every_provider_is_listed_and_has_a_page() {
        let list = text("solvers").unwrap();
        for provider in providers() {
            assert!(list.split_whitespace().any(|word| word == provider.word), "{}", provider.word);
            let page = text(provider.word).unwrap();
            for field in provider.fields {
                assert!(page.contains(field.name) && page.contains(field.meaning), "{page}");
            }
            assert!(page.lines().all(|line| line.chars().count() <= 400), "{page}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
