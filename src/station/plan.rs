//! Which pass is received when, and by which radio.
//!
//! ```text
//!  orbits ──► passes ──► candidates, best first ──► per radio: what is still free of the pass
//!             (sky)      priority, elevation, rise    ──► tasks │ omissions, each with its reason
//! ```
//!
//! Candidates are taken in the order of priority (higher first), then of the highest elevation, then
//! of their rise. Each goes to the radio that has the most of its time free, the first in the list
//! where that is equal; of a pass that is cut by others the parts are kept that last at least
//! [`SHORTEST_S`]. Between two receptions a radio has [`LEAD_S`] + [`TRAIL_S`] to be set up.
//!
//! Passes are looked for beyond both ends of the time asked for, so that one that is in progress at
//! an end is judged by the whole of it: a plan made in the middle of a pass continues that pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::doppler::orbit::{Orbit, OrbitError};
use crate::doppler::passes::passes;
use crate::doppler::station::Station;
use crate::doppler::{after, seconds_between};

/// A radio is set up so long before a satellite rises, s.
pub const LEAD_S: f64 = 10.0;
/// Reception goes on so long after it has set, s.
pub const TRAIL_S: f64 = 5.0;
/// What conflicts leave of a pass is received if it is at least this long, s.
pub const SHORTEST_S: f64 = 60.0;
/// Passes are looked for at most so far before and after the time asked for, s.
const FARTHEST_S: f64 = 86_400.0;

/// A satellite that is to be received.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where it is.
    pub orbit: Arc<Orbit>,
    /// Higher goes first.
    pub priority: u32,
    /// Passes that culminate lower are left out, degrees.
    pub min_elevation_deg: f64,
    /// Elevation at which its passes begin and end, degrees.
    pub horizon_deg: f64,
    /// Radios that can receive it, the preferred one first.
    pub radios: Vec<usize>,
}

/// A pass that could be received.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Whose: index of the request.
    pub request: usize,
    /// Higher goes first.
    pub priority: u32,
    /// It comes above the horizon.
    pub rise: Timestamp,
    /// It stands highest.
    pub highest: Timestamp,
    /// It goes below the horizon.
    pub set: Timestamp,
    /// Greatest elevation, degrees.
    pub elevation_deg: f64,
    /// Radios that can receive it, the preferred one first.
    pub radios: Vec<usize>,
}

/// A radio receives a pass, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The pass.
    pub candidate: Candidate,
    /// Which radio.
    pub radio: usize,
    /// From here on, not before its rise.
    pub from: Timestamp,
    /// Up to here, not after its set.
    pub to: Timestamp,
    /// Requests whose passes took the rest, in the order of their numbers.
    pub gives_way_to: Vec<usize>,
}

impl Task {
    /// Duration of the reception, seconds.
    pub fn duration_s(&self) -> f64 {
        seconds_between(self.from, self.to)
    }

    /// Whether a part of the pass is left to others.
    pub fn is_cut(&self) -> bool {
        self.from > self.candidate.rise || self.to < self.candidate.set
    }
}

/// Why a pass is not received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It does not come as high as the satellite's passes have to.
    Low,
    /// No radio can receive it.
    NoRadio,
    /// Passes of these requests keep the radios busy.
    Conflict(Vec<usize>),
}

/// A pass that is not received.
#[derive(Debug, Clone, PartialEq)]
pub struct Omission {
    /// The pass.
    pub candidate: Candidate,
    /// Why.
    pub reason: Reason,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In the order of time.
    pub tasks: Vec<Task>,
    /// In the order of time.
    pub omissions: Vec<Omission>,
    /// Requests whose elements give no position from an instant on.
    pub lost: Vec<(usize, Timestamp, OrbitError)>,
}

