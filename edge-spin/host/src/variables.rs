//! `spin:variables`: what the file says, and nothing else.

use wasmtime::component::Accessor;

use crate::bindings::spin::variables::variables::{Error, Host as VariablesHost, HostWithStore};
use crate::host::{Host, Whole};

impl VariablesHost for Host {}

impl<T: Send + 'static> HostWithStore<T> for Whole {
    async fn get(host: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, Error>> {
        Ok(host.with(|mut host| {
            let known = host.get().shared.variables.get(&name).cloned();
            known.ok_or_else(|| Error::Undefined(format!("no value for \"{name}\"")))
        }))
    }
}
