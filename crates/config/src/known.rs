//! CAs that are known by name: where their directories are, and what they ask of newcomers.
//!
//! Directory URLs were compared in November 2026 with the CAs' public documentation and with the
//! lists that other ACME clients carry. The pages of terms are each CA's repository, which outlives
//! its versions, and were not opened one by one: what is agreed to is the directory's own
//! `termsOfService`.

/// A CA that is known by name.
#[derive(Clone, Copy, Debug)]
pub struct KnownIssuer {
    /// The name in configuration files.
    pub name: &'static str,
    /// As people call it.
    pub called: &'static str,
    /// The directory.
    pub directory: &'static str,
    /// The terms of service.
    pub terms: &'static str,
    /// Whether new accounts need an external account binding.
    pub needs_eab: bool,
}

/// All of them.
pub(crate) const KNOWN: [KnownIssuer; 10] = [
    KnownIssuer {
        name: "letsencrypt",
        called: "Let's Encrypt",
        directory: "https://acme-v02.api.letsencrypt.org/directory",
        terms: "https://letsencrypt.org/repository/",
        needs_eab: false,
    },
    KnownIssuer {
        name: "letsencrypt-staging",
        called: "Let's Encrypt's staging environment",
        directory: "https://acme-staging-v02.api.letsencrypt.org/directory",
        terms: "https://letsencrypt.org/repository/",
        needs_eab: false,
    },
    KnownIssuer {
        name: "google-trust-services",
        called: "Google Trust Services",
        directory: "https://dv.acme-v02.api.pki.goog/directory",
        terms: "https://pki.goog/repository/",
        needs_eab: true,
    },
    KnownIssuer {
        name: "google-trust-services-test",
        called: "Google Trust Services' test environment",
        directory: "https://dv.acme-v02.test-api.pki.goog/directory",
        terms: "https://pki.goog/repository/",
        needs_eab: true,
    },
    KnownIssuer {
        name: "zerossl",
        called: "ZeroSSL",
        directory: "https://acme.zerossl.com/v2/DV90",
        terms: "https://zerossl.com/terms/",
        needs_eab: true,
    },
    KnownIssuer {
        name: "ssl-com-rsa",
        called: "SSL.com (RSA)",
        directory: "https://acme.ssl.com/sslcom-dv-rsa",
        terms: "https://www.ssl.com/repository/",
        needs_eab: true,
    },
    KnownIssuer {
        name: "ssl-com-ecc",
        called: "SSL.com (ECC)",
        directory: "https://acme.ssl.com/sslcom-dv-ecc",
        terms: "https://www.ssl.com/repository/",
        needs_eab: true,
    },
    KnownIssuer {
        name: "actalis",
        called: "Actalis",
        directory: "https://acme-api.actalis.com/acme/directory",
        terms: "https://www.actalis.com/documents",
        needs_eab: true,
    },
    KnownIssuer {
        name: "digicert",
        called: "DigiCert",
        directory: "https://one.digicert.com/mpki/api/v1/acme/v2/directory",
        terms: "https://www.digicert.com/legal-repository",
        needs_eab: true,
    },
    KnownIssuer {
        name: "sectigo",
        called: "Sectigo",
        directory: "https://acme.sectigo.com/v2/DV",
        terms: "https://www.sectigo.com/legal",
        needs_eab: true,
    },
];

/// Returns every CA that is known by name.
#[must_use]
pub const fn known_issuers() -> &'static [KnownIssuer] {
    &KNOWN
}

/// CAs that people remember and that issue no more, with what became of them.
pub(crate) const ENDED: [(&str, &str); 1] =
    [("buypass", "Buypass issued its last certificate on 2025-10-31")];

/// Finds a CA by its name in configuration files.
pub(crate) fn by_name(name: &str) -> Option<&'static KnownIssuer> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Finds a CA by its directory.
pub(crate) fn by_directory(url: &str) -> Option<&'static KnownIssuer> {
    KNOWN.iter().find(|known| known.directory == url)
}
