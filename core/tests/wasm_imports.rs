//! Core imports nothing (`ARCHITECTURE.md`, “Invariants: what is absent”): no clock, no randomness, no I/O. On
//! wasm32-unknown-unknown that is visible in the module itself. `./test` builds it and names it in `PAY_ONCE_CORE_WASM`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[test]
fn the_wasm_module_imports_nothing() {
    let Some(path) = std::env::var_os("PAY_ONCE_CORE_WASM") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must run ./test, which builds the module"
        );
        eprintln!("skipped: PAY_ONCE_CORE_WASM is not set; run ./test");
        return;
    };
    let module = std::fs::read(&path).unwrap();
    let mut sections = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&module) {
        match payload.unwrap() {
            wasmparser::Payload::ImportSection(imports) => {
                let names: Vec<_> = imports.into_iter().map(|import| format!("{import:?}")).collect();
                assert!(names.is_empty(), "core imports {names:?}");
            }
            wasmparser::Payload::CodeSectionStart { count, .. } => sections.push(count),
            _ => {}
        }
    }
    // The module holds the whole machine: a stub would also import nothing.
    assert!(
        sections.first().is_some_and(|functions| *functions > 300),
        "only {sections:?} functions"
    );
}
