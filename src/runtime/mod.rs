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
//! downlinks in time order and hands each frame to every sink's bounded queue ([`outlet`]).
//!
//! FutureSDR 0.0.40 is used so that its known weaknesses cannot bite:
//! no stream ports (their buffer spins while it wakes its peer), every entry into our code is
//! guarded (a panicking block would hang the flowgraph), message handlers never fail or wait
//! without bound, the control port is off, and a `config.toml` in the current directory is not
//! taken for the runtime's.

mod blocks;
pub mod feed;
pub mod observer;
pub mod outlet;
pub mod recorder;
pub mod rig_server;
pub mod session;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use futuresdr::runtime::Runtime;
use futuresdr::runtime::config;
use futuresdr::runtime::scheduler::SmolScheduler;

pub use observer::Observer;
pub use recorder::{RecorderReport, RecorderRequest};
pub use session::{Pace, Session, SessionError, Summary};

/// Messages in a block's inbox. Small, so that a request to stop is not stuck behind many.
const QUEUE_MESSAGES: usize = 64;

/// The process's runtime. Its executors live as long as the process, so there is one.
fn runtime() -> Result<&'static Runtime<SmolScheduler>, SessionError> {
    static RUNTIME: OnceLock<Result<Runtime<SmolScheduler>, String>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            guard(configure).map_err(|_| {
                "FutureSDR's own settings (FUTURESDR_* in the environment, or \
                 futuresdr/config.toml in the user's configuration folder) hold a value that \
                 it cannot read; mend or remove it"
                    .to_owned()
            })?;
            let workers = std::thread::available_parallelism().map_or(1, usize::from);
            guard(|| Runtime::with_scheduler(SmolScheduler::new(workers, false)))
        })
        .as_ref()
        .map_err(|text| SessionError::Runtime(text.clone()))
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
