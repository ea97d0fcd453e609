//! When an object is above a station's horizon.
//!
//! The search cannot miss a pass. What is followed is the height above the horizon's cone,
//!
//! ```text
//! f(t) = up·d(t) - sin(m)·|d(t)|      d = s(t - τ) - g(t),  m the horizon's elevation
//! ```
//!
//! which is positive exactly while the elevation exceeds `m`. Its second derivative is bounded by
//! what gravity can do, `|f''| <= K` (below), so over an interval of `h` seconds it departs from
//! the chord by no more than `K h²/8`, and its slope from the chord's by no more than `K h`. An
//! interval in which neither shows that `f` keeps its sign or crosses once is halved, down to 0.05 s:
//! nothing that lasts longer is missed. Crossings are then found by regula falsi.

use jiff::Timestamp;

use super::orbit::{FARTHEST_DAYS, Orbit, OrbitError};
use super::sky::{Observation, Site, difference, dot, norm};
use super::station::Station;
use super::{LIGHT_KM_PER_S, after, seconds_between, sun};

/// Intervals are not halved below this, seconds.
const SHORTEST_S: f64 = 0.05;
/// Instants are found this exactly, seconds.
const EXACT_S: f64 = 1e-3;
/// Over so many seconds the curve of the elevation's sine is a parabola.
const PARABOLA_S: f64 = 2.0;
/// Gravitational parameter of the Earth, km³/s², with a margin for what is not a point mass.
const GRAVITY: f64 = 398_600.8 * 1.02;
/// Radius below which no object flies, km.
const GROUND_KM: f64 = 6350.0;
/// No bound object is faster, km/s.
const FASTEST_KM_PER_S: f64 = 11.3;
/// Rotation of the Earth, radians a second.
const EARTH_RAD_PER_S: f64 = 7.2922e-5;
/// Speed of a station with the Earth's rotation, at most, km/s.
const STATION_KM_PER_S: f64 = 0.48;

/// An instant of a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// When, by the station's clock.
    pub time: Timestamp,
    /// Where the object stands.
    pub observation: Observation,
    /// Whether the Sun shines on the object; otherwise it is eclipsed.
    pub sunlit: bool,
    /// Elevation of the Sun at the station, degrees.
    pub sun_elevation_deg: f64,
}

impl Event {
    /// Whether the eye can see the object: it is sunlit, and it is dark at the station.
    pub fn is_visible(&self) -> bool {
        self.sunlit && self.sun_elevation_deg < sun::DARK_DEG
    }
}

/// One uninterrupted time of an object above the horizon.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// It comes over the horizon, or the time asked for begins.
    pub rise: Event,
    /// It stands highest; an end of the time asked for, if it is highest there.
    pub culmination: Event,
    /// It goes below the horizon, or the time asked for ends.
    pub set: Event,
    /// It was above the horizon already when the time asked for began (or when its elements began
    /// to give positions): `rise` is that instant.
    pub in_progress_at_start: bool,
    /// It was still above the horizon when the time asked for ended (or when its elements ceased to
    /// give positions): `set` is that instant.
    pub in_progress_at_end: bool,
    /// When it is in the Earth's shadow, within the pass.
    pub eclipses: Vec<(Timestamp, Timestamp)>,
    /// Whether the eye can see it at some instant of the pass.
    pub visible: bool,
}

impl Pass {
    /// From rise to set, seconds.
    pub fn duration_s(&self) -> f64 {
        seconds_between(self.rise.time, self.set.time)
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Passes {
    /// In the order of time.
    pub passes: Vec<Pass>,
    /// The first instant at which the orbit gives no position, and why.
    pub lost: Option<(Timestamp, OrbitError)>,
}

/// All passes of an object over a station from `from` to `to`, above an elevation of `horizon_deg`.
pub fn passes(
    orbit: &Orbit,
    station: &Station,
    from: Timestamp,
    to: Timestamp,
    horizon_deg: f64,
) -> Passes {
    Search {
        orbit,
        site: Site::new(station),
        start: from,
        sine: horizon_deg.to_radians().sin(),
        crossings: Vec::new(),
        lost: None,
    }
    .run(to)
}

/// The object crosses the horizon.
#[derive(Debug, Clone, Copy)]
struct Crossing {
    /// Seconds from the start of the search.
    at_s: f64,
    rises: bool,
    /// Not the horizon, but the end of what is asked for or known.
    cut: bool,
}

/// The object at an instant.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at_s: f64,
    /// `f` of the module's documentation, km; `None` where the orbit gives no position.
    height_km: Option<f64>,
    range_km: f64,
    radius_km: f64,
}

struct Search<'a> {
    orbit: &'a Orbit,
    site: Site,
    start: Timestamp,
    /// Of the horizon's elevation.
    sine: f64,
    crossings: Vec<Crossing>,
    lost: Option<(f64, OrbitError)>,
}

