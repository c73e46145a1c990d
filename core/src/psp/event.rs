//! What follows from a PSP's event.

use crate::base::id::AttemptId;

/// What to do about an event. `News` is what it shows of an attempt, `Read` what has to be read first.
pub(crate) enum Next<News, Read> {
    /// It is no concern of ours.
    Nothing,
    /// It tells of this attempt.
    Tell(AttemptId, News),
    /// Its object has to be read first.
    Read(Read),
    /// The read of its object failed.
    Failed,
}

impl<News, Read> Next<News, Read> {
    /// The same with the news told in another way.
    pub(super) fn map<Told>(self, tell: impl FnOnce(News) -> Told) -> Next<Told, Read> {
        match self {
            Self::Nothing => Next::Nothing,
            Self::Tell(id, news) => Next::Tell(id, tell(news)),
            Self::Read(read) => Next::Read(read),
            Self::Failed => Next::Failed,
        }
    }
}
