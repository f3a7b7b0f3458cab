//! The report where a service shows no more than so many bytes of it.

/// What GitHub takes of a step's summary; one that is larger is dropped whole.
pub const MOST_BYTES: usize = 1024 * 1024;

const CUT: &str = "\n\n*The rest is left out here: it is in the report itself.*\n";

/// The beginning of the Markdown, cut before a heading so that it has at most `most` bytes.
#[must_use]
pub fn beginning(markdown: &str, most: usize) -> String {
    if markdown.len() <= most {
        return markdown.to_owned();
    }
    let room = most.saturating_sub(CUT.len());
    let headings = markdown.match_indices("\n## ").map(|(at, _)| at);
    let end = headings.take_while(|at| *at <= room).last().unwrap_or(0);
    let (kept, _) = markdown.split_at(end);
    format!("{kept}{CUT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_cut_before_a_heading_and_says_so() {
        let text = format!(
            "# A\n\none\n\n## B\n\ntwo\n\n## C\n\n{}\n",
            "three ".repeat(50)
        );
        assert_eq!(beginning(&text, text.len()), text);
        let cut = beginning(&text, 20 + CUT.len());
        assert!(
            cut.starts_with("# A\n\none\n") && !cut.contains("## C") && cut.ends_with(CUT),
            "{cut}"
        );
        assert!(cut.len() <= 20 + CUT.len());
    }

    #[test]
    fn without_a_heading_in_reach_nothing_is_kept_but_the_notice() {
        assert_eq!(beginning(&"x".repeat(1000), 100), CUT);
    }
}
