//! `/metrics` and `/healthz` over HTTP, for whoever watches the station.
//!
//! One thread accepts, one more answers each client, and closes. A client has a second for all of its
//! request, may say no more than 8 KiB, and sixteen are served at once; whoever comes then is closed
//! at once. So none holds up another for long, and none holds up the receivers, which do not know of
//! them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::guard;
use super::metrics::{exposition, health};
use super::status::{Snapshot, Status};
use crate::error::RequestError;

/// Where it listens unless told otherwise: this computer alone can ask.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:9797";

/// Clients served at once.
const CLIENTS: usize = 16;
/// How long a client may take to ask, and how long to take the answer.
const DEADLINE: Duration = Duration::from_secs(1);
/// What a request may have.
const MOST_BYTES: usize = 8192;
/// How often the listener looks for new clients and for the end.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(25);

/// What is told of: radios by their names.
pub type Radios = Vec<(String, Arc<Status>)>;

/// Answers until it is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Listens at `ADDRESS:PORT`, or at a port of this computer, and tells what the status of every
    /// radio says. A radio that is alone may have an empty name.
    ///
    /// # Errors
    /// It is no address, or cannot be listened at.
    pub fn bind(text: &str, radios: Radios) -> Result<Self, RequestError> {
        let subject = || format!("--metrics {text}");
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let wanted =
            text.parse::<SocketAddr>().or_else(|_| text.parse().map(local)).map_err(|_| {
                let right =
                    format!("write ADDRESS:PORT, for instance {DEFAULT_ADDRESS}, or a port");
                RequestError::new(subject(), "is no address", right)
            })?;
        let refused = |error: io::Error| {
            let wrong = match error.kind() {
                io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
                io::ErrorKind::AddrNotAvailable => "is no address of this computer".to_owned(),
                _ => format!("cannot listen there: {error}"),
            };
            RequestError::new(subject(), wrong, "choose another one")
        };
        let listener = TcpListener::bind(wanted).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("metrics".into())
            .spawn(move || accept(&listener, &Arc::new(radios), &stopped))
            .map_err(refused)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, radios: &Arc<Radios>, stop: &AtomicBool) {
    let serving = Arc::new(AtomicUsize::new(0));
    while !stop.load(Ordering::Relaxed) {
        let Ok((client, _)) = listener.accept() else {
            // Nobody, or too many open files: both may pass.
            std::thread::sleep(ACCEPT_INTERVAL);
            continue;
        };
        if serving.load(Ordering::Relaxed) >= CLIENTS {
            continue;
        }
        serving.fetch_add(1, Ordering::Relaxed);
        let (radios, count) = (radios.clone(), serving.clone());
        let spawned = std::thread::Builder::new().name("metrics client".into()).spawn(move || {
            let _ = guard(|| serve(client, &radios));
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            serving.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One request, one answer.
fn serve(mut client: TcpStream, radios: &Radios) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let Some(head) = request(&mut client)? else { return Ok(()) };
    let mut words = head.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let shown = radios.iter().map(|(name, status)| (name.as_str(), status.snapshot()));
    let shown: Vec<(&str, Snapshot)> = shown.collect();
    let shown: Vec<_> = shown.iter().map(|(name, shown)| (*name, shown)).collect();
    let (text, json) = ("text/plain; version=0.0.4; charset=utf-8", "application/json");
    let (code, kind, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => ("200 OK", text, exposition(&shown)),
        (b"GET" | b"HEAD", b"/healthz") => {
            let health = health(&shown, Instant::now());
            let code = if health.is_well() { "200 OK" } else { "503 Service Unavailable" };
            (code, json, serde_json::to_string(&health).unwrap_or_default() + "\n")
        }
        (b"GET" | b"HEAD", _) => {
            ("404 Not Found", text, "there are /metrics and /healthz\n".to_owned())
        }
        (_, _) if path.starts_with(b"/") => {
            ("405 Method Not Allowed", text, "GET and HEAD are understood\n".to_owned())
        }
        _ => ("400 Bad Request", text, "this is no HTTP\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    client.set_write_timeout(Some(DEADLINE))?;
    client.write_all(head.as_bytes())?;
    if method != b"HEAD" {
        client.write_all(body.as_bytes())?;
    }
    client.shutdown(std::net::Shutdown::Write)
}

/// The first line of a request, once its head is complete; `None` if that is too long or too late.
fn request(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let began = Instant::now();
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let left = DEADLINE.saturating_sub(began.elapsed());
        if left.is_zero() || head.len() > MOST_BYTES {
            return Ok(None);
        }
        client.set_read_timeout(Some(left))?;
        let count = client.read(&mut piece)?;
        if count == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&piece[..count]);
        // Some write their lines without \r.
        let ended = |end: &[u8]| head.windows(end.len()).any(|window| window == end);
        if ended(b"\r\n\r\n") || ended(b"\n\n") {
            let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return Ok(Some(line.trim_ascii_end().to_vec()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn one() -> Radios {
        vec![(String::new(), Arc::default())]
    }

    fn ask(server: &MetricsServer, request: &[u8]) -> String {
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.write_all(request).unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is one, too.
        let _ = client.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn it_answers_what_it_knows_and_refuses_the_rest() {
        let server = MetricsServer::bind("127.0.0.1:0", one()).unwrap();
        let answer = ask(&server, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("version=0.0.4"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        assert!(body.contains("tulpar_receiving 0"));
        let answer = ask(&server, b"GET /healthz?now HTTP/1.0\n\n");
        assert!(answer.ends_with("{\"status\":\"idle\",\"reasons\":[]}\n"), "{answer}");
        assert!(!ask(&server, b"HEAD /metrics HTTP/1.1\r\n\r\n").contains("tulpar_"));
        for (request, code) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"\x16\x03\x01\x02\r\n\r\n", "400"),
            (b"\r\n\r\n", "400"),
        ] {
            assert!(ask(&server, request).starts_with(&format!("HTTP/1.1 {code}")), "{request:?}");
        }
        for wrong in ["", "localhost:x", "99999", "1.2.3.4"] {
            let error = MetricsServer::bind(wrong, one()).unwrap_err();
            assert!(error.subject.starts_with("--metrics"), "{error}");
        }
        let taken = server.address().to_string();
        let error = MetricsServer::bind(&taken, one()).unwrap_err();
        assert!(error.wrong.contains("another program"), "{error}");
    }

    #[test]
    fn slow_and_hostile_clients_hold_nobody_up() {
        let server = MetricsServer::bind("0", one()).unwrap();
        // Some that say nothing, one that never ends, one that does not read.
        let idle: Vec<TcpStream> =
            (0..8).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        let mut endless = TcpStream::connect(server.address()).unwrap();
        let _ = endless.write_all(&[b'a'; 100_000]);
        let began = Instant::now();
        assert!(ask(&server, b"GET /metrics HTTP/1.1\r\n\r\n").contains("200 OK"));
        assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
        // More than there are places: these are turned away, and soon there is room again.
        let crowd: Vec<TcpStream> =
            (0..64).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        std::thread::sleep(2 * DEADLINE);
        assert!(ask(&server, b"GET /healthz HTTP/1.1\r\n\r\n").contains("200 OK"));
        drop((idle, crowd));
        let began = Instant::now();
        drop(server);
        assert!(began.elapsed() < Duration::from_millis(500));
    }
}
