//! Finds the examples in the docs, and makes a file of each, without the lines that rustdoc hides.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What people read who depend on diskette.
const READ: [&str; 11] = [
    "crates/diskette/src",
    "crates/store/src",
    "crates/deque/src",
    "crates/index/src",
    "crates/cache/src",
    "crates/queue/src",
    "crates/lock/src",
    "crates/semaphore/src",
    "crates/throttle/src",
    "docs/cookbook.md",
    "README.md",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut modules = String::new();
    for place in READ {
        println!("cargo::rerun-if-changed={}", root.join(place).display());
        let mut found = 0;
        for file in files(&root.join(place))? {
            let from = file.strip_prefix(&root)?.display().to_string();
            for (line, code) in examples(&fs::read_to_string(&file)?) {
                let name = from.replace(['/', '.'], "_").to_lowercase() + &format!("_{line}");
                let path = out.join(&name).with_extension("rs");
                write_if_changed(&path, &module(&from, line, &code))?;
                modules += &format!("#[path = {path:?}]\nmod {name};\n");
                found += 1;
            }
        }
        assert!(found > 0, "{place} has no examples");
    }
    write_if_changed(&out.join("examples.rs"), &modules)?;
    Ok(())
}

fn files(place: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if place.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(place)? {
        found.extend(files(&entry?.path())?);
    }
    found.retain(|file| {
        file.extension()
            .is_some_and(|kind| kind == "rs" || kind == "md")
    });
    found.sort();
    Ok(found)
}

/// The visible lines of each example that is to compile, and the line where it begins.
fn examples(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut examples = Vec::new();
    let mut open: Option<(bool, usize, Vec<&str>)> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let line = ["//!", "///"]
            .iter()
            .find_map(|mark| line.strip_prefix(mark))
            .unwrap_or(line);
        let line = line.strip_prefix(' ').unwrap_or(line);
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let known = |word| matches!(word, "" | "rust" | "no_run" | "should_panic");
                open = Some((language.split(',').all(known), number + 1, Vec::new()));
            }
            (Some(_), Some(_)) => {
                if let Some((true, begins, code)) = open.take() {
                    examples.push((begins, code));
                }
            }
            (None, Some((.., code))) if line != "#" && !line.starts_with("# ") => code.push(line),
            _ => {}
        }
    }
    examples
}

/// What a reader would make of it: the body of a function that returns errors.
fn module(from: &str, line: usize, code: &[&str]) -> String {
    let code = code.join("\n");
    format!(
        "//! {from}, line {line}\nfn example() -> Result<(), Box<dyn std::error::Error>> {{\n{code}\n;\nOk(())\n}}\n"
    )
}

fn write_if_changed(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    Ok(fs::write(path, text)?)
}
