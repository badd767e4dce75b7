//! Fields of a body that become columns.

use serde_json::Value;

use crate::{model::Error, web::body::JsonObject};

/// A field that may be left out; text of at most so many characters, and nothing that the database
/// cannot keep.
pub(super) fn optional(
    body: &JsonObject,
    name: &str,
    longest: usize,
) -> Result<Option<String>, Error> {
    let text = match body.0.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str(),
    };
    let fits = |text: &&str| text.chars().count() <= longest && !text.contains('\0');
    match text.filter(fits) {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Error::invalid(format!("{name} must be text of at most {longest} characters"))),
    }
}

/// Whether a field is left out, or as good as.
pub(super) fn is_missing(body: &JsonObject, name: &str) -> bool {
    match body.0.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}
