//! What the faces say of a call, whatever it is.

use crate::base::tokens::Operation;

/// What kind of call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It creates or changes something.
    Change,
    /// It asks for one object.
    Read,
    /// It asks for all objects of some kind.
    List,
    /// No PSP has it: the sandbox's own.
    Own,
}

/// Where a token may act: which operation of which attempt, with which token.
pub(crate) struct Site {
    pub(crate) operation: Operation,
    /// `None`: the attempt has no name yet.
    pub(crate) attempt: Option<String>,
    pub(crate) token: Option<String>,
}
