//! Which environment this is: the strictest answer of several variables.

use super::{
    reader::Reader,
    variables::{ENVIRONMENT, FLASK_ENV, KUBERNETES_SERVICE_HOST, RENDER, Variable},
};

/// Where the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// On somebody's machine: missing keys are fine and a development token exists.
    Development,
    /// Under test: as development, without a development token.
    Test,
    /// For real: every required variable must be set to a real value.
    Production,
}

impl Environment {
    /// The name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Production => "production",
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let named = [named(reader, &ENVIRONMENT), named(reader, &FLASK_ENV)];
        if named.contains(&Some(Self::Production)) {
            return Self::Production;
        }
        let hosted = [RENDER, KUBERNETES_SERVICE_HOST].iter().any(|v| reader.set(v).is_some());
        let unnamed = if hosted { Self::Production } else { Self::Development };
        named.into_iter().flatten().next().unwrap_or(unnamed)
    }
}

fn named(reader: &mut Reader<'_>, variable: &Variable) -> Option<Environment> {
    reader.set(variable)?;
    Some(reader.choice(
        variable,
        &[
            ("development", Environment::Development),
            ("dev", Environment::Development),
            ("local", Environment::Development),
            ("test", Environment::Test),
            ("testing", Environment::Test),
            ("production", Environment::Production),
            ("prod", Environment::Production),
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    #[test]
    fn the_strictest_answer_wins() {
        use Environment::{Development, Production, Test};
        let cases: [(&[(&str, &str)], Environment); 10] = [
            (&[], Development),
            (&[("ENVIRONMENT", "PROD")], Production),
            (&[("ENVIRONMENT", "local")], Development),
            (&[("FLASK_ENV", "testing")], Test),
            (&[("ENVIRONMENT", "test"), ("FLASK_ENV", "development")], Test),
            (&[("ENVIRONMENT", "development"), ("FLASK_ENV", "production")], Production),
            (&[("RENDER", "true")], Production),
            (&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")], Production),
            (&[("RENDER", "true"), ("ENVIRONMENT", "development")], Development),
            (&[("RENDER", "true"), ("ENVIRONMENT", "")], Production),
        ];
        for (variables, expected) in cases {
            let env: Env =
                variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let mut reader = Reader::new(&env);
            assert_eq!(Environment::read(&mut reader), expected, "{variables:?}");
            assert!(reader.faults.is_empty());
        }
    }
}