/// The plan for what happens after `from` and begins before `to`. A pass in progress at `from` keeps
/// its true rise; who receives it begins in the middle.
pub fn plan(requests: &[Request], station: &Station, from: Timestamp, to: Timestamp) -> Plan {
    let mut candidates = Vec::new();
    let mut low = Vec::new();
    let mut lost = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let margin_s = request.orbit.period_s().clamp(600.0, FARTHEST_S);
        let (begin, end) = (after(from, -margin_s), after(to, margin_s));
        let found = passes(&request.orbit, station, begin, end, request.horizon_deg);
        if let Some((time, error)) = found.lost
            && time < to
        {
            lost.push((index, time.max(from), error));
        }
        for pass in found.passes {
            let candidate = Candidate {
                request: index,
                priority: request.priority,
                rise: pass.rise.time,
                highest: pass.culmination.time,
                set: pass.set.time,
                elevation_deg: pass.culmination.observation.elevation_deg,
                radios: request.radios.clone(),
            };
            if candidate.elevation_deg >= request.min_elevation_deg {
                candidates.push(candidate);
            } else {
                low.push(Omission { candidate, reason: Reason::Low });
            }
        }
    }
    let mut plan = assign(&candidates);
    plan.lost = lost;
    plan.omissions.append(&mut low);
    plan.omissions.sort_by_key(|omission| (omission.candidate.rise, omission.candidate.request));
    plan.tasks.retain(|task| task.to > from && task.from < to);
    plan.omissions.retain(|o| o.candidate.set > from && o.candidate.rise < to);
    plan
}

/// Gives every candidate a radio, or a reason why not.
pub fn assign(candidates: &[Candidate]) -> Plan {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by(|a, b| {
        (b.priority.cmp(&a.priority))
            .then(b.elevation_deg.total_cmp(&a.elevation_deg))
            .then(a.rise.cmp(&b.rise))
            .then(a.request.cmp(&b.request))
    });
    let mut plan = Plan::default();
    for candidate in order {
        let whole = (candidate.rise, candidate.set);
        let mut best: Option<(f64, Share)> = None;
        let mut rivals = BTreeSet::new();
        for &radio in &candidate.radios {
            let share = share(&plan.tasks, radio, whole);
            rivals.extend(share.rivals.iter().copied());
            let total_s: f64 = share.pieces.iter().map(|(a, b)| seconds_between(*a, *b)).sum();
            // To a millisecond, so that rounding prefers no radio.
            if !share.pieces.is_empty() && best.as_ref().is_none_or(|(s, _)| total_s > s + 1e-3) {
                best = Some((total_s, share));
            }
        }
        match best {
            Some((_, share)) => {
                plan.tasks.extend(share.pieces.iter().map(|&(from, to)| Task {
                    candidate: candidate.clone(),
                    radio: share.radio,
                    from,
                    to,
                    gives_way_to: share.rivals.iter().copied().collect(),
                }));
            }
            None => {
                let reason = match candidate.radios.is_empty() {
                    true => Reason::NoRadio,
                    false => Reason::Conflict(rivals.into_iter().collect()),
                };
                plan.omissions.push(Omission { candidate: candidate.clone(), reason });
            }
        }
    }
    plan.tasks.sort_by_key(|task| (task.from, task.radio));
    plan.omissions.sort_by_key(|omission| (omission.candidate.rise, omission.candidate.request));
    plan
}

/// What a radio has left for a pass.
struct Share {
    radio: usize,
    /// Free, and long enough.
    pieces: Vec<(Timestamp, Timestamp)>,
    /// Requests that have the rest.
    rivals: BTreeSet<usize>,
}

