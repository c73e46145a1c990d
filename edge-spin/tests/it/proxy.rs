//! A way to the database that is cut right after a write was carried out, before its answer comes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the statement that is to be cut off has in it.
const WRITE: &[u8] = b"INSERT INTO pay_once.records (id, version";
/// What only the component's probe has in it.
const PROBE: &[u8] = b"DO $probe$";

pub(crate) struct Proxy {
    pub(crate) address: String,
    armed: Arc<AtomicBool>,
    /// Runs between the write and the cut.
    between: Arc<Mutex<Box<dyn FnMut() + Send>>>,
}

impl Proxy {
    pub(crate) fn to(database: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap().to_string(),
            armed: Arc::default(),
            between: Arc::new(Mutex::new(Box::new(|| {}))),
        };
        let (armed, between) = (Arc::clone(&proxy.armed), Arc::clone(&proxy.between));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&database) else {
                    continue;
                };
                let (armed, between) = (Arc::clone(&armed), Arc::clone(&between));
                thread::spawn(move || carry(client, server, &armed, &between));
            }
        });
        proxy
    }

    /// The next insert is carried out, then `between` runs, and then the connection is cut.
    pub(crate) fn cut_after_insert(&self, between: impl FnMut() + Send + 'static) {
        *self.between.lock().unwrap() = Box::new(between);
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether that has happened.
    pub(crate) fn has_cut(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }
}

/// One exchange after the other: the driver prepares a statement, hears of its types, and then has it executed.
fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    armed: &AtomicBool,
    between: &Mutex<Box<dyn FnMut() + Send>>,
) {
    let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let is_cut = Arc::new(AtomicBool::new(false));
    let muted = Arc::clone(&is_cut);
    let answers = thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = back_from.read(&mut bytes) {
            if !muted.load(Ordering::SeqCst) && back_to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = back_to.shutdown(Shutdown::Both);
    });
    let (mut bytes, mut is_prepared) = ([0; 65_536], false);
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        let sent = &bytes[..count];
        let has = |words: &[u8]| sent.windows(words.len()).any(|window| window == words);
        // What follows the preparation has it executed.
        let executes = is_prepared && armed.swap(false, Ordering::SeqCst);
        is_cut.store(executes, Ordering::SeqCst);
        is_prepared = has(WRITE) && !has(PROBE);
        if server.write_all(sent).is_err() {
            break;
        }
        if executes {
            // Far longer than a commit takes; the test looks whether it was there.
            thread::sleep(Duration::from_millis(500));
            between.lock().unwrap()();
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    let _ = answers.join();
}
