//! What the component answers is what `openapi/` says, by a tester that nobody here wrote (`peers/contract`).

use std::process::Command;

use pay_once_suite::environment::{Merchant, Secrets};

use crate::world::{Mode, World};

#[test]
fn every_answer_is_as_the_contracts_document_says() {
    let world = World::new(Mode::Sqlite);
    let host = world.host();
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers/contract");
    let url = format!("http://{}", host.address);
    let output = Command::new(contract)
        .args([&url, Secrets::default().token(Merchant::Rival)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
