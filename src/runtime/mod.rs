//! The FutureSDR flowgraph around the stages: the only folder that knows the runtime.
//!
//! ```text
//!                    lane ► [receiver block | frames ► tap] ─┐
//!  source thread ──► lane ► [receiver block | frames ► tap] ─┼► collector ► queue ► sink thread
//!                    lane ► [receiver block | frames ► tap] ─┘            ► queue ► sink thread
//!                    lane ► recorder thread ◄── frames ────────┘
//!                    lane ► observer thread
//! ```
//!
//! One thread reads the source and publishes shared blocks of samples into one bounded lane per
//! downlink ([`feed`]). Each downlink is a flowgraph of its own (in brackets): it fails alone, and
//! the flowgraphs share the runtime's workers. Frames leave as messages; a collector merges the
//! downlinks in time order and hands each frame to every sink's bounded queue ([`outlet`]). In real
//! time a supervisor notices a flowgraph that fails or hangs, and starts another in its place. What
//! all of them are doing stands in one [`status`]; the status line, [`metrics`] and health read it.
//!
//! FutureSDR 0.0.40 is used so that its known weaknesses cannot bite:
//! no stream ports (their buffer spins while it wakes its peer), every entry into our code is
//! guarded (a panicking block would hang the flowgraph), message handlers never fail or wait
//! without bound, the control port is off, and a `config.toml` in the current directory is not
//! taken for the runtime's.

mod blocks;
mod collector;
mod ending;
pub mod feed;
pub mod metrics;
pub mod metrics_server;
pub mod observer;
pub mod outlet;
mod reading;
pub mod recorder;
pub mod rig_server;
pub mod session;
pub mod status;
mod supervisor;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use futuresdr::runtime::Runtime;
use futuresdr::runtime::config;
use futuresdr::runtime::scheduler::SmolScheduler;

pub use metrics_server::MetricsServer;
pub use observer::Observer;
pub use recorder::{RecorderReport, RecorderRequest};
pub use session::{Pace, Session, SessionError, Summary};
pub use status::Status;

/// Messages in a block's inbox. Small, so that a request to stop is not stuck behind many.
const QUEUE_MESSAGES: usize = 64;

/// The process's runtime. Its executors live as long as the process, so there is one; a second
/// only if a block never returns and keeps a worker of the first.
type Shared = &'static Runtime<SmolScheduler>;

static RUNTIME: Mutex<Option<Shared>> = Mutex::new(None);

/// The runtime in which flowgraphs are started.
fn runtime() -> Result<Shared, SessionError> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    match *runtime {
        Some(runtime) => Ok(runtime),
        None => Ok(*runtime.insert(new_runtime()?)),
    }
}

/// A block hangs in this runtime: later flowgraphs are started in another one, with all its workers.
fn leave_runtime(left: Shared) {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if runtime.is_some_and(|present| std::ptr::eq(present, left)) {
        *runtime = None;
    }
}

fn new_runtime() -> Result<Shared, SessionError> {
    guard(configure)
        .map_err(|_| {
            "FutureSDR's own settings (FUTURESDR_* in the environment, or \
             futuresdr/config.toml in the user's configuration folder) hold a value that \
             it cannot read; mend or remove it"
                .to_owned()
        })
        .and_then(|()| {
            // One more than there are cores: a block that hangs leaves a worker for the others.
            let workers = std::thread::available_parallelism().map_or(1, usize::from) + 1;
            guard(|| Runtime::with_scheduler(SmolScheduler::new(workers, false)))
        })
        .map(|runtime| &*Box::leak(Box::new(runtime)))
        .map_err(SessionError::Runtime)
}

/// Reads FutureSDR's settings, but not a `config.toml` of the current directory: any program's
/// file may have that name, and a value of the wrong type in it would end the process. The
/// settings are read once, at the first access, relative to the current directory.
fn configure() {
    let here = std::env::current_dir();
    let root = here.as_ref().ok().and_then(|h| h.ancestors().last().map(std::path::Path::to_owned));
    let moved = root.is_some_and(|r| std::env::set_current_dir(r).is_ok());
    let outcome = catch_unwind(|| config::set("ctrlport_enable", false));
    if moved && let Ok(here) = here {
        let _ = std::env::set_current_dir(here);
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    config::set("queue_size", QUEUE_MESSAGES as u64);
    config::set("log_level", "warn");
}

/// Runs `f`; a panic becomes an error with its message.
fn guard<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        format!("internal error: {text}")
    })
}
