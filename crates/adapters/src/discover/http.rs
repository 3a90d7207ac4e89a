//! What a CA would meet on port 80.
//!
//! One plain GET of a path below `/.well-known/acme-challenge/`, of each address by itself, following
//! nothing. That no answer for this token is there is expected: it matters that a web server answers
//! at all, and not with a login, an error or a redirect that CAs do not follow.
//!
//! Source: RFC 8555 section 8.3.

use std::net::SocketAddr;
use std::time::Duration;

use perennial_core::words::Identifier;
use perennial_wire::net;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time;

/// What one address answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpFacts {
    /// Which address, with the port.
    pub address: SocketAddr,
    /// The answer, or why there is none.
    pub answer: Result<HttpAnswer, HttpTrouble>,
}

/// The head of an HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// Where it redirects to.
    pub location: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpTrouble {
    /// This machine has no way to the address.
    NoRoute(String),
    /// No connection.
    Unreachable(String),
    /// A connection, and then nothing that is HTTP.
    NotHttp(String),
}

/// How long the head of a response may be.
const MAX_HEAD: usize = 8 * 1024;

/// The token asked for: any name that no CA would choose.
const TOKEN: &str = "perennial-check";

pub(super) async fn look(address: SocketAddr, host: &Identifier, timeout: Duration) -> HttpFacts {
    HttpFacts { address, answer: ask(address, host, timeout).await }
}

async fn ask(
    address: SocketAddr,
    host: &Identifier,
    timeout: Duration,
) -> Result<HttpAnswer, HttpTrouble> {
    let mut stream = match time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let cause = net::describe(&error);
            let no_route = net::no_route(&error);
            return Err(if no_route {
                HttpTrouble::NoRoute(cause)
            } else {
                HttpTrouble::Unreachable(cause)
            });
        }
        Err(_) => {
            let text = format!("no connection within {} s", timeout.as_secs_f32());
            return Err(HttpTrouble::Unreachable(text));
        }
    };
    match time::timeout(timeout, exchange(&mut stream, host)).await {
        Ok(answer) => answer.map_err(HttpTrouble::NotHttp),
        Err(_) => Err(HttpTrouble::NotHttp("a connection, but no answer".to_owned())),
    }
}

async fn exchange(stream: &mut TcpStream, host: &Identifier) -> Result<HttpAnswer, String> {
    let host = if host.as_str().contains(':') { format!("[{host}]") } else { host.to_string() };
    let request = format!(
        "GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: perennial/{} \
         (check)\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| net::describe(&error))?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while head.len() < MAX_HEAD && !is_whole(&head) {
        let length = stream.read(&mut buffer).await.map_err(|error| net::describe(&error))?;
        if length == 0 {
            break;
        }
        head.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    read(&head).ok_or_else(|| "the answer is not HTTP".to_owned())
}

fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n")
}

/// Reads status and redirect. Source: RFC 9112 section 4.
fn read(head: &[u8]) -> Option<HttpAnswer> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut status = lines.next()?.splitn(3, ' ');
    status.next().filter(|version| version.starts_with("HTTP/1."))?;
    let code = status.next()?;
    let status =
        code.parse().ok().filter(|status| code.len() == 3 && (100..600).contains(status))?;
    let location = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| readable(value.trim()))
    });
    Some(HttpAnswer { status, location })
}

fn readable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_response_is_read() {
        let ok = read(b"HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\nLocation: no").unwrap();
        assert_eq!(ok, HttpAnswer { status: 404, location: None });
        let moved = read(b"HTTP/1.0 301 x\r\nLOCATION:  https://a.test/\x1b[2J\r\n\r\n").unwrap();
        assert_eq!(moved.location.as_deref(), Some("https://a.test/[2J"));
        for bad in ["", "SSH-2.0-x\r\n", "HTTP/1.1 xx\r\n", "HTTP/1.1 99 x\r\n", "HTTP/2 200\r\n"] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
