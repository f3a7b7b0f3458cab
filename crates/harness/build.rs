//! Embeds `fixtures/scenarios/*.json`, `fixtures/check/*.json`, `fixtures/incidents/*.json`, `fixtures/claims/*.py` and the wrappers, so that one installed file
//! is enough, and a new scenario needs no line of code.

use std::path::Path;
use std::{env, fs};

fn main() {
    for (folder, extension) in [
        ("scenarios", "json"),
        ("check", "json"),
        ("incidents", "json"),
        ("claims", "py"),
    ] {
        embed(folder, extension);
    }
    embed_wrappers();
}

/// Every file of `fixtures/wrappers/<language>` and of the folder `known` in it, by its path, except the mutants, which only
/// tests need.
fn embed_wrappers() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../../fixtures/wrappers");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for language in entries(&folder) {
        if language.join("wrappers.json").is_file() {
            files.extend(entries(&language).into_iter().filter(|path| path.is_file()));
            files.extend(entries(&language.join("known")));
        }
    }
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.strip_prefix(&folder).expect("it stands there");
        list += &format!(
            "({:?}, include_str!({:?})),\n",
            name.display().to_string(),
            path.display().to_string()
        );
    }
    list += "]";
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("wrappers.rs"), list).expect("OUT_DIR can be written");
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("failed to list {}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry of a readable folder").path())
        .collect()
}

/// The files of a folder of `fixtures` as a list of their names and texts.
fn embed(folder_name: &str, extension: &str) {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../../fixtures").join(folder_name);
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = entries(&folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name in UTF-8");
        println!("cargo::rerun-if-changed={}", path.display());
        list += &format!(
            "({name:?}, include_str!({:?})),\n",
            path.display().to_string()
        );
    }
    list += "]";
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join(format!("{folder_name}.rs")), list)
        .expect("OUT_DIR can be written");
}
