//! One row of cells as text with colours: runs of equal pens, wide characters once.

use std::fmt::Write;

use avt::{Cell, Color, Line, Pen};

/// Appends the row; blank cells at its end are left out unless it continues on the next row.
/// Begins and ends with the default pen.
pub(super) fn write_row(line: &Line, text: &mut String) {
    let cells = line.cells();
    let default = Cell::default();
    let end = if line.is_wrapped() {
        cells.len()
    } else {
        cells.iter().rposition(|cell| *cell != default).map_or(0, |last| last + 1)
    };
    let mut pen = *default.pen();
    for cell in cells[..end].iter().filter(|cell| cell.width() > 0) {
        if *cell.pen() != pen {
            pen = *cell.pen();
            write_pen(&pen, text);
        }
        text.push(cell.char());
    }
    if pen != *default.pen() {
        text.push_str("\x1b[0m");
    }
}

fn write_pen(pen: &Pen, text: &mut String) {
    text.push_str("\x1b[0");
    let attributes = [
        (pen.is_bold(), ";1"),
        (pen.is_faint(), ";2"),
        (pen.is_italic(), ";3"),
        (pen.is_underline(), ";4"),
        (pen.is_blink(), ";5"),
        (pen.is_inverse(), ";7"),
        (pen.is_strikethrough(), ";9"),
    ];
    for (_, code) in attributes.iter().filter(|(on, _)| *on) {
        text.push_str(code);
    }
    for (color, base) in [(pen.foreground(), 30), (pen.background(), 40)] {
        // Writing into a string cannot fail.
        let _ = match color {
            None => Ok(()),
            Some(Color::Indexed(index)) if index < 8 => write!(text, ";{}", base + index),
            Some(Color::Indexed(index)) if index < 16 => write!(text, ";{}", base + 52 + index),
            Some(Color::Indexed(index)) => write!(text, ";{};5;{index}", base + 8),
            Some(Color::RGB(rgb)) => write!(text, ";{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
        };
    }
    text.push('m');
}
