#![no_main]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

libfuzzer_sys::fuzz_target!(init: pay_once_fuzz::http::prepare(), |bytes: &[u8]| pay_once_fuzz::http::run(bytes));
