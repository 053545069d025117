//! The picture as SVG, laid out here: each box stands above the middle of those that hang from it.

use super::Topology;
use std::fmt::Write;

/// All in pixels.
const LINE: usize = 16;
const LETTER: usize = 7;
const PADDING: usize = 10;
const GAP: usize = 24;
/// Between a box and those that hang from it: room for the words on the lines.
const DROP: usize = 70;

#[derive(Clone, Copy, Default)]
struct Place {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl Topology {
    pub(crate) fn svg(&self) -> String {
        let places = self.places();
        let right = places.iter().map(|place| place.x + place.width).max().unwrap_or_default() + GAP;
        let bottom = places.iter().map(|place| place.y + place.height).max().unwrap_or_default() + GAP;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{right}\" height=\"{bottom}\" \
             font-family=\"monospace\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        // Lines first, so that boxes cover their ends. Writing to a String cannot fail.
        for (node, place) in self.nodes.iter().zip(&places) {
            let Some(parent) = node.parent.map(|parent| places[parent]) else { continue };
            let (x1, y1, x2, y2) = (parent.middle(), parent.y + parent.height, place.middle(), place.y);
            let _ = writeln!(text, "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"black\"/>");
            if !node.edge.is_empty() {
                let _ = writeln!(text, "{}", words(x2, y2 - 6, &node.edge));
            }
        }
        for (node, Place { x, y, width, height }) in self.nodes.iter().zip(&places) {
            let fill = node.kind.fill();
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"{fill}\" stroke=\"black\"/>"
            );
            for (number, line) in node.lines.iter().enumerate() {
                let _ = writeln!(text, "{}", words(x + width / 2, y + PADDING + LINE * number + 12, line));
            }
        }
        text + "</svg>\n"
    }

    fn places(&self) -> Vec<Place> {
        let mut places: Vec<_> = self.nodes.iter().map(|node| Place::around(&node.lines, &node.edge)).collect();
        let children: Vec<Vec<usize>> = (0..self.nodes.len())
            .map(|parent| (0..self.nodes.len()).filter(|node| self.nodes[*node].parent == Some(parent)).collect())
            .collect();
        // Parents come before their children: from the end, what hangs from a box is measured
        // already; from the start, where it hangs is known.
        let mut spans = vec![0; places.len()];
        for node in (0..places.len()).rev() {
            let below: usize = children[node].iter().map(|child| spans[*child] + GAP).sum();
            spans[node] = places[node].width.max(below.saturating_sub(GAP));
        }
        let mut left = vec![GAP; places.len()];
        for node in 0..places.len() {
            places[node].x = left[node] + (spans[node] - places[node].width) / 2;
            if node == 0 {
                places[node].y = GAP;
            }
            let below: usize = children[node].iter().map(|child| spans[*child] + GAP).sum();
            let mut next = left[node] + (spans[node] - below.saturating_sub(GAP)) / 2;
            for child in &children[node] {
                left[*child] = next;
                places[*child].y = places[node].y + places[node].height + DROP;
                next += spans[*child] + GAP;
            }
        }
        places
    }
}

impl Place {
    /// As large as the words in it, and as wide as those above it.
    fn around(lines: &[String], edge: &str) -> Place {
        let letters = lines.iter().map(String::as_str).chain([edge]).map(|line| line.chars().count()).max();
        let width = letters.unwrap_or_default() * LETTER + 2 * PADDING;
        Place { width, height: lines.len() * LINE + 2 * PADDING, ..Place::default() }
    }

    fn middle(&self) -> usize {
        self.x + self.width / 2
    }
}

fn words(x: usize, y: usize, text: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::snapshot;
    use super::*;

    #[test]
    fn the_picture_as_svg() {
        insta::assert_snapshot!(Topology::of(&snapshot()).svg());
    }

    #[test]
    fn no_two_boxes_overlap() {
        let places = Topology::of(&snapshot()).places();
        for (index, one) in places.iter().enumerate() {
            for two in &places[index + 1..] {
                let apart_x = one.x + one.width <= two.x || two.x + two.width <= one.x;
                let apart_y = one.y + one.height <= two.y || two.y + two.height <= one.y;
                assert!(apart_x || apart_y);
            }
        }
    }

    #[test]
    fn names_cannot_leave_their_element() {
        assert_eq!(escaped("<&>"), "&lt;&amp;&gt;");
    }
}
