//! The Doppler curve of a pass, and its elevation, as a drawing.

use std::fmt::Write as _;

use tulpar::doppler::sky::observe;
use tulpar::doppler::station::Station;
use tulpar::doppler::{after, seconds_between};

use super::Flight;

/// Size of the drawing.
const SIZE: (f64, f64) = (760.0, 380.0);
/// Upper left corner and size of the axes.
const CORNER: (f64, f64) = (76.0, 58.0);
const AXES: (f64, f64) = (616.0, 268.0);
/// Points of a curve.
const POINTS: u32 = 300;

fn text(out: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let words: String = words.chars().filter(|c| !c.is_control()).collect();
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn polyline(out: &mut String, class: &str, points: &[(f64, f64)]) {
    let list: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{}\"/>", list.join(" "));
}

/// A round step that divides a span into at most `most` parts: 1, 2 or 5 times a power of ten.
fn round_step(span: f64, most: f64) -> f64 {
    let least = (span / most).max(1e-9);
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|k| k * power).find(|s| *s >= least).unwrap_or(power)
}

/// A round step of time, seconds.
fn time_step_s(span_s: f64) -> f64 {
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0]
        .into_iter()
        .flat_map(|k| [k, k * 60.0, k * 3600.0])
        .chain([7200.0, 21_600.0, 43_200.0, 86_400.0])
        .filter(|step| span_s / step <= 11.0)
        .fold(f64::INFINITY, f64::min)
        .min(span_s.max(1.0))
}

