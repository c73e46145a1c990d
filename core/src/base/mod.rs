//! What everything stands on: limits, ids, times, money, bytes of HTTP, configuration. It knows nothing of payments under way.

pub mod clock;
pub mod config;
pub mod config_file;
pub mod fingerprint;
pub mod hex;
pub mod http;
pub mod http_date;
pub mod id;
pub mod limits;
pub mod loss;
pub mod money;
pub mod time;
pub mod trace;
pub mod version;
