//! Orbital elements from the network, with a cache.
//!
//! An answer is kept in a file for each URL. It is used without asking again for two hours (the
//! elements do not change more often, and CelesTrak blocks those who ask more often), and also
//! later if the network fails. An answer without elements is never kept.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tulpar::RequestError;
use tulpar::doppler::elements::{self, ElementsFile};

/// Environment variable that names the folder for caches.
pub const CACHE_VARIABLE: &str = "TULPAR_CACHE";

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(2 * 3600);

/// Everything from the name look-up to the last byte must be done by then.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer that is read, bytes.
const LARGEST_BYTES: u64 = 50_000_000;

/// Whether a source of elements is to be fetched.
pub fn is_url(source: &str) -> bool {
    let starts = |scheme: &str| {
        source.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    starts("http://") || starts("https://")
}

/// Fetches elements and keeps what came.
pub struct Fetcher {
    /// Where answers are kept; `None`: nowhere.
    folder: Option<PathBuf>,
    agent: ureq::Agent,
    /// An old copy had to do.
    stale: Cell<bool>,
}

impl Fetcher {
    /// With the user's cache: `elements` in `$TULPAR_CACHE`, or in `tulpar` in the folder for
    /// caches.
    pub fn new() -> Self {
        let folder = match std::env::var_os(CACHE_VARIABLE) {
            Some(folder) if !folder.is_empty() => Some(folder.into()),
            _ => dirs::cache_dir().map(|folder| folder.join("tulpar")),
        };
        Self::with(folder.map(|folder| folder.join("elements")), |config| config)
    }

    fn with(folder: Option<PathBuf>, configure: impl FnOnce(AgentConfig) -> AgentConfig) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("tulpar/", env!("CARGO_PKG_VERSION")));
        Self { folder, agent: configure(config).build().into(), stale: Cell::new(false) }
    }

    /// The elements at a URL, from the cache or the network. What is to be said about them is
    /// among their warnings.
    ///
    /// # Errors
    /// They cannot be fetched, or the answer holds none, and there is no cached copy either.
    pub fn elements(&self, url: &str) -> Result<ElementsFile, RequestError> {
        let shown = without_credentials(url);
        let kept = self.folder.as_ref().map(|folder| folder.join(file_name(url)));
        let copy = kept.as_deref().and_then(|path| Copy::read(path, &shown));
        if let Some(copy) = &copy
            && copy.age.is_some_and(|age| age < FRESH)
        {
            return Ok(copy.elements.clone());
        }
        let fetched = self.fetch(url, &shown).and_then(|content| {
            elements::parse(&shown, &content).map(|elements| (elements, content))
        });
        match (fetched, copy) {
            (Ok((mut elements, content)), _) => {
                if let Some(path) = kept
                    && let Err(error) = keep(&path, &content)
                {
                    let path = path.display();
                    let warning = format!("{path}: the elements cannot be kept here: {error}");
                    elements.warnings.push(warning);
                }
                Ok(elements)
            }
            (Err(error), Some(copy)) => {
                self.stale.set(true);
                let RequestError { subject, wrong, .. } = error;
                let age = copy.age.map_or("some time".to_owned(), span);
                let mut elements = copy.elements;
                elements
                    .warnings
                    .push(format!("{subject}: {wrong}; the copy from {age} ago is used"));
                Ok(elements)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Whether an old copy had to do for any of the URLs.
    pub fn is_stale(&self) -> bool {
        self.stale.get()
    }

    /// The content at a URL.
    fn fetch(&self, url: &str, shown: &str) -> Result<Vec<u8>, RequestError> {
        let body = self.agent.get(url).call().and_then(|mut response| {
            response.body_mut().with_config().limit(LARGEST_BYTES).read_to_vec()
        });
        body.map_err(|error| {
            let check = "check the URL and the network, or name a file with --elements";
            let (wrong, right) = match error {
                ureq::Error::StatusCode(status @ (403 | 429)) => (
                    format!("the server refuses (status {status})"),
                    "it may have been asked too often: wait some hours, or name a file",
                ),
                ureq::Error::StatusCode(404) => {
                    ("the server has nothing there (status 404)".to_owned(), "check the URL")
                }
                ureq::Error::StatusCode(status) => {
                    (format!("the server answers with status {status}"), check)
                }
                ureq::Error::Timeout(_) => {
                    (format!("there is no answer within {} s", TIMEOUT.as_secs()), check)
                }
                ureq::Error::HostNotFound => ("there is no such host".to_owned(), check),
                ureq::Error::BodyExceedsLimit(_) => {
                    ("the answer is larger than 50 MB".to_owned(), "ask for fewer objects")
                }
                ureq::Error::BadUri(_) => ("is no URL that can be fetched".to_owned(), check),
                error => (format!("cannot be fetched: {error}"), check),
            };
            RequestError::new(shown, wrong, right)
        })
    }
}

/// How an agent is set up.
type AgentConfig = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

/// A cached answer that holds elements.
struct Copy {
    elements: ElementsFile,
    /// `None` if it claims to be from the future.
    age: Option<Duration>,
}

impl Copy {
    fn read(path: &Path, shown: &str) -> Option<Self> {
        let modified = fs::metadata(path).ok()?.modified().ok()?;
        let elements = elements::parse(shown, &fs::read(path).ok()?).ok()?;
        Some(Self { elements, age: SystemTime::now().duration_since(modified).ok() })
    }
}

/// Replaces a file as a whole: whoever reads it meanwhile sees the old content or the new.
pub fn keep(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The name of the file for a URL: its host, and a hash (FNV-1a) of all of it.
fn file_name(url: &str) -> String {
    let hash = url.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let mut name: String = without_credentials(url)
        .split("://")
        .nth(1)
        .unwrap_or_default()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .take(40)
        .collect();
    let _ = write!(name, "-{hash:016x}.elements");
    name
}

/// The URL without user and password, for messages.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// A span of time in round numbers.
fn span(age: Duration) -> String {
    let hours = age.as_secs() / 3600;
    if hours < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const TLE: &str = "AALTO-1\n\
        1 42775U 17036L   24122.52427083  .00012345  00000-0  56789-3 0  9997\n\
        2 42775  97.1234 123.4567 0012345 210.9876 149.0123 15.23456789378906\n";

    /// A server that gives these answers (status line and body) one after another, then closes;
    /// its URL, and how many requests came. `None` stands for hanging until the client gives up.
    fn server(answers: Vec<Option<(&'static str, String)>>) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/gp.php?FORMAT=tle", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    line.clear();
                }
                counter.fetch_add(1, Ordering::SeqCst);
                let Some((status, body)) = answer else {
                    // Until the other end closes.
                    let _ = reader.read_line(&mut line);
                    continue;
                };
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
                let _ = write!(stream, "{head}Connection: close\r\n\r\n{body}");
            }
        });
        (url, count)
    }

    fn fetcher(folder: &Path) -> Fetcher {
        Fetcher::with(Some(folder.join("elements")), |config| {
            config.proxy(None).timeout_global(Some(Duration::from_millis(700)))
        })
    }

    /// Makes what is cached older.
    fn age(folder: &Path, by: Duration) {
        for entry in fs::read_dir(folder.join("elements")).unwrap() {
            let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(SystemTime::now() - by).unwrap();
        }
    }

    fn ok(body: &str) -> Option<(&'static str, String)> {
        Some(("200 OK", body.to_owned()))
    }

    #[test]
    fn an_answer_is_kept_and_used_for_two_hours() {
        let folder = tempfile::tempdir().unwrap();
        let newer = TLE.replace("AALTO-1", "NEWER");
        let (url, count) = server(vec![ok(TLE), ok(&newer)]);
        let fetcher = fetcher(folder.path());
        for _ in 0..3 {
            let read = fetcher.elements(&url).unwrap();
            assert_eq!(read.sets[0].name.as_deref(), Some("AALTO-1"));
            assert!(read.sets[0].source.starts_with(&url) && read.warnings.is_empty());
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        age(folder.path(), FRESH + Duration::from_secs(60));
        assert_eq!(fetcher.elements(&url).unwrap().sets[0].name.as_deref(), Some("NEWER"));
        assert_eq!(count.load(Ordering::SeqCst), 2);
        let files: Vec<_> = fs::read_dir(folder.path().join("elements")).unwrap().collect();
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn an_old_copy_serves_when_the_network_fails() {
        let folder = tempfile::tempdir().unwrap();
        let (url, count) = server(vec![
            ok(TLE),
            Some(("503 Service Unavailable", String::new())),
            ok("No GP data found"),
            None,
        ]);
        let fetcher = fetcher(folder.path());
        fetcher.elements(&url).unwrap();
        age(folder.path(), Duration::from_secs(5 * 3600 + 60));
        for says in ["status 503", "holds no orbital elements", "no answer within"] {
            let read = fetcher.elements(&url).unwrap();
            assert_eq!(read.sets.len(), 1);
            let warning = &read.warnings[0];
            assert!(warning.contains(says), "{warning}");
            assert!(warning.ends_with("the copy from 5 hours ago is used"), "{warning}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 4);
        // Nobody listens any more; a copy from the future is not trusted to be fresh.
        let future = SystemTime::now() + Duration::from_secs(1000);
        for entry in fs::read_dir(folder.path().join("elements")).unwrap() {
            let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(future).unwrap();
        }
        let read = fetcher.elements(&url).unwrap();
        assert!(read.warnings[0].contains("cannot be fetched"), "{:?}", read.warnings);
    }

    #[test]
    fn without_a_copy_the_failure_is_said_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let (url, _) = server(vec![
            Some(("404 Not Found", "nothing".to_owned())),
            Some(("403 Forbidden", "too often".to_owned())),
            ok("<!DOCTYPE html>\n<p>hello"),
            Some(("garbage", String::new())),
        ]);
        let fetcher = fetcher(folder.path());
        for says in ["status 404", "status 403", "web page", "cannot be fetched"] {
            let error = fetcher.elements(&url).unwrap_err().to_string();
            assert!(error.starts_with(&url) && error.contains(says), "{error}");
            assert!(!error.contains('\n'));
        }
        assert!(!folder.path().join("elements").exists());
        for url in ["http://", "http:///x", "http://x y/", "https://[::1", "http://a:99999/"] {
            assert!(fetcher.elements(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("elements"), b"a file, no folder").unwrap();
        let (url, _) = server(vec![ok(TLE)]);
        let read = fetcher(folder.path()).elements(&url).unwrap();
        assert_eq!(read.sets.len(), 1);
        assert!(read.warnings[0].contains("cannot be kept here"), "{:?}", read.warnings);
    }

    #[test]
    fn urls_are_told_and_named() {
        assert!(is_url("HTTPS://x") && is_url("http://x"));
        assert!(!is_url("x.tle") && !is_url("ftp://x") && !is_url("http") && !is_url("é"));
        assert_eq!(without_credentials("https://me:pw@a.org/x@y"), "https://a.org/x@y");
        let name = file_name("https://me:pw@celestrak.org/NORAD?x=1");
        assert!(name.starts_with("celestrak.org-") && name.ends_with(".elements"), "{name}");
        assert_ne!(name, file_name("https://me:pw@celestrak.org/NORAD?x=2"));
    }
}
