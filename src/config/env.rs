//! A snapshot of environment variables, so that nothing else reads or writes the process's own.

use std::{collections::BTreeMap, io, path::Path};

/// Variables by name. Values are secrets until proven otherwise, so there is no `Debug`.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The process's environment over the `.env` file of the working folder, if there is one.
    ///
    /// Fails when the file is there but cannot be read as `NAME=value` lines.
    pub fn from_process() -> Result<Self, String> {
        let mut env = Self::from_file(Path::new(".env"))?;
        env.0.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        Ok(env)
    }

    fn from_file(path: &Path) -> Result<Self, String> {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(dotenvy::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        // The library's error quotes the line, which may hold a secret.
        let entries = lines.collect::<Result<_, _>>();
        entries.map(Self).map_err(|_| format!("{} holds a malformed line", path.display()))
    }

    /// The value, trimmed; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The same variables with one more.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl FromIterator<(String, String)> for Env {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_an_absent_one() {
        let env = Env::from([("A", "  "), ("B", " x ")]);
        assert_eq!((env.get("A"), env.get("B"), env.get("C")), (None, Some("x"), None));
    }

    #[test]
    fn a_malformed_file_is_told_without_quoting_it() {
        let path = std::env::temp_dir().join(format!("env-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, "GOOD=1\nthe secret is hunter2 'open\n").unwrap();
        let error = Env::from_file(&path).err().unwrap();
        assert!(error.ends_with("holds a malformed line"), "{error}");
        std::fs::write(&path, "GOOD=1 # why\nexport QUOTED=\"a b\"\n").unwrap();
        let env = Env::from_file(&path).ok().unwrap();
        assert_eq!((env.get("GOOD"), env.get("QUOTED")), (Some("1"), Some("a b")));
        std::fs::remove_file(&path).unwrap();
    }
}
