//! What the end of a session means, by its close code.

use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::providers::{ErrorClass, ProviderError};

/// Reads a close that we did not ask for.
pub(super) fn closed(frame: Option<&CloseFrame>) -> ProviderError {
    match frame {
        Some(frame) => failure(u16::from(frame.code), frame.reason.as_str()),
        None => ProviderError::new(ErrorClass::Unavailable, "closed", "closed without a code"),
    }
}

/// What a code asks for; an `Error` message carries the one that the close after it will have.
///
/// 3005 to 3009 and 1008 are those of Universal-Streaming; the others are older, and the official
/// clients still know them. 1008 is for a bad key, an empty account and too many new sessions
/// alike, which only its words tell apart; so is 3007 for messages of a wrong length and audio that
/// comes faster than it was spoken.
/// <https://www.assemblyai.com/docs/streaming/common-session-errors-and-closures>
pub(super) fn failure(code: u16, reason: &str) -> ProviderError {
    let words = reason.to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let class = match code {
        1008 if says(&["too many", "concurren", "rate limit", "sessions per"]) => {
            ErrorClass::RateLimited
        }
        1008 if says(&["balance", "fund", "credit", "payment"]) => ErrorClass::Payment,
        1008 | 4001 => ErrorClass::Credentials,
        4002 | 4003 => ErrorClass::Payment,
        3007 if says(&["rate exceeded", "real time", "real-time"]) => ErrorClass::RateLimited,
        3009 | 4029 | 4102 => ErrorClass::RateLimited,
        3006 | 3007 | 4000 | 4032 | 4033 | 4034 | 4100 | 4101 => ErrorClass::BadRequest,
        _ => ErrorClass::Unavailable,
    };
    ProviderError::new(class, format!("ws_{code}"), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_are_told_apart() {
        use ErrorClass::{BadRequest, Credentials, Payment, RateLimited, Unavailable};
        let rows = [
            (1000, "", Unavailable),
            (1008, "Unauthorized Connection: Missing Authorization header", Credentials),
            (1008, "Unauthorized connection: Too many concurrent sessions", RateLimited),
            (1008, "Unauthorized Connection: account balance is negative", Payment),
            (1011, "", Unavailable),
            (1013, "Temporary server condition", Unavailable),
            (3005, "Session Cancelled: An error occurred", Unavailable),
            (3006, "Invalid Message Type: Hello", BadRequest),
            (3007, "Input Duration Violation: 20 ms. Expected between 50 and 1000 ms", BadRequest),
            (3007, "Audio Transmission Rate Exceeded: Received 314.9 sec. audio", RateLimited),
            (3008, "Session Expired: Maximum session duration exceeded", Unavailable),
            (3009, "Too many concurrent sessions", RateLimited),
            (4001, "Not Authorized", Credentials),
            (4002, "Insufficient Funds", Payment),
            (4031, "Session idle for too long", Unavailable),
            (4101, "a message with an invalid schema", BadRequest),
            (4102, "too many streams", RateLimited),
        ];
        for (code, reason, class) in rows {
            let error = failure(code, reason);
            assert_eq!((error.class, error.code), (class, format!("ws_{code}")), "{reason}");
        }
        assert_eq!(closed(None).class, Unavailable);
    }
}
