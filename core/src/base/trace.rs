//! Trace context (W3C Trace Context, level 1): which trace of its caller a request belongs to.
//!
//! A request's `traceparent` is put into the log lines of everything that the request causes, and is passed on with each PSP call
//! that it causes, with a new parent id for each call. `tracestate` is not passed on: a PSP is not part of the caller's system. A
//! trace decides nothing, and no record has one.

use std::fmt;

use sha2::{Digest, Sha256};

use super::hex;
use super::http::Request;

/// The header, in lower case.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// Length of the header's value in version 00, in bytes.
const LENGTH: usize = 55;
/// The only flag that level 1 defines: the caller may have recorded the trace.
const SAMPLED: u8 = 1;

/// A trace and the caller's span in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

impl TraceParent {
    /// Reads the header of a request. `None`: it has none, more than one, or one that the standard says to ignore.
    pub(crate) fn of_request(request: &Request<'_>) -> Option<Self> {
        let mut lines = request.header_values(TRACEPARENT);
        let line = lines.next()?;
        match lines.next() {
            None => Self::parse(std::str::from_utf8(line).ok()?),
            Some(_) => None,
        }
    }

    /// Reads the header's value: `version-traceid-parentid-flags` in lower-case hexadecimal digits. `None`: it is to be ignored. A
    /// later version is read as far as version 00 goes (section 3.2.4, “Versioning of traceparent”).
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        if known.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut fields = known.split('-');
        let [version] = hex::read(fields.next()?)?;
        let (trace_id, parent_id) = (hex::read(fields.next()?)?, hex::read(fields.next()?)?);
        let [flags] = hex::read(fields.next()?)?;
        let is_whole = fields.next().is_none()
            && match version {
                0 => rest.is_empty(),
                0xff => false,
                _ => rest.is_empty() || rest.starts_with('-'),
            };
        let is_valid = is_whole && trace_id != [0; 16] && parent_id != [0; 8];
        is_valid.then_some(Self {
            trace_id,
            parent_id,
            flags: flags & SAMPLED,
        })
    }

    /// The id of the whole trace, in 32 hexadecimal digits, for log lines.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex::write(&self.trace_id)
    }

    /// The same trace, seen by whom a call goes to. `call` tells the calls of a trace apart.
    pub(crate) fn child(&self, call: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(self.trace_id)
            .chain_update(self.parent_id)
            .chain_update(call)
            .finalize();
        let mut parent_id = [0; 8];
        for (to, from) in parent_id.iter_mut().zip(digest) {
            *to = from;
        }
        // All zeros would be no id.
        if parent_id == [0; 8] {
            parent_id = [1; 8];
        }
        Self { parent_id, ..*self }
    }
}

/// The header's value, in version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, parent_id) = (hex::write(&self.trace_id), hex::write(&self.parent_id));
        write!(f, "00-{trace_id}-{parent_id}-{:02x}", self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceParent({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_value_is_read_and_written() {
        let trace = TraceParent::parse(VALUE).unwrap();
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.to_string(), VALUE);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("cc{}-what-comes-later", &VALUE[2..]);
        assert_eq!(TraceParent::parse(&later).unwrap().to_string(), VALUE);
        let without_flags_of_later = format!("cc{}", VALUE[2..].replace("-01", "-fb"));
        let read = TraceParent::parse(&without_flags_of_later).unwrap();
        assert!(
            read.to_string().ends_with("-01"),
            "only the flag that is known is passed on"
        );
    }

    #[test]
    fn what_the_standard_forbids_is_ignored() {
        let (zero_trace, zero_parent) = ("0".repeat(32), "0".repeat(16));
        let bad = [
            String::new(),
            "00".to_owned(),
            VALUE.to_uppercase(),
            format!("ff{}", &VALUE[2..]),
            format!("{VALUE}-more"),
            format!("cc{}.more", &VALUE[2..]),
            VALUE.replace('-', "_"),
            VALUE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &zero_trace),
            VALUE.replace("00f067aa0ba902b7", &zero_parent),
            VALUE.replace("4bf9", "4bg9"),
            VALUE.replace("4bf9", "+bf9"),
            VALUE.replace("4bf9", "4é9"),
        ];
        for value in bad {
            assert_eq!(TraceParent::parse(&value), None, "{value}");
        }
    }

    #[test]
    fn every_call_has_a_parent_id_of_its_own_in_the_same_trace() {
        let trace = TraceParent::parse(VALUE).unwrap();
        let (first, second) = (trace.child("call_1"), trace.child("call_2"));
        assert_eq!(first, trace.child("call_1"));
        assert_ne!(first, second);
        for call in [first, second] {
            assert_eq!(call.trace_id(), trace.trace_id());
            assert_ne!(call.parent_id, trace.parent_id);
        }
    }
}
