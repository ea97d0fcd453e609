//! The loss curves as a drawing: one panel a signal, loss on a logarithmic scale.

use std::fmt::Write as _;

use crate::curve::{Condition, Curve};
use crate::rows::{LEVELS, Row};

const COLUMNS: usize = 3;
/// Size of a panel with its labels, and of its axes.
const PANEL: (f64, f64) = (300.0, 212.0);
const AXES: (f64, f64) = (246.0, 138.0);
/// Corner of the axes within the panel.
const CORNER: (f64, f64) = (42.0, 34.0);
/// Room for the key.
const HEAD: f64 = 62.0;
/// Loss at the bottom of the axes.
const LEAST_LOSS: f64 = 0.005;
/// Width of the axes, dB.
const SPAN_DB: f64 = 6.0;
/// Losses between which curves are drawn.
const DRAWN: [f64; 13] = [0.97, 0.93, 0.87, 0.8, 0.7, 0.6, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01];

/// Colours of one pass, all means, all means with doubtful frames: blue, orange, green of Okabe and Ito.
const CLASSES: [&str; 3] = ["one", "all", "doubt"];

fn polyline(out: &mut String, class: &str, points: &[(f64, f64)]) {
    if points.len() < 2 {
        return;
    }
    let list: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{}\"/>", list.join(" "));
}

fn text(out: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

/// The drawing. `curves`: one for each condition, row by row.
pub fn draw(rows: &[Row], curves: &[Curve]) -> String {
    let lines = rows.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS as f64 + 16.0, PANEL.1 * lines as f64 + HEAD + 8.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>Frame loss against Es/N0</title>\n\
         <style>\n\
         text {{ font: 11px system-ui, sans-serif; fill: #24292f }}\n\
         .name {{ font-weight: 600 }} .m {{ text-anchor: middle }} .e {{ text-anchor: end }}\n\
         .back {{ fill: #fff }} .frame {{ fill: none; stroke: #8c959f }} .grid {{ stroke: #d8dee4 }}\n\
         polyline, .key {{ fill: none; stroke-width: 1.8; stroke-linejoin: round }}\n\
         .one {{ stroke: #0072b2 }} .all {{ stroke: #d55e00 }} .doubt {{ stroke: #009e73; stroke-width: 1.2 }}\n\
         .hard {{ stroke-dasharray: 5 3 }} .limit {{ stroke: #6e7781; stroke-width: 4; opacity: .45 }}\n\
         .gr {{ stroke: #6e7781; stroke-dasharray: 2 2 }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3 }} .back {{ fill: #0d1117 }} .grid {{ stroke: #30363d }}\n\
         .one {{ stroke: #58b2ec }} .all {{ stroke: #f58f3c }} .doubt {{ stroke: #2fc79a }} .limit {{ stroke: #9ea7b3 }}\n\
         }}\n\
         </style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n"
    );
    let key = [
        ("limit", "theory's limit of one pass"),
        ("one", "one pass"),
        ("all", "all means"),
        ("doubt", "all means, doubtful frames too"),
    ];
    for (i, (class, words)) in key.iter().enumerate() {
        let x = CORNER.0 + i as f64 * 190.0;
        let _ = writeln!(
            out,
            "<line class=\"key {class}\" x1=\"{x}\" y1=\"20\" x2=\"{}\" y2=\"20\"/>",
            x + 24.0
        );
        text(&mut out, "", x + 30.0, 24.0, words);
    }
    text(
        &mut out,
        "",
        CORNER.0,
        44.0,
        "Share of frames lost over Es/N0 per channel symbol (dB). Solid: ideal channel. Dashed: carrier within ±3 kHz, drift, clock ±100 ppm, short preamble.",
    );
    for (i, row) in rows.iter().enumerate() {
        let pair = &curves[i * Condition::ALL.len()..(i + 1) * Condition::ALL.len()];
        panel(&mut out, i, row, pair);
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, index: usize, row: &Row, curves: &[Curve]) {
    let x0 = (index % COLUMNS) as f64 * PANEL.0 + CORNER.0;
    let y0 = (index / COLUMNS) as f64 * PANEL.1 + HEAD + CORNER.1;
    let left = (row.limit_db[0] - 0.5 * SPAN_DB - 0.25).round();
    let x = |db: f64| x0 + (db - left) / SPAN_DB * AXES.0;
    let y = |loss: f64| y0 + loss.log10() / LEAST_LOSS.log10() * AXES.1;
    let inside = |db: f64| (left..=left + SPAN_DB).contains(&db);
    text(out, "name", x0, y0 - 9.0, row.scenario.name);
    for db in 0..=SPAN_DB as i32 {
        let at = left + f64::from(db);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{0:.1}\" y1=\"{y0}\" x2=\"{0:.1}\" y2=\"{1}\"/>",
            x(at),
            y0 + AXES.1
        );
        text(out, "m", x(at), y0 + AXES.1 + 14.0, &format!("{at}").replace('-', "−"));
    }
    for (loss, words) in [(1.0, "1"), (0.5, ".5"), (0.1, ".1"), (0.01, ".01")] {
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{x0}\" y1=\"{0:.1}\" x2=\"{1}\" y2=\"{0:.1}\"/>",
            y(loss),
            x0 + AXES.0
        );
        text(out, "e", x0 - 5.0, y(loss) + 4.0, words);
    }
    let _ = writeln!(
        out,
        "<rect class=\"frame\" x=\"{x0}\" y=\"{y0}\" width=\"{}\" height=\"{}\"/>",
        AXES.0, AXES.1
    );
    let limit: Vec<(f64, f64)> = row
        .limit_db
        .iter()
        .zip(LEVELS)
        .filter(|(db, _)| inside(**db))
        .map(|(db, loss)| (x(*db), y(loss)))
        .collect();
    polyline(out, "limit", &limit);
    for curve in curves {
        let hard = if curve.condition == Condition::Hard { " hard" } else { "" };
        for (effort, class) in CLASSES.iter().enumerate().rev() {
            let points: Vec<(f64, f64)> = DRAWN
                .iter()
                .map(|loss| (curve.crossing(effort, *loss), *loss))
                .filter(|(c, _)| inside(c.esn0_db) && c.error_db < 0.4)
                .map(|(c, loss)| (x(c.esn0_db), y(loss)))
                .collect();
            polyline(out, &format!("{class}{hard}"), &points);
        }
    }
}
