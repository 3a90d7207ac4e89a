//! Who shows a DNS answer.

use std::net::SocketAddr;
use std::time::Duration;

use perennial_core::words::{Answer, Showing};
use perennial_wire::authorization::is_shown_by;
use perennial_wire::dns::texts_at;
use tokio::task::JoinSet;

use super::trouble::Trouble;

/// What one server does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Showing,
    Lagging,
    Silent,
}

/// Asks every server of the answer's place, each alone and all at once.
pub(super) async fn look(answer: &Answer) -> Result<Showing, Trouble> {
    let place = answer.place.as_ref().ok_or(Trouble::Placeless)?;
    let mut looking = JoinSet::new();
    for server in place.servers.iter().take(MAX_SERVERS).copied() {
        let record = place.record.to_string();
        let answer = answer.clone();
        looking.spawn(async move { (server, look_at(server, &record, &answer).await) });
    }
    let mut showing = Showing::default();
    let mut seen = looking.join_all().await;
    seen.sort_by_key(|(server, _)| *server);
    for (server, seen) in seen {
        match seen {
            Seen::Showing => showing.showing.push(server),
            Seen::Lagging => showing.lagging.push(server),
            Seen::Silent => showing.silent.push(server),
        }
    }
    Ok(showing)
}

async fn look_at(server: SocketAddr, record: &str, answer: &Answer) -> Seen {
    match texts_at(server, record, ANSWER_TIME).await {
        Ok(Some(texts)) if texts.iter().any(|text| is_shown_by(answer, text)) => Seen::Showing,
        Ok(Some(_)) => Seen::Lagging,
        Ok(None) => Seen::Silent,
        Err(error) => {
            tracing::debug!(%server, record, %error, "no answer");
            Seen::Silent
        }
    }
}

/// How many servers are asked. A zone with more is served by anycast or by mistake.
const MAX_SERVERS: usize = 64;

/// How long a server may take.
const ANSWER_TIME: Duration = Duration::from_secs(4);
