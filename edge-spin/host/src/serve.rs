//! HTTP in front of the component, with the numbers that Spin 4.1 uses: an instance takes 128 requests, 16 of them at
//! once, and ends after one idle second; its tasks may go on after the answer for as long as they like.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use wasmtime::component::{Component, GuestTaskId, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store, StoreContextMut};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{Error, WasiHttpView};

use crate::bindings;
use crate::host::{Host, Shared, Whole};

const REQUESTS_MAX: usize = 128;
const AT_ONCE_MAX: usize = 16;
const IDLE: Duration = Duration::from_secs(1);

struct Expiration(Pin<Box<Sleep>>);

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        if status != WorkerStatus::Idle {
            return Poll::Pending;
        }
        let end = (start + IDLE).into();
        if self.0.deadline() != end {
            self.0.as_mut().reset(end);
        }
        self.0.as_mut().poll(cx)
    }
}

struct Worker;

impl WorkerState for Worker {
    type StoreData = Host;
    type RequestData = ();

    fn should_accept_request(&self, now: usize, total: usize) -> ShouldAccept {
        if total >= REQUESTS_MAX {
            ShouldAccept::Never
        } else if now >= AT_ONCE_MAX {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Host>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, _: Store<Host>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            eprintln!("an instance trapped: {error:?}");
        }
    }
}

struct App {
    pre: ProxyPre<Host>,
    engine: Engine,
    shared: Arc<Shared>,
}

impl HandlerState for App {
    type StoreData = Host;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Host, Expiration, Worker>> {
        let mut store = Store::new(&self.engine, Host::new(Arc::clone(&self.shared)));
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Expiration(Box::pin(tokio::time::sleep(Duration::MAX))),
            state: Worker,
        })
    }
}

/// Serves `component` for ever.
pub async fn serve(component: &Path, listen: SocketAddr, shared: Arc<Shared>) -> wasmtime::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.cache(Some(compiled()?));
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, component)?;
    let mut linker: Linker<Host> = Linker::new(&engine);
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    bindings::Host_::add_to_linker::<_, Whole>(&mut linker, |host| host)?;
    let pre = ProxyPre::P3(ServicePre::new(linker.instantiate_pre(&component)?)?);
    let handler = Arc::new(ProxyHandler::new(App {
        pre,
        engine,
        shared: Arc::clone(&shared),
    }));
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        // Else Nagle's algorithm and delayed acknowledgements cost 40 ms an answer.
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, Arc::clone(&handler), Arc::clone(&shared)));
    }
}

/// Compiled components, beside this program: tests start it a hundred times with three of them.
fn compiled() -> wasmtime::Result<Cache> {
    let mut config = CacheConfig::new();
    config.with_directory(std::env::current_exe()?.with_file_name("compiled"));
    Cache::new(config)
}

async fn connection(stream: TcpStream, handler: Arc<ProxyHandler<App>>, shared: Arc<Shared>) {
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let (handler, shared) = (Arc::clone(&handler), Arc::clone(&shared));
        async move { answer(request, &handler, &shared).await }
    });
    // A client that hangs up is no error.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    mut request: http::Request<Incoming>,
    handler: &ProxyHandler<App>,
    shared: &Shared,
) -> Result<http::Response<UnsyncBoxBody<Bytes, Error>>, std::io::Error> {
    if request.uri().path() == "/.host/counters" {
        let body = Full::new(Bytes::from(shared.counters.json()));
        return Ok(http::Response::new(
            body.map_err(|never| match never {}).boxed_unsync(),
        ));
    }
    // wasi:http wants an absolute URI.
    let host = request
        .headers()
        .get("host")
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    *request.uri_mut() = format!("http://{host}{target}")
        .parse()
        .map_err(std::io::Error::other)?;
    let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
    handler.handle((), request).await.map_err(|error| {
        eprintln!("a request failed: {error:?}");
        std::io::Error::other(error.to_string())
    })
}
