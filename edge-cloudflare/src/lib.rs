//! Pay Once on Cloudflare Workers: the same core, with one Durable Object per attempt.
//!
//! A stateless Worker (`front.rs`) authenticates a request, asks the cache of final attempts and hands the request to the
//! attempt's own object, whose name is the attempt's id: the key is the address, so nothing has to be looked up. The
//! object (`attempt.rs`) holds the journal and runs the loop (ARCHITECTURE.md, “The loop”). Its alarm is core's timer.
//!
//! This crate does everything and decides nothing; every decision is [`pay_once_core`]'s.

mod attempt;
mod bindings;
mod concern;
mod finals;
mod front;
mod journal;
mod measures;
mod psp_client;
mod search;
mod settings;
mod sync_kv;
mod system;
mod wire;
