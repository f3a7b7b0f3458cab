//! Bytes from outside (names, arguments, paths, captured output) and one encoder for each place they may go.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes that somebody else chose: a process name, an argument, a path, captured output.
///
/// There is no way to print them raw: no `Display`, and `Debug` escapes. Each sink has its encoder, and all of them
/// start from [`Untrusted::escaped`], which is lossless: [`Untrusted::from_escaped`] gives the same bytes back.
/// In JSON it is one string in that same form, so a `\` of the bytes is `\\` there (and `\\\\` in the JSON text).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Untrusted(Vec<u8>);

impl Untrusted {
    /// Takes the bytes as they came.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes as they came: for comparing and for opening files, never for printing.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Printable text for a terminal or a log, on one line: no control character, no escape sequence, no bidi or
    /// invisible character, no byte that is not UTF-8. Everything else stands as a Rust escape (`\n`, `\u{202e}`,
    /// `\xff`), and a backslash as two.
    pub fn escaped(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                push_escaped(&mut text, c);
            }
            for byte in chunk.invalid() {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        text
    }

    /// The bytes that [`Untrusted::escaped`] wrote as `text`.
    ///
    /// # Errors
    /// When `text` has a backslash that starts none of the escapes that `escaped` writes.
    pub fn from_escaped(text: &str) -> Result<Self, EscapeError> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            let (plain, escape) = rest.split_at(at);
            bytes.extend_from_slice(plain.as_bytes());
            rest = unescape(escape.get(1..).unwrap_or_default(), &mut bytes)?;
        }
        bytes.extend_from_slice(rest.as_bytes());
        Ok(Self(bytes))
    }

    /// For a terminal: [`Untrusted::escaped`], and at most `limit` characters, the last one `…` where text was cut.
    pub fn terminal(&self, limit: usize) -> String {
        shorten(self.escaped(), limit)
    }

    /// One word of a command line, to be read and to be copied: as it is, in single quotes, or, where something in it cannot be
    /// printed, as bash's `$'…'`. It is quoted once, and holds no character that [`Untrusted::escaped`] would not print.
    pub fn shell_word(&self) -> String {
        let escaped = self.escaped();
        let is_printable =
            std::str::from_utf8(&self.0).is_ok_and(|text| text.replace('\\', "\\\\") == escaped);
        if !is_printable {
            return ansi_c_word(&self.0);
        }
        let text = String::from_utf8_lossy(&self.0);
        let is_plain = |c: char| c.is_alphanumeric() || "_-+=./:,@%^".contains(c);
        if !text.is_empty() && text.chars().all(is_plain) {
            return text.into_owned();
        }
        format!("'{}'", text.replace('\'', "'\\''"))
    }

    /// For Markdown (GitHub's too), as text within a line: every character that could begin markup, a mention, a
    /// link, an issue number or a table cell stands as a numeric entity.
    pub fn markdown(&self) -> String {
        markdown_text(&self.escaped())
    }

    /// For the inside of a double-quoted string of Graphviz DOT, where `\` begins an escape and `&` an entity.
    pub fn dot(&self) -> String {
        dot_text(&self.escaped())
    }

    /// For the inside of a double-quoted Mermaid label: what is not a letter, a digit or plain punctuation stands as
    /// Mermaid's `#code;`.
    pub fn mermaid(&self) -> String {
        mermaid_text(&self.escaped())
    }

    /// For the message of a GitHub workflow command: `%`, `:`, and `,` percent-encoded, line ends cannot occur.
    pub fn workflow(&self) -> String {
        workflow_text(&self.escaped())
    }
}

/// Text of ours or already escaped text, made safe for a GitHub workflow command, its properties included.
pub fn workflow_text(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    for c in escaped.chars() {
        match c {
            '%' | ':' | ',' | '\r' | '\n' => {
                let _ = write!(text, "%{:02X}", u32::from(c));
            }
            _ => text.push(c),
        }
    }
    text
}

/// Text of ours or already escaped text, made safe for Markdown; see [`Untrusted::markdown`].
pub fn markdown_text(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    let mut chars = escaped.chars().peekable();
    while let Some(c) = chars.next() {
        let plain = match c {
            ' ' | '/' | '-' | '=' | ',' | ';' | '?' | '(' | ')' | '\'' | '"' | '%' | '…' => true,
            // GitHub makes links of `https:` and `www.` wherever they stand.
            ':' => chars.peek() == Some(&' '),
            '.' => !text.to_ascii_lowercase().ends_with("www"),
            _ => c.is_alphanumeric(),
        };
        if plain {
            text.push(c);
        } else {
            let _ = write!(text, "&#{};", u32::from(c));
        }
    }
    text
}

/// Text of ours or already escaped text, made safe for the inside of a DOT string.
pub fn dot_text(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    for c in escaped.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            _ => text.push(c),
        }
    }
    text
}

/// Text of ours or already escaped text, made safe for the inside of a Mermaid label.
pub fn mermaid_text(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    for c in escaped.chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '/' | '.' | '-' | ',' | '=') {
            text.push(c);
        } else {
            let _ = write!(text, "#{};", u32::from(c));
        }
    }
    text
}

/// `$'…'` of bash, ksh and zsh (man 1 bash, QUOTING).
fn ansi_c_word(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut one = String::new();
            push_escaped(&mut one, c);
            match c {
                '\'' => text.push_str("\\'"),
                // Bash writes four or eight digits, and no braces.
                _ if one.starts_with("\\u") => {
                    let _ = match u32::from(c) {
                        code @ 0x1_0000.. => write!(text, "\\U{code:08x}"),
                        code => write!(text, "\\u{code:04x}"),
                    };
                }
                _ => text.push_str(&one),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text + "'"
}

fn shorten(text: String, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text;
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn push_escaped(text: &mut String, c: char) {
    match c {
        // `escape_debug` would escape the quotes too, which are harmless here.
        '"' | '\'' => text.push(c),
        // A combining mark is left alone by `escape_debug` of a string, but it changes what stands before it.
        _ => text.extend(c.escape_debug()),
    }
}

/// Reads one escape whose backslash is already taken off, and returns what follows it.
fn unescape<'a>(escape: &'a str, bytes: &mut Vec<u8>) -> Result<&'a str, EscapeError> {
    let broken = || EscapeError {
        near: escape.chars().take(8).collect(),
    };
    let kind = escape.chars().next().ok_or_else(broken)?;
    let rest = escape.get(kind.len_utf8()..).unwrap_or_default();
    let simple = match kind {
        '0' => Some(0),
        't' => Some(b'\t'),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        '\\' => Some(b'\\'),
        _ => None,
    };
    if let Some(byte) = simple {
        bytes.push(byte);
        return Ok(rest);
    }
    match kind {
        'x' => {
            let digits = rest.get(..2).ok_or_else(broken)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| broken())?);
            Ok(rest.get(2..).unwrap_or_default())
        }
        'u' => {
            let (digits, after) = rest
                .strip_prefix('{')
                .and_then(|r| r.split_once('}'))
                .ok_or_else(broken)?;
            let code = u32::from_str_radix(digits, 16).map_err(|_| broken())?;
            let c = char::from_u32(code).ok_or_else(broken)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            Ok(after)
        }
        _ => Err(broken()),
    }
}

/// Text that is not what [`Untrusted::escaped`] writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read escaped bytes: no escape begins with {near:?}; a backslash is written as two"
)]
pub struct EscapeError {
    near: String,
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escaped())
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Untrusted {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Untrusted {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for Untrusted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.escaped())
    }
}

impl<'de> Deserialize<'de> for Untrusted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_escaped(&text).map_err(de::Error::custom)
    }
}
