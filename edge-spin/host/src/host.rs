//! The state of one instance, and WASI's part of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::BodyExt;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, Result, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::counters::Counters;
use crate::key_value::Backend;
use crate::postgres::Pools;

/// What all instances share.
pub struct Shared {
    pub sqlite: PathBuf,
    pub backend: Backend,
    pub variables: BTreeMap<String, String>,
    pub allow: Vec<String>,
    pub counters: Arc<Counters>,
    pub postgres: Pools,
}

/// One instance's.
pub struct Host {
    pub shared: Arc<Shared>,
    pub table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

/// Gives the functions of an interface the whole host.
pub struct Whole;

impl HasData for Whole {
    type Data<'a> = &'a mut Host;
}

impl Host {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().inherit_stderr().build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound(Arc::clone(&shared)),
            shared,
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}

/// `allowed_outbound_hosts`: everything else is denied before a connection is made.
struct Outbound(Arc<Shared>);

type Ended = Box<dyn Future<Output = Result<()>> + Send>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _read: Ended,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Ended)>> + Send> {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri
            .authority()
            .map(|authority| authority.as_str())
            .unwrap_or_default();
        let is_allowed = self.0.allow.contains(&format!("{scheme}://{authority}"));
        Box::new(async move {
            if !is_allowed {
                return Err(Error::HttpRequestDenied);
            }
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(io) as Ended))
        })
    }
}
