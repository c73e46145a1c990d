//! Where Spin comes in. An instance serves a few requests, some at once; what they share is put together by the first.
#![allow(
    unsafe_code,
    reason = "spin_sdk::http_service exports a function to the component model"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use spin_sdk::http::{IntoResponse, Request, Response};

use crate::deployment::{Deployment, Variables};
use crate::finals::SpinFinals;
use crate::flavour::{self, ChosenStore, variable};
use crate::front;
use crate::outbound::WasiPsp;
use crate::ports::{Line, World};
use crate::server::Server;
use crate::sweep::{BEHIND_REQUEST_MAX, EVERY_MS};
use crate::wasi::{WasiWorld, nudged};
use pay_once_core::UnixMillis;

type SpinServer = Server<WasiWorld, ChosenStore, WasiPsp<WasiWorld>, SpinFinals>;

struct Instance {
    server: Rc<SpinServer>,
    sweep_digest: Option<[u8; 32]>,
    swept_at_ms: Cell<UnixMillis>,
}

thread_local! {
    static INSTANCE: RefCell<Option<Rc<Instance>>> = const { RefCell::new(None) };
}

#[spin_sdk::http_service]
async fn handle(request: Request) -> impl IntoResponse {
    nudged(serve(request)).await
}

async fn serve(request: Request) -> Response<Full<Bytes>> {
    let instance = match instance().await {
        Ok(instance) => instance,
        Err(why) => {
            WasiWorld::default().log(&Line::error(None, &why));
            let message = "The deployment's variables are not in order; the log says what to change.";
            return front::translate(pay_once_core::not_configured(message));
        }
    };
    let answer = front::answer(&instance.server, instance.sweep_digest.as_ref(), request).await;
    sweep_behind(&instance);
    answer
}

async fn instance() -> Result<Rc<Instance>, String> {
    if let Some(instance) = INSTANCE.with_borrow(Option::clone) {
        return Ok(instance);
    }
    let deployment = deployment().await?;
    let world = Rc::new(WasiWorld::default());
    let store = flavour::store(&deployment, &world).await?;
    let psp = WasiPsp::new(Rc::clone(&world));
    let finals = SpinFinals::new(deployment.finals);
    let instance = Rc::new(Instance {
        server: Server::new(deployment.config, world, store, psp, finals, deployment.measures),
        sweep_digest: deployment.sweep_digest,
        swept_at_ms: Cell::new(UnixMillis::EPOCH),
    });
    // Another request may have put one together meanwhile; both are good.
    INSTANCE.replace(Some(Rc::clone(&instance)));
    Ok(instance)
}

async fn deployment() -> Result<Deployment, String> {
    let variables = Variables {
        config: variable("config").await?,
        store: variable("store").await?,
        finals: variable("finals").await?,
        measures: variable("measures").await?,
        sweep_key_sha256: variable("sweep_key_sha256").await?,
    };
    let mut secrets = BTreeMap::new();
    for name in variables.secret_names()? {
        let secret = variable(&name).await?;
        secrets.insert(name, secret);
    }
    Deployment::read(&variables, &secrets)
}

/// Behind the answer, now and then: what a crash left in doubt is found without anybody's help.
fn sweep_behind(instance: &Rc<Instance>) {
    let now_ms = instance.server.world.now_ms();
    if now_ms < instance.swept_at_ms.get() + EVERY_MS {
        return;
    }
    instance.swept_at_ms.set(now_ms);
    let server = Rc::clone(&instance.server);
    instance.server.world.spawn(async move {
        if let Err(error) = server.sweep(BEHIND_REQUEST_MAX).await {
            let line = format!("a sweep ended early: {error}");
            server.world.log(&Line::error(None, &line));
        }
    });
}
