//! Files that must be where other files expect them.

use super::{none, same, source};

/// Files of `page/` for tools and readers, which the service does not serve.
const NOT_SERVED: [&str; 3] = ["README.md", "package.json", ".d.ts"];

#[test]
fn the_page_is_served_whole() {
    let pages = source::read("src/server/pages.rs");
    let listed =
        pages.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "));
    let served: Vec<String> = listed.map(|(path, _)| path.to_owned()).collect();
    let paths = source::paths("page").into_iter();
    let files = paths.filter_map(|path| path.strip_prefix("page/").map(str::to_owned));
    let wanted = files.filter(|path| {
        served.contains(path) || !NOT_SERVED.iter().any(|ending| path.ends_with(ending))
    });
    same(served.clone(), wanted.collect(), "bring src/server/pages.rs and page/ together");
}

#[test]
fn migrations_have_no_holes() {
    let files = source::paths("migrations");
    let names = files.iter().filter_map(|path| path.strip_prefix("migrations/"));
    let migrations: Vec<&str> = names.filter(|name| source::is(name, "sql")).collect();
    let wrong = migrations.iter().enumerate().filter_map(|(at, name)| {
        let number = format!("{:04}_", at + 1);
        (!name.starts_with(&number)).then(|| format!("{name} should begin with {number}"))
    });
    none(wrong, "number migrations 0001, 0002, …; one that has run is never renamed or edited");
    assert!(!migrations.is_empty());
}

#[test]
fn integration_tests_are_one_binary() {
    let main = source::read("tests/it/main.rs");
    let modules = source::paths("tests/it");
    let names =
        modules.iter().filter_map(|path| path.strip_prefix("tests/it/")?.split(['/', '.']).next());
    let mut names: Vec<String> = names.filter(|name| *name != "main").map(str::to_owned).collect();
    names.dedup();
    let declared = main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    same(declared.map(str::to_owned).collect(), names, "declare the module in tests/it/main.rs");
}
