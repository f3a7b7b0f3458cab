//! The report as one page that needs nothing beside it and runs no script.

use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::document::Document;

const HEAD: &str = "\
<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>Which ways to capture output hang, and at which byte</title>
<style>
:root { --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --fill: #f6f8fa; --link: #0969da }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --soft: #9198a1; --line: #3d444d; --fill: #161b22; --link: #58a6ff } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1.25rem; color: var(--text); font: 16px/1.55 system-ui, sans-serif }
h1, h2 { border-bottom: 1px solid var(--line); padding-bottom: .3em; line-height: 1.25 }
a { color: var(--link) }
table { display: block; overflow-x: auto; border-collapse: collapse; font-size: 14px; margin: 1em 0 }
th, td { border: 1px solid var(--line); padding: .3em .7em; vertical-align: top }
th:first-child, td:first-child { min-width: 10rem }
tr:nth-child(2n) { background: var(--fill) }
code, pre { font: .9em ui-monospace, monospace; background: var(--fill); border-radius: 5px }
code { padding: .1em .3em }
pre { padding: .8em 1em; overflow-x: auto }
pre code { padding: 0 }
blockquote { margin: 1em 0; padding: 0 1em; border-left: 4px solid var(--line); color: var(--soft) }
img { max-width: 100%; height: auto }
summary { cursor: pointer; color: var(--soft) }
</style>
";

/// The same content as the Markdown: pictures are within the page, and graphs are drawn.
#[must_use]
pub fn page(document: &Document) -> String {
    let options = Options::ENABLE_TABLES;
    let mut graphs = document.graphs.iter();
    let mut in_graph = false;
    let mut headings = Headings::default();
    let events = Parser::new_ext(&document.markdown, options).filter_map(|event| match event {
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language)))
            if &*language == "mermaid" =>
        {
            in_graph = true;
            graphs.next().map(|graph| {
                let source = data(&graph.svg());
                Event::Html(CowStr::from(format!(
                    "<p><img alt=\"who waits for whom\" src=\"{source}\"></p>\n"
                )))
            })
        }
        Event::End(TagEnd::CodeBlock) if in_graph => {
            in_graph = false;
            None
        }
        _ if in_graph => None,
        Event::Start(Tag::Image {
            link_type,
            dest_url,
            title,
            id,
        }) => {
            let figure = document
                .figures
                .iter()
                .find(|figure| figure.file == *dest_url);
            Some(Event::Start(Tag::Image {
                link_type,
                dest_url: figure.map_or(dest_url, |figure| CowStr::from(data(&figure.svg))),
                title,
                id,
            }))
        }
        event => Some(event),
    });
    let events: Vec<Event<'_>> = events.collect();
    headings.name(&events);
    let mut text = String::from(HEAD);
    html::push_html(&mut text, headings.with_anchors(events).into_iter());
    let _ = writeln!(text, "</html>");
    text
}

/// A picture as an address. It keeps its own style, which within a page would be everybody's.
fn data(svg: &str) -> String {
    format!(
        "data:image/svg+xml,{}",
        utf8_percent_encode(svg, NON_ALPHANUMERIC)
    )
}

/// The names that links within the document use for its headings: as the web's renderers of Markdown make them.
#[derive(Default)]
struct Headings {
    names: Vec<String>,
}

impl Headings {
    fn name(&mut self, events: &[Event<'_>]) {
        let mut text: Option<String> = None;
        for event in events {
            match event {
                Event::Start(Tag::Heading { .. }) => text = Some(String::new()),
                Event::Text(part) | Event::Code(part) => {
                    if let Some(text) = &mut text {
                        text.push_str(part);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    self.names.extend(text.take().map(|text| anchor(&text)))
                }
                _ => {}
            }
        }
    }

    fn with_anchors<'a>(self, events: Vec<Event<'a>>) -> Vec<Event<'a>> {
        let mut names = self.names.into_iter();
        events
            .into_iter()
            .map(|event| match event {
                Event::Start(Tag::Heading {
                    level,
                    classes,
                    attrs,
                    ..
                }) => Event::Start(Tag::Heading {
                    level,
                    id: names.next().map(CowStr::from),
                    classes,
                    attrs,
                }),
                event => event,
            })
            .collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c })
        .collect::<String>()
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;

    #[test]
    fn pictures_are_within_the_page_and_links_arrive() {
        let page = page(&Document {
            markdown: "# One\n\n[there](#what-it-costs-when-it-works)\n\n![a curve](R.svg)\n\n## What it costs, when it works\n\n\
                       | a |\n| --- |\n| 1 |\n"
                .to_owned(),
            figures: vec![Figure {
                file: "R.svg".to_owned(),
                svg: "<svg>\"&#</svg>".to_owned(),
                says: "a curve".to_owned(),
            }],
            graphs: Vec::new(),
        });
        assert!(
            page.contains("id=\"what-it-costs-when-it-works\""),
            "{page}"
        );
        assert!(
            page.contains("src=\"data:image/svg+xml,%3Csvg%3E%22%26%23%3C%2Fsvg%3E\""),
            "{page}"
        );
        assert!(
            page.contains("<table>") && !page.contains("R.svg"),
            "{page}"
        );
        assert!(!page.contains("<script"), "{page}");
    }
}
