//! Tables that fit the terminal: columns are shortened, then left out by priority, and never overflow.

use crate::paint::{Line, Span, Style};
use crate::text;

/// The columns between two columns.
const GAP: usize = 2;

/// How one column behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub title: &'static str,
    pub align: Align,
    /// How far it may be shortened; none keeps it whole.
    pub shrinks: Option<Shrink>,
    /// When it is left out where there is no room; none never is.
    pub dropped: Option<Dropped>,
}

/// How far a column may be shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shrink {
    /// As long as there are others that are less important.
    pub comfortable: usize,
    pub least: usize,
}

/// When a column is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// Before others are shortened beyond what is comfortable; the lowest number first.
    Early(u8),
    /// When the others are at their least; the lowest number first.
    Late(u8),
}

/// On which side a cell is filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    span: Span,
    style: Style,
}

impl Cell {
    /// Returns a cell with `text`, cleaned.
    pub fn new(text: impl AsRef<str>, style: Style) -> Self {
        Self { span: Span::new(text, style), style }
    }

    /// Returns the cell in another style.
    #[must_use]
    pub fn styled(self, style: Style) -> Self {
        Self::new(self.span.text(), style)
    }

    fn width(&self) -> usize {
        text::width(self.span.text())
    }
}

/// One row: a cell for each column, or a remark across all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Cells(Vec<Cell>),
    Remark(Line),
}

/// A table before it is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

impl Table {
    /// Returns a table without rows.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as there are columns.
    pub fn push(&mut self, row: Row) {
        if let Row::Cells(cells) = &row {
            debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        }
        self.rows.push(row);
    }

    /// Lays the table out in at most `max` columns of the terminal, or as wide as it is.
    pub fn render(&self, max: Option<usize>) -> Vec<Line> {
        let layout = self.layout(max);
        let mut lines =
            vec![self.line(&layout, |at| Cell::new(self.columns[at].title, Style::Strong)).fit(max)];
        for row in &self.rows {
            let line = match row {
                Row::Cells(cells) => self.line(&layout, |at| cells[at].clone()),
                Row::Remark(line) => line.clone(),
            };
            lines.push(line.fit(max));
        }
        lines
    }

    /// Returns the columns that are shown, each with its width.
    fn layout(&self, max: Option<usize>) -> Vec<(usize, usize)> {
        let mut shown: Vec<(usize, usize)> =
            (0..self.columns.len()).map(|at| (at, self.natural(at))).collect();
        let Some(max) = max else {
            return shown;
        };
        while let Some((dropped, at)) = self.next_dropped(&shown) {
            let needed = match dropped {
                Dropped::Early(_) => self.needed(&shown, |shrink| shrink.comfortable),
                Dropped::Late(_) => self.needed(&shown, |shrink| shrink.least),
            };
            if needed <= max {
                break;
            }
            shown.retain(|(other, _)| *other != at);
        }
        self.shorten(&mut shown, max);
        shown
    }

    fn natural(&self, at: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(cells[at].width()),
            Row::Remark(_) => None,
        });
        cells.max().unwrap_or(0).max(text::width(self.columns[at].title))
    }

    /// Returns the column that is the next to be left out.
    fn next_dropped(&self, shown: &[(usize, usize)]) -> Option<(Dropped, usize)> {
        shown.iter().filter_map(|(at, _)| Some((self.columns[*at].dropped?, *at))).min()
    }

    /// Returns the width that these columns need when each is shortened so far.
    fn needed(&self, shown: &[(usize, usize)], to: impl Fn(Shrink) -> usize) -> usize {
        let shortened =
            shown.iter().map(|(at, width)| (*at, self.columns[*at].shrinks.map_or(*width, &to).min(*width)));
        total(&shortened.collect::<Vec<_>>())
    }

    /// Shortens columns, those first that would be left out first, until they fit or none can give more.
    fn shorten(&self, shown: &mut [(usize, usize)], max: usize) {
        let mut order: Vec<usize> = (0..shown.len()).collect();
        order.sort_by_key(|place| {
            let dropped = self.columns[shown[*place].0].dropped;
            (dropped.is_none(), dropped)
        });
        for to in [|shrink: Shrink| shrink.comfortable, |shrink: Shrink| shrink.least] {
            for place in &order {
                let over = total(shown).saturating_sub(max);
                let (at, width) = &mut shown[*place];
                if let Some(shrink) = self.columns[*at].shrinks {
                    *width -= over.min(width.saturating_sub(to(shrink)));
                }
            }
        }
    }

    fn line(&self, layout: &[(usize, usize)], cell: impl Fn(usize) -> Cell) -> Line {
        let mut line = Line::new();
        for (place, (at, width)) in layout.iter().enumerate() {
            if place > 0 {
                line.push(Span::new(" ".repeat(GAP), Style::Plain));
            }
            let cell = cell(*at);
            let shown = text::fit(cell.span.text(), *width);
            let space = " ".repeat(width - text::width(&shown));
            let (before, after) = match self.columns[*at].align {
                Align::Left => (String::new(), space),
                Align::Right => (space, String::new()),
            };
            line.push(Span::new(before, Style::Plain));
            line.push(Span::new(shown, cell.style));
            line.push(Span::new(after, Style::Plain));
        }
        line
    }
}

fn total(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, width)| width).sum::<usize>() + GAP * shown.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |title, shrinks, dropped| Column { title, align: Align::Left, shrinks, dropped };
        let mut table = Table::new(vec![
            column("STACK", Some(Shrink { comfortable: 5, least: 4 }), Some(Dropped::Late(1))),
            column("SERVICE", Some(Shrink { comfortable: 9, least: 5 }), None),
            Column { align: Align::Right, ..column("RESTARTS", None, Some(Dropped::Early(1))) },
        ]);
        let plain = |text: &str| Cell::new(text, Style::Plain);
        table.push(Row::Cells(vec![plain("shop"), plain("日本語サービス"), plain("3")]));
        table.push(Row::Remark(Line::plain("└ orders-2 exited with code 137")));
        table
    }

    fn text(max: Option<usize>) -> Vec<String> {
        table().render(max).iter().map(|line| line.text().trim_end().to_owned()).collect()
    }

    #[test]
    fn wide_characters_keep_the_columns_straight() {
        assert_eq!(
            text(None),
            [
                "STACK  SERVICE         RESTARTS",
                "shop   日本語サービス         3",
                "└ orders-2 exited with code 137"
            ]
        );
    }

    #[test]
    fn columns_are_shortened_first_and_left_out_by_priority_then() {
        assert_eq!(text(Some(26))[1], "shop   日本語サ…         3");
        assert_eq!(
            text(Some(25))[1],
            "shop   日本語サービス",
            "the rest is comfortable without the last column"
        );
        assert_eq!(text(Some(15))[1], "shop  日本語サ…", "the stack gives before names do");
        assert_eq!(text(Some(11))[1], "shop  日本…");
        assert_eq!(text(Some(9))[1], "日本語サ…");
        assert_eq!(text(Some(4)), ["SER…", "日…", "└ o…"]);
    }
}
