//! The loop: waits for passes, has each received by a thread of its own, and plans anew.
//!
//! ```text
//!            ┌──────────────────────────────────────────────┐
//!            ▼                                              │
//!  collect what ended ──► plan, if need be ──► begin what is due ──► end what is over ──► wait
//!                          after a pass, a step of the clock,        (at most 10 s)
//!                          new elements, six hours
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::doppler::elements::Store;
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::{after, seconds_between};
use tulpar::station::plan::{LEAD_S, TRAIL_S, plan};
use tulpar::station::report::Attempt;
use tulpar::station::{Plan, Task};

use super::clock::{Clock, LONGEST_WAIT, holder};
use super::pass::{Assignment, Attended, Say};
use super::preparation::Prepared;
use super::service::Service;
use super::shown;

/// How far ahead is planned, s.
const AHEAD_S: f64 = 86_400.0;
/// A plan is made anew after so long, s.
const PLAN_S: f64 = 6.0 * 3600.0;
/// Elements are read anew after so long, s.
const ELEMENTS_S: f64 = 6.0 * 3600.0;
/// And after so long, if a source could not be read, s.
const ELEMENTS_AGAIN_S: f64 = 600.0;
/// Longest wait between two rounds while a pass is received.
const ROUND: Duration = Duration::from_millis(500);
/// What is due is looked at again so much later, s of the station.
const ROUND_S: f64 = 1.0;
/// A reception that has failed is begun again after so long, s.
const PAUSE_S: f64 = 20.0;
/// A reception that begins so long before its time is ended: the clock was set back, s.
const EARLIEST_S: f64 = 120.0;
/// A reception that has not ended so long after it was told to hangs: the service manager's watchdog
/// is no longer fed. What can be left behind is left behind before that.
const LONGEST_END: Duration = Duration::from_secs(90);
/// What is left of a pass is not begun if it is shorter, s.
const LEAST_S: f64 = 10.0;

/// Tasks of a satellite that end within so long of each other are the same pass, s.
const SAME_S: f64 = 60.0;

/// How long it goes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// Up to here.
    pub until: Option<Timestamp>,
    /// Up to the end of the first pass.
    pub once: bool,
}

/// A station at work.
pub struct Watch {
    prepared: Arc<Prepared>,
    orbits: Vec<Arc<Orbit>>,
    clock: Arc<dyn Clock>,
    /// By what number the loop holds it.
    holder: u64,
    rehearsal: bool,
    service: Service,
    say: Say,
    stop: Arc<AtomicBool>,
    plan: Plan,
    planned: Timestamp,
    plan_is_stale: bool,
    elements_read: Timestamp,
    /// How long these do, s.
    elements_do_s: f64,
    reading: Option<Receiver<Result<(Store, bool), RequestError>>>,
    running: Vec<Running>,
    /// Passes that were attempted.
    done: Vec<Done>,
    /// Passes of which there were samples.
    received: usize,
    /// Passes that are over, with or without.
    over: usize,
}

/// A pass that was attempted.
struct Done {
    request: usize,
    /// The end of the task.
    to: Timestamp,
    /// When it may be begun again.
    again: Timestamp,
    /// There were samples.
    heard: bool,
    /// Attempts since without one, and where the last of them is kept.
    attempts: Vec<Attempt>,
    base: Option<PathBuf>,
}

impl Done {
    fn is(&self, request: usize, to: Timestamp) -> bool {
        self.request == request && seconds_between(self.to, to).abs() < SAME_S
    }
}

/// A pass that is being received.
struct Running {
    task: Task,
    holder: u64,
    stop: Arc<AtomicBool>,
    /// When it was told to end.
    ending: Option<Instant>,
    thread: JoinHandle<Attended>,
}

impl Running {
    /// It does not end: its radio and what it holds are lost to this process.
    fn hangs(&self) -> bool {
        self.ending.is_some_and(|since| since.elapsed() > LONGEST_END)
    }
}

impl Watch {
    /// A station that has been checked.
    pub fn new(
        prepared: Arc<Prepared>,
        orbits: Vec<Arc<Orbit>>,
        clock: Arc<dyn Clock>,
        rehearsal: bool,
        say: Say,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let now = clock.now();
        Self {
            prepared,
            orbits,
            clock,
            holder: holder(),
            rehearsal,
            service: Service::new(),
            say,
            stop,
            plan: Plan::default(),
            planned: now,
            plan_is_stale: true,
            elements_read: now,
            elements_do_s: ELEMENTS_S,
            reading: None,
            running: Vec::new(),
            done: Vec::new(),
            received: 0,
            over: 0,
        }
    }

