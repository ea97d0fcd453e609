//! Orbits and look angles against figures made elsewhere: see the heads of the files in
//! tests/vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use jiff::Timestamp;
use tulpar::doppler::elements::Elements;
use tulpar::doppler::orbit::{Orbit, OrbitError};
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
