//! The stores of this build. A host that does not offer an interface starts no component that imports it, and so a component has either
//! Spin's own stores or PostgreSQL.

use std::rc::Rc;

use spin_sdk::variables;

use crate::deployment::{Deployment, StoreKind};
use crate::wasi::WasiWorld;

/// The authority of this build.
#[cfg(not(feature = "postgres"))]
pub(crate) type ChosenStore = crate::stores::AnyStore;
/// The authority of this build.
#[cfg(feature = "postgres")]
pub(crate) type ChosenStore = crate::postgres::store::PostgresStore;

/// The store that the deployment chose.
///
/// # Errors
/// One sentence that says what to change: this build does not have it.
#[cfg(not(feature = "postgres"))]
pub(crate) async fn store(deployment: &Deployment, world: &Rc<WasiWorld>) -> Result<ChosenStore, String> {
    match deployment.store {
        StoreKind::Sqlite => Ok(ChosenStore::sqlite(&deployment.config.installation)),
        StoreKind::KeyValue => Ok(ChosenStore::key_value(Rc::clone(world))),
        StoreKind::Postgres => Err(
            "the variable store is \"postgres\", and this component was built without it: build it with --features postgres, as spin.postgres.toml does".to_owned(),
        ),
    }
}

/// The store that the deployment chose.
///
/// # Errors
/// One sentence that says what to change. It has no part of the database's address.
#[cfg(feature = "postgres")]
pub(crate) async fn store(deployment: &Deployment, _: &Rc<WasiWorld>) -> Result<ChosenStore, String> {
    use crate::postgres::address::Address;
    use crate::postgres::trust::Expected;

    if deployment.store != StoreKind::Postgres {
        return Err("the variable store is not \"postgres\", and this component was built with --features postgres, which leaves out the other stores: build it without, as spin.toml does".to_owned());
    }
    let address = Address::read(&variable("postgres_url").await?)?;
    let identity = variable("postgres_identity").await?;
    let config = &deployment.config;
    let expected = Expected {
        installation: config.installation.clone(),
        identity: Some(identity).filter(|word| !word.is_empty()),
        psps: config.psps.keys().cloned().collect(),
        losses: config.losses.clone(),
    };
    Ok(ChosenStore::new(address, expected))
}

/// The value of a variable.
///
/// # Errors
/// One sentence that says which one there is none of.
pub(crate) async fn variable(name: &str) -> Result<String, String> {
    variables::get(name)
        .await
        // Spin's own words would repeat the name, and somebody may have put the secret itself where its name belongs.
        .map_err(|_| {
            let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let shown = if is_name { name } else { "that config names" };
            format!("the variable {shown}: it is not declared in spin.toml, or its provider does not answer")
        })
}
