//! What follows from a PSP's event.

use crate::base::id::AttemptId;

/// What to do about an event. `Shown` is what it shows of an attempt, `Read` what has to be read first.
pub(crate) enum Next<Shown, Read> {
    /// It concerns no attempt of ours.
    Nothing,
    /// It is evidence about this attempt.
    Tell(AttemptId, Shown),
    /// Its object has to be read first.
    Read(Read),
    /// The read of its object failed.
    Failed,
}

impl<Shown, Read> Next<Shown, Read> {
    /// The same, with what it shows converted.
    pub(super) fn map<Told>(self, tell: impl FnOnce(Shown) -> Told) -> Next<Told, Read> {
        match self {
            Self::Nothing => Next::Nothing,
            Self::Tell(id, shown) => Next::Tell(id, tell(shown)),
            Self::Read(read) => Next::Read(read),
            Self::Failed => Next::Failed,
        }
    }
}
