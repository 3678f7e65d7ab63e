//! A picture of how figures change: panels one below the other over a common horizontal axis, as SVG. It is drawn on
//! a light card of its own, with the reader's own fonts and without scripts, so that it reads the same in a browser
//! and in a README, on a light page or a dark one.
//!
//! It is own code, because a library of charts (plotters) is many times its size, with backends and fonts of its own,
//! and this draws one kind of chart, as text, without fonts.
//!
//! The words are put in as they are: they must not hold what XML gives a meaning.

use std::fmt::Write as _;
use std::iter;

use super::table::grouped;

/// Figures over a common horizontal axis that begins at nought.
pub(super) struct Picture {
    pub(super) title: String,
    /// Subject of the figures: two lines of up to 110 characters.
    pub(super) subtitle: [String; 2],
    /// Name of what the horizontal axis counts.
    pub(super) across: &'static str,
    pub(super) panels: Vec<Panel>,
}

/// One figure, drawn from nought.
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// Note on it, in a few words.
    pub(super) note: String,
    /// Colour of its line or bars, as `#rrggbb`.
    pub(super) colour: &'static str,
    pub(super) shape: Shape,
    /// From left to right.
    pub(super) points: Vec<(f64, f64)>,
    pub(super) limit: Option<Limit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// For a value that holds at a point, and changes between one and the next.
    Line,
    /// For a value that holds of the whole stretch since the point before.
    Steps,
    /// For something that happened once in that stretch.
    Bars,
}

/// Limit that the figure is measured against: a dashed straight line across the panel.
pub(super) struct Limit {
    pub(super) name: &'static str,
    /// Its height at the left and at the right.
    pub(super) ends: (f64, f64),
}

// The places, in pixels.
const WIDTH: f64 = 860.0;
const EDGE: f64 = 28.0;
const LEFT: f64 = 106.0;
const LEGEND: f64 = 240.0;
const RIGHT: f64 = 826.0;
const FIRST_PANEL: f64 = 106.0;
const HEADING: f64 = 30.0;
const PANEL: f64 = 128.0;
const BETWEEN: f64 = 26.0;
const BELOW: f64 = 58.0;

/// About how many steps an axis has.
const STEPS_DOWN: f64 = 4.0;
const STEPS_ACROSS: f64 = 8.0;

const STYLE: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;\
    font-size:13px;fill:#4a5568}\
    .title{font-size:20px;font-weight:600;fill:#1a202c}\
    .heading{font-size:14px;font-weight:600;fill:#1a202c}\
    .end{text-anchor:end}.middle{text-anchor:middle}\
    .legend{font-size:12px}";

impl Picture {
    /// The picture as an SVG document.
    pub(super) fn svg(&self) -> String {
        let panels = self.panels.len() as f64;
        let bottom = FIRST_PANEL + panels * (HEADING + PANEL) + (panels - 1.0) * BETWEEN;
        let height = bottom + BELOW;
        let end = highest(self.panels.iter().flat_map(|panel| &panel.points).map(|(x, _)| *x));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"#fff\" stroke=\"#d5dbe3\"/>\n",
            WIDTH - 1.0,
            height - 1.0,
            title = self.title,
        );
        text(&mut svg, "title", EDGE, 40.0, &self.title);
        text(&mut svg, "", EDGE, 64.0, &self.subtitle[0]);
        text(&mut svg, "", EDGE, 83.0, &self.subtitle[1]);
        let mut top = FIRST_PANEL + HEADING;
        for panel in &self.panels {
            panel.draw(&mut svg, top, end);
            top += PANEL + BETWEEN + HEADING;
        }
        self.axis_across(&mut svg, bottom, end);
        svg.push_str("</svg>\n");
        svg
    }

    fn axis_across(&self, svg: &mut String, bottom: f64, end: f64) {
        let (unit, name) = match end {
            2e6.. => (1e6, " (millions)"),
            2e4.. => (1e3, " (thousands)"),
            _ => (1.0, ""),
        };
        for tick in ticks(end, STEPS_ACROSS).into_iter().filter(|tick| *tick <= end * 1.000_001) {
            let x = across(tick, end);
            line(svg, (x, bottom), (x, bottom + 5.0), "#718096", "");
            text(svg, "middle", x, bottom + 21.0, &label(tick / unit));
        }
        text(svg, "middle", LEFT.midpoint(RIGHT), bottom + 43.0, &format!("{}{name}", self.across));
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, top: f64, end: f64) {
        let limits = self.limit.iter().flat_map(|limit| [limit.ends.0, limit.ends.1]);
        let ticks = ticks(highest(self.points.iter().map(|(_, y)| *y).chain(limits)), STEPS_DOWN);
        let most = ticks.last().copied().unwrap_or(1.0);
        let place = |(x, y): (f64, f64)| (across(x, end), top + PANEL - PANEL * y / most);

        text(svg, "heading", EDGE, top - 13.0, self.title);
        text(svg, "end", RIGHT, top - 13.0, &self.note);
        for tick in ticks {
            let (_, y) = place((0.0, tick));
            line(svg, (LEFT, y), (RIGHT, y), if tick == 0.0 { "#718096" } else { "#e6eaf0" }, "");
            text(svg, "end", LEFT - 10.0, y + 4.5, &label(tick));
        }
        match self.shape {
            Shape::Line => self.draw_line(svg, &self.points, place),
            Shape::Steps => {
                let before = iter::once(0.0).chain(self.points.iter().map(|point| point.0));
                let steps = before.zip(&self.points).flat_map(|(before, point)| [(before, point.1), *point]);
                self.draw_line(svg, &steps.collect::<Vec<_>>(), place);
            }
            Shape::Bars => self.draw_bars(svg, place),
        }
        if let Some(limit) = &self.limit {
            let (from, to) = (place((0.0, limit.ends.0)), place((end, limit.ends.1)));
            line(svg, from, to, "#2d3748", " stroke-dasharray=\"6 4\"");
            // Beside the panel's title, where no figure can run through it.
            line(svg, (LEGEND, top - 17.5), (LEGEND + 26.0, top - 17.5), "#2d3748", " stroke-dasharray=\"6 4\"");
            text(svg, "legend", LEGEND + 33.0, top - 13.0, limit.name);
        }
    }

    fn draw_line(&self, svg: &mut String, points: &[(f64, f64)], place: impl Fn((f64, f64)) -> (f64, f64)) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let path = points.iter().map(|point| {
            let (x, y) = place(*point);
            format!("{x:.1},{y:.1}")
        });
        let path = path.collect::<Vec<_>>().join(" ");
        let ((from, floor), (to, _)) = (place((first.0, 0.0)), place((last.0, 0.0)));
        let colour = self.colour;
        let _ = writeln!(
            svg,
            r#"<polygon points="{from:.1},{floor:.1} {path} {to:.1},{floor:.1}" fill="{colour}" fill-opacity="0.08"/>"#
        );
        let _ = writeln!(
            svg,
            r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.7" stroke-linejoin="round"/>"#
        );
    }

    fn draw_bars(&self, svg: &mut String, place: impl Fn((f64, f64)) -> (f64, f64)) {
        let mut before = 0.0;
        for point in &self.points {
            let ((left, floor), (right, top)) = (place((before, 0.0)), place(*point));
            let gap = ((right - left) * 0.25).min(4.0);
            let _ = writeln!(
                svg,
                r#"<rect x="{:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="{}"/>"#,
                left + gap / 2.0,
                right - left - gap,
                floor - top,
                self.colour
            );
            before = point.0;
        }
    }
}

