//! What the end of a connection means.

use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::providers::{ErrorClass, ProviderError};

/// Reads a close that we did not ask for.
///
/// 1011 with `net0001` is the idle window, `net0000` a stall of theirs; 1008 with `data0000` is
/// audio that cannot be decoded and must not be sent again.
/// <https://developers.deepgram.com/docs/stt-troubleshooting-websocket-data-and-net-errors>
pub(super) fn failure(frame: Option<&CloseFrame>) -> ProviderError {
    let Some(frame) = frame else {
        return ProviderError::new(ErrorClass::Unavailable, "closed", "closed without a code");
    };
    let reason = frame.reason.as_str();
    let status = u16::from(frame.code);
    let (class, code) = match status {
        1008 => (ErrorClass::Poison, "DATA-0000".to_owned()),
        1011 if names(reason, "net0001") => (ErrorClass::Unavailable, "NET-0001".to_owned()),
        1011 if names(reason, "net0000") => (ErrorClass::Unavailable, "NET-0000".to_owned()),
        _ if names(reason, "data0000") => (ErrorClass::Poison, "DATA-0000".to_owned()),
        _ => (ErrorClass::Unavailable, format!("ws_{status}")),
    };
    ProviderError::new(class, code, reason)
}

fn names(reason: &str, code: &str) -> bool {
    reason.to_ascii_lowercase().replace('-', "").contains(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: u16, reason: &'static str) -> (ErrorClass, String) {
        let error = failure(Some(&CloseFrame { code: code.into(), reason: reason.into() }));
        (error.class, error.code)
    }

    #[test]
    fn closes_are_told_apart() {
        let idle = "Deepgram did not receive audio data. See https://dpgr.am/net0001";
        assert_eq!(class(1011, idle), (ErrorClass::Unavailable, "NET-0001".into()));
        assert_eq!(class(1011, "NET-0000"), (ErrorClass::Unavailable, "NET-0000".into()));
        assert_eq!(class(1008, "DATA-0000"), (ErrorClass::Poison, "DATA-0000".into()));
        assert_eq!(class(1000, ""), (ErrorClass::Unavailable, "ws_1000".into()));
        assert_eq!(failure(None).class, ErrorClass::Unavailable);
    }
}
