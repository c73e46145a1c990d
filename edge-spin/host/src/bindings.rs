//! Bindings of Spin's interfaces, generated from `wit/`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "host",
    imports: { default: async | trappable },
    with: {
        "spin:sqlite/sqlite.connection": crate::sqlite::Connection,
        "spin:postgres/postgres.connection": crate::postgres::Connection,
        "spin:postgres/postgres.connection-builder": crate::postgres::Builder,
        "spin:key-value/key-value.store": crate::key_value::Store,
        "wasi:keyvalue/store.bucket": crate::key_value::Store,
        "wasi:keyvalue/atomics.cas": crate::key_value::Cas,
    },
});