    /// Goes on until it is told to stop, or as far as asked for. Number of passes received.
    pub fn run(mut self, extent: Extent) -> usize {
        self.service.ready();
        loop {
            if !self.running.iter().any(Running::hangs) {
                self.service.alive();
            }
            let now = self.clock.now();
            self.collect(now);
            let over = extent.until.is_some_and(|until| now >= until);
            let enough = extent.once && self.over > 0 && self.running.is_empty();
            if self.stop.load(Ordering::Relaxed) || over || enough {
                break;
            }
            if let Some(step_s) = self.clock.stepped_s() {
                self.say(&format!("the clock was set by {step_s:+.1} s; planning anew"));
                // What was done was done at other times.
                self.done.clear();
                self.plan_is_stale = true;
            }
            self.refresh_elements(now);
            if self.plan_is_stale || seconds_between(self.planned, now).abs() > PLAN_S {
                self.make_plan(now);
            }
            let may_begin = !(extent.once && self.over + self.running.len() > 0);
            if may_begin {
                self.begin(now);
            }
            self.end(now);
            self.show(now);
            let next = self.next_event(now, extent.until);
            self.clock.hold(self.holder, Some(next));
            let longest = if self.running.is_empty() { LONGEST_WAIT } else { ROUND };
            self.clock.wait_until(next, longest, &self.stop);
        }
        self.clock.hold(self.holder, None);
        self.service.stopping();
        for running in &self.running {
            running.stop.store(true, Ordering::Relaxed);
        }
        let now = self.clock.now();
        for running in std::mem::take(&mut self.running) {
            self.finished(running, now);
        }
        self.received
    }

    /// Whether every source of elements could be read: otherwise they are soon read again.
    pub fn elements_were(&mut self, complete: bool) {
        self.elements_do_s = if complete { ELEMENTS_S } else { ELEMENTS_AGAIN_S };
    }

    fn say(&self, line: &str) {
        (self.say)(line);
    }

    fn name(&self, request: usize) -> &str {
        &self.prepared.satellites[request].entry.name
    }

    /// Takes in the passes that have ended.
    fn collect(&mut self, now: Timestamp) {
        let (ended, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|running: &Running| running.thread.is_finished());
        self.running = running;
        for running in ended {
            self.finished(running, now);
            self.plan_is_stale = true;
        }
    }

    fn finished(&mut self, running: Running, now: Timestamp) {
        let Running { task, thread, holder, .. } = running;
        let request = task.candidate.request;
        let attended = match thread.join() {
            Ok(attended) => {
                self.say(&attended.report.said());
                Some(attended)
            }
            Err(_) => {
                let line =
                    format!("{}: the reception failed by an internal error", self.name(request));
                self.say(&line);
                None
            }
        };
        self.clock.hold(holder, None);
        self.note(request, task.to, attended, now);
    }

    /// Notes what became of an attempt at a pass.
    fn note(&mut self, request: usize, to: Timestamp, attended: Option<Attended>, now: Timestamp) {
        self.done.retain(|done| seconds_between(done.to, now) < 3600.0);
        let known = self.done.iter().position(|done| done.is(request, to));
        let mut done = match known {
            Some(index) => self.done.swap_remove(index),
            None => {
                let (again, attempts) = (now, Vec::new());
                Done { request, to, again, heard: false, attempts, base: None }
            }
        };
        match attended {
            Some(Attended { report, .. }) if report.samples > 0 => {
                self.received += usize::from(!done.heard);
                (done.heard, done.base) = (true, None);
                done.attempts.clear();
            }
            Some(Attended { report, began, base }) => {
                done.attempts.push(Attempt::new(began, report.failures));
                done.base = Some(base);
            }
            None => {}
        }
        // One that has come to its end is over, whatever newer elements say of its set.
        done.again = match seconds_between(now, to) < PAUSE_S + LEAST_S {
            true => Timestamp::MAX,
            false => after(now, PAUSE_S),
        };
        self.over += usize::from(done.heard || done.again == Timestamp::MAX);
        self.done.push(done);
    }

    /// Takes new elements in, and has them read when they are old.
    fn refresh_elements(&mut self, now: Timestamp) {
        if let Some(reading) = &self.reading {
            match reading.try_recv() {
                Ok(read) => {
                    self.reading = None;
                    self.take_elements(read, now);
                }
                Err(error) if error.is_disconnected() => self.reading = None,
                Err(_) => {}
            }
        } else if seconds_between(self.elements_read, now).abs() > self.elements_do_s {
            self.elements_read = now;
            let (sender, receiver) = bounded(1);
            let read = self.prepared.elements_reader();
            let thread = std::thread::Builder::new().name("elements".into());
            let spawned = thread.spawn(move || {
                // Nobody may be waiting any more.
                let _ = sender.send(read());
            });
            match spawned {
                Ok(_) => self.reading = Some(receiver),
                Err(error) => {
                    self.say(&format!("elements cannot be read anew for now ({error})"));
                }
            }
        }
    }

