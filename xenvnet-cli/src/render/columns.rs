//! Columns that line up, in colours.

use crate::output::{DIM, paint};
use anstyle::Style;
use comfy_table::{Table, presets};

/// Text of one style in a table.
pub(super) struct Cell(pub(super) String, pub(super) Style);

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell(text.into(), Style::new())
    }
}

/// Columns that line up, under a heading, indented by two. Colours are put in after the widths
/// are known.
pub(super) fn table(heading: &[&str], rows: Vec<Vec<Cell>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading);
    for row in &rows {
        table.add_row(row.iter().map(|cell| cell.0.as_str()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let heading = vec![heading.iter().map(|text| Cell((*text).to_owned(), DIM)).collect()];
    let cells = heading.into_iter().chain(rows);
    table
        .lines()
        .zip(cells)
        .map(|(line, cells): (String, Vec<Cell>)| format!("  {}\n", colour(line.trim_end(), &cells)))
        .collect()
}

/// Finds the cells of a line from left to right and puts each into its style.
fn colour(line: &str, cells: &[Cell]) -> String {
    let (mut text, mut rest) = (String::new(), line);
    for Cell(cell, style) in cells.iter().filter(|cell| !cell.0.is_empty()) {
        let Some((before, after)) = rest.split_once(cell.as_str()) else { break };
        text += before;
        text += &if *style == Style::new() { cell.clone() } else { paint(*style, cell) };
        rest = after;
    }
    text + rest
}

pub(super) fn or_dash(text: String) -> Cell {
    if text.is_empty() { Cell("-".to_owned(), DIM) } else { text.into() }
}

pub(super) fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}
