//! The text of each class, for people who ask what a slug means. The texts are data; the caller reads the file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::class::Class;

/// The texts of all classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(Vec<ClassText>);

/// What there is to say of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassText {
    /// Which.
    pub slug: Class,
    /// What kind of thing it is.
    pub kind: ClassKind,
    /// Its name for people.
    pub title: String,
    /// In one sentence.
    pub sentence: String,
    /// How it comes about.
    pub mechanism: String,
    /// What it looks like from outside.
    pub see: String,
    /// The way out.
    pub cure: String,
    /// What many do, and why it hangs again.
    pub wrong_fix: Option<String>,
    /// Threads, papers and manual pages.
    pub references: Vec<String>,
}

/// Kinds of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassKind {
    /// A deadlock with a full channel in it.
    Artificial,
    /// A deadlock with every channel empty.
    True,
    /// An end of file that somebody withholds.
    Leak,
    /// No deadlock, however much it looks like one.
    LookAlike,
}

/// Why the texts could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ClassesError {
    /// Not JSON of this form.
    #[error("failed to read the texts of the classes: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Of another version.
    #[error(
        "failed to read the texts of the classes: schema version {found}, and this program reads version 1"
    )]
    Version {
        /// What the file says.
        found: u32,
    },
    /// A class without a text, or with two.
    #[error(
        "failed to read the texts of the classes: {class} is there {times} times instead of once"
    )]
    NotOnce {
        /// Which class.
        class: Class,
        /// How often.
        times: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema_version: u32,
    classes: Vec<ClassText>,
}

impl Classes {
    /// Reads the texts from JSON.
    ///
    /// # Errors
    /// If the text is not of this form, or does not have each class exactly once.
    pub fn read(json: &str) -> Result<Self, ClassesError> {
        let document: Document = serde_json::from_str(json)?;
        if document.schema_version != 1 {
            return Err(ClassesError::Version {
                found: document.schema_version,
            });
        }
        for class in Class::ALL {
            let times = document.classes.iter().filter(|t| t.slug == *class).count();
            if times != 1 {
                return Err(ClassesError::NotOnce {
                    class: *class,
                    times,
                });
            }
        }
        Ok(Self(document.classes))
    }

    /// The text of a class.
    pub fn get(&self, class: Class) -> Option<&ClassText> {
        self.0.iter().find(|t| t.slug == class)
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &ClassText> {
        self.0.iter()
    }

    /// The slugs most like `wrong`, for somebody who mistyped one: at most three that share most letter pairs.
    pub fn like(&self, wrong: &str) -> Vec<Class> {
        let pairs = |text: &str| -> BTreeSet<(char, char)> {
            text.chars().zip(text.chars().skip(1)).collect()
        };
        let wanted = pairs(&wrong.to_lowercase());
        let mut ranked: Vec<(usize, Class)> = Class::ALL
            .iter()
            .map(|c| (pairs(c.slug()).intersection(&wanted).count(), *c))
            .filter(|(shared, _)| *shared > 1)
            .collect();
        ranked.sort_by_key(|(shared, class)| (usize::MAX - shared, *class));
        ranked.into_iter().take(3).map(|(_, class)| class).collect()
    }
}
