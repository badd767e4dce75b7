//! Which browser origins are let in.

/// Allowed origins, compared exactly: no substrings, no patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every origin.
    Any,
    /// These, lower case, without a trailing slash.
    Only(Vec<String>),
}

impl Origins {
    /// Reads `*` or a comma-separated list.
    pub(super) fn parse(text: &str) -> Self {
        let origins: Vec<_> = text
            .split(',')
            .map(|origin| origin.trim().trim_end_matches('/').to_ascii_lowercase())
            .filter(|origin| !origin.is_empty())
            .collect();
        if origins.iter().any(|origin| origin == "*") { Self::Any } else { Self::Only(origins) }
    }

    /// Whether the value of an `Origin` header is allowed.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    /// What of this is risky in production, if anything.
    pub(super) fn risk(&self) -> Option<&'static str> {
        match self {
            Self::Any => Some("allows every origin"),
            Self::Only(origins) => {
                let local = |origin: &String| {
                    origin.contains("//localhost") || origin.contains("//127.0.0.1")
                };
                origins.iter().any(local).then_some("allows a localhost origin")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_match_exactly() {
        let origins = Origins::parse("https://good.example/, http://localhost:3000");
        assert!(origins.allows("https://good.example"));
        for other in [
            "https://good.example/",
            "https://good.example.evil.com",
            "http://good.example",
            "https://good.example:8443",
            "https://evil",
            "HTTPS://GOOD.EXAMPLE",
            "null",
            "",
        ] {
            assert!(!origins.allows(other), "{other}");
        }
        assert!(Origins::parse("https://a, *").allows("null"));
        assert_eq!(Origins::parse(" , "), Origins::Only(vec![]));
    }
}