impl Search<'_> {
    fn run(mut self, to: Timestamp) -> Passes {
        // Ends beyond the reach of the elements would only cost time.
        let epoch_s = seconds_between(self.start, self.orbit.epoch());
        let reach_s = (FARTHEST_DAYS + 1.0) * 86_400.0;
        let begin_s = (epoch_s - reach_s).max(0.0);
        let end_s = seconds_between(self.start, to).min(epoch_s + reach_s);
        if end_s <= begin_s {
            let lost = (seconds_between(self.start, to) > 0.0)
                .then(|| self.orbit.state(self.start).err())
                .flatten();
            return Passes { passes: Vec::new(), lost: lost.map(|error| (self.start, error)) };
        }
        let step_s = (self.orbit.period_s() / 20.0).clamp(60.0, 1800.0);
        let steps = ((end_s - begin_s) / step_s).ceil().max(1.0);
        let mut before = self.sample(begin_s);
        if before.height_km.is_some_and(|height| height > 0.0) {
            self.crossings.push(Crossing { at_s: begin_s, rises: true, cut: true });
        }
        for step in 1..=steps as u64 {
            let now = self.sample(begin_s + (end_s - begin_s) * (step as f64 / steps));
            self.divide(before, now);
            before = now;
        }
        if before.height_km.is_some_and(|height| height > 0.0) {
            self.crossings.push(Crossing { at_s: end_s, rises: false, cut: true });
        }

        let mut passes = Vec::new();
        let mut rise: Option<Crossing> = None;
        for &crossing in &self.crossings {
            if crossing.rises {
                rise = Some(crossing);
            } else if let Some(rise) = rise.take()
                && let Some(pass) = self.pass(rise, crossing)
            {
                passes.push(pass);
            }
        }
        let lost = self.lost.map(|(at_s, error)| (self.time(at_s), error));
        Passes { passes, lost }
    }

    fn time(&self, at_s: f64) -> Timestamp {
        after(self.start, at_s)
    }

    fn sample(&mut self, at_s: f64) -> Sample {
        match self.height(at_s) {
            Ok(sample) => sample,
            Err(error) => {
                if self.lost.is_none_or(|(first, _)| at_s < first) {
                    self.lost = Some((at_s, error));
                }
                Sample { at_s, height_km: None, range_km: 0.0, radius_km: 0.0 }
            }
        }
    }

    fn height(&self, at_s: f64) -> Result<Sample, OrbitError> {
        let time = self.time(at_s);
        let place = self.site.place(time);
        let state = self.orbit.state(time)?;
        // s(t - τ) = s - v τ + a τ²/2: within a millimetre of what SGP4 gives then.
        let now = state.position_km;
        let light_time_s = norm(difference(now, place.position_km)) / LIGHT_KM_PER_S;
        let fall = -0.5 * GRAVITY * light_time_s.powi(2) / norm(now).powi(3);
        let sent: [f64; 3] = std::array::from_fn(|k| {
            now[k] - state.velocity_km_per_s[k] * light_time_s + now[k] * fall
        });
        let line = difference(sent, place.position_km);
        let range_km = norm(line);
        let height_km = dot(place.up, line) - self.sine * range_km;
        Ok(Sample {
            at_s,
            // A station that is not a number sees nothing.
            height_km: height_km.is_finite().then_some(height_km),
            range_km,
            radius_km: norm(sent),
        })
    }

    /// Bound of `|f''|` between two samples, km/s².
    ///
    /// ```text
    /// (up·d)''  = up·(a_s - a_g) + 2 up'·d' + up''·d
    /// |d|''     = u·(a_s - a_g) + (|d'|² - (u·d')²) / |d|
    /// ```
    fn curvature(&self, a: Sample, b: Sample) -> f64 {
        let half_s = (b.at_s - a.at_s) / 2.0;
        let radius_km = (a.radius_km.min(b.radius_km) - FASTEST_KM_PER_S * half_s).max(GROUND_KM);
        let gravity = GRAVITY / (radius_km * radius_km);
        let speed = (2.0 * GRAVITY / radius_km).sqrt() + STATION_KM_PER_S;
        let way_km = speed * half_s;
        let nearest_km = a.range_km.min(b.range_km) - way_km;
        let farthest_km = a.range_km.max(b.range_km) + way_km;
        let station = EARTH_RAD_PER_S * STATION_KM_PER_S;
        let sine = self.sine.abs();
        let across = match (sine > 1e-12, nearest_km > 0.1) {
            (false, _) => 0.0,
            (true, true) => sine * speed * speed / nearest_km,
            (true, false) => f64::INFINITY,
        };
        (1.0 + sine) * (gravity + station)
            + 2.0 * EARTH_RAD_PER_S * speed
            + EARTH_RAD_PER_S * EARTH_RAD_PER_S * farthest_km
            + across
    }

    /// Finds every crossing between two samples, in the order of time.
    fn divide(&mut self, a: Sample, b: Sample) {
        let length_s = b.at_s - a.at_s;
        match (a.height_km, b.height_km) {
            (None, None) => return,
            (Some(at_a), Some(at_b)) => {
                let curvature = self.curvature(a, b);
                let bow_km = curvature * length_s * length_s / 8.0;
                if (at_a > 0.0) == (at_b > 0.0) {
                    let keeps_its_sign = at_a.abs().min(at_b.abs()) > bow_km;
                    if keeps_its_sign || length_s < SHORTEST_S {
                        return;
                    }
                } else if (at_b - at_a).abs() > 8.0 * bow_km || length_s < SHORTEST_S {
                    let at_s = self.crossing(a.at_s, at_a, b.at_s, at_b);
                    self.crossings.push(Crossing { at_s, rises: at_b > 0.0, cut: false });
                    return;
                }
            }
            // The edge of what the orbit knows.
            (Some(height), None) if length_s < SHORTEST_S => {
                if height > 0.0 {
                    self.crossings.push(Crossing { at_s: a.at_s, rises: false, cut: true });
                }
                return;
            }
            (None, Some(height)) if length_s < SHORTEST_S => {
                if height > 0.0 {
                    self.crossings.push(Crossing { at_s: b.at_s, rises: true, cut: true });
                }
                return;
            }
            _ => {}
        }
        let middle = self.sample(a.at_s + length_s / 2.0);
        self.divide(a, middle);
        self.divide(middle, b);
    }

    fn crossing(&self, a: f64, at_a: f64, b: f64, at_b: f64) -> f64 {
        root((a, at_a), (b, at_b), |t| self.height(t).ok().and_then(|sample| sample.height_km))
    }

    fn event(&self, at_s: f64) -> Option<Event> {
        let time = self.time(at_s);
        let (observation, state) = self.site.observe_with_state(self.orbit, time).ok()?;
        Some(Event {
            time,
            observation,
            sunlit: sun::is_sunlit(&state, time),
            sun_elevation_deg: sun::elevation_at(&self.site, time),
        })
    }

    fn pass(&self, rise: Crossing, set: Crossing) -> Option<Pass> {
        let highest_s = self.culmination(rise.at_s, set.at_s);
        let (eclipses, seen) = self.light(rise.at_s, set.at_s);
        let events = [rise.at_s, highest_s, set.at_s].map(|at_s| self.event(at_s));
        let [Some(rise_event), Some(culmination), Some(set_event)] = events else { return None };
        let visible = seen || [rise_event, culmination, set_event].iter().any(Event::is_visible);
        Some(Pass {
            rise: rise_event,
            culmination,
            set: set_event,
            in_progress_at_start: rise.cut,
            in_progress_at_end: set.cut,
            eclipses,
            visible,
        })
    }

    /// The instant of the greatest elevation: the best of some samples, golden section between its
    /// neighbours, and a parabola at the end. The sine of the elevation is followed, which is smooth
    /// in the zenith too.
    fn culmination(&self, rise_s: f64, set_s: f64) -> f64 {
        let sine = |t: f64| {
            self.height(t)
                .ok()
                .and_then(|sample| Some(sample.height_km? / sample.range_km + self.sine))
                .unwrap_or(f64::NEG_INFINITY)
        };
        let length_s = set_s - rise_s;
        let parts = 8.0 + (length_s * 100.0 / self.orbit.period_s()).ceil().min(100_000.0);
        let part = |k: u64| rise_s + length_s * (k as f64 / parts).clamp(0.0, 1.0);
        let (mut best, mut highest) = (0, f64::NEG_INFINITY);
        for k in 0..=parts as u64 {
            let here = sine(part(k));
            if here > highest {
                (best, highest) = (k, here);
            }
        }
        let (mut a, mut b) = (part(best.saturating_sub(1)), part(best + 1));
        let ratio = (5f64.sqrt() - 1.0) / 2.0;
        let (mut c, mut d) = (b - ratio * (b - a), a + ratio * (b - a));
        let (mut at_c, mut at_d) = (sine(c), sine(d));
        while b - a > PARABOLA_S {
            if at_c > at_d {
                (b, d, at_d) = (d, c, at_c);
                c = b - ratio * (b - a);
                at_c = sine(c);
            } else {
                (a, c, at_c) = (c, d, at_d);
                d = a + ratio * (b - a);
                at_d = sine(d);
            }
            // Out of the resolution of numbers.
            if !(a < c && c < d && d < b) {
                break;
            }
        }
        let (middle, half) = ((a + b) / 2.0, (b - a) / 2.0);
        let (left, centre, right) = (sine(a), sine(middle), sine(b));
        let shift = 0.5 * (left - right) / (left - 2.0 * centre + right);
        let top = if shift.abs() <= 1.0 { middle + shift * half } else { middle };
        // The greatest may be at an end of the pass.
        [rise_s, set_s]
            .into_iter()
            .fold(top, |best, end| if sine(end) > sine(best) { end } else { best })
    }

    /// The times in shadow between two instants, and whether the eye can see the object at one of
    /// the instants looked at.
    fn light(&self, rise_s: f64, set_s: f64) -> (Vec<(Timestamp, Timestamp)>, bool) {
        let margin = |t: f64| {
            let time = self.time(t);
            Some(sun::limb_angle_rad(&self.orbit.state(time).ok()?, time))
        };
        let length_s = set_s - rise_s;
        let step_s = (length_s / 400.0).clamp(20.0, 300.0);
        let steps = (length_s / step_s).ceil().max(1.0);
        let (mut eclipses, mut seen) = (Vec::new(), false);
        let mut entered: Option<f64> = None;
        let mut before: Option<(f64, f64)> = None;
        for step in 0..=steps as u64 {
            let t = rise_s + length_s * (step as f64 / steps);
            let Some(now) = margin(t) else { continue };
            if now > 0.0 {
                seen |= sun::elevation_at(&self.site, self.time(t)) < sun::DARK_DEG;
            }
            let edge = |(t0, then): (f64, f64)| root((t0, then), (t, now), margin);
            match (entered, now > 0.0) {
                (None, false) => entered = Some(before.map_or(t, edge)),
                (Some(since), true) => {
                    let until = before.map_or(t, edge);
                    eclipses.push((self.time(since), self.time(until)));
                    entered = None;
                }
                _ => {}
            }
            before = Some((t, now));
        }
        if let Some(since) = entered {
            eclipses.push((self.time(since), self.time(set_s)));
        }
        (eclipses, seen)
    }
}

