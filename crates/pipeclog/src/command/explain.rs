//! `pipeclog explain`: one class of hang in half a page.

use std::process::ExitCode;

use anyhow::Context as _;
use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::classes::Classes;
use pipeclog_waitgraph::render::{self, Prose};

use crate::table;

/// The texts of the classes, embedded so that one installed file is enough.
const TEXTS: &str = include_str!("../../../../fixtures/classes.json");

/// The texts of the classes.
pub(crate) fn classes() -> anyhow::Result<Classes> {
    Classes::read(TEXTS).context("failed to read the built-in texts")
}

pub(crate) fn run(slug: Option<&str>) -> anyhow::Result<ExitCode> {
    let classes = classes()?;
    let Some(slug) = slug else {
        let width = Class::ALL
            .iter()
            .map(|class| class.slug().len())
            .max()
            .unwrap_or(0);
        let mut list = Prose::new(table::text_width());
        for about in classes.iter() {
            let lead = format!("{:width$}  ", about.slug.slug());
            list.hanging(&lead, &about.title, &" ".repeat(width + 2));
        }
        print!("{}", list.into_text());
        return Ok(ExitCode::SUCCESS);
    };
    let about = slug
        .parse::<Class>()
        .ok()
        .and_then(|class| classes.get(class))
        .ok_or_else(|| {
            let like: Vec<&str> = classes.like(slug).into_iter().map(Class::slug).collect();
            let hint = if like.is_empty() {
                String::new()
            } else {
                format!(" (did you mean {}?)", like.join(" or "))
            };
            anyhow::anyhow!("there is no class {slug:?}{hint}; `pipeclog explain` lists them all")
        })?;
    println!("{}", render::class(about, table::text_width()).trim_end());
    Ok(ExitCode::SUCCESS)
}
