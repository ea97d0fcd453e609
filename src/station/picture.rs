//! A pass as a picture: time downwards, frequency across.
//!
//! ```text
//!              AALTO-1  437.216 MHZ  …
//!  12:00:00 ┌──────────────────────────┐ ┌─┐
//!           │            :  ░░▒▒       │ │ │   colour: power in dB above the noise floor,
//!  12:02:00 │          :   ▒▓▒ +       │ │─│   which is the median of all bins and lines
//!           │      :   +               │ │─│   dots: predicted Doppler shift
//!           └──────────────────────────┘ └─┘   crosses, and ticks at the right: frames
//!             -10   -5    0    +5   +10 KHZ
//! ```

use std::io;

use jiff::{Timestamp, ToSpan, Unit};

use super::font;
use super::waterfall::Waterfall;
use crate::doppler::{after, seconds_between};

/// Dots of the font are squares of so many pixels.
const SCALE: usize = 2;
/// Width of a letter with the space behind it, pixels.
const LETTER: usize = (font::WIDTH + 1) * SCALE;
const LEFT: usize = 9 * LETTER + 4;
const TOP: usize = 3 * font::HEIGHT * SCALE;
const BOTTOM: usize = 4 * font::HEIGHT * SCALE;
/// Between the waterfall and the strip of frames, and that strip.
const GAP: usize = 6;
const STRIP: usize = 14;
const RIGHT: usize = GAP + STRIP + 10;
/// A waterfall is made at least this wide and high, by repeating bins and lines.
const LEAST_WIDTH: usize = 600;
const LEAST_HEIGHT: usize = 360;
/// The strongest part in a thousand of the picture is shown in the brightest colour, which lies
/// within these bounds above the noise floor, dB.
const SPAN_DB: (f32, f32) = (10.0, 40.0);

type Colour = [u8; 3];

/// From the noise floor to the strongest signal.
const COLOURS: [Colour; 6] =
    [[8, 11, 34], [28, 44, 112], [104, 48, 140], [206, 72, 84], [250, 168, 56], [255, 250, 208]];
/// Steps between them that are shown: few, since noise in many colours makes large files.
const LEVELS: usize = 26;

/// A pixel: a level, or one of the colours behind them.
type Pixel = u8;

const BACKGROUND: Pixel = LEVELS as Pixel;
const INK: Pixel = BACKGROUND + 1;
const FAINT: Pixel = BACKGROUND + 2;
const CURVE: Pixel = BACKGROUND + 3;
const FRAME: Pixel = BACKGROUND + 4;
const EMPTY: Pixel = BACKGROUND + 5;

/// In their order.
const OTHERS: [Colour; 6] =
    [[16, 18, 24], [215, 220, 228], [120, 128, 142], [110, 225, 255], [70, 255, 110], [44, 46, 52]];

fn palette() -> Vec<u8> {
    let level = |k: usize| {
        let place = k as f32 * (COLOURS.len() - 1) as f32 / (LEVELS - 1) as f32;
        let below = (place as usize).min(COLOURS.len() - 2);
        let part = place - below as f32;
        std::array::from_fn(|c| {
            let (a, b) = (f32::from(COLOURS[below][c]), f32::from(COLOURS[below + 1][c]));
            (a + (b - a) * part).round() as u8
        })
    };
    (0..LEVELS).map(level).chain(OTHERS).flat_map(|colour: Colour| colour).collect()
}

/// What is drawn besides the spectra.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Legend {
    /// Above the picture.
    pub title: String,
    /// What the frequencies are told against, Hz; the centre of the samples if it is not known.
    pub carrier_hz: Option<f64>,
    /// Points of the predicted frequencies: time and Hz, one list a downlink.
    pub curves: Vec<Vec<(Timestamp, f64)>>,
    /// Frames: time and Hz.
    pub frames: Vec<(Timestamp, f64)>,
}

/// Pixels, row by row, each the number of a colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Numbers of colours.
    pub pixels: Vec<u8>,
}

