//! The counts kept while the transfers are made: how long answers take, and points along the way that show how rate,
//! memory and disk grow. All of it takes the same few kilobytes however long the bench runs, so that the memory
//! measured is the bank's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::process;
use crate::failure::Failure;

/// The values of [`Waits`] per doubling, as a power of two: a percentile is off by less than half a hundredth.
const STEPS_BITS: u32 = 7;
const STEPS: u64 = 1 << STEPS_BITS;

/// Times that things took.
pub(super) struct Waits {
    counts: Vec<u64>,
    longest: Duration,
}

impl Waits {
    pub(super) fn new() -> Self {
        Self { counts: Vec::new(), longest: Duration::ZERO }
    }

    pub(super) fn note(&mut self, wait: Duration) {
        let place = place(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.longest = self.longest.max(wait);
    }

    /// The wait that so many in a hundred don't exceed, by nearest rank, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: u64) -> f64 {
        let rank = (self.counts.iter().sum::<u64>() * percent).div_ceil(100);
        let mut counted = 0;
        let place = self.counts.iter().position(|count| {
            counted += count;
            counted >= rank.max(1)
        });
        place.map_or(0.0, |place| middle_ns(place).min(self.longest.as_nanos() as f64) / 1e6)
    }

    /// The longest, exactly, in milliseconds.
    pub(super) fn longest_ms(&self) -> f64 {
        ms(self.longest)
    }
}

/// Returns the place at which a wait is counted: each nanosecond by itself at first, then so many steps for each
/// doubling.
fn place(ns: u64) -> usize {
    let doublings = ns.max(1).ilog2().saturating_sub(STEPS_BITS);
    usize::try_from(u64::from(doublings) * STEPS + (ns >> doublings)).expect("a few thousand places")
}

