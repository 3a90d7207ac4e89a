//! What many certificates say alike is held once.
//!
//! The lists of issuers, solvers and targets, the name of the CA and the certificates above a leaf
//! are the same for most of a million certificates. Whatever is read from the journal is new text
//! each time; here it is exchanged for what is known already. Nothing depends on it but memory.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::words::{Name, Traits};

/// What is known already.
#[derive(Clone, Debug, Default)]
pub(super) struct Interner {
    names: BTreeSet<Name>,
    lists: BTreeSet<Arc<[Name]>>,
    texts: BTreeSet<Arc<str>>,
    traits: Vec<Arc<Traits>>,
}

/// How many different chains are told apart: a CA has a handful.
const TRAITS_AT_MOST: usize = 64;

impl Interner {
    /// Exchanges a list, and the names in it.
    pub(super) fn list(&mut self, own: &mut Arc<[Name]>) {
        if let Some(known) = self.lists.get(&**own) {
            *own = Arc::clone(known);
            return;
        }
        *own = own.iter().map(|name| self.known(name)).collect();
        self.lists.insert(Arc::clone(own));
    }

    /// Exchanges a name.
    pub(super) fn name(&mut self, own: &mut Name) {
        *own = self.known(own);
    }

    fn known(&mut self, name: &Name) -> Name {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        self.names.insert(name.clone());
        name.clone()
    }

    /// Exchanges a text.
    pub(super) fn text(&mut self, own: &mut Arc<str>) {
        match self.texts.get(&**own) {
            Some(known) => *own = Arc::clone(known),
            None => _ = self.texts.insert(Arc::clone(own)),
        }
    }

    /// Exchanges what is above a leaf.
    pub(super) fn traits(&mut self, own: &mut Arc<Traits>) {
        match self.traits.iter().find(|known| *known == own) {
            Some(known) => *own = Arc::clone(known),
            None if self.traits.len() < TRAITS_AT_MOST => self.traits.push(Arc::clone(own)),
            None => {}
        }
    }
}
