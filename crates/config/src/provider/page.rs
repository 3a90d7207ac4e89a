//! docs/providers.md, made of the table.

use std::fmt::Write as _;

use super::{Field, Holds, Need, Privacy, Provider, providers};

/// Returns the text of docs/providers.md.
#[must_use]
pub fn providers_page() -> String {
    let mut page = format!("{HEAD}\n");
    for provider in providers() {
        section(&mut page, provider);
    }
    page
}

impl Provider {
    /// Returns what `perennial help` and the manual say about it, as Markdown.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = format!("**Permissions.** {}\n", self.least);
        if self.least_ttl_secs > USUAL_TTL_SECS {
            let _ = write!(text, "\nRecords live at least {} s.\n", self.least_ttl_secs);
        }
        if self.holds == Holds::One {
            let _ = write!(text, "\n{ONE_VALUE}\n");
        }
        text
    }
}

impl Field {
    /// Returns what is to be written there.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match (self.privacy, self.need) {
            (Privacy::Secret, Need::Must) => "secret",
            (Privacy::Secret, Need::May) => "secret, if any",
            (Privacy::Secret, Need::OneOf) => "secret, or the other one",
            (Privacy::Plain, Need::Must) => "text",
            (Privacy::Plain, Need::May) => "text, if any",
            (Privacy::Plain, Need::OneOf) => "text, or the other one",
        }
    }
}

fn section(page: &mut String, provider: &Provider) {
    let Provider { called, fields, .. } = provider;
    let _ = write!(page, "\n## {called}\n\n```toml\n{}```\n\n", provider.example());
    page.push_str("| credential | written as | what it is |\n|---|---|---|\n");
    for field in *fields {
        let _ = writeln!(page, "| `{}` | {} | {} |", field.name, field.kind(), field.meaning);
    }
    let _ = write!(page, "\n{}", provider.told());
}

/// What records live for unless told otherwise.
const USUAL_TTL_SECS: u32 = 60;

const ONE_VALUE: &str = "A name has one value there. While somebody else's stands, an answer is \
    refused and not written over it. Declare a name and its wildcard in two certificates: their \
    answers share a name, and one waits for the other.";

const HEAD: &str = "\
# DNS providers

Where `dns-01` is answered by a provider's API. This page is made of the table that reads the \
configuration (`crates/config/src/provider/table.rs`); `perennial help WORD` shows the same.

```toml
[solver.cf]
dns-01 = \"cloudflare\"
credentials = { api_token = \"file:/etc/perennial/cf.token\" }
zones = [\"example.org\"]
```

**Credentials** are [secrets](configuration.md): references, read again at `perennial reload`. What \
is no secret may stand in the file. Messages never show a credential, nor the query of a URL.

**Least permissions.** Whoever may write a zone can get certificates for it: give each credential \
the zones it needs, and no more. Where a provider has no such limits, delegate the challenge alone: \
`_acme-challenge.www.example.org. CNAME www.acme.example.net.`, with a zone of its own \
(`acme.example.net`) at a provider that has them, or at a name server of yours (`rfc2136`).

**Writing.** Writes to one zone go one after the other, whichever solver they come from. Each reads \
what the name has, adds or removes exactly its own value, reads again, and repeats until its own \
value is there (or gone) and every other one still is. Then every authoritative server of the zone \
is asked, as for every answer in DNS. Two programs that write the same name at the same moment can \
still take each other's value away where the provider's API only sets a name's values as a whole; \
Perennial then sees that its own is missing and writes again.

**Tried.** PowerDNS against a real server, Amazon Route 53 against moto, in every run of the tests. \
The others go through the library [dns-update](https://github.com/stalwartlabs/dns-update), which tries \
them against recorded answers.
";
