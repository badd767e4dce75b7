//! The files of the repository, as the rules read them.

use std::path::Path;

/// Folders that hold nothing of ours, wherever they stand.
const FOREIGN: [&str; 7] =
    [".dev", ".git", ".pytest_cache", "__pycache__", "node_modules", "target", "vendor"];
/// Kinds of files that are read as text.
const TEXT: [&str; 20] = [
    "conf", "css", "d.ts", "html", "ini", "js", "json", "lua", "md", "mjs", "py", "rs", "sh",
    "sql", "svg", "toml", "ts", "txt", "yaml", "yml",
];

/// One file: its path from the root, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// The text with comments blanked, line for line.
    pub fn code(&self) -> String {
        let blank = |line: &str| line.trim_start().starts_with("//");
        let lines = self.text.lines().map(|line| if blank(line) { "" } else { line });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The code with its inline tests blanked too, line for line.
    pub fn production(&self) -> String {
        let code = self.code();
        let mut end: Option<String> = None;
        let mut kept = Vec::new();
        for line in code.lines() {
            if let Some(closing) = &end {
                if line == closing || line.ends_with(';') && !line.starts_with(' ') {
                    end = None;
                }
                kept.push("");
            } else if line.trim() == "#[cfg(test)]" {
                end = Some(line.replace("#[cfg(test)]", "}"));
                kept.push("");
            } else {
                kept.push(line);
            }
        }
        kept.join("\n")
    }
}

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a path names a file of that kind.
pub fn is(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|its| its == extension)
}

/// The text of one file, which must be there.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths of the files below a folder, in order, without what is not ours.
pub fn paths(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(root().join(folder));
    for entry in entries.unwrap_or_else(|error| panic!("{folder}: {error}")) {
        let entry = entry.expect("an entry of the folder");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder == "." { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type().expect("its type").is_dir() {
            found.push(path);
        } else if !FOREIGN.contains(&name.as_str()) {
            found.extend(paths(&path));
        }
    }
    found.sort();
    found
}

/// Every file of ours that is text; scripts have no extension.
pub fn texts() -> Vec<Source> {
    let extension =
        |path: &str| path.rsplit('/').next()?.split_once('.').map(|(_, e)| e.to_owned());
    let is_text = |path: &String| {
        path != ".env"
            && !path.ends_with("package-lock.json")
            && extension(path).is_none_or(|extension| {
                TEXT.iter()
                    .any(|kind| extension == *kind || extension.ends_with(&format!(".{kind}")))
            })
    };
    load(paths(".").into_iter().filter(is_text))
}

/// Every Rust file, tests and tools included.
pub fn rust() -> Vec<Source> {
    let folders = ["src", "tests", "loadtest"];
    let paths = folders.into_iter().flat_map(paths).chain(["build.rs".to_owned()]);
    load(paths.filter(|path| is(path, "rs")))
}

/// The Rust files of the service alone.
pub fn service() -> Vec<Source> {
    load(paths("src").into_iter().filter(|path| is(path, "rs")))
}

fn load(paths: impl Iterator<Item = String>) -> Vec<Source> {
    let source = |path: String| {
        let text = std::fs::read_to_string(root().join(&path)).ok()?;
        Some(Source { path, text })
    };
    paths.filter_map(source).collect()
}

/// Modules that exist in tests only: `#[cfg(test)] mod name;` says so.
pub fn test_modules(sources: &[Source]) -> Vec<String> {
    let mut modules = Vec::new();
    for source in sources {
        let folder = module_folder(&source.path);
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let name = pair[1].split("mod ").nth(1).and_then(|rest| rest.strip_suffix(';'));
            if let (true, Some(name)) = (pair[0] == "#[cfg(test)]", name) {
                modules.push(format!("{folder}/{name}"));
            }
        }
    }
    modules
}

/// Where the modules that a file declares are.
fn module_folder(path: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    let own = ["/mod", "/lib", "/main"].iter().find_map(|name| stem.strip_suffix(name));
    own.unwrap_or(stem).to_owned()
}
