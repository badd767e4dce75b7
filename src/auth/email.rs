//! E-mail addresses of local users, in the form in which they are compared.

/// Characters of the column.
const LONGEST: usize = 320;

/// The address without spaces around it and in lower case, if it looks like one to the contract:
/// letters, digits and `._%+-`, an `@`, a domain that ends with two or more letters.
pub fn normalised(text: &str) -> Option<String> {
    let address = text.trim().to_lowercase();
    let (local, domain) = address.split_once('@')?;
    let (host, top) = domain.rsplit_once('.')?;
    let made_of = |text: &str, more: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !text.is_empty() && text.chars().all(allowed)
    };
    let top_level = top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic());
    let whole = made_of(local, "._%+-") && made_of(host, ".-") && top_level;
    (whole && address.len() <= LONGEST).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_the_contract_says() {
        for (text, expected) in [
            (" Ada.L+x@Mail.Example.ORG\n", "ada.l+x@mail.example.org"),
            ("a_%b-1@x-y.co", "a_%b-1@x-y.co"),
        ] {
            assert_eq!(normalised(text).as_deref(), Some(expected));
        }
        let wrong = ["", "a", "@x.org", "a@", "a@x", "a@x.o", "a@.org", "a b@x.org", "a@b@x.org"];
        for text in wrong.into_iter().chain(["a@x.o1", "ä@x.org", "a@x.org\u{1b}"]) {
            assert_eq!(normalised(text), None, "{text}");
        }
        assert_eq!(normalised(&format!("{}@x.org", "a".repeat(320))), None);
    }
}