impl Image {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![BACKGROUND; width * height] }
    }

    fn put(&mut self, x: i64, y: i64, pixel: Pixel) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = pixel;
        }
    }

    fn text(&mut self, x: usize, y: usize, text: &str, pixel: Pixel) {
        for (k, letter) in text.chars().enumerate() {
            for (row, bits) in font::rows(letter).into_iter().enumerate() {
                for column in (0..font::WIDTH).filter(|c| bits >> (font::WIDTH - 1 - c) & 1 == 1) {
                    let (left, top) = (x + k * LETTER + column * SCALE, y + row * SCALE);
                    for dot in 0..SCALE * SCALE {
                        let at = (left + dot % SCALE, top + dot / SCALE);
                        self.put(at.0 as i64, at.1 as i64, pixel);
                    }
                }
            }
        }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// The writer fails.
    pub fn write_png(&self, out: impl io::Write) -> io::Result<()> {
        let size = |n: usize| u32::try_from(n).map_err(io::Error::other);
        let mut encoder = png::Encoder::new(out, size(self.width)?, size(self.height)?);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(palette());
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(())
    }
}

/// Draws a pass. `None` if nothing was looked at.
pub fn draw(waterfall: &Waterfall, legend: &Legend) -> Option<Image> {
    let (lines, bins) = (waterfall.lines(), waterfall.bins());
    let scale = Scale::of(waterfall)?;
    let (across, down) =
        (LEAST_WIDTH.div_ceil(bins).clamp(1, 8), LEAST_HEIGHT.div_ceil(lines).clamp(1, 8));
    let (width, height) = (bins * across, lines * down);
    let mut image = Image::new(LEFT + width + RIGHT, TOP + height + BOTTOM);

    for line in 0..lines {
        let mut pixels = vec![EMPTY; bins];
        if let Some(power) = waterfall.power(line) {
            pixels.iter_mut().zip(power).for_each(|(pixel, p)| *pixel = scale.level(p));
        }
        for row in line * down..(line + 1) * down {
            for x in 0..width {
                image.put((LEFT + x) as i64, (TOP + row) as i64, pixels[x / across]);
            }
        }
    }

    let plot = Plot { waterfall, width, height, centre_hz: waterfall.centre_frequency_hz() };
    frequency_axis(&mut image, &plot, legend);
    time_axis(&mut image, &plot);
    for curve in &legend.curves {
        for (k, (time, hz)) in curve.iter().enumerate() {
            if let (Some(x), Some(y)) = (plot.x(*hz), plot.y(*time))
                && k % 2 == 0
            {
                image.put(x, y, CURVE);
                image.put(x + 1, y, CURVE);
            }
        }
    }
    for (time, hz) in &legend.frames {
        let Some(y) = plot.y(*time) else { continue };
        for x in 0..STRIP {
            image.put((LEFT + width + GAP + x) as i64, y, FRAME);
        }
        if let Some(x) = plot.x(*hz) {
            mark(&mut image, x, y);
        }
    }
    let most = (image.width / LETTER).saturating_sub(1);
    let title: String = legend.title.chars().take(most).collect();
    image.text(LETTER / 2, font::HEIGHT * SCALE / 2, &title, INK);
    Some(image)
}

/// A small cross, so that it hides little.
fn mark(image: &mut Image, x: i64, y: i64) {
    for (dx, dy) in [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (-2, 0)] {
        image.put(x + dx, y + dy, FRAME);
    }
}

/// Where things are.
struct Plot<'a> {
    waterfall: &'a Waterfall,
    width: usize,
    height: usize,
    centre_hz: Option<f64>,
}

impl Plot<'_> {
    /// Column of a frequency on the air.
    fn x(&self, hz: f64) -> Option<i64> {
        let (low, high) = self.waterfall.band_hz();
        let share = (hz - self.centre_hz.unwrap_or(0.0) - low) / (high - low);
        (0.0..1.0).contains(&share).then(|| LEFT as i64 + (share * self.width as f64) as i64)
    }

    /// Row of an instant.
    fn y(&self, time: Timestamp) -> Option<i64> {
        let (first, last) = self.span()?;
        let share = seconds_between(first, time) / seconds_between(first, last);
        (0.0..1.0).contains(&share).then(|| TOP as i64 + (share * self.height as f64) as i64)
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.waterfall.time(0)?;
        Some((first, self.waterfall.time(self.waterfall.lines())?))
    }
}