/// Returns where a value of the horizontal axis lies.
fn across(x: f64, end: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * x / end
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, more: &str) {
    let _ = writeln!(
        svg,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}"{more}/>"#,
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(svg, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{words}</text>"#);
}

/// The greatest of some numbers; one if none is above nought, so that there is something to divide by.
fn highest(numbers: impl Iterator<Item = f64>) -> f64 {
    let highest = numbers.fold(0.0, f64::max);
    if highest > 0.0 { highest } else { 1.0 }
}

/// Round numbers from nought to `end` or the next one after it, in about so many steps.
fn ticks(end: f64, about: f64) -> Vec<f64> {
    let power = 10_f64.powf((end / about).log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].map(|round| round * power).into_iter().find(|step| step * about >= end * 0.999);
    let step = step.unwrap_or(power * 10.0);
    // A little is taken off, so that a number that is round itself, but for the last bit, is the last.
    let count = (end / step - 1e-9).ceil();
    (0_u32..).map(f64::from).take_while(|number| *number <= count).map(|number| number * step).collect()
}

/// A number with as many decimal places as it needs, up to four.
fn label(number: f64) -> String {
    let places = (0..4).find(|places| {
        let shifted = number * 10_f64.powi(*places);
        (shifted - shifted.round()).abs() < 1e-6
    });
    let places = usize::try_from(places.unwrap_or(4)).unwrap_or(4);
    grouped(&format!("{number:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(ticks(50e6, 8.0), [0.0, 10e6, 20e6, 30e6, 40e6, 50e6]);
        assert_eq!(ticks(957_123.0, 4.0), [0.0, 250_000.0, 500_000.0, 750_000.0, 1_000_000.0]);
        assert_eq!(ticks(1.0, 4.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
        for (number, written) in [(0.0, "0"), (2.5, "2.5"), (0.25, "0.25"), (1e6, "1,000,000")] {
            assert_eq!(label(number), written);
        }
    }

    #[test]
    fn a_picture_is_well_formed_even_with_little_in_it() {
        for points in [vec![], vec![(10.0, 0.0)], vec![(10.0, 5.0), (20.0, 7.0)]] {
            let panel = |shape| Panel {
                title: "Rate",
                note: "none".into(),
                colour: "#000000",
                shape,
                points: points.clone(),
                limit: Some(Limit { name: "limit", ends: (1.0, 2.0) }),
            };
            let panels = [Shape::Line, Shape::Steps, Shape::Bars].map(panel).into();
            let picture = Picture {
                title: "Title".into(),
                subtitle: ["This".into(), "and that".into()],
                across: "Transfers",
                panels,
            };
            let svg = picture.svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            for element in ["text", "style", "title", "svg"] {
                let opened =
                    svg.matches(&format!("<{element}>")).count() + svg.matches(&format!("<{element} ")).count();
                assert_eq!(opened, svg.matches(&format!("</{element}>")).count(), "{element} in {svg}");
            }
        }
    }
}
