//! wrk: load on a web server, with every failure counted.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::error::temp_dir;
use crate::process::Process;
use crate::{Error, Program};

/// A running load.
#[derive(Debug)]
pub struct Wrk {
    process: Process,
    lasts: Duration,
    log: PathBuf,
    _dir: TempDir,
}

/// What load to make.
#[derive(Debug, Clone)]
pub struct WrkOptions {
    /// What to ask for; certificates are not judged.
    pub url: String,
    /// Threads.
    pub threads: u16,
    /// Connections at once, over all threads.
    pub connections: u16,
    /// Further headers, `Name: value`.
    pub headers: Vec<String>,
    /// How long at most.
    pub lasts: Duration,
}

/// What the load met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WrkReport {
    /// Requests answered.
    pub requests: u64,
    /// Connections refused or failed.
    pub connect_errors: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Answers that took over 2 s.
    pub timeouts: u64,
    /// Answers other than 2xx and 3xx.
    pub bad_statuses: u64,
}

impl WrkOptions {
    /// A load of new connections, each with a handshake of its own, until it is stopped.
    ///
    /// `Connection: close` is more than a wish for many handshakes: on a kept connection the server
    /// may close (it does when it reloads) at the moment the next request is under way, and HTTP
    /// leaves open whether that request failed.
    #[must_use]
    pub fn of_handshakes(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            threads: 1,
            connections: 8,
            headers: vec!["Connection: close".into()],
            lasts: Duration::from_secs(3600),
        }
    }
}

impl WrkReport {
    /// Returns how many requests failed, in whatever way.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.connect_errors
            + self.read_errors
            + self.write_errors
            + self.timeouts
            + self.bad_statuses
    }
}

impl Wrk {
    /// Starts the load.
    ///
    /// # Errors
    ///
    /// When wrk is not installed.
    pub fn start(options: &WrkOptions) -> Result<Self, Error> {
        let dir = temp_dir("wrk")?;
        let log = dir.path().join("log");
        let mut command = Command::new(Program::WRK.locate()?);
        command
            .args(["-t", &options.threads.to_string()])
            .args(["-c", &options.connections.to_string()])
            .args(["-d", &format!("{}s", options.lasts.as_secs())]);
        for header in &options.headers {
            command.args(["-H", header]);
        }
        command.arg(&options.url);
        let process = Process::start("wrk", command, &log)?;
        Ok(Self { process, lasts: options.lasts, log, _dir: dir })
    }

    /// Ends the load and returns what it met.
    ///
    /// # Errors
    ///
    /// When wrk had ended before, or its report cannot be read.
    pub async fn stop(self) -> Result<WrkReport, Error> {
        self.process.signal(Signal::INT)?;
        self.report(Duration::from_secs(30)).await
    }

    /// Waits until the load has ended by itself and returns what it met.
    ///
    /// # Errors
    ///
    /// When it does not end in time, or its report cannot be read.
    pub async fn finish(self) -> Result<WrkReport, Error> {
        let within = self.lasts + Duration::from_secs(30);
        self.report(within).await
    }

    async fn report(self, within: Duration) -> Result<WrkReport, Error> {
        self.process.end(within).await?;
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        WrkReport::read(&text).ok_or_else(|| self.process.failed("no report"))
    }
}

impl WrkReport {
    /// Reads wrk's report. Lines about errors are missing when there were none.
    fn read(text: &str) -> Option<Self> {
        let mut report = Self::default();
        let mut whole = false;
        for line in text.lines().map(str::trim) {
            if let Some((count, _)) = line.split_once(" requests in ") {
                report.requests = count.parse().ok()?;
                whole = true;
            } else if let Some(errors) = line.strip_prefix("Socket errors: ") {
                for error in errors.split(", ") {
                    let (kind, count) = error.split_once(' ')?;
                    let count = count.parse().ok()?;
                    match kind {
                        "connect" => report.connect_errors = count,
                        "read" => report.read_errors = count,
                        "write" => report.write_errors = count,
                        "timeout" => report.timeouts = count,
                        _ => return None,
                    }
                }
            } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses: ") {
                report.bad_statuses = count.parse().ok()?;
            }
        }
        whole.then_some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_error_lines_is_a_report_without_errors() {
        let report = WrkReport::read("Running 1s test\n  120 requests in 1.00s, 3.20MB read\n");
        assert_eq!(report, Some(WrkReport { requests: 120, ..WrkReport::default() }));
    }

    #[test]
    fn every_kind_of_error_is_counted() {
        let report = WrkReport::read(
            "  7 requests in 1.00s, 1KB read\n  Socket errors: connect 1, read 2, write 3, \
             timeout 4\n  Non-2xx or 3xx responses: 5\n",
        )
        .unwrap();
        assert_eq!(report.requests, 7);
        assert_eq!(report.failures(), 15);
    }

    #[test]
    fn a_report_that_breaks_off_is_none() {
        assert_eq!(WrkReport::read("Running 1s test\n"), None);
    }
}
