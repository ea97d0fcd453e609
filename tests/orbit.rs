//! Orbits and look angles against figures made elsewhere: see the heads of the files in
//! tests/vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use jiff::Timestamp;
use tulpar::doppler::elements::Elements;
use tulpar::doppler::orbit::{Orbit, OrbitError};
use tulpar::doppler::passes::passes;
use tulpar::doppler::seconds_between;
use tulpar::doppler::sky::observe;
use tulpar::doppler::station::Station;

fn vectors(name: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

fn number(field: &str) -> f64 {
    field.parse().unwrap_or_else(|_| panic!("{field}"))
}

fn numbers<const N: usize>(fields: &[String]) -> [f64; N] {
    std::array::from_fn(|k| number(&fields[k]))
}

/// `object NUMBER EPOCH INCLINATION NODE ECCENTRICITY PERIGEE ANOMALY MOTION BSTAR`
fn orbit(fields: &[String]) -> Orbit {
    let [inclination, raan, eccentricity, perigee, anomaly, motion, bstar] = numbers(&fields[3..]);
    Orbit::new(&Elements {
        name: None,
        norad_id: fields[1].parse().unwrap(),
        international_designator: None,
        epoch: fields[2].parse().unwrap(),
        inclination_deg: inclination,
        raan_deg: raan,
        eccentricity,
        argument_of_perigee_deg: perigee,
        mean_anomaly_deg: anomaly,
        mean_motion_rev_per_day: motion,
        bstar,
        source: "vectors".into(),
    })
    .unwrap()
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// Every published position within a metre, every velocity within a millimetre a second, and
/// where the published run ends in an error, an error.
#[test]
fn the_sgp4_verification_set() {
    let mut current = None;
    let (mut worst_m, mut worst_mm_per_s, mut rows, mut stops) = (0.0f64, 0.0f64, 0, Vec::new());
    for fields in vectors("sgp4_verification.txt") {
        if fields[0] == "object" {
            current = Some(orbit(&fields));
            continue;
        }
        let orbit = current.as_ref().unwrap();
        if fields[0] == "stop" {
            let error = orbit.state_since_epoch(number(&fields[1]) * 60.0).unwrap_err();
            let kind = match error {
                OrbitError::Decayed { .. } => "decayed",
                OrbitError::Eccentricity { .. } => "eccentricity",
                error => panic!("{}: {error}", orbit.norad_id()),
            };
            stops.push((orbit.norad_id(), fields[2].clone(), kind));
            continue;
        }
        let [minutes, x, y, z, vx, vy, vz] = numbers(&fields);
        let state = orbit
            .state_since_epoch(minutes * 60.0)
            .unwrap_or_else(|error| panic!("{} at {minutes} min: {error}", orbit.norad_id()));
        let off_m = distance(state.position_km, [x, y, z]) * 1e3;
        let off_mm_per_s = distance(state.velocity_km_per_s, [vx, vy, vz]) * 1e6;
        assert!(off_m < 1.0, "{} at {minutes} min: {off_m} m", orbit.norad_id());
        assert!(off_mm_per_s < 1.0, "{} at {minutes} min: {off_mm_per_s} mm/s", orbit.norad_id());
        worst_m = worst_m.max(off_m);
        worst_mm_per_s = worst_mm_per_s.max(off_mm_per_s);
        rows += 1;
    }
    println!("{rows} rows: at most {worst_m:.6} m and {worst_mm_per_s:.6} mm/s; {stops:?}");
    assert_eq!(rows, 666);
    assert_eq!(stops.len(), 7);
}

/// Azimuth and elevation within 0.01 degrees, range rate within 1 mm/s, for any object, station
/// and instant.
#[test]
fn look_angles_of_skyfield() {
    let mut current = None;
    let (mut angle_deg, mut range_m, mut rate_mm_per_s, mut looks) = (0.0f64, 0.0f64, 0.0f64, 0);
    for fields in vectors("look_angles.txt") {
        if fields[0] == "object" {
            current = Some(orbit(&fields));
            continue;
        }
        let orbit = current.as_ref().unwrap();
        let time: Timestamp = fields[1].parse().unwrap();
        let [latitude_deg, longitude_deg, altitude_m, azimuth, elevation, range, rate] =
            numbers(&fields[2..]);
        let station = Station { latitude_deg, longitude_deg, altitude_m };
        let seen = observe(orbit, &station, time).unwrap();
        let turn = (seen.azimuth_deg - azimuth + 180.0).rem_euclid(360.0) - 180.0;
        let off_deg = turn.abs().max((seen.elevation_deg - elevation).abs());
        let off_mm_per_s = (seen.range_rate_km_per_s - rate).abs() * 1e6;
        assert!(off_deg < 0.01, "{} {time}: {seen:?}, {off_deg}", orbit.norad_id());
        assert!(off_mm_per_s < 1.0, "{} {time}: {seen:?}, {off_mm_per_s}", orbit.norad_id());
        angle_deg = angle_deg.max(off_deg);
        range_m = range_m.max((seen.range_km - range).abs() * 1e3);
        rate_mm_per_s = rate_mm_per_s.max(off_mm_per_s);
        looks += 1;
    }
    println!(
        "{looks} looks: at most {angle_deg:.6} degrees, {range_m:.4} m, {rate_mm_per_s:.4} mm/s"
    );
    assert_eq!(looks, 1000);
}

/// What Skyfield found for one object over one station.
struct Week {
    orbit: Orbit,
    station: Station,
    from: Timestamp,
    to: Timestamp,
    horizon_deg: f64,
    events: Vec<Event>,
}

/// A line of the file.
#[derive(Debug)]
struct Event {
    /// `rise`, `top`, `set`; `below`, `above`.
    kind: String,
    time: Timestamp,
    elevation_deg: f64,
}

fn weeks() -> Vec<Week> {
    let mut weeks: Vec<Week> = Vec::new();
    let mut current = None;
    for fields in vectors("passes.txt") {
        match fields[0].as_str() {
            "object" => current = Some(orbit(&fields)),
            "over" => {
                let [latitude_deg, longitude_deg, altitude_m, horizon_deg] = numbers(&fields[3..]);
                weeks.push(Week {
                    orbit: current.take().unwrap(),
                    station: Station { latitude_deg, longitude_deg, altitude_m },
                    from: fields[1].parse().unwrap(),
                    to: fields[2].parse().unwrap(),
                    horizon_deg,
                    events: Vec::new(),
                });
            }
            kind => weeks.last_mut().unwrap().events.push(Event {
                kind: kind.to_owned(),
                time: fields[1].parse().unwrap(),
                elevation_deg: fields.get(2).map_or(0.0, |field| number(field)),
            }),
        }
    }
    weeks
}

/// The same passes as Skyfield's, each instant within a second: none missing, none invented.
///
/// Where an object on a long ellipse dips below the horizon between two culminations, `find_events`
/// can overlook it; the file proves such dips by Skyfield's own elevations, and they must be found.
#[test]
fn passes_of_skyfield() {
    let (mut worst_s, mut worst_top_s, mut worst_deg) = (0.0f64, 0.0f64, 0.0f64);
    let (mut count, mut overlooked) = (0, 0);
    let mut problems = Vec::new();
    for week in weeks() {
        let number = week.orbit.norad_id();
        let found = passes(&week.orbit, &week.station, week.from, week.to, week.horizon_deg);
        assert_eq!(found.lost, None, "{number}");
        count += found.passes.len();

        // Crossings as (rises, time), matched in order.
        let mut ours = Vec::new();
        for pass in &found.passes {
            if !pass.in_progress_at_start {
                ours.push((true, pass.rise.time));
            }
            if !pass.in_progress_at_end {
                ours.push((false, pass.set.time));
            }
        }
        let theirs: Vec<(bool, Timestamp)> = week
            .events
            .iter()
            .filter(|event| event.kind == "rise" || event.kind == "set")
            .map(|event| (event.kind == "rise", event.time))
            .collect();
        let near = |(rises, time): (bool, Timestamp), all: &[(bool, Timestamp)]| {
            all.iter()
                .filter(|other| other.0 == rises)
                .map(|other| seconds_between(time, other.1).abs())
                .fold(f64::INFINITY, f64::min)
        };
        for crossing in &theirs {
            let off_s = near(*crossing, &ours);
            worst_s = worst_s.max(off_s);
            if off_s > 1.0 {
                problems.push(format!("{number}: {crossing:?} is missing ({off_s} s)"));
            }
        }
        // What Skyfield has not: only around an instant at which it contradicts itself.
        let is_above = |time: Timestamp| {
            found.passes.iter().any(|pass| (pass.rise.time..=pass.set.time).contains(&time))
        };
        let proofs: Vec<&Event> = week
            .events
            .iter()
            .filter(|event| event.kind == "below" || event.kind == "above")
            .collect();
        for proof in &proofs {
            overlooked += 1;
            if is_above(proof.time) != (proof.kind == "above") {
                problems.push(format!("{number}: not {} at {}", proof.kind, proof.time));
            }
        }
        let extra = ours.iter().filter(|crossing| near(**crossing, &theirs) > 1.0).count();
        if extra != 2 * proofs.len() {
            problems.push(format!("{number}: {extra} crossings for {} proofs", proofs.len()));
        }

        for pass in &found.passes {
            let inside = |event: &&Event| {
                event.kind == "top" && (pass.rise.time..=pass.set.time).contains(&event.time)
            };
            let highest = week
                .events
                .iter()
                .filter(inside)
                .max_by(|a, b| a.elevation_deg.total_cmp(&b.elevation_deg));
            let Some(top) = highest else {
                if !pass.in_progress_at_start && !pass.in_progress_at_end {
                    problems.push(format!("{number}: no top at {}", pass.rise.time));
                }
                continue;
            };
            let off_s = seconds_between(top.time, pass.culmination.time).abs();
            // Skyfield finds the instant to half a second, which matters in the zenith: the
            // elevations are compared at its instant, and ours must not be lower.
            let there = observe(&week.orbit, &week.station, top.time).unwrap().elevation_deg;
            let off_deg = (there - top.elevation_deg).abs();
            let highest_deg = pass.culmination.observation.elevation_deg;
            if off_s > 1.0 || off_deg > 0.01 || highest_deg < there - 1e-6 {
                problems.push(format!("{number}: top {top:?}, here {:?}", pass.culmination));
            }
            (worst_top_s, worst_deg) = (worst_top_s.max(off_s), worst_deg.max(off_deg));
        }
    }
    println!(
        "{count} passes: rise and set within {worst_s:.3} s, culmination within {worst_top_s:.3} s \
         and {worst_deg:.5} degrees; {overlooked} dips that find_events overlooks"
    );
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
