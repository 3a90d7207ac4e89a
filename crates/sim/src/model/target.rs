//! Targets: places that bundles are written to, in three steps, any of which can fail.
//!
//! A target holds one bundle for each certificate, and one staged beside it. What it tells a server
//! is the world's to pass on. The bundle's type is the skin's.

use std::collections::BTreeMap;

use perennial_core::words::Name;

/// A target.
#[derive(Clone, Debug)]
pub struct Target<B> {
    shelves: BTreeMap<Name, Shelf<B>>,
    /// What is wrong with it.
    pub faults: TargetFaults,
}

/// What is wrong with a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetFaults {
    /// It cannot be reached.
    pub unreachable: bool,
    /// Nothing can be written: a full disk, a lost permission.
    pub read_only: bool,
    /// Its own check refuses what is staged.
    pub refuses: bool,
    /// Activating fails before anything changed.
    pub stuck: bool,
}

/// What lies at a target for one certificate.
#[derive(Clone, Debug)]
struct Shelf<B> {
    active: Option<B>,
    before: Option<B>,
    staged: Option<B>,
    ours: bool,
}

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// No connection.
    Unreachable,
    /// It could not be written.
    ReadOnly,
    /// The bundle that the step is about is not staged.
    NotStaged,
    /// The check refused it.
    Refused,
    /// It could not be activated.
    Stuck,
    /// What lies there is not ours, and taking over was not allowed.
    NotOurs,
    /// There was nothing before what is active.
    NothingBefore,
}

/// What lies at a target for one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lying<'a, B> {
    /// What is active.
    pub active: Option<&'a B>,
    /// What is staged.
    pub staged: Option<&'a B>,
    /// Whether the active one was written by us.
    pub ours: bool,
}

impl<B> Default for Target<B> {
    fn default() -> Self {
        Self { shelves: BTreeMap::new(), faults: TargetFaults::default() }
    }
}

impl<B: Clone + PartialEq> Target<B> {
    /// Puts a bundle there that is not ours.
    pub fn found_there(&mut self, certificate: &Name, bundle: B) {
        let shelf = Shelf { active: Some(bundle), before: None, staged: None, ours: false };
        self.shelves.insert(certificate.clone(), shelf);
    }

    /// Stages a bundle. Staging it twice is staging it once.
    ///
    /// # Errors
    ///
    /// Returns why nothing was staged.
    pub fn stage(&mut self, certificate: &Name, bundle: B) -> Result<(), TargetError> {
        self.reach()?;
        if self.faults.read_only {
            return Err(TargetError::ReadOnly);
        }
        let empty = || Shelf { active: None, before: None, staged: None, ours: true };
        self.shelves.entry(certificate.clone()).or_insert_with(empty).staged = Some(bundle);
        Ok(())
    }

    /// Checks what is staged; what is active already passes.
    ///
    /// # Errors
    ///
    /// Returns why it did not pass.
    pub fn validate(&self, certificate: &Name, bundle: &B) -> Result<(), TargetError> {
        self.reach()?;
        let shelf = self.shelves.get(certificate).ok_or(TargetError::NotStaged)?;
        if shelf.staged.as_ref() != Some(bundle) && shelf.active.as_ref() != Some(bundle) {
            return Err(TargetError::NotStaged);
        }
        if self.faults.refuses { Err(TargetError::Refused) } else { Ok(()) }
    }

    /// Makes what is staged active. Activating what is active already changes nothing.
    ///
    /// # Errors
    ///
    /// Returns why nothing changed.
    pub fn activate(
        &mut self,
        certificate: &Name,
        bundle: &B,
        take_over: bool,
    ) -> Result<(), TargetError> {
        self.reach()?;
        if self.faults.stuck {
            return Err(TargetError::Stuck);
        }
        if self.faults.read_only {
            return Err(TargetError::ReadOnly);
        }
        let shelf = self.shelves.get_mut(certificate).ok_or(TargetError::NotStaged)?;
        if shelf.active.is_some() && !shelf.ours && !take_over {
            return Err(TargetError::NotOurs);
        }
        if shelf.active.as_ref() == Some(bundle) && shelf.ours {
            return Ok(());
        }
        if shelf.staged.as_ref() != Some(bundle) {
            return Err(TargetError::NotStaged);
        }
        shelf.before = shelf.active.take();
        shelf.active = shelf.staged.take();
        shelf.ours = true;
        Ok(())
    }