/// What `tasks` leave of a pass on a radio.
fn share(tasks: &[Task], radio: usize, whole: (Timestamp, Timestamp)) -> Share {
    let mut pieces = vec![whole];
    let mut rivals = BTreeSet::new();
    for task in tasks.iter().filter(|task| task.radio == radio) {
        let busy = (after(task.from, -(LEAD_S + TRAIL_S)), after(task.to, LEAD_S + TRAIL_S));
        if busy.1 <= whole.0 || busy.0 >= whole.1 {
            continue;
        }
        rivals.insert(task.candidate.request);
        pieces = pieces
            .into_iter()
            .flat_map(|(a, b)| [(a, b.min(busy.0)), (a.max(busy.1), b)])
            .filter(|(a, b)| a < b)
            .collect();
    }
    pieces.retain(|&piece| piece == whole || seconds_between(piece.0, piece.1) >= SHORTEST_S);
    Share { radio, pieces, rivals }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doppler::elements;

    fn at(second: f64) -> Timestamp {
        after("2026-11-22T12:00:00Z".parse().unwrap(), second)
    }

    fn candidate(request: usize, priority: u32, rise_s: f64, set_s: f64, el: f64) -> Candidate {
        Candidate {
            request,
            priority,
            rise: at(rise_s),
            highest: at((rise_s + set_s) / 2.0),
            set: at(set_s),
            elevation_deg: el,
            radios: vec![0],
        }
    }

    fn spans(plan: &Plan) -> Vec<(usize, usize, f64, f64)> {
        plan.tasks
            .iter()
            .map(|t| {
                let second = |time| seconds_between(at(0.0), time).round();
                (t.candidate.request, t.radio, second(t.from), second(t.to))
            })
            .collect()
    }

    #[test]
    fn priority_then_elevation_then_rise_decide_and_the_loser_keeps_the_rest() {
        // The higher one wins; the other keeps its beginning.
        let both = [candidate(0, 1, 0.0, 600.0, 20.0), candidate(1, 1, 400.0, 1000.0, 60.0)];
        let plan = assign(&both);
        assert_eq!(spans(&plan), [(0, 0, 0.0, 385.0), (1, 0, 400.0, 1000.0)]);
        assert_eq!(plan.tasks[0].gives_way_to, [1]);
        assert!(plan.tasks[0].is_cut() && !plan.tasks[1].is_cut());
        // Priority goes before elevation.
        let both = [candidate(0, 2, 0.0, 600.0, 20.0), candidate(1, 1, 400.0, 1000.0, 60.0)];
        assert_eq!(spans(&assign(&both)), [(0, 0, 0.0, 600.0), (1, 0, 615.0, 1000.0)]);
        // Too little is left: said, and whose fault it is.
        let both = [candidate(0, 2, 0.0, 600.0, 20.0), candidate(1, 1, 30.0, 650.0, 60.0)];
        let plan = assign(&both);
        assert_eq!(spans(&plan), [(0, 0, 0.0, 600.0)]);
        assert_eq!(plan.omissions[0].reason, Reason::Conflict(vec![0]));
        // Equal in everything: the earlier one.
        let both = [candidate(0, 1, 10.0, 600.0, 20.0), candidate(1, 1, 0.0, 600.0, 20.0)];
        assert_eq!(assign(&both).tasks[0].candidate.request, 1);
        // A winner in the middle leaves both sides.
        let both = [candidate(0, 2, 300.0, 600.0, 20.0), candidate(1, 1, 0.0, 900.0, 60.0)];
        let expected = [(1, 0, 0.0, 285.0), (0, 0, 300.0, 600.0), (1, 0, 615.0, 900.0)];
        assert_eq!(spans(&assign(&both)), expected);
    }

    #[test]
    fn another_radio_takes_what_would_be_lost() {
        let mut both = [candidate(0, 1, 0.0, 600.0, 20.0), candidate(1, 1, 100.0, 700.0, 60.0)];
        both[0].radios = vec![0, 1];
        assert_eq!(spans(&assign(&both)), [(0, 1, 0.0, 600.0), (1, 0, 100.0, 700.0)]);
        both[0].radios.clear();
        let plan = assign(&both);
        assert_eq!(plan.omissions[0].reason, Reason::NoRadio);
        // A pass that is short by itself is received.
        assert_eq!(spans(&assign(&[candidate(0, 1, 0.0, 40.0, 1.0)])), [(0, 0, 0.0, 40.0)]);
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0u32..3, 0.0..6000.0, 20.0..900.0, 0.0..90.0, 0usize..4);
        proptest::collection::vec(one, 0..30).prop_map(|all| {
            all.into_iter()
                .enumerate()
                .map(|(k, (priority, rise_s, lasts_s, el, radios))| Candidate {
                    radios: [vec![], vec![0], vec![1], vec![1, 0]][radios].clone(),
                    ..candidate(k, priority, rise_s, rise_s + lasts_s, el)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn no_radio_is_wanted_twice_and_no_pass_vanishes(candidates in candidates()) {
            let plan = assign(&candidates);
            for (k, a) in plan.tasks.iter().enumerate() {
                prop_assert!(a.from >= a.candidate.rise && a.to <= a.candidate.set);
                prop_assert!(a.candidate.radios.contains(&a.radio));
                prop_assert!(!a.is_cut() || a.duration_s() >= SHORTEST_S - 1e-3);
                prop_assert!(!a.is_cut() || !a.gives_way_to.is_empty());
                for b in &plan.tasks[k + 1..] {
                    let apart = seconds_between(a.to, b.from).max(seconds_between(b.to, a.from));
                    prop_assert!(a.radio != b.radio || apart >= LEAD_S + TRAIL_S - 1e-3);
                }
            }
            for c in &candidates {
                let tasks = plan.tasks.iter().filter(|t| t.candidate == *c).count();
                let omitted = plan.omissions.iter().filter(|o| o.candidate == *c).count();
                prop_assert!((tasks > 0) != (omitted == 1), "{tasks} {omitted}");
                if let Some(o) = plan.omissions.iter().find(|o| o.candidate == *c) {
                    match &o.reason {
                        Reason::Conflict(with) => {
                            prop_assert!(!with.is_empty() && !c.radios.is_empty());
                            // Nobody gives way to what counts less.
                            for &k in with {
                                prop_assert!(candidates[k].priority >= c.priority);
                            }
                        }
                        reason => prop_assert!(*reason == Reason::NoRadio && c.radios.is_empty()),
                    }
                }
            }
        }
    }

    /// Some objects in low orbits, by inclination and node.
    fn requests(count: usize) -> Vec<Request> {
        (0..count)
            .map(|k| {
                let node = (k * 67) % 360;
                let anomaly = (k * k * 37 + k * 53) % 360;
                let body = format!(
                    "2 9{k:04}  97.4000 {node:03}.0000 0010000 090.0000 {anomaly:03}.0000 15.22000000    0"
                );
                let sum: u32 = body
                    .chars()
                    .map(|c| c.to_digit(10).unwrap_or(u32::from(c == '-')))
                    .sum();
                let first = format!(
                    "1 9{k:04}U 26001A   26326.50000000  .00000000  00000-0  30000-3 0  999"
                );
                let one: u32 = first
                    .chars()
                    .map(|c| c.to_digit(10).unwrap_or(u32::from(c == '-')))
                    .sum();
                let text = format!("{first}{}\n{body}{}\n", one % 10, sum % 10);
                let sets = elements::parse("test", text.as_bytes()).unwrap().sets;
                Request {
                    orbit: Arc::new(Orbit::new(&sets[0]).unwrap()),
                    priority: (k % 3) as u32,
                    min_elevation_deg: 10.0,
                    horizon_deg: 0.0,
                    radios: vec![0],
                }
            })
            .collect()
    }

    #[test]
    fn a_plan_made_in_the_middle_of_a_pass_continues_it() {
        let station = Station { latitude_deg: 40.4, longitude_deg: 49.87, altitude_m: 28.0 };
        let requests = requests(20);
        let day = plan(&requests, &station, at(0.0), at(43_200.0));
        assert!(day.tasks.len() > 10, "{}", day.tasks.len());
        assert!(day.tasks.iter().any(|t| !t.gives_way_to.is_empty()), "no conflict");
        assert!(day.omissions.iter().any(|o| o.reason == Reason::Low));
        let same = |a: &Task, b: &Task| {
            (a.candidate.request, a.radio) == (b.candidate.request, b.radio)
                && seconds_between(a.from, b.from).abs() < 0.01
                && seconds_between(a.to, b.to).abs() < 0.01
        };
        for task in day.tasks.iter().take(12) {
            let middle = after(task.from, 0.7 * task.duration_s());
            let again = plan(&requests, &station, middle, at(43_200.0));
            assert!(same(&again.tasks[0], task), "{:?}\n{task:?}", again.tasks[0]);
            let left = day.tasks.iter().filter(|t| t.to > middle).count();
            assert_eq!(again.tasks.len(), left);
        }
        // Nothing is asked for, or the wrong way round.
        assert_eq!(plan(&[], &station, at(0.0), at(1.0)), Plan::default());
        assert!(plan(&requests, &station, at(100.0), at(0.0)).tasks.len() < 2);
    }
}