/// The argument between `a` and `b` at which a function changes its sign: regula falsi in the
/// Illinois form, with a bisection every third step so that it ends whatever the function does.
fn root(a: (f64, f64), b: (f64, f64), function: impl Fn(f64) -> Option<f64>) -> f64 {
    let ((mut a, mut at_a), (mut b, mut at_b)) = (a, b);
    let mut round = 0u32;
    while b - a > EXACT_S {
        round += 1;
        let chord = a + (b - a) * (at_a / (at_a - at_b));
        let middle = a + (b - a) / 2.0;
        let t = if round.is_multiple_of(3) || !(a < chord && chord < b) { middle } else { chord };
        if !(a < t && t < b) {
            break;
        }
        let Some(here) = function(t) else { break };
        if here == 0.0 {
            return t;
        }
        // The end that stays has its value halved: it does not stay for ever.
        if (here > 0.0) == (at_a > 0.0) {
            (a, at_a, at_b) = (t, here, at_b / 2.0);
        } else {
            (b, at_b, at_a) = (t, here, at_a / 2.0);
        }
        if here.abs() < 1e-9 {
            return t;
        }
    }
    a + (b - a) / 2.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::doppler::elements::Elements;
    use crate::doppler::sky::observe;

    fn orbit(inclination_deg: f64, eccentricity: f64, motion: f64, bstar: f64) -> Orbit {
        Orbit::new(&Elements {
            name: None,
            norad_id: 1,
            international_designator: None,
            epoch: "2026-03-01T00:00:00Z".parse().unwrap(),
            inclination_deg,
            raan_deg: 120.0,
            eccentricity,
            argument_of_perigee_deg: 270.0,
            mean_anomaly_deg: 10.0,
            mean_motion_rev_per_day: motion,
            bstar,
            source: "test".into(),
        })
        .unwrap()
    }

    fn station(latitude_deg: f64, longitude_deg: f64) -> Station {
        Station { latitude_deg, longitude_deg, altitude_m: 100.0 }
    }

    fn found(orbit: &Orbit, station: &Station, days: f64, horizon_deg: f64) -> Passes {
        let from = after(orbit.epoch(), 3600.0);
        passes(orbit, station, from, after(from, days * 86_400.0), horizon_deg)
    }

    /// Against elevations sampled every second: the same passes.
    #[test]
    fn every_pass_is_found_and_none_invented() {
        for (orbit, horizon_deg) in [
            (orbit(97.5, 0.001, 15.2, 1e-4), 0.0),
            (orbit(97.5, 0.001, 15.2, 1e-4), 30.0),
            (orbit(51.6, 0.0005, 15.6, 1e-4), -1.0),
            (orbit(28.0, 0.7, 2.3, 0.0), 5.0),
        ] {
            let station = station(52.0, 4.4);
            let found = found(&orbit, &station, 1.0, horizon_deg).passes;
            let from = after(orbit.epoch(), 3600.0);
            let mut sampled = 0;
            let mut above = false;
            for second in 0..=86_400 {
                let time = after(from, f64::from(second));
                let elevation = observe(&orbit, &station, time).unwrap().elevation_deg;
                let inside = found.iter().any(|p| (p.rise.time..=p.set.time).contains(&time));
                let near = (elevation - horizon_deg).abs() < 0.01;
                assert!(inside == (elevation > horizon_deg) || near, "{second} {elevation}");
                sampled += i32::from(elevation > horizon_deg && !above);
                above = elevation > horizon_deg;
            }
            assert_eq!(sampled as usize, found.len());
            for pass in &found {
                assert!(pass.rise.time < pass.set.time);
                assert!((pass.rise.time..=pass.set.time).contains(&pass.culmination.time));
                let top = pass.culmination.observation.elevation_deg;
                for second in 0..pass.duration_s() as i64 {
                    let time = after(pass.rise.time, second as f64);
                    let here = observe(&orbit, &station, time).unwrap().elevation_deg;
                    assert!(here <= top + 1e-6, "{here} {top}");
                }
            }
        }
    }

    /// A horizon just below a pass's culmination leaves a pass of seconds: it is found; just above,
    /// it is gone.
    #[test]
    fn passes_of_a_second_are_found() {
        let (orbit, station) = (orbit(97.5, 0.001, 15.2, 1e-4), station(52.0, 4.4));
        let all = found(&orbit, &station, 2.0, 0.0).passes;
        assert!(all.len() > 6);
        for pass in all {
            let top = pass.culmination.observation.elevation_deg;
            let count = |horizon_deg: f64| {
                passes(&orbit, &station, pass.rise.time, pass.set.time, horizon_deg).passes.len()
            };
            assert_eq!((count(top - 1e-5), count(top + 1e-6)), (1, 0), "{top}");
        }
    }

    #[test]
    fn what_is_in_progress_is_flagged() {
        let (orbit, station) = (orbit(97.5, 0.001, 15.2, 1e-4), station(52.0, 4.4));
        let all = found(&orbit, &station, 1.0, 0.0).passes;
        let pass = &all[1];
        let middle = after(pass.rise.time, pass.duration_s() / 2.0);
        let begun = passes(&orbit, &station, middle, after(middle, 3000.0), 0.0).passes;
        assert!(begun[0].in_progress_at_start && !begun[0].in_progress_at_end);
        assert_eq!(begun[0].rise.time, middle);
        let ending = passes(&orbit, &station, after(middle, -3000.0), middle, 0.0).passes;
        let last = ending.last().unwrap();
        assert!(last.in_progress_at_end && last.set.time == middle);
        assert!(passes(&orbit, &station, middle, after(middle, -1.0), 0.0).passes.is_empty());
    }

    #[test]
    fn a_geostationary_object_never_sets_or_never_rises() {
        let orbit = orbit(0.05, 0.0002, 1.002_74, 0.0);
        let sees: Vec<Passes> = (0..36)
            .map(|k| found(&orbit, &station(10.0, f64::from(k) * 10.0 - 180.0), 7.0, 0.0))
            .collect();
        let always = |p: &&Passes| {
            p.passes.len() == 1
                && p.passes[0].in_progress_at_start
                && p.passes[0].in_progress_at_end
        };
        assert!(sees.iter().filter(always).count() >= 14);
        assert!(sees.iter().filter(|p| p.passes.is_empty()).count() >= 18);
        assert!(sees.iter().all(|p| p.lost.is_none()));
    }

    #[test]
    fn a_decaying_object_is_followed_to_its_end() {
        let orbit = orbit(97.5, 0.001, 16.3, 5e-3);
        let found = found(&orbit, &station(52.0, 4.4), 30.0, 0.0);
        let (lost, _) = found.lost.unwrap();
        assert!(!found.passes.is_empty());
        assert!(found.passes.iter().all(|p| p.set.time <= lost));
    }

    #[test]
    fn an_eclipse_lies_in_its_pass_and_ends_in_light() {
        let (orbit, station) = (orbit(51.6, 0.001, 15.2, 1e-4), station(45.0, 4.4));
        let mut seen = 0;
        for pass in found(&orbit, &station, 5.0, 0.0).passes {
            for &(from, to) in &pass.eclipses {
                assert!(pass.rise.time <= from && from < to && to <= pass.set.time);
                let at = |time| sun::is_sunlit(&orbit.state(time).unwrap(), time);
                assert!(!at(after(from, seconds_between(from, to) / 2.0)));
                if to < pass.set.time {
                    assert!(at(after(to, 1.0)) && !at(after(to, -1.0)));
                    assert!(pass.set.sunlit || pass.eclipses.len() > 1);
                }
            }
            seen += pass.eclipses.len();
        }
        assert!(seen > 3);
    }

    #[test]
    fn no_request_panics_or_takes_long() {
        let orbit = orbit(97.5, 0.001, 15.2, 1e-4);
        let nowhere = station(f64::NAN, f64::INFINITY);
        assert!(found(&orbit, &nowhere, 1.0, 0.0).passes.is_empty());
        for horizon_deg in [f64::NAN, f64::INFINITY, 90.0, -90.0, 1e300] {
            let _ = found(&orbit, &station(52.0, 4.4), 0.05, horizon_deg);
        }
        let far = passes(
            &orbit,
            &station(0.0, 0.0),
            Timestamp::MIN,
            "-008000-01-01T00:00:00Z".parse().unwrap(),
            0.0,
        );
        assert!(matches!(far.lost, Some((_, OrbitError::TooFar { .. }))));
    }
}
