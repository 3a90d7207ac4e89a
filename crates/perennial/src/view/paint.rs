//! Colours, where a person looks and wants them.

use perennial_core::finding::Severity;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// With ANSI escapes.
    Colour,
    /// As it is.
    #[default]
    Plain,
}

impl Paint {
    /// Returns a text in the colour of a severity; no severity is fine, and green.
    #[must_use]
    pub fn severity(self, severity: Option<Severity>, text: &str) -> String {
        let code = match severity {
            None => "32",
            Some(Severity::Notice) => "36",
            Some(Severity::Warning) => "33",
            Some(Severity::Critical) => "31",
            Some(Severity::Emergency) => "1;31",
        };
        self.with(code, text)
    }

    /// Returns a text that stands back.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Returns a text that stands out.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => String::from(text),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}
