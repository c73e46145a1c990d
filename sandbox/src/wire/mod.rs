//! What passes between the sandbox and its host: requests in, reactions out, webhooks among them.

pub(crate) mod reaction;
pub(crate) mod request;
pub(crate) mod webhook;