    /// Makes what was active before active again, and returns it. Once it is, it stays so.
    ///
    /// # Errors
    ///
    /// Returns why nothing changed.
    pub fn put_back(&mut self, certificate: &Name) -> Result<B, TargetError> {
        self.reach()?;
        if self.faults.stuck {
            return Err(TargetError::Stuck);
        }
        if self.faults.read_only {
            return Err(TargetError::ReadOnly);
        }
        let shelf = self.shelves.get_mut(certificate).ok_or(TargetError::NothingBefore)?;
        let before = shelf.before.clone().ok_or(TargetError::NothingBefore)?;
        shelf.active = Some(before.clone());
        Ok(before)
    }

    /// Looks.
    ///
    /// # Errors
    ///
    /// Returns an error where it cannot be reached.
    pub fn inspect(&self, certificate: &Name) -> Result<Lying<'_, B>, TargetError> {
        self.reach()?;
        let shelf = self.shelves.get(certificate);
        Ok(Lying {
            active: shelf.and_then(|shelf| shelf.active.as_ref()),
            staged: shelf.and_then(|shelf| shelf.staged.as_ref()),
            ours: shelf.is_none_or(|shelf| shelf.ours),
        })
    }

    const fn reach(&self) -> Result<(), TargetError> {
        if self.faults.unreachable { Err(TargetError::Unreachable) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(faults: TargetFaults) -> Target<u8> {
        let mut target = Target::default();
        target.stage(&Name::new("c"), 1).unwrap();
        target.activate(&Name::new("c"), &1, false).unwrap();
        target.stage(&Name::new("c"), 2).unwrap();
        target.faults = faults;
        target
    }

    #[test]
    fn each_fault_stops_the_steps_it_should_and_leaves_what_is_active() {
        use TargetError as E;
        let none = TargetFaults::default();
        let cases = [
            (none, [Ok(()), Ok(()), Ok(())]),
            (TargetFaults { unreachable: true, ..none }, [Err(E::Unreachable); 3]),
            (
                TargetFaults { read_only: true, ..none },
                [Err(E::ReadOnly), Ok(()), Err(E::ReadOnly)],
            ),
            (TargetFaults { refuses: true, ..none }, [Ok(()), Err(E::Refused), Ok(())]),
            (TargetFaults { stuck: true, ..none }, [Ok(()), Ok(()), Err(E::Stuck)]),
        ];
        let name = Name::new("c");
        for (faults, expected) in cases {
            let mut target = with(faults);
            let steps = [
                target.stage(&name, 2),
                target.validate(&name, &2),
                target.activate(&name, &2, false),
            ];
            assert_eq!(steps, expected, "{faults:?}");
            target.faults = none;
            let active = *target.inspect(&name).unwrap().active.unwrap();
            assert_eq!(active, if expected[2].is_ok() { 2 } else { 1 });
        }
    }

    #[test]
    fn steps_may_be_repeated_but_not_skipped() {
        let name = Name::new("c");
        let mut target = with(TargetFaults::default());
        assert_eq!(target.validate(&name, &3), Err(TargetError::NotStaged));
        assert_eq!(target.activate(&name, &3, false), Err(TargetError::NotStaged));
        assert_eq!(target.activate(&name, &2, false), Ok(()));
        assert_eq!(target.activate(&name, &2, false), Ok(()));
        assert_eq!(target.inspect(&name).unwrap().staged, None);
    }

    #[test]
    fn what_is_not_ours_stays_unless_taken_over() {
        let name = Name::new("c");
        let mut target = Target::default();
        target.found_there(&name, 9);
        assert!(!target.inspect(&name).unwrap().ours);
        target.stage(&name, 1).unwrap();
        assert_eq!(target.activate(&name, &1, false), Err(TargetError::NotOurs));
        assert_eq!(target.activate(&name, &1, true), Ok(()));
        assert!(target.inspect(&name).unwrap().ours);
    }
}
