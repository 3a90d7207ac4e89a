//! Telling systemd how we are: `sd_notify` over its datagram socket.
//!
//! A message is a few `KEY=value` lines sent to the socket named by `NOTIFY_SOCKET`: a path, or an
//! abstract name written with a leading `@`. Without the variable nobody listens, and everything
//! here does nothing. The socket never blocks: a manager too busy to read loses a message rather
//! than holds up the loop, and the next watchdog ping comes soon.
//!
//! The watchdog ping must come from the loop alone: a thread of its own would ping on while the
//! loop hangs. The loop turns at least every five seconds and pings at each turn, so `WATCHDOG_USEC`
//! is not asked: any patience from ten seconds on is twice what is needed.
//!
//! Deliberately absent: `MONOTONIC_USEC` (only `Type=notify-reload` asks for it), file descriptors,
//! and vsock sockets, which managers use towards virtual machines, not towards services.
//!
//! Source: sd_notify(3), sd_watchdog_enabled(3).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What the service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'s> {
    /// The service is up, or up again after a reload. Units that come after it may start.
    Ready,
    /// The configuration is read again; `Ready` follows.
    Reloading,
    /// The service shuts down.
    Stopping,
    /// The loop is alive.
    Watchdog,
    /// One line on how things are, shown by `systemctl status`.
    Status(&'s str),
}

/// Speaks to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// Makes a notifier that nobody listens to.
    #[must_use]
    pub const fn silent() -> Self {
        Self { socket: None }
    }

    /// Connects to the service manager that the environment names. `variable` looks one up.
    ///
    /// # Errors
    ///
    /// Returns why a named socket cannot be reached.
    pub fn connect(variable: impl Fn(&str) -> Option<OsString>) -> io::Result<Self> {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::silent());
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address(&name)?)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Some(socket) })
    }

    /// Tells the manager several things in one message.
    ///
    /// # Errors
    ///
    /// Returns why the message was not sent. A manager too busy to read is none.
    pub fn notify(&self, states: &[State<'_>]) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let message = states.iter().map(|state| state.line()).collect::<String>();
        match socket.send(message.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other.map(drop),
        }
    }
}

impl State<'_> {
    fn line(self) -> String {
        match self {
            Self::Ready => "READY=1\n".to_owned(),
            Self::Reloading => "RELOADING=1\n".to_owned(),
            Self::Stopping => "STOPPING=1\n".to_owned(),
            Self::Watchdog => "WATCHDOG=1\n".to_owned(),
            Self::Status(text) => {
                // A line's end would begin another assignment.
                let one_line = |c: char| if c.is_control() { ' ' } else { c };
                let text: String = text.chars().take(STATUS_LIMIT).map(one_line).collect();
                format!("STATUS={text}\n")
            }
        }
    }
}

/// Returns the address that `NOTIFY_SOCKET` names.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => {
            let why = format!("NOTIFY_SOCKET names no Unix socket: {}", name.display());
            Err(io::Error::new(io::ErrorKind::Unsupported, why))
        }
    }
}

/// Characters of a status; a datagram holds far more, a line on a terminal does not.
const STATUS_LIMIT: usize = 400;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn environment<'v>(
        variables: &'v [(&'v str, OsString)],
    ) -> impl Fn(&str) -> Option<OsString> + 'v {
        |name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
    }

    fn receive(manager: &UnixDatagram) -> String {
        manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_on_a_path_is_told_everything_in_one_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::connect(environment(&[("NOTIFY_SOCKET", path.into())])).unwrap();
        notifier.notify(&[State::Ready, State::Status("3 certificates\nREADY=0, ü")]).unwrap();
        assert_eq!(receive(&manager), "READY=1\nSTATUS=3 certificates READY=0, ü\n");
        for (state, line) in [
            (State::Reloading, "RELOADING=1\n"),
            (State::Stopping, "STOPPING=1\n"),
            (State::Watchdog, "WATCHDOG=1\n"),
        ] {
            notifier.notify(&[state]).unwrap();
            assert_eq!(receive(&manager), line);
        }
    }

    #[test]
    fn a_manager_with_an_abstract_name_is_told_too() {
        let name = format!("perennial-test-{}", std::process::id());
        let bound = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&bound).unwrap();
        let variable = [("NOTIFY_SOCKET", OsString::from(format!("@{name}")))];
        Notifier::connect(environment(&variable)).unwrap().notify(&[State::Ready]).unwrap();
        assert_eq!(receive(&manager), "READY=1\n");
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::connect(environment(&[("NOTIFY_SOCKET", path.into())])).unwrap();
        for _ in 0..10_000 {
            notifier.notify(&[State::Watchdog]).unwrap();
        }
    }

    #[test]
    fn a_manager_that_is_gone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let variables = [("NOTIFY_SOCKET", path.clone().into())];
        let notifier = Notifier::connect(environment(&variables)).unwrap();
        drop(manager);
        notifier.notify(&[State::Ready]).unwrap_err();
        std::fs::remove_file(path).unwrap();
        Notifier::connect(environment(&variables)).unwrap_err();
    }

    #[test]
    fn without_a_manager_nothing_is_done() {
        let notifier = Notifier::connect(|_| None).unwrap();
        notifier.notify(&[State::Ready]).unwrap();
        let vsock = [("NOTIFY_SOCKET", OsString::from("vsock:2:1234"))];
        let error = Notifier::connect(environment(&vsock)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn the_unit_in_packaging_is_one_that_systemd_takes_and_finds_hardened() {
        let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/perennial.service");
        // The program is not installed where the unit says; this test's own is there.
        let own = std::env::current_exe().unwrap().display().to_string();
        let text = std::fs::read_to_string(unit).unwrap().replace("/usr/bin/perennial", &own);
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("perennial.service");
        std::fs::write(&copy, text).unwrap();
        let threshold = ["security", "--offline=true", "--threshold=30", "--no-pager"];
        for arguments in [&["verify", "--man=no"][..], &threshold] {
            let output = std::process::Command::new("systemd-analyze")
                .args(arguments)
                .arg(&copy)
                .output()
                .expect("systemd-analyze is needed: apt-get install systemd");
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && complaint.is_empty(), "{arguments:?}: {complaint}");
        }
    }
}
