//! An HTTP server on loopback that answers what a test tells it to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the server does with a request.
pub(super) enum Reply {
    /// Answers with a status and a body.
    Answer(u16, String),
    /// Keeps the connection open and says nothing.
    Silence,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// `POST / HTTP/1.1`.
    pub(super) line: String,
    /// Its headers, as they came.
    pub(super) headers: String,
    /// Its body; for EC2 a form.
    pub(super) body: String,
}

impl Request {
    /// The value of a field of the form, decoded.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let mut fields = self.body.split('&').filter_map(|pair| pair.split_once('='));
        fields
            .find(|(key, _)| *key == name)
            .map(|(_, value)| decode(value))
    }
}

/// The server. It takes one connection at a time until it is dropped.
pub(super) struct Canned {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Canned {
    /// Starts one. `reply` gets the number of the request, from 0, and the request.
    pub(super) fn start(reply: impl Fn(usize, &Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut silent = Vec::new();
            for connection in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let mut connection = connection.unwrap();
                // A client that gave up in the middle of a request is no failure of the server.
                let Some(request) = read(&connection) else {
                    continue;
                };
                let number = log.lock().unwrap().len();
                log.lock().unwrap().push(request.clone());
                match reply(number, &request) {
                    Reply::Silence => silent.push(connection),
                    Reply::Answer(status, body) => {
                        let length = body.len();
                        let _ = write!(
                            connection,
                            "HTTP/1.1 {status} Canned\r\nContent-Length: {length}\r\n\
                             x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
                             Connection: close\r\n\r\n{body}"
                        );
                    }
                }
            }
        });
        Self {
            address,
            requests,
            stop,
            thread: Some(thread),
        }
    }

    /// The URL to ask.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads one request.
fn read(connection: &TcpStream) -> Option<Request> {
    connection
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|bytes| *bytes > 0)?;
    let mut headers = String::new();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        headers.push_str(&header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        line: line.trim().to_owned(),
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

/// Decodes a value of a form.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