/// The drawing of a pass; `None` if its orbit gives no positions.
pub fn draw(flight: &Flight, station: &Station) -> Option<String> {
    let (pass, carrier_hz) = (&flight.pass, flight.object.carrier_hz);
    let start = pass.rise.time;
    let span_s = pass.duration_s().max(1e-3);
    let samples: Vec<(f64, f64, f64)> = (0..=POINTS)
        .filter_map(|k| {
            let t = span_s * f64::from(k) / f64::from(POINTS);
            let seen = observe(&flight.object.orbit, station, after(start, t)).ok()?;
            Some((t, seen.shift_hz(carrier_hz), seen.elevation_deg))
        })
        .collect();
    let largest = samples.iter().map(|s| s.1.abs()).fold(0.0, f64::max);
    if samples.len() < 2 || !largest.is_finite() {
        return None;
    }
    let step_hz = round_step(2.0 * largest.max(1.0), 9.0);
    let limit_hz = (largest.max(1.0) / step_hz).ceil() * step_hz;
    let x = |t: f64| CORNER.0 + t / span_s * AXES.0;
    let y = |hz: f64| CORNER.1 + (limit_hz - hz) / (2.0 * limit_hz) * AXES.1;
    let (left, right) = (CORNER.0, CORNER.0 + AXES.0);
    let (top, bottom) = (CORNER.1, CORNER.1 + AXES.1);
    // Elevations from 0 (the bottom) to 90 degrees; below the horizon only with a horizon below 0.
    let height = |deg: f64| bottom - deg.clamp(0.0, 90.0) / 90.0 * AXES.1;

    let (width, depth) = SIZE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {depth}\" width=\"{width}\" height=\"{depth}\" role=\"img\">\n\
         <title>Doppler shift and elevation over a pass</title>\n\
         <style>\n\
         text {{ font: 12px system-ui, sans-serif; fill: #24292f }}\n\
         .name {{ font-weight: 600 }} .m {{ text-anchor: middle }} .e {{ text-anchor: end }}\n\
         .back {{ fill: #fff }} .frame {{ fill: none; stroke: #8c959f }} .grid {{ stroke: #d8dee4 }}\n\
         .shadow {{ fill: #8c959f; opacity: .18 }}\n\
         polyline, .key {{ fill: none; stroke-width: 2; stroke-linejoin: round }}\n\
         .shift {{ stroke: #0072b2 }} .height {{ stroke: #d55e00; stroke-dasharray: 6 3 }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3 }} .back {{ fill: #0d1117 }} .grid {{ stroke: #30363d }}\n\
         .shift {{ stroke: #58b2ec }} .height {{ stroke: #f58f3c }}\n\
         }}\n\
         </style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{depth}\" rx=\"6\"/>\n"
    );
    let title = format!(
        "{}  {} to {} UTC, {:.4} MHz",
        flight.object.name,
        start.strftime("%Y-%m-%d %H:%M:%S"),
        pass.set.time.strftime("%H:%M:%S"),
        carrier_hz / 1e6
    );
    text(&mut out, "name", CORNER.0, 22.0, &title);
    for (class, words, at) in [
        ("shift", "Doppler shift, Hz (left)", CORNER.0),
        ("height", "elevation, degrees (right)", CORNER.0 + 210.0),
    ] {
        line(&mut out, &format!("key {class}"), (at, 40.0), (at + 24.0, 40.0));
        text(&mut out, "", at + 30.0, 44.0, words);
    }
    if !pass.eclipses.is_empty() {
        let _ = writeln!(
            out,
            "<rect class=\"shadow\" x=\"{}\" y=\"34\" width=\"24\" height=\"12\"/>",
            CORNER.0 + 430.0
        );
        text(&mut out, "", CORNER.0 + 460.0, 44.0, "in the Earth's shadow");
    }
    for (from, to) in &pass.eclipses {
        let (from, to) = (x(seconds_between(start, *from)), x(seconds_between(start, *to)));
        let _ = writeln!(
            out,
            "<rect class=\"shadow\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\"/>",
            to - from,
            AXES.1
        );
    }
    let lines = (2.0 * limit_hz / step_hz).round() as i32;
    for k in 0..=lines {
        let hz = -limit_hz + f64::from(k) * step_hz;
        line(&mut out, "grid", (left, y(hz)), (right, y(hz)));
        let words = if hz.abs() < step_hz / 2.0 { "0".to_owned() } else { format!("{hz:+.0}") };
        text(&mut out, "e", left - 6.0, y(hz) + 4.0, &words.replace('-', "−"));
    }
    for deg in [0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0] {
        text(&mut out, "", right + 6.0, height(deg) + 4.0, &format!("{deg:.0}°"));
    }
    let step_s = time_step_s(span_s);
    let form = if step_s < 60.0 { "%H:%M:%S" } else { "%H:%M" };
    let mut tick = (start.as_second() as f64 / step_s).ceil() * step_s
        - start.as_second() as f64
        - f64::from(start.subsec_nanosecond()) * 1e-9;
    while tick <= span_s {
        if tick >= 0.0 {
            line(&mut out, "grid", (x(tick), top), (x(tick), bottom));
            // The instant is a whole second but for rounding.
            let time = after(start, tick + 1e-6).strftime(form).to_string();
            text(&mut out, "m", x(tick), bottom + 16.0, &time);
        }
        tick += step_s;
    }
    let highest = &pass.culmination;
    let words = format!(
        "highest {:.1}° at {}, {}",
        highest.observation.elevation_deg,
        highest.time.strftime("%H:%M:%S"),
        super::light(pass)
    );
    text(&mut out, "m", (left + right) / 2.0, bottom + 38.0, &words);
    let heights: Vec<(f64, f64)> = samples.iter().map(|s| (x(s.0), height(s.2))).collect();
    let shifts: Vec<(f64, f64)> = samples.iter().map(|s| (x(s.0), y(s.1))).collect();
    polyline(&mut out, "height", &heights);
    polyline(&mut out, "shift", &shifts);
    let _ = writeln!(
        out,
        "<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\"/>",
        AXES.0, AXES.1
    );
    out.push_str("</svg>\n");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!(round_step(20_000.0, 9.0), 5000.0);
        assert_eq!(round_step(110_000.0, 9.0), 20_000.0);
        assert_eq!(round_step(90.0, 9.0), 10.0);
        assert_eq!(time_step_s(600.0), 60.0);
        assert_eq!(time_step_s(5.0), 1.0);
        assert!(time_step_s(604_800.0) >= 43_200.0);
    }
}
