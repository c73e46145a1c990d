//! A PSP that says what a test has it say, for what the sandbox does not say: rejections, answers that are too large.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is asked and said, by method and path.
#[derive(Default)]
struct Script {
    asked: Vec<String>,
    /// The heads of what was asked, in lower case.
    heads: Vec<String>,
    says: BTreeMap<String, (u16, String)>,
}

pub(crate) struct Scripted {
    pub(crate) address: String,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    /// Starts it; until it is told what to say it answers 500.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::clone(&script);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                // A client that hangs up is no error.
                thread::spawn(move || stream.and_then(|stream| answer(stream, &shared)));
            }
        });
        Self { address, script }
    }

    /// From now on `asked` (method and path) is answered so.
    pub(crate) fn says(&self, asked: &str, status: u16, body: &str) {
        let mut script = self.script.lock().unwrap();
        script.says.insert(asked.to_owned(), (status, body.to_owned()));
    }

    /// The head of the last request, in lower case.
    pub(crate) fn last_head(&self) -> String {
        self.script
            .lock()
            .unwrap()
            .heads
            .last()
            .cloned()
            .unwrap_or_default()
    }

    /// How often it was asked this.
    pub(crate) fn times_asked(&self, asked: &str) -> usize {
        let script = self.script.lock().unwrap();
        script.asked.iter().filter(|known| *known == asked).count()
    }
}

fn answer(mut stream: TcpStream, script: &Mutex<Script>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let head = read_request(&mut stream)?;
    let mut words = head.split([' ', '?']);
    let asked = format!(
        "{} {}",
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default()
    );
    let (status, body) = {
        let mut script = script.lock().unwrap();
        script.asked.push(asked.clone());
        script.heads.push(head.to_ascii_lowercase());
        let known = script.says.get(&asked).cloned();
        known.unwrap_or((500, String::new()))
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nRequest-Id: req_scripted\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Reads a request to the end of its body, which is chunked or has a length; gives the head.
fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let is_whole = match length.and_then(|length| length.parse::<usize>().ok()) {
                Some(length) => body.len() >= length,
                None if head.contains("transfer-encoding: chunked") => body.ends_with("0\r\n\r\n"),
                None => true,
            };
            if is_whole {
                return Ok(text);
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&part[..read]),
        }
    }
}
