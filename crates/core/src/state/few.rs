//! Lists that are empty nearly always.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of few things, mostly of none: empty it takes the room of a pointer, a third of a
/// vector's. A certificate has four of them, and there may be a million certificates.
#[derive(Clone)]
#[expect(clippy::box_collection, reason = "a thin pointer is what this is for")]
pub struct Few<T>(Option<Box<Vec<T>>>);

impl<T> Few<T> {
    /// Makes a list of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Returns whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds a thing at the end.
    pub fn push(&mut self, thing: T) {
        self.0.get_or_insert_default().push(thing);
    }

    /// Keeps what is to be kept.
    pub fn retain(&mut self, is_kept: impl FnMut(&T) -> bool) {
        if let Some(list) = &mut self.0 {
            list.retain(is_kept);
            if list.is_empty() {
                self.0 = None;
            }
        }
    }

    /// Takes out the first thing that is it.
    pub fn take_first(&mut self, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let list = self.0.as_mut()?;
        let place = list.iter().position(is_it)?;
        let thing = list.swap_remove(place);
        if list.is_empty() {
            self.0 = None;
        }
        Some(thing)
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_deref_mut().map_or(&mut [], Vec::as_mut_slice)
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(list: Vec<T>) -> Self {
        Self((!list.is_empty()).then(|| Box::new(list)))
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_becomes_empty_takes_a_pointer_and_reads_and_writes_as_a_list() {
        let mut few: Few<u8> = serde_json::from_str("[1,2,3]").unwrap();
        assert_eq!(few.take_first(|n| *n == 1), Some(1));
        few.push(4);
        few.retain(|n| *n != 3);
        assert_eq!(serde_json::to_string(&few).unwrap(), "[2,4]");
        few.iter_mut().for_each(|n| *n += 1);
        assert_eq!(few, Few::from(alloc::vec![3, 5]));
        few.retain(|_| false);
        assert_eq!(few, Few::new());
        assert!(few.0.is_none() && few.take_first(|_| true).is_none());
        assert_eq!(size_of::<Few<u8>>(), size_of::<usize>());
    }
}
