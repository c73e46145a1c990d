//! Why a process ends, and whether another try may help.

use std::fmt;

/// Why a server did not start, or does not go on. Each has one sentence that says what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Somebody has to change something first.
    Refused(String),
    /// Another start may succeed, or is needed: the database cannot be reached, or is another one than at the start.
    Temporary(String),
}

impl Failure {
    /// The exit status of the process. 75 is `EX_TEMPFAIL` of `sysexits.h`.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Temporary(_) => 75,
        }
    }

    /// The same, with its sentence changed.
    #[must_use]
    pub fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Refused(why) => Self::Refused(change(why)),
            Self::Temporary(why) => Self::Temporary(change(why)),
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Refused(why) | Self::Temporary(why)) = self;
        f.write_str(why)
    }
}