    fn take_elements(&mut self, read: Result<(Store, bool), RequestError>, now: Timestamp) {
        let store = match read {
            Ok((store, complete)) => {
                self.elements_were(complete);
                store
            }
            Err(error) => {
                self.elements_were(false);
                self.say(&format!("{error}; the elements there are serve on"));
                return;
            }
        };
        store.warnings().iter().for_each(|warning| self.say(warning));
        for satellite in 0..self.orbits.len() {
            match self.prepared.orbit(&store, satellite, now) {
                Ok((orbit, warning)) => {
                    if orbit.elements() != self.orbits[satellite].elements() {
                        self.orbits[satellite] = orbit;
                        self.plan_is_stale = true;
                    }
                    warning.iter().for_each(|warning| self.say(warning));
                }
                Err(error) => self.say(&format!("{error}; the elements there are serve on")),
            }
        }
    }

    fn make_plan(&mut self, now: Timestamp) {
        let requests = self.prepared.requests(&self.orbits);
        self.plan = plan(&requests, &self.prepared.place, now, after(now, AHEAD_S));
        self.planned = now;
        self.plan_is_stale = false;
        for (request, time, error) in &self.plan.lost {
            let line = format!("{}: no positions from {time:.0} on: {error}", self.name(*request));
            self.say(&line);
        }
    }

    /// Whether a task is to be begun, now or later.
    fn is_open(&self, task: &Task, now: Timestamp) -> bool {
        let request = task.candidate.request;
        let running = |r: &Running| {
            r.task.candidate.request == request
                && seconds_between(r.task.to, task.to).abs() < SAME_S
        };
        seconds_between(now, task.to) >= LEAST_S
            && !self.running.iter().any(running)
            && !self.done.iter().any(|done| done.is(request, task.to) && now < done.again)
    }

    /// Begins what is due.
    fn begin(&mut self, now: Timestamp) {
        let due: Vec<Task> = self
            .plan
            .tasks
            .iter()
            .filter(|task| after(task.from, -LEAD_S) <= now && self.is_open(task, now))
            .cloned()
            .collect();
        for task in due {
            if self.running.iter().any(|running| running.task.radio == task.radio) {
                continue;
            }
            let request = task.candidate.request;
            let late = if now > task.from { ", in the middle of it" } else { "" };
            self.say(&format!(
                "{}: receiving from {} to {} UTC with radio {}, {:.0}° high{late}",
                self.name(request),
                task.from.strftime("%H:%M:%S"),
                task.to.strftime("%H:%M:%S"),
                self.prepared.file.radios[task.radio].name,
                task.candidate.elevation_deg
            ));
            let stop = Arc::new(AtomicBool::new(false));
            let holder = holder();
            // Until the radio is open.
            self.clock.hold(holder, Some(now));
            let earlier = self.done.iter().find(|done| done.is(request, task.to));
            let assignment = Assignment {
                prepared: self.prepared.clone(),
                task: task.clone(),
                orbit: self.orbits[request].clone(),
                clock: self.clock.clone(),
                holder,
                rehearsal: self.rehearsal,
                stop: stop.clone(),
                say: self.say.clone(),
                earlier: earlier.map_or(Vec::new(), |done| done.attempts.clone()),
                base: earlier.and_then(|done| done.base.clone()),
            };
            let thread = std::thread::Builder::new().name("pass".into());
            match thread.spawn(move || assignment.receive()) {
                Ok(thread) => {
                    self.running.push(Running { task, holder, stop, ending: None, thread });
                }
                Err(error) => {
                    let line = format!("{}: no thread to receive it ({error})", self.name(request));
                    self.say(&line);
                    self.clock.hold(holder, None);
                    self.note(request, task.to, None, now);
                }
            }
        }
    }

    /// Ends what is over.
    fn end(&mut self, now: Timestamp) {
        for Running { task, stop, ending, .. } in &mut self.running {
            // Before its time: the clock was set back.
            if now >= after(task.to, TRAIL_S) || now < after(task.from, -EARLIEST_S) {
                stop.store(true, Ordering::Relaxed);
                ending.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Tells the service manager what goes on.
    fn show(&mut self, now: Timestamp) {
        let text = match &self.running[..] {
            [] => shown::next(&self.prepared, &self.plan, now),
            running => {
                let names = running.iter().map(|r| self.name(r.task.candidate.request));
                format!("receiving {}", names.collect::<Vec<_>>().join(", "))
            }
        };
        self.service.status(&text);
    }

    /// When there is something to do next.
    fn next_event(&self, now: Timestamp, until: Option<Timestamp>) -> Timestamp {
        let begins = self
            .plan
            .tasks
            .iter()
            .filter(|task| self.is_open(task, now))
            .map(|task| after(task.from, -LEAD_S).max(after(now, ROUND_S)));
        let ends = self
            .running
            .iter()
            .map(|running| after(running.task.to, TRAIL_S).max(after(now, ROUND_S)));
        begins.chain(ends).chain(until).min().unwrap_or_else(|| after(now, AHEAD_S))
    }
}
