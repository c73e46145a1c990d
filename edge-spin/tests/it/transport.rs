//! What became of a call whose way to the PSP broke (`suite/src/transport.rs`).

use pay_once_suite::environment::Secrets;
use pay_once_suite::loopback::free_address;
use pay_once_suite::transport::{transport, transport_config};

use crate::world::{Mode, World};

#[test]
fn a_call_that_reached_the_psp_is_never_told_as_not_sent() {
    let listen = free_address().unwrap().to_string();
    let mut world = World::new(Mode::Sqlite);
    world.pay_at(&listen);
    let document = transport_config(&listen, &Secrets::default());
    world.variables.insert("config".to_owned(), document.to_string());
    let host = world.host();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let url = format!("http://{}", host.address);
    let secrets = Secrets::default();
    let work = transport(&url, listen.parse().unwrap(), &secrets);
    let lines = runtime.block_on(work).unwrap();
    assert_eq!(lines.len(), 8, "{lines:#?}");
}
