//! A block of lines on a terminal that is drawn over itself while work goes on.
//!
//! It goes to standard error, so that data on standard output stays clean. Whoever writes there
//! clears the block first; nothing is left of it at the end. The cursor rests below the block, and
//! nothing about the terminal is changed beyond one write, so that a process that is killed leaves
//! no more behind than the block itself.

use std::io::{self, IsTerminal as _, Write as _};

/// A terminal that shows a block.
#[derive(Debug)]
pub struct Live {
    /// How long the lines are that are on the screen, in columns.
    drawn: Vec<usize>,
}

/// How wide and high a terminal is that does not say.
const USUAL: (usize, usize) = (80, 24);

impl Live {
    /// Returns a block if somebody looks: standard error is a terminal that can move its cursor.
    #[must_use]
    pub fn on_terminal() -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        (io::stderr().is_terminal() && !is_dumb).then_some(Self { drawn: Vec::new() })
    }

    /// Returns how wide the terminal is now, in columns.
    #[must_use]
    pub fn width(&self) -> usize {
        size().0
    }

    /// Draws lines over those that were drawn before. What does not fit on the screen is left out.
    pub fn draw(&mut self, lines: &[String]) {
        let (width, height) = size();
        let shown = lines.get(..lines.len().min(height.saturating_sub(1))).unwrap_or(lines);
        let mut text = self.up(width);
        for line in shown {
            // Without wrapping: a line that is too long is cut by the terminal.
            text.push_str(&format!("\u{1b}[?7l{line}\u{1b}[K\u{1b}[?7h\n"));
        }
        text.push_str("\u{1b}[J");
        self.drawn = shown.iter().map(|line| columns(line).min(width)).collect();
        write(&text);
    }

    /// Takes the block from the screen.
    pub fn clear(&mut self) {
        if !self.drawn.is_empty() {
            let text = format!("{}\u{1b}[J", self.up(size().0));
            self.drawn.clear();
            write(&text);
        }
    }

    /// Returns what moves the cursor to the block's beginning. On a terminal that became narrower,
    /// lines take several rows now.
    fn up(&self, width: usize) -> String {
        let rows: usize = self.drawn.iter().map(|line| line.div_ceil(width.max(1)).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\u{1b}[{rows}A") }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

fn size() -> (usize, usize) {
    let told = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let told = told.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    told.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(USUAL)
}

fn write(text: &str) {
    let mut out = io::stderr().lock();
    // A terminal that is gone shows nothing, and there is nobody to tell.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Returns how many columns a line takes: escapes that only colour take none.
fn columns(line: &str) -> usize {
    let mut count = 0;
    let mut in_escape = false;
    for c in line.chars() {
        match c {
            '\u{1b}' => in_escape = true,
            'm' if in_escape => in_escape = false,
            _ if in_escape => {}
            _ => count += 1,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room() {
        assert_eq!(columns("\u{1b}[1mwww\u{1b}[0m  12 s"), 9);
    }

    #[test]
    fn a_terminal_that_became_narrower_shows_a_line_on_several_rows() {
        let live = Live { drawn: vec![80, 10, 0] };
        assert_eq!(live.up(80), "\r\u{1b}[3A");
        assert_eq!(live.up(40), "\r\u{1b}[4A");
        std::mem::forget(live);
    }
}
