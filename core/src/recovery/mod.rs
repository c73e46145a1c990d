//! Recovery: what is done next for an attempt (`plan`), when (`due`), under which generation, and with whose objects.

pub(crate) mod ask_now;
pub(crate) mod due;
pub(crate) mod generation;
pub(crate) mod ownership;
pub mod plan;

pub(crate) use ask_now::look_now;
pub(crate) use plan::{
    ABANDONED, RecoveryAction, after_failed_look, first_page, first_step, give_up, may_resend, plan,
    releases_again, send_rejected_again,
};
pub use plan::{OperationState, Outlook, outlook};
