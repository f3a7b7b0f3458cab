//! What a keeper tells its supervisor: lines of text, each whole in one write(2) and far below PIPE_BUF.

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The command runs.
    Started {
        /// Its number.
        pid: i32,
    },
    /// It could not be run.
    Failed {
        /// Why (errno(3)).
        errno: i32,
    },
    /// It exited.
    Exited {
        /// Its code.
        code: i32,
    },
    /// It died of a signal.
    Killed {
        /// Its number.
        signal: i32,
    },
}

impl Told {
    pub(crate) fn to_line(self) -> String {
        match self {
            Self::Started { pid } => format!("started {pid}\n"),
            Self::Failed { errno } => format!("failed {errno}\n"),
            Self::Exited { code } => format!("exited {code}\n"),
            Self::Killed { signal } => format!("killed {signal}\n"),
        }
    }

    /// Nothing for a line that no keeper writes.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (word, number) = line.split_once(' ')?;
        let number = number.trim_end().parse().ok()?;
        match word {
            "started" => Some(Self::Started { pid: number }),
            "failed" => Some(Self::Failed { errno: number }),
            "exited" => Some(Self::Exited { code: number }),
            "killed" => Some(Self::Killed { signal: number }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_as_it_was_written() {
        for told in [
            Told::Started { pid: 4711 },
            Told::Failed { errno: 2 },
            Told::Exited { code: 255 },
            Told::Killed { signal: 9 },
        ] {
            assert_eq!(Told::from_line(&told.to_line()), Some(told));
        }
        for line in ["", "started", "started x", "ran 1"] {
            assert_eq!(Told::from_line(line), None, "{line}");
        }
    }
}