/// Power to level.
struct Scale {
    floor_db: f32,
    span_db: f32,
}

impl Scale {
    /// `None`: there is nothing.
    fn of(waterfall: &Waterfall) -> Option<Self> {
        // A hundred thousand values tell as much as all.
        let every = (waterfall.lines() * waterfall.bins()).div_ceil(100_000).max(1);
        let mut values: Vec<f32> = (0..waterfall.lines())
            .filter_map(|line| waterfall.power(line))
            .flatten()
            .step_by(every)
            .map(decibels)
            .filter(|db| db.is_finite())
            .collect();
        if values.is_empty() {
            return (0..waterfall.lines())
                .any(|line| waterfall.power(line).is_some())
                .then_some(Self { floor_db: 0.0, span_db: 1.0 });
        }
        values.sort_by(f32::total_cmp);
        let floor_db = values[values.len() / 2];
        let strong_db = values[(values.len() - 1) * 999 / 1000];
        Some(Self { floor_db, span_db: (strong_db - floor_db).clamp(SPAN_DB.0, SPAN_DB.1) })
    }

    fn level(&self, power: f32) -> Pixel {
        // What is no number becomes 0.
        let share = (decibels(power) - self.floor_db) / self.span_db;
        (share.clamp(0.0, 1.0) * (LEVELS - 1) as f32) as Pixel
    }
}

fn decibels(power: f32) -> f32 {
    10.0 * power.log10()
}

/// A round step (1, 2, 5 times a power of ten) that divides `span` into at most `most` parts.
fn step(span: f64, most: f64) -> f64 {
    let least = (span / most.max(1.0)).max(1e-6);
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].map(|n| n * power).into_iter().find(|s| *s >= least).unwrap_or(10.0 * power)
}

fn frequency_axis(image: &mut Image, plot: &Plot<'_>, legend: &Legend) {
    let (low, high) = plot.waterfall.band_hz();
    // Against the carrier, if both are known.
    let offset_hz = match (plot.centre_hz, legend.carrier_hz) {
        (Some(centre_hz), Some(carrier_hz)) => carrier_hz - centre_hz,
        _ => 0.0,
    };
    let (from, to) = (low - offset_hz, high - offset_hz);
    let step_hz = step(to - from, plot.width as f64 / (8 * LETTER) as f64);
    let bottom = TOP + plot.height;
    let digits = if step_hz < 1e3 { 1 } else { 0 };
    let (first, last) = ((from / step_hz).ceil() as i64, (to / step_hz).floor() as i64);
    for tick in first..=last.min(first + 50) {
        let hz = tick as f64 * step_hz;
        let share = (hz - from) / (to - from);
        let x = LEFT as i64 + (share * plot.width as f64) as i64;
        (0..6).for_each(|y| image.put(x, bottom as i64 + y, INK));
        let sign = if tick > 0 { "+" } else { "" };
        let label = format!("{sign}{:.digits$}", hz / 1e3);
        let left = usize::try_from(x).unwrap_or(0).saturating_sub(label.len() * LETTER / 2);
        image.text(left, bottom + 10, &label, INK);
    }
    let label = "KHZ";
    image.text(LETTER / 2, bottom + 10, label, FAINT);
}

fn time_axis(image: &mut Image, plot: &Plot<'_>) {
    let Some((first, last)) = plot.span() else { return };
    let seconds = seconds_between(first, last);
    let most = plot.height as f64 / (3 * font::HEIGHT * SCALE) as f64;
    let steps = [10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];
    let step_s = steps.into_iter().find(|s| seconds / *s as f64 <= most).unwrap_or(864_000);
    let begin = first.as_second() - first.as_second().rem_euclid(step_s);
    let Ok(mut tick) = Timestamp::from_second(begin) else { return };
    while tick < last {
        if let Some(y) = plot.y(tick) {
            for x in 0..6 {
                image.put((LEFT - 1 - x) as i64, y, INK);
            }
            let label = tick.strftime("%H:%M:%S").to_string();
            let top = usize::try_from(y).unwrap_or(0).saturating_sub(font::HEIGHT * SCALE / 2);
            image.text(LETTER / 2, top, &label, INK);
        }
        let Ok(next) = tick.checked_add(step_s.seconds()) else { return };
        tick = next;
    }
}

