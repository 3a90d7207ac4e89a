//! Just enough HTTP to show an http-01 answer.
//!
//! A request is read up to its empty line, answered, and the connection is closed. The requests
//! come from anybody: their length and their time are bounded, and nothing but the path is looked
//! at.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{ACME_CHALLENGE, WELL_KNOWN};

/// Reads one request and answers it with what `find` returns for its token.
///
/// Whatever goes wrong, the other side is at fault, or gone.
pub(super) async fn serve<S>(mut stream: S, find: impl Fn(&str) -> Option<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(Some(head)) = tokio::time::timeout(REQUEST_TIME, read_head(&mut stream)).await else {
        return;
    };
    let reply = reply(&head, find);
    let answered = async {
        stream.write_all(&reply).await?;
        stream.shutdown().await?;
        // Closing with unread bytes would reset the connection, and the answer could be lost.
        let mut rest = [0; 1024];
        let mut left = MAX_HEAD_LEN;
        while left > 0 {
            match stream.read(&mut rest).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        Ok::<(), std::io::Error>(())
    };
    let _gone = tokio::time::timeout(REQUEST_TIME, answered).await;
}

/// Reads up to the empty line; nothing if the other side closes, or sends more than is allowed.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while head.len() <= MAX_HEAD_LEN {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        // The empty line may lie across two reads.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(buffer.get(..count)?);
        if head.get(from..)?.windows(4).any(|window| window == b"\r\n\r\n") {
            return Some(head);
        }
    }
    None
}

fn reply(head: &[u8], find: impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return answer("400 Bad Request", "", true) };
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words.as_slice() else {
        return answer("400 Bad Request", "", true);
    };
    if !version.starts_with("HTTP/1.") {
        return answer("400 Bad Request", "", true);
    }
    let found = token(target).filter(|_| *method == "GET" || *method == "HEAD").and_then(find);
    match found {
        Some(body) => answer("200 OK", &body, *method != "HEAD"),
        None => answer("404 Not Found", "", true),
    }
}

/// Returns the token in a request's target, which may name a server before the path (RFC 9112
/// section 3.2.2) and a query behind it.
fn token(target: &str) -> Option<&str> {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..))?,
        None => target,
    };
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.strip_prefix('/')?.splitn(3, '/');
    let is_ours = parts.next() == Some(WELL_KNOWN) && parts.next() == Some(ACME_CHALLENGE);
    parts.next().filter(|_| is_ours)
}

fn answer(status: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let shown = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{shown}"
    )
    .into_bytes()
}

/// How long a request's head may be.
const MAX_HEAD_LEN: usize = 8 * 1024;

/// How long a request may take to arrive, and its answer to be taken.
const REQUEST_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn told(request: &str) -> String {
        let find = |token: &str| (token == "abc").then(|| "abc.thumb".to_owned());
        let text = String::from_utf8(reply(request.as_bytes(), find)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        format!("{status} {body}")
    }

    #[test]
    fn only_tokens_that_are_up_are_found() {
        let table = [
            ("GET /.well-known/acme-challenge/abc HTTP/1.1\r\n\r\n", "200 abc.thumb"),
            ("GET /.well-known/acme-challenge/abc?x HTTP/1.0\r\n\r\n", "200 abc.thumb"),
            ("GET http://a.b/.well-known/acme-challenge/abc HTTP/1.1\r\n\r\n", "200 abc.thumb"),
            ("HEAD /.well-known/acme-challenge/abc HTTP/1.1\r\n\r\n", "200 "),
            ("GET /.well-known/acme-challenge/other HTTP/1.1\r\n\r\n", "404 "),
            ("GET /.well-known/acme-challenge/ HTTP/1.1\r\n\r\n", "404 "),
            ("GET /.well-known/acme-challenge/../abc HTTP/1.1\r\n\r\n", "404 "),
            ("GET /abc HTTP/1.1\r\n\r\n", "404 "),
            ("GET http://a.b HTTP/1.1\r\n\r\n", "404 "),
            ("POST /.well-known/acme-challenge/abc HTTP/1.1\r\n\r\n", "404 "),
            ("GET /.well-known/acme-challenge/abc\r\n\r\n", "400 "),
            ("PRI * HTTP/2.0\r\n\r\n", "400 "),
            ("\r\n\r\n", "400 "),
        ];
        for (request, expected) in table {
            assert_eq!(told(request), expected, "{request:?}");
        }
    }

    #[tokio::test]
    async fn a_request_in_pieces_is_answered_and_an_endless_one_is_not() {
        let (mut client, server) = tokio::io::duplex(64);
        let serving = tokio::spawn(serve(server, |_| Some("body".to_owned())));
        for piece in ["GET /.well-known/acme-challenge/a HTTP/1.1\r\nHost: a\r", "\n\r", "\n"] {
            client.write_all(piece.as_bytes()).await.unwrap();
        }
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("\r\n\r\nbody"), "{text}");
        drop(client);
        serving.await.unwrap();

        let (mut client, server) = tokio::io::duplex(64);
        let serving = tokio::spawn(serve(server, |_| None));
        let endless = vec![b'x'; 3 * MAX_HEAD_LEN];
        assert!(
            client.write_all(&endless).await.is_err(),
            "the connection is closed before the end"
        );
        serving.await.unwrap();
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_nothing_but_what_is_up_is_shown(head: Vec<u8>) {
            let text = reply(&head, |_| None);
            proptest::prop_assert!(!text.starts_with(b"HTTP/1.1 200"));
        }
    }
}
