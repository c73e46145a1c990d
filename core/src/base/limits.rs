//! Every bound of the contract, named with its unit. The pauses of recovery are in `due.rs`.

use super::time::Millis;

/// Largest request body, in bytes (`docs/http.md`, “Request bodies”).
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Largest amount, in minor units: 2^53 − 1, the last integer that every JSON reader keeps exact (`docs/http.md`, “Request
/// bodies”).
pub const AMOUNT_MINOR_MAX: u64 = (1 << 53) - 1;
/// Longest `Idempotency-Key`, in characters (`docs/http.md`, “Keys”).
pub const KEY_CHARS_MAX: usize = 255;
/// Most keys bound to one attempt, its create key included (`docs/http.md`, “Keys”).
pub const KEYS_PER_ATTEMPT_MAX: usize = 32;
/// Longest name of an installation, in bytes.
pub const INSTALLATION_BYTES_MAX: usize = 64;
/// Longest `order_id`, in characters, as a JSON schema counts: so with every length of a member that clients send.
pub const ORDER_ID_CHARS_MAX: usize = 255;
/// Most attempts of one page of a search.
pub const SEARCH_LIMIT_MAX: usize = 100;
/// Attempts of one page of a search that names no limit.
pub const SEARCH_LIMIT_USUAL: usize = 20;
/// Longest `older_than_s` of a search, in seconds: ten years.
pub const SEARCH_OLDER_THAN_S_MAX: u64 = 10 * 366 * 24 * 60 * 60;
/// Longest `after` of a search, in bytes.
pub const CURSOR_BYTES_MAX: usize = 2_048;
/// Longest `payment_method` token, in characters.
pub const PAYMENT_METHOD_CHARS_MAX: usize = 255;
/// Longest `return_url`, in characters.
pub const RETURN_URL_CHARS_MAX: usize = 1024;
/// Most members of `metadata`.
pub const METADATA_MEMBERS_MAX: usize = 16;
/// Longest member name in `metadata`, in characters (Stripe's own bound, so that it can be passed on).
pub const METADATA_NAME_CHARS_MAX: usize = 40;
/// Longest value in `metadata`, in characters.
pub const METADATA_VALUE_CHARS_MAX: usize = 256;
/// Longest operator name or reason given to `/resolve`, in characters.
pub const RESOLVE_TEXT_CHARS_MAX: usize = 500;
/// Longest `Prefer: wait`, in seconds (`docs/http.md`, “Time budget”).
pub const PREFER_WAIT_S_MAX: u64 = 30;
/// Deepest nesting of a JSON request body.
pub const JSON_DEPTH_MAX: usize = 4;

/// Largest record, in bytes. One that is larger is refused, never truncated.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// A new request is refused once the record is this large, in bytes: the rest is kept for evidence,
/// which must always find room.
pub const RECORD_BYTES_FOR_REQUESTS_MAX: usize = 40 * 1024;
/// Most entries of a journal. Evidence past it is dropped with an error, never by overwriting.
pub const ENTRIES_MAX: usize = 400;
/// Longest text taken over from a PSP (codes, messages, references), in bytes; longer is cut.
pub const PSP_TEXT_BYTES_MAX: usize = 512;
/// Longest address of a 3-D Secure page that is taken over, in bytes; of a longer one none is, since half of it leads nowhere.
pub const PSP_PAGE_BYTES_MAX: usize = 4096;
/// Largest PSP answer that is read, in bytes; a longer one is an unknown outcome.
pub const PSP_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most effects that one PSP answer may show for one attempt.
pub const EFFECTS_PER_EVIDENCE_MAX: usize = 32;

/// First delay between two tries of the same call, in milliseconds; it doubles from there.
pub const BACKOFF_FIRST_MS: Millis = Millis::new(500);
/// Longest delay between two look-ups, in milliseconds.
pub const BACKOFF_MAX_MS: Millis = Millis::new(60 * 60 * 1000);
/// How long until it is looked again whether the PSP of an unfinished attempt is configured, in milliseconds.
pub const PSP_ABSENT_RETRY_MS: Millis = Millis::new(60_000);
/// Attempts whose last question a process remembers ([`crate::psp::questions::Questions`]).
pub const QUESTIONS_MAX: usize = 4_096;
/// Swaps of one step that may be lost to others before an adapter gives the step up as “store unavailable”.
pub const SWAP_CONFLICTS_MAX: usize = 64;
/// Swaps of one step that end unknown, and are not there when read back, before an adapter gives the step up as “store
/// unavailable”: one may be lost by chance, more are a store that takes no writes.
pub const SWAPS_LOST_MAX: usize = 2;
/// How long an adapter offers the outcome of a PSP call to a store that does not answer, in milliseconds. After that the
/// outcome is found out again by recovery.
pub const OUTCOME_RETRY_MS: Millis = Millis::new(60_000);
/// First pause between two such offers, in milliseconds; it doubles.
pub const OUTCOME_PAUSE_FIRST_MS: Millis = Millis::new(50);
/// After how long a timer is tried again on a store that did not answer, in milliseconds.
pub const STORE_FAILED_RETRY_MS: Millis = Millis::new(1_000);
/// After how long a record that cannot be used is looked at again, in milliseconds: a later build may be able to use it.
pub const RECORD_REFUSED_RETRY_MS: Millis = Millis::new(60 * 60 * 1000);
/// How soon a host that does not live long wakes an attempt that a request asked about, in milliseconds: once for all that ask
/// until then.
pub const ASKED_ABOUT_MS: Millis = Millis::new(1_000);
/// First pause before a waiting request looks into a store that tells of no change, in milliseconds; it doubles.
pub const LOOK_PAUSE_FIRST_MS: Millis = Millis::new(20);
/// Longest such pause, in milliseconds.
pub const LOOK_PAUSE_MAX_MS: Millis = Millis::new(160);
/// Re-sends under one key before reads and look-ups are asked as well: an error that the PSP has cached
/// under the key would be answered for ever.
pub const RESENDS_BEFORE_LOOKUP: usize = 3;
/// Re-sends under one key in all. With doubling delays this outlasts a day-long outage.
pub const RESENDS_MAX: usize = 40;
/// Generations that one operation may use before it is ended (authorize) or parked (others).
pub const GENERATIONS_PER_OPERATION_MAX: u16 = 8;
/// How long after the second try of what no customer waits for a look that shows nothing counts, in milliseconds, so that a
/// third follows; after each later one four times as long: the tries outlast a day-long outage.
pub const GENERATION_PAUSE_FIRST_MS: Millis = Millis::new(60_000);
/// Objects asked for on one page of a look-up; fewer, down to one, where a page is too large to be read.
pub const LOOKUP_PAGE_OBJECTS: u32 = 100;
/// Objects that carry an attempt's reference and are not its own, of which its journal keeps the ids.
pub const FOREIGN_OBJECTS_MAX: usize = 8;
/// After how long an operation whose looks all fail is given to an operator, once its key cannot be sent again, in milliseconds.
pub const LOOKS_FAILED_MAX_MS: Millis = Millis::new(24 * 60 * 60 * 1000);
/// First pause before a client may ask again for what the PSP rejected, in milliseconds; it doubles, so that no pause is longer than
/// the rejections have lasted.
pub const REJECTED_PAUSE_FIRST_MS: Millis = Millis::new(1_000);
/// Longest such pause, in milliseconds.
pub const REJECTED_PAUSE_MAX_MS: Millis = Millis::new(24 * 60 * 60 * 1000);
/// Entries beyond the bound for other requests at which a void is still taken.
pub const ENTRIES_FOR_VOID: usize = 40;
/// How often an operator's look may ask the PSP about one attempt, in milliseconds.
pub const LOOK_NOW_EVERY_MS: Millis = Millis::new(2_000);
/// How often a client's question may have an open 3-D Secure read at the PSP, in milliseconds.
pub const ACTION_READ_EVERY_MS: Millis = Millis::new(2_000);
