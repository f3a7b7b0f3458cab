//! Results in, Markdown out: the same results give the same bytes.
