//! Checkpoints: the whole state of a stream as one record.
//!
//! ```text
//! {"shape":2,"state":{"certificate":{...}}}     an object, read in one go
//! {"shape":1,"state":"{\"history\":...}"}       JSON text within the JSON, of the first builds
//! ```
//!
//! Starting is reading one of them for each of perhaps a million certificates, so that each says
//! everything once ([`super::compact`]). Shape 1, in which a leaf stands again at each target, is
//! never written any more and folds for ever.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::instance::Instance;
use super::issuer::Issuer;
use super::{Declared, State, compact};
use crate::event::Checkpoint;
use crate::intent::{SolverSpec, TargetSpec};
use crate::record::{Stream, StreamKind};

/// The shape of checkpoints that this release writes.
pub const CHECKPOINT_SHAPE: u16 = 2;

/// The state of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshot {
    /// Of this instance.
    Instance(Box<Instance>),
    /// Of an issuer.
    Issuer(Box<Issuer>),
    /// Of a solver.
    Solver(Box<Declared<SolverSpec>>),
    /// Of a target.
    Target(Box<Declared<TargetSpec>>),
    /// Of a certificate.
    Certificate(#[serde(with = "compact")] Box<Certificate>),
}

/// A state as a checkpoint has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Saved {
    /// As it is.
    Object(Snapshot),
    /// As text, in shape 1: only the stream tells of what.
    Text(String),
}

impl<'de> Deserialize<'de> for Saved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Reads an object or a text, without holding the object in between as a derived reader would.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Saved;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the state of a stream")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Saved, E> {
        Ok(Saved::Text(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Saved, A::Error> {
        Snapshot::deserialize(MapAccessDeserializer::new(map)).map(Saved::Object)
    }
}

impl Snapshot {
    const fn kind(&self) -> StreamKind {
        match self {
            Self::Instance(_) => StreamKind::Instance,
            Self::Issuer(_) => StreamKind::Issuer,
            Self::Solver(_) => StreamKind::Solver,
            Self::Target(_) => StreamKind::Target,
            Self::Certificate(_) => StreamKind::Certificate,
        }
    }

    /// Reads what shape 1 has of a stream of this kind.
    fn of_text(kind: StreamKind, text: &str) -> serde_json::Result<Self> {
        match kind {
            StreamKind::Instance => serde_json::from_str(text).map(Self::Instance),
            StreamKind::Issuer => serde_json::from_str(text).map(Self::Issuer),
            StreamKind::Solver => serde_json::from_str(text).map(Self::Solver),
            StreamKind::Target => serde_json::from_str(text).map(Self::Target),
            StreamKind::Certificate => serde_json::from_str(text).map(Self::Certificate),
        }
    }
}

/// Reads a shape, and refuses one that later builds wrote before anything of it is misread.
pub(crate) fn known_shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let shape = u16::deserialize(deserializer)?;
    if shape > CHECKPOINT_SHAPE {
        let newer = format!("the checkpoint has shape {shape}, newer than this release's");
        return Err(de::Error::custom(newer));
    }
    Ok(shape)
}

impl State {
    /// Returns the checkpoint of a stream: its whole state.
    #[must_use]
    pub fn checkpoint(&self, stream: &Stream) -> Option<Checkpoint> {
        let name = &stream.name;
        let state = match stream.kind {
            StreamKind::Instance => Snapshot::Instance(Box::new(self.instance.clone())),
            StreamKind::Issuer => Snapshot::Issuer(Box::new(self.issuers.get(name)?.clone())),
            StreamKind::Solver => Snapshot::Solver(Box::new(self.solvers.get(name)?.clone())),
            StreamKind::Target => Snapshot::Target(Box::new(self.targets.get(name)?.clone())),
            StreamKind::Certificate => {
                Snapshot::Certificate(Box::new(self.certificate(self.id(name)?)?.clone()))
            }
        };
        Some(Checkpoint { shape: CHECKPOINT_SHAPE, state: Saved::Object(state) })
    }

    /// Takes on the state that a checkpoint has, whatever was known of its stream before.
    ///
    /// # Errors
    ///
    /// Returns why the stream cannot go on: the checkpoint cannot be read, or is that of another
    /// kind of stream.
    pub(crate) fn restore(
        &mut self,
        stream: &Stream,
        version: u64,
        checkpoint: Checkpoint,
    ) -> Result<(), String> {
        let snapshot = match checkpoint.state {
            Saved::Object(snapshot) => snapshot,
            Saved::Text(text) => Snapshot::of_text(stream.kind, &text)
                .map_err(|error| format!("the checkpoint of {stream}: {error}"))?,
        };
        if snapshot.kind() != stream.kind {
            let kind = snapshot.kind().as_str();
            return Err(format!("the checkpoint of {stream} is that of {kind}s"));
        }
        let name = stream.name.clone();
        match snapshot {
            Snapshot::Instance(mut instance) => {
                instance.history.version = version;
                self.instance = *instance;
            }
            Snapshot::Issuer(mut issuer) => {
                issuer.history.version = version;
                self.issuers.insert(name, *issuer);
            }
            Snapshot::Solver(mut solver) => {
                solver.history.version = version;
                self.solvers.insert(name, *solver);
            }
            Snapshot::Target(mut target) => {
                target.history.version = version;
                self.targets.insert(name, *target);
            }
            Snapshot::Certificate(mut certificate) => {
                certificate.history.version = version;
                certificate.share(&mut self.interner);
                match self.certificate_mut(&name) {
                    Some(own) => *own = *certificate,
                    None => self.add(name, *certificate),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_of_later_builds_is_refused_as_such_and_a_state_of_another_kind_as_one() {
        let newer = serde_json::from_str::<Checkpoint>(r#"{"shape":3,"state":[1]}"#).unwrap_err();
        assert!(alloc::format!("{newer}").contains("shape 3, newer than this release's"));
        let checkpoint = State::default().checkpoint(&Stream::instance()).unwrap();
        let stream = Stream::new(StreamKind::Issuer, "ca".into());
        let refused = State::default().restore(&stream, 1, checkpoint);
        assert_eq!(refused, Err("the checkpoint of issuer/ca is that of instances".into()));
    }
}
