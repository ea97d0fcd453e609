//! Senders of live samples for tests, written from the descriptions of the protocols. Nothing but
//! the standard library, so that tests of the whole program can include this file by its path.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// The samples of [`RtlTcpServer`] count themselves: I and Q are the low and the high byte of the
/// sample's index divided by this.
pub const COUNTER_STEP: u64 = 64;

/// After so many samples the counter begins again.
pub const COUNTER_PERIOD: u64 = COUNTER_STEP << 16;

/// What a test does to a running server.
#[derive(Debug, Default)]
pub struct Faults {
    /// Sends nothing, and later all that was taken meanwhile.
    pub stall: AtomicBool,
    /// Sends nothing, and never what was taken meanwhile.
    pub lose: AtomicBool,
    /// Closes the connection; cleared when done.
    pub hang_up: AtomicBool,
    /// Does not even listen.
    pub absent: AtomicBool,
    /// Greets with other bytes.
    pub garbage: AtomicBool,
    /// Accepts, and says nothing.
    pub silent: AtomicBool,
    stop: AtomicBool,
}

/// I and Q of the sample with an index.
pub type SampleBytes = dyn Fn(u64) -> [u8; 2] + Send + Sync;

/// A server of the `rtl_tcp` protocol, with samples in real time.
pub struct RtlTcpServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What a test does to it.
    pub faults: Arc<Faults>,
    /// Commands received, in their order: code and value.
    pub commands: Arc<Mutex<Vec<(u8, u32)>>>,
    /// Clients that were greeted.
    pub clients: Arc<AtomicU64>,
    /// UTC of the sample with index 0.
    pub start: SystemTime,
    thread: Option<JoinHandle<()>>,
}

impl RtlTcpServer {
    /// Takes `rate` samples per second from now on, and hands them on `burst` at a time.
    pub fn start(rate: f64, burst: u64) -> Self {
        Self::playing(rate, burst, Arc::new(sample))
    }

    /// The same with samples of one's own: I and Q of a sample by its index.
    pub fn playing(rate: f64, burst: u64, sample: Arc<SampleBytes>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(Faults::default());
        let commands = Arc::new(Mutex::new(Vec::new()));
        let clients = Arc::new(AtomicU64::new(0));
        let (began, start) = (Instant::now(), SystemTime::now());
        let thread = {
            let (faults, commands, clients) = (faults.clone(), commands.clone(), clients.clone());
            let serve = move || {
                let mut listener = Some(listener);
                while !faults.stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(2));
                    if faults.absent.load(Ordering::Relaxed) {
                        listener = None;
                        continue;
                    }
                    let listener = listener.get_or_insert_with(|| {
                        loop {
                            match TcpListener::bind(address) {
                                Ok(listener) => break listener,
                                Err(_) => std::thread::sleep(Duration::from_millis(5)),
                            }
                        }
                    });
                    listener.set_nonblocking(true).unwrap();
                    if let Ok((client, _)) = listener.accept() {
                        client.set_nonblocking(false).unwrap();
                        clients.fetch_add(1, Ordering::Relaxed);
                        serve_client(client, &faults, &commands, (began, rate, burst), &*sample);
                    }
                }
            };
            std::thread::spawn(serve)
        };
        Self { address, faults, commands, clients, start, thread: Some(thread) }
    }

    /// The URI by which it is asked for.
    pub fn uri(&self) -> String {
        format!("rtl_tcp://{}", self.address)
    }
}

impl Drop for RtlTcpServer {
    fn drop(&mut self) {
        self.faults.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The bytes of sample `n`.
fn sample(n: u64) -> [u8; 2] {
    let count = n / COUNTER_STEP;
    [count as u8, (count >> 8) as u8]
}

fn serve_client(
    mut client: TcpStream,
    faults: &Faults,
    commands: &Mutex<Vec<(u8, u32)>>,
    (began, rate, burst): (Instant, f64, u64),
    sample: &SampleBytes,
) {
    let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
    client.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    // Samples leave when they are due, not when the client has acknowledged earlier ones.
    client.set_nodelay(true).unwrap();
    if is(&faults.garbage) {
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        return;
    }
    while is(&faults.silent) && !is(&faults.stop) {
        std::thread::sleep(Duration::from_millis(2));
    }
    // An R820T with 29 gains.
    if client.write_all(b"RTL0\0\0\0\x05\0\0\0\x1d").is_err() {
        return;
    }
    // Commands have a thread of their own: the kernel waits in steps of milliseconds, which would
    // show in when samples arrive.
    let closed = AtomicBool::new(false);
    let reading = client.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            read_commands(&reading, commands);
            closed.store(true, Ordering::Relaxed);
        });
        play(&mut client, faults, &closed, (began, rate, burst), sample);
        let _ = client.shutdown(Shutdown::Both);
    });
}

/// Takes note of commands until there will be none.
fn read_commands(mut client: &TcpStream, commands: &Mutex<Vec<(u8, u32)>>) {
    let mut command = [0; 5];
    while client.read_exact(&mut command).is_ok() {
        let [code, a, b, c, d] = command;
        commands.lock().unwrap().push((code, u32::from_be_bytes([a, b, c, d])));
    }
}

/// Sends samples as they are taken.
fn play(
    client: &mut TcpStream,
    faults: &Faults,
    closed: &AtomicBool,
    (began, rate, burst): (Instant, f64, u64),
    sample: &SampleBytes,
) {
    let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
    let mut next = (began.elapsed().as_secs_f64() * rate) as u64;
    let mut bytes = Vec::new();
    while !is(&faults.stop)
        && !is(&faults.absent)
        && !is(closed)
        && !faults.hang_up.swap(false, Ordering::Relaxed)
    {
        let due = Duration::from_secs_f64((next + burst) as f64 / rate);
        let early = due.saturating_sub(began.elapsed());
        if is(&faults.stall) || !early.is_zero() {
            std::thread::sleep(early.clamp(Duration::from_micros(1), Duration::from_millis(2)));
            continue;
        }
        if !is(&faults.lose) {
            bytes.clear();
            bytes.extend((next..next + burst).flat_map(sample));
            if client.write_all(&bytes).is_err() {
                return;
            }
        }
        next += burst;
    }
}
