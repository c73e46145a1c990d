//! `spin:postgres`, generated from its text. spin-sdk's own module brings in chrono for types that nothing here has, and with it
//! wasm-bindgen's imports, which a component cannot have.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::restriction,
    reason = "generated"
)]

spin_sdk::wit_bindgen::generate!({
    inline: "package pay-once:component; world postgres { import spin:postgres/postgres@4.2.0; }",
    path: "host/wit/deps/spin-postgres@4.2.0",
    runtime_path: "spin_sdk::wit_bindgen::rt",
    generate_all,
});

pub use spin::postgres::postgres::{Connection, DbValue, Error, ParameterValue, QueryError};
