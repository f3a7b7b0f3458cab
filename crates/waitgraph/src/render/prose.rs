//! Words set into lines.

/// How wide text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// A terminal's columns: no line is wider, unless a single word is.
    Columns(usize),
    /// No terminal: prose is set for reading, and a verdict stands on one line, so that it can be cut out of a log.
    Unlimited,
}

/// Wider prose is tiresome to read.
const PLEASANT: usize = 100;
/// Narrower than this, every line would be a word.
const NARROWEST: usize = 24;

/// Text under way, set into lines.
#[derive(Debug)]
pub struct Prose {
    text: String,
    width: Width,
    /// What every line begins with.
    margin: String,
}

impl Prose {
    /// Nothing yet.
    pub fn new(width: Width) -> Self {
        Self {
            text: String::new(),
            width,
            margin: String::new(),
        }
    }

    /// All lines, each with its end.
    pub fn into_text(self) -> String {
        self.text
    }

    /// One line as it is.
    pub fn line(&mut self, line: &str) {
        self.text
            .push_str(format!("{}{line}", self.margin).trim_end());
        self.text.push('\n');
    }

    /// A verdict: on one line unless a terminal would break it within a word.
    pub fn sentence(&mut self, words: &str) {
        match self.width {
            Width::Unlimited => self.line(words),
            Width::Columns(_) => self.wrapped(words),
        }
    }

    /// Words, wrapped.
    pub fn wrapped(&mut self, words: &str) {
        self.hanging("", words, "");
    }

    /// Words after `lead`, each line that follows after `rest`. A word longer than a line stays whole.
    pub fn hanging(&mut self, lead: &str, words: &str, rest: &str) {
        let room = match self.width {
            Width::Columns(columns) => columns.clamp(NARROWEST, PLEASANT),
            Width::Unlimited => PLEASANT,
        };
        let room = room.saturating_sub(self.margin.chars().count());
        let mut line = lead.to_owned();
        let mut width = lead.chars().count();
        let mut is_first = true;
        for word in words.split(' ') {
            let needs = word.chars().count() + usize::from(!is_first);
            if !is_first && width + needs > room {
                self.line(&line);
                line = rest.to_owned();
                width = rest.chars().count();
                is_first = true;
            }
            if !is_first {
                line.push(' ');
                width += 1;
            }
            line.push_str(word);
            width += word.chars().count();
            is_first = false;
        }
        self.line(&line);
    }

    /// What `write` adds is set in by `margin`.
    pub fn set_in(&mut self, margin: &str, write: impl FnOnce(&mut Self)) {
        let outer = self.margin.len();
        self.margin.push_str(margin);
        write(self);
        self.margin.truncate(outer);
    }
}