/// A list of points a few seconds apart, for a curve.
pub fn points(
    from: Timestamp,
    to: Timestamp,
    mut hz: impl FnMut(Timestamp) -> Option<f64>,
) -> Vec<(Timestamp, f64)> {
    let seconds = seconds_between(from, to).clamp(0.0, 1e6);
    let count = seconds.clamp(1.0, 2000.0) as u32;
    (0..=count)
        .filter_map(|k| {
            let time = after(from, seconds * f64::from(k) / f64::from(count));
            let time = time.round(Unit::Millisecond).unwrap_or(time);
            hz(time).map(|hz| (time, hz))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use num_complex::Complex32;

    use super::*;
    use crate::source::Anchor;

    fn noise(count: usize) -> Vec<Complex32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| Complex32::new(next(), next())).collect()
    }

    fn start() -> Timestamp {
        "2026-11-22T12:00:07Z".parse().unwrap()
    }

    fn waterfall(seconds: u64) -> Waterfall {
        let mut waterfall = Waterfall::new(48_000.0, -20e3, 20e3);
        let samples = noise(48_000);
        for second in 0..seconds {
            let anchor =
                Anchor { sample: 0, time: Some(start()), centre_frequency_hz: Some(437.5e6) };
            waterfall.push((second == 0).then_some(anchor), 48_000 * second, &samples);
        }
        waterfall
    }

    fn count(image: &Image, pixel: Pixel) -> usize {
        image.pixels.iter().filter(|p| **p == pixel).count()
    }

    #[test]
    fn a_picture_has_axes_curve_and_frames_and_reads_back() {
        let waterfall = waterfall(40);
        let at = |s: f64| after(start(), s);
        let legend = Legend {
            title: "AALTO-1 437.500 MHz".to_owned(),
            carrier_hz: Some(437.5e6),
            curves: vec![points(at(0.0), at(40.0), |t| {
                Some(437.5e6 + 9e3 - 400.0 * seconds_between(at(0.0), t))
            })],
            frames: vec![(at(5.0), 437.507e6), (at(20.0), 437.501e6), (at(99.0), 437.5e6)],
        };
        let image = draw(&waterfall, &legend).unwrap();
        assert!(image.width > LEAST_WIDTH && image.height > LEAST_HEIGHT);
        // Two frames are within the picture, each with a cross and a tick.
        let ticks = count(&image, FRAME);
        assert_eq!(ticks, 2 * STRIP + 14);
        assert!(count(&image, CURVE) > 30 && count(&image, INK) > 1000);
        let mut file = Vec::new();
        image.write_png(&mut file).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width as usize, info.height as usize), (image.width, image.height));
        assert_eq!(pixels, image.pixels);
    }

    #[test]
    fn odd_receptions_are_drawn_or_not_but_do_no_harm() {
        assert!(draw(&Waterfall::new(48_000.0, -1e3, 1e3), &Legend::default()).is_none());
        let mut silent = Waterfall::new(48_000.0, -1e3, 1e3);
        silent.push(None, 0, &vec![Complex32::ZERO; 500_000]);
        assert!(draw(&silent, &Legend::default()).is_some());
        let mut odd = Waterfall::new(48_000.0, -1e3, 1e3);
        odd.push(None, 0, &vec![Complex32::new(f32::NAN, 1e30); 500_000]);
        let legend = Legend {
            title: "x".repeat(10_000),
            carrier_hz: Some(f64::NAN),
            curves: vec![vec![(start(), f64::NAN), (Timestamp::MAX, 1e300)]],
            frames: vec![(Timestamp::MIN, f64::NEG_INFINITY)],
        };
        assert!(draw(&odd, &legend).is_some() && draw(&waterfall(2), &legend).is_some());
    }

    #[test]
    fn steps_are_round() {
        for (span, most, expected) in [(40e3, 8.0, 5e3), (48e3, 10.0, 5e3), (2.4e6, 9.0, 5e5)] {
            assert_eq!(step(span, most), expected);
        }
    }
}
