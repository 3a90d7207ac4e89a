//! Who is served at once, where anybody may come.
//!
//! A CA comes for a moment, from several places, and must be let in whoever else is there. So
//! nobody is refused: a newcomer takes the place of who came first among those from the newcomer's
//! own source, if these are many, or else, where all places are taken, from the source that has
//! most of them; of several that have as many, from the one whose first visit is the oldest. Who
//! floods from one source displaces himself, and who floods from many does not displace whoever
//! came a moment ago.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use tokio::task::{AbortHandle, Id, JoinSet};

/// How many are served at once.
const MAX: usize = 512;

/// How many from one source are served at once. A CA's validator asks for a few tokens at a time.
const MAX_PER_SOURCE: usize = 64;

/// Those who are served. Dropping it ends them all.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    visits: JoinSet<()>,
    inside: HashMap<Id, Visit>,
    came: u64,
}

#[derive(Debug)]
struct Visit {
    source: IpAddr,
    number: u64,
    end: AbortHandle,
}

/// What one source has inside.
#[derive(Debug)]
struct Visits {
    count: usize,
    /// The number of the oldest of them.
    first: u64,
}

impl Crowd {
    /// Lets somebody in, at somebody else's cost if need be.
    pub(super) fn admit(&mut self, from: IpAddr, visit: impl Future<Output = ()> + Send + 'static) {
        let source = source(from);
        let visits = self.visits_by_source();
        if visits.get(&source).is_some_and(|own| own.count >= MAX_PER_SOURCE) {
            self.displace(source);
        } else if self.inside.len() >= MAX
            && let Some((most, _)) =
                visits.iter().max_by_key(|(_, own)| (own.count, Reverse(own.first)))
        {
            self.displace(*most);
        }
        self.came += 1;
        let end = self.visits.spawn(visit);
        self.inside.insert(end.id(), Visit { source, number: self.came, end });
    }

    /// Waits until somebody has left; for ever while nobody is there.
    pub(super) async fn leave(&mut self) {
        let id = match self.visits.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return std::future::pending().await,
        };
        self.inside.remove(&id);
    }

    fn visits_by_source(&self) -> HashMap<IpAddr, Visits> {
        let mut all: HashMap<IpAddr, Visits> = HashMap::new();
        for visit in self.inside.values() {
            let fresh = Visits { count: 0, first: visit.number };
            let own = all.entry(visit.source).or_insert(fresh);
            own.count += 1;
            own.first = own.first.min(visit.number);
        }
        all
    }

    /// Ends the visit of who came first from a source.
    fn displace(&mut self, source: IpAddr) {
        let of_source = self.inside.iter().filter(|(_, visit)| visit.source == source);
        let first = of_source.min_by_key(|(_, visit)| visit.number).map(|(id, _)| *id);
        if let Some(visit) = first.and_then(|id| self.inside.remove(&id)) {
            visit.end.abort();
        }
    }
}

/// Returns what counts as one source: an address, or with IPv6 what one subscriber has at least.
fn source(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn count(crowd: &Crowd, from: &str) -> Option<usize> {
        crowd.visits_by_source().get(&ip(from)).map(|own| own.count)
    }

    #[test]
    fn a_source_is_an_address_or_a_network_of_64_bits() {
        assert_eq!(source(ip("192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(source(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(source(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
    }

    #[tokio::test]
    async fn a_flood_displaces_itself_and_a_crowd_its_largest_part() {
        let mut crowd = Crowd::default();
        crowd.admit(ip("192.0.2.1"), std::future::pending());
        for _ in 0..2 * MAX {
            crowd.admit(ip("192.0.2.2"), std::future::pending());
        }
        assert_eq!(count(&crowd, "192.0.2.1"), Some(1));
        assert_eq!(count(&crowd, "192.0.2.2"), Some(MAX_PER_SOURCE));
        for number in 0..MAX - MAX_PER_SOURCE {
            let from = Ipv6Addr::from_bits((number as u128) << 64);
            crowd.admit(from.into(), std::future::pending());
        }
        assert_eq!(crowd.inside.len(), MAX);
        assert_eq!(count(&crowd, "192.0.2.1"), Some(1));
        assert_eq!(count(&crowd, "192.0.2.2"), Some(MAX_PER_SOURCE - 1));
    }

    #[tokio::test]
    async fn of_sources_with_one_visit_each_the_oldest_makes_room() {
        let mut crowd = Crowd::default();
        let stranger = |number: usize| IpAddr::from(Ipv6Addr::from_bits((number as u128) << 64));
        for number in 0..MAX {
            crowd.admit(stranger(number), std::future::pending());
        }
        crowd.admit(ip("192.0.2.1"), std::future::pending());
        for number in MAX..2 * MAX - 1 {
            crowd.admit(stranger(number), std::future::pending());
            assert_eq!(count(&crowd, "192.0.2.1"), Some(1), "{number} came since");
        }
        crowd.admit(stranger(2 * MAX), std::future::pending());
        assert_eq!((count(&crowd, "192.0.2.1"), crowd.inside.len()), (None, MAX));
    }

    #[tokio::test]
    async fn who_has_left_or_was_displaced_is_forgotten() {
        let mut crowd = Crowd::default();
        for _ in 0..=MAX_PER_SOURCE {
            crowd.admit(ip("192.0.2.2"), std::future::pending());
        }
        crowd.leave().await;
        assert_eq!((crowd.inside.len(), crowd.visits.len()), (MAX_PER_SOURCE, MAX_PER_SOURCE));
        crowd.admit(ip("192.0.2.1"), std::future::ready(()));
        crowd.leave().await;
        assert_eq!(crowd.inside.len(), MAX_PER_SOURCE);
    }
}
