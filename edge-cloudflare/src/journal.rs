//! The object's storage: one key, whose name is the attempt's id and whose value is the record's bytes (64 KiB at most;
//! a value may have 2 MB), and one alarm.

use std::cell::Cell;

use pay_once_core::{AttemptId, Millis, UnixMillis};
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{Date, Object, Promise, Uint8Array};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{ListOptions, Storage};

use crate::sync_kv::{SyncKv, sync_kv};

/// Why the storage came to nothing.
pub(crate) type Failed = String;

/// The alarm, as far as this life of the object knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alarm {
    Unknown,
    None,
    At(UnixMillis),
}

/// Storage and alarm of one object.
pub(crate) struct Journal {
    storage: Storage,
    kv: SyncKv,
    alarm: Cell<Alarm>,
    /// An alarm has gone off, and none has been set since.
    has_fired: Cell<bool>,
}

/// A write of the alarm that is under way. What was put before it, without an await in between, is written with it.
pub(crate) struct Arming(Option<Promise>);

impl Arming {
    /// Waits for the write to be taken. (That it is on disk before any answer leaves is the platform's output gate.)
    pub(crate) async fn taken(self) -> Result<(), Failed> {
        match self.0 {
            Some(promise) => JsFuture::from(promise)
                .await
                .map(|_| ())
                .map_err(|error| said(&error)),
            None => Ok(()),
        }
    }
}

impl Journal {
    pub(crate) fn new(storage: Storage) -> Self {
        Self {
            kv: sync_kv(&storage),
            storage,
            alarm: Cell::new(Alarm::Unknown),
            has_fired: Cell::new(false),
        }
    }

    /// The bytes of the record, if there is one.
    pub(crate) fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, Failed> {
        let value = self.kv.get(&id.to_string()).map_err(|error| said(&error))?;
        match value.dyn_into::<Uint8Array>() {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(value) if value.is_undefined() => Ok(None),
            Err(_) => Err("the stored value is not bytes".to_owned()),
        }
    }

    /// Puts the record's bytes in place, and sets its alarm: one durable step. The alarm comes first: if the record is then
    /// refused, one wake-up too many does no harm, while a dispatch without an alarm would wait for somebody to ask.
    pub(crate) fn put(
        &self,
        id: AttemptId,
        bytes: &[u8],
        wake_at_ms: Option<UnixMillis>,
        is_first: bool,
    ) -> Result<Arming, Failed> {
        if is_first {
            self.alarm.set(Alarm::None);
        }
        let arming = self.arm(wake_at_ms)?;
        let value = Uint8Array::from(bytes).into();
        self.kv
            .put(&id.to_string(), &value)
            .map_err(|error| said(&error))?;
        Ok(arming)
    }

    /// Sets, moves or removes the alarm.
    fn arm(&self, at_ms: Option<UnixMillis>) -> Result<Arming, Failed> {
        // One that went off a little early is asked for again, for the very same time: the platform would take that for the
        // one that is done with, and write nothing.
        let at_ms = at_ms.map(|at_ms| at_ms + Millis::new(u64::from(self.has_fired.take())));
        let wanted = at_ms.map_or(Alarm::None, Alarm::At);
        if self.alarm.replace(wanted) == wanted {
            return Ok(Arming(None));
        }
        let raw = self.storage.as_raw();
        let promise = match at_ms {
            // Exact: milliseconds since the epoch are far below 2^53.
            Some(at_ms) => raw.set_alarm(Date::new(&JsValue::from_f64(at_ms.get() as f64)), Object::new()),
            None => raw.delete_alarm(Object::new()),
        };
        promise.map(|promise| Arming(Some(promise))).map_err(|error| {
            self.alarm.set(Alarm::Unknown);
            said(&error)
        })
    }

    /// Sets the alarm unless there is one that comes before: who asks again and again must not push it away.
    pub(crate) async fn sooner(&self, at_ms: UnixMillis) -> Result<(), Failed> {
        if self.alarm.get() == Alarm::Unknown {
            let known = self
                .storage
                .get_alarm()
                .await
                .map_err(|error| error.to_string())?;
            let known = known
                .and_then(|at_ms| u64::try_from(at_ms).ok())
                .map(UnixMillis::new);
            self.alarm.set(known.map_or(Alarm::None, Alarm::At));
        }
        match self.alarm.get() {
            Alarm::At(known_ms) if known_ms <= at_ms => Ok(()),
            Alarm::At(_) | Alarm::None | Alarm::Unknown => self.arm(Some(at_ms))?.taken().await,
        }
    }

    /// The alarm has gone off, and there is no other.
    pub(crate) fn alarm_is_gone(&self) {
        self.alarm.set(Alarm::None);
        self.has_fired.set(true);
    }

    /// Returns once everything that was written is durable.
    pub(crate) async fn durable(&self) -> Result<(), Failed> {
        self.storage.sync().await.map_err(|error| error.to_string())
    }

    /// Whose journal is here, if any: an alarm brings no request that would say so.
    pub(crate) async fn whose(&self) -> Result<Option<AttemptId>, Failed> {
        let first = ListOptions::new().limit(1);
        let found = self
            .storage
            .list_with_options(first)
            .await
            .map_err(|error| error.to_string())?;
        let name = found
            .keys()
            .next()
            .map_err(|error| said(&error))?
            .value()
            .as_string();
        Ok(name.as_deref().and_then(AttemptId::parse))
    }
}

fn said(error: &JsValue) -> String {
    format!("{error:?}")
}
