//! Updates, at the level of meaning.
//!
//! Source: RFC 2136 sections 2.4, 2.5 and 3. All or nothing.

use jiff::Timestamp;

use super::data::{Data, Kind, Rcode};
use super::zone::{Zone, ZoneFault};
use super::{Dns, ServerFault, covers};

/// An update of one zone. Whose it is, the skin has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The zone's apex.
    pub zone: Box<str>,
    /// What must hold.
    pub prerequisites: Vec<Prerequisite>,
    /// What is changed, in order.
    pub changes: Vec<Change>,
}

/// What must hold before an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prerequisite {
    /// The name has records.
    NameExists(Box<str>),
    /// The name has none.
    NameMissing(Box<str>),
    /// The name has records of the kind.
    SetExists(Box<str>, Kind),
    /// The name has none of the kind.
    SetMissing(Box<str>, Kind),
    /// The name has this record.
    ValueExists(Box<str>, Data),
}

/// What an update changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a record.
    Add(Box<str>, Data),
    /// Deletes a record.
    Delete(Box<str>, Data),
    /// Deletes every record of a kind.
    DeleteSet(Box<str>, Kind),
    /// Deletes every record of a name.
    DeleteName(Box<str>),
}

impl Dns {
    /// Updates a zone through one of its servers. Returns nothing where the server is silent.
    pub fn update(&mut self, server: &str, update: &Update, now: Timestamp) -> Option<Rcode> {
        match self.servers.get(server)?.fault {
            ServerFault::None => {}
            ServerFault::Silent => return None,
            ServerFault::ServFail => return Some(Rcode::ServFail),
            ServerFault::Refused => return Some(Rcode::Refused),
        }
        let held = self.nearest(server, &update.zone).filter(|(_, zone)| zone.apex == update.zone);
        let id: Option<Box<str>> = held.map(|(id, _)| id.into());
        let Some(zone) = id.and_then(|id| self.zones.get_mut(&id)) else {
            return Some(Rcode::NotAuth);
        };
        match zone.fault {
            ZoneFault::None => Some(zone.update(update, now)),
            ZoneFault::Silent => None,
            ZoneFault::ServFail => Some(Rcode::ServFail),
            ZoneFault::RefusesUpdates => Some(Rcode::Refused),
            ZoneFault::IgnoresUpdates => Some(Rcode::NoError),
        }
    }
}

impl Zone {
    fn update(&mut self, update: &Update, now: Timestamp) -> Rcode {
        for prerequisite in &update.prerequisites {
            let code = self.check(prerequisite, now);
            if code != Rcode::NoError {
                return code;
            }
        }
        let inside = |change: &Change| {
            let (Change::Add(name, _)
            | Change::Delete(name, _)
            | Change::DeleteSet(name, _)
            | Change::DeleteName(name)) = change;
            covers(&self.apex, name)
        };
        if !update.changes.iter().all(inside) {
            return Rcode::NotZone;
        }
        for change in &update.changes {
            self.change(change, now);
        }
        Rcode::NoError
    }

    fn check(&self, prerequisite: &Prerequisite, now: Timestamp) -> Rcode {
        let any = |wanted: &str, fits: &dyn Fn(&Data) -> bool| self.of(wanted, now).any(fits);
        let (holds, otherwise) = match prerequisite {
            Prerequisite::NameExists(name) => (any(name, &|_| true), Rcode::NxDomain),
            Prerequisite::NameMissing(name) => (!any(name, &|_| true), Rcode::YxDomain),
            Prerequisite::SetExists(name, kind) => {
                (any(name, &|data| data.kind() == *kind), Rcode::NxRrSet)
            }
            Prerequisite::SetMissing(name, kind) => {
                (!any(name, &|data| data.kind() == *kind), Rcode::YxRrSet)
            }
            Prerequisite::ValueExists(name, wanted) => {
                (any(name, &|data| data == wanted), Rcode::NxRrSet)
            }
        };
        if holds { Rcode::NoError } else { otherwise }
    }

    /// Source: RFC 2136 section 3.4.2.
    fn change(&mut self, change: &Change, now: Timestamp) {
        // The zone's own NS records and SOA are not taken away.
        let fixed = |apex: &str, name: &str, kind: Kind| {
            name == apex && matches!(kind, Kind::Ns | Kind::Soa)
        };
        let apex = self.apex.clone();
        match change {
            Change::Add(name, data) => {
                let clashes =
                    |found: &Data| (found.kind() == Kind::Cname) != (data.kind() == Kind::Cname);
                if !self.of(name, now).any(clashes) {
                    if data.kind() == Kind::Cname {
                        self.remove(name, now, |found| found != data);
                    }
                    self.add(name, data.clone(), now);
                }
            }
            Change::Delete(name, data) => {
                if !fixed(&apex, name, data.kind()) {
                    self.remove(name, now, |found| found == data);
                }
            }
            Change::DeleteSet(name, kind) => {
                if !fixed(&apex, name, *kind) {
                    self.remove(name, now, |found| found.kind() == *kind);
                }
            }
            Change::DeleteName(name) => {
                self.remove(name, now, |found| !fixed(&apex, name, found.kind()));
            }
        }
    }
}
