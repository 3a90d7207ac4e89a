//! What goes wrong between the driver and the outside, and how fast everything is.

use jiff::SignedDuration;
use perennial_core::words::Permille;

use crate::model::Dice;

/// What goes wrong, and how often. What is wrong with CA, DNS, hosts and targets is theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The effect takes place and its outcome never comes.
    pub lost: Permille,
    /// The outcome comes after `Unknown` was recorded.
    pub late: Permille,
    /// The outcome comes twice.
    pub doubled: Permille,
    /// Nothing takes effect, and that is reported at once.
    pub failing: Permille,
    /// The effect takes place, and the CA's front says 503.
    pub misreported: Permille,
    /// An ask is never answered.
    pub unanswered: Permille,
    /// An answer is older than what happened since.
    pub stale: Permille,
    /// A batch cannot be made durable; the process ends.
    pub failing_commits: Permille,
    /// The process is killed, at each boundary.
    pub crashes: Permille,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        lost: Permille::new(0),
        late: Permille::new(0),
        doubled: Permille::new(0),
        failing: Permille::new(0),
        misreported: Permille::new(0),
        unanswered: Permille::new(0),
        stale: Permille::new(0),
        failing_commits: Permille::new(0),
        crashes: Permille::new(0),
    };

    /// Returns faults thrown by dice: each kind is absent in half of the throws.
    pub fn throw(dice: &mut Dice) -> Self {
        let mut share = |most: u64| {
            let thrown = dice.below(2 * most);
            Permille::new(u16::try_from(thrown.saturating_sub(most)).unwrap_or_default())
        };
        Self {
            lost: share(150),
            late: share(150),
            doubled: share(300),
            failing: share(150),
            misreported: share(100),
            unanswered: share(150),
            stale: share(150),
            failing_commits: share(5),
            crashes: share(5),
        }
    }
}

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From writing a batch until it is durable, at the most.
    pub commit: SignedDuration,
    /// From the release of an act until its effect, and from there to its outcome, at the most.
    pub act: SignedDuration,
    /// From an ask to its answer, at the most.
    pub ask: SignedDuration,
}

impl Pace {
    /// A machine and a network as they usually are.
    pub const USUAL: Self = Self {
        commit: SignedDuration::from_millis(20),
        act: SignedDuration::from_millis(400),
        ask: SignedDuration::from_millis(300),
    };

    /// Both are slow: things overtake each other.
    pub const SLOW: Self = Self {
        commit: SignedDuration::from_secs(3),
        act: SignedDuration::from_secs(25),
        ask: SignedDuration::from_secs(10),
    };
}

/// Throws a span between a millisecond and `most`.
pub(super) fn throw_span(dice: &mut Dice, most: SignedDuration) -> SignedDuration {
    let millis = u64::try_from(most.as_millis()).unwrap_or_default();
    let thrown = i64::try_from(dice.below(millis)).unwrap_or_default();
    SignedDuration::from_millis(thrown + 1)
}