/// The middle of the waits that are counted at a place.
fn middle_ns(place: usize) -> f64 {
    let place = place as u64;
    let doublings = (place / STEPS).saturating_sub(1);
    let width = (1_u64 << doublings) as f64;
    (place - doublings * STEPS) as f64 * width + (width - 1.0) / 2.0
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The bank at one moment of the bench.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Point {
    /// Number of transfers answered by then, and the seconds since the first was sent.
    pub(super) transfers: u64,
    pub(super) seconds: f64,
    /// Since the point before.
    pub(super) transfers_per_s: f64,
    /// The longest that an answer took since the point before.
    pub(super) batch_ms_max: f64,
    pub(super) rss_bytes: u64,
    /// The bank's folder, by kind of file.
    pub(super) disk_bytes: BTreeMap<String, u64>,
    /// Written to disk since the first transfer was sent; see [`process::written_bytes`].
    pub(super) written_bytes: u64,
    /// Processor time since the first transfer was sent.
    pub(super) cpu_s: f64,
}

/// Counts the answers as they come, from any thread.
pub(super) struct Meter {
    folder: PathBuf,
    /// A point is taken whenever so many more transfers were answered.
    step: u64,
    began: Instant,
    written_before: u64,
    cpu_before: f64,
    counted: Mutex<Counted>,
}

struct Counted {
    transfers: u64,
    waits: Waits,
    longest_since_point: Duration,
    points: Vec<Point>,
}

impl Meter {
    /// Begins now.
    pub(super) fn begin(folder: PathBuf, step: u64) -> Result<Self, Failure> {
        let (written_before, cpu_before) = (process::written_bytes()?, process::cpu_s()?);
        let counted =
            Counted { transfers: 0, waits: Waits::new(), longest_since_point: Duration::ZERO, points: Vec::new() };
        Ok(Self { folder, step, began: Instant::now(), written_before, cpu_before, counted: Mutex::new(counted) })
    }

    /// Some transfers that were sent together have been answered after a time.
    pub(super) fn answered(&self, transfers: u64, wait: Duration) -> Result<(), Failure> {
        let mut counted = self.counted.lock().expect("no thread panics while it counts");
        let points_before = counted.transfers / self.step;
        counted.transfers += transfers;
        counted.waits.note(wait);
        counted.longest_since_point = counted.longest_since_point.max(wait);
        if counted.transfers / self.step > points_before { self.take_point(&mut counted) } else { Ok(()) }
    }

    /// Ends with a last point, and gives all there is.
    pub(super) fn end(&self) -> Result<(Waits, Vec<Point>), Failure> {
        let mut counted = self.counted.lock().expect("no thread panics while it counts");
        if counted.points.last().is_none_or(|last| last.transfers < counted.transfers) {
            self.take_point(&mut counted)?;
        }
        Ok((std::mem::replace(&mut counted.waits, Waits::new()), std::mem::take(&mut counted.points)))
    }

    fn take_point(&self, counted: &mut Counted) -> Result<(), Failure> {
        let seconds = self.began.elapsed().as_secs_f64();
        let before = counted.points.last().map_or((0, 0.0), |before| (before.transfers, before.seconds));
        counted.points.push(Point {
            transfers: counted.transfers,
            seconds,
            transfers_per_s: (counted.transfers - before.0) as f64 / (seconds - before.1),
            batch_ms_max: ms(std::mem::take(&mut counted.longest_since_point)),
            rss_bytes: process::rss_bytes()?,
            disk_bytes: process::disk_bytes(&self.folder)?,
            written_bytes: self.written_bytes()?,
            cpu_s: process::cpu_s()? - self.cpu_before,
        });
        Ok(())
    }

    /// Returns the bytes written since the beginning.
    pub(super) fn written_bytes(&self) -> Result<u64, Failure> {
        Ok(process::written_bytes()?.saturating_sub(self.written_before))
    }
}

/// The rate over the last tenth of the transfers by that over the first, as nearly as the points tell. None where
/// they are too few to tell the two apart.
pub(super) fn growth_ratio(points: &[Point]) -> Option<f64> {
    let end = points.last()?;
    let ninth = points.iter().rfind(|point| point.transfers * 10 <= end.transfers * 9)?;
    let last_rate = (end.transfers - ninth.transfers) as f64 / (end.seconds - ninth.seconds);
    Some(last_rate / first_tenth_rate(points)?)
}

/// The rate over the first tenth of the transfers, or up to the first point, where that comes later.
pub(super) fn first_tenth_rate(points: &[Point]) -> Option<f64> {
    let end = points.last()?.transfers;
    let tenth = points.iter().rfind(|point| point.transfers * 10 <= end).or(points.first())?;
    Some(tenth.transfers as f64 / tenth.seconds)
}

/// Returns how much memory a transfer adds from a tenth of them to the end. None where there are no such points.
pub(super) fn growth_bytes(points: &[Point]) -> Option<f64> {
    let end = points.last()?;
    let tenth = points.iter().find(|point| point.transfers * 10 >= end.transfers)?;
    let transfers = end.transfers - tenth.transfers;
    (transfers > 0).then(|| (end.rss_bytes as f64 - tenth.rss_bytes as f64) / transfers as f64)
}

/// Returns how much memory a transfer adds in the second half: the slope of the straight line nearest to the points
/// there, by least squares. None with fewer than two of them.
pub(super) fn slope_bytes(points: &[Point]) -> Option<f64> {
    let end = points.last()?.transfers;
    let half = points.iter().filter(|point| point.transfers * 2 >= end);
    let half: Vec<(f64, f64)> = half.map(|point| (point.transfers as f64, point.rss_bytes as f64)).collect();
    let count = half.len() as f64;
    let mean_x = half.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = half.iter().map(|(_, y)| y).sum::<f64>() / count;
    let spread: f64 = half.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let together: f64 = half.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (half.len() >= 2).then(|| together / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(transfers: u64, seconds: f64, rss_bytes: u64) -> Point {
        let (disk_bytes, transfers_per_s) = (BTreeMap::new(), 0.0);
        Point {
            transfers,
            seconds,
            transfers_per_s,
            batch_ms_max: 0.0,
            rss_bytes,
            disk_bytes,
            written_bytes: 0,
            cpu_s: 0.0,
        }
    }

    #[test]
    fn percentiles_are_near_and_the_longest_is_exact() {
        let mut waits = Waits::new();
        assert_eq!((waits.percentile_ms(50), waits.longest_ms()), (0.0, 0.0));
        (1..=1_000).for_each(|number| waits.note(Duration::from_micros(number * 7)));
        for (percent, exact_ms) in [(1, 0.07), (50, 3.5), (99, 6.93), (100, 7.0)] {
            let told = waits.percentile_ms(percent);
            assert!((told / exact_ms - 1.0).abs() < 0.005, "{percent} %: {told} ms for {exact_ms} ms");
        }
        assert_eq!(waits.longest_ms(), 7.0);
        waits.note(Duration::MAX);
        assert_eq!(place(0), 0);
        assert_eq!(place(2 * STEPS - 1) + 1, place(2 * STEPS));
    }

    #[test]
    fn growth_is_told_from_the_points() {
        // Ten a second at first, eight in the end; five bytes for each transfer, and six in the second half.
        let points: Vec<Point> = (1..=20)
            .map(|step| {
                let transfers = step * 100;
                let seconds = if step <= 18 { step as f64 * 10.0 } else { 180.0 + (step - 18) as f64 * 12.5 };
                point(transfers, seconds, 1_000 + transfers * 5 + transfers.saturating_sub(1_000))
            })
            .collect();
        assert_eq!(growth_ratio(&points), Some(0.8));
        assert!((slope_bytes(&points).expect("points") - 6.0).abs() < 1e-9);
        assert_eq!(growth_bytes(&points), Some(5.0 + 1_000.0 / 1_800.0));
        let one = [point(100, 1.0, 1)];
        assert_eq!((growth_ratio(&one), slope_bytes(&one), growth_bytes(&one)), (None, None, None));
        assert_eq!((growth_ratio(&[]), slope_bytes(&[]), growth_bytes(&[])), (None, None, None));
    }
}
