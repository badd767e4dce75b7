//! Ids of Engine.IO sessions as clients hold them: the engine's own, followed by a replica's tag.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::fleet::Tag;

const ENGINE: &str = "/socket.io";
const PARAMETER: &str = "sid=";
/// How long the engine's own ids are.
const CHARS: usize = 16;
/// How the answer begins that opens a session.
const OPEN: &str = "0{\"sid\":\"";
/// How long that answer can be.
const MAX_OPEN_BYTES: usize = 4096;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Not the engine.
    Elsewhere,
    /// A session that is yet to be.
    Opening,
    /// A session on the replica of that tag.
    Session(Tag),
    /// A session with an id that no replica gave out.
    Nobody,
}

/// Reads a request's path and query as the engine does: the first parameter of that name, undecoded.
pub(super) fn aim(uri: &Uri) -> Aim {
    let rest = uri.path().strip_prefix(ENGINE);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Aim::Elsewhere;
    }
    let Some(sid) = pairs(uri).find_map(|pair| pair.strip_prefix(PARAMETER)) else {
        return Aim::Opening;
    };
    let tag = sid.split_at_checked(CHARS).and_then(|(_, tag)| Tag::parse(tag));
    tag.map_or(Aim::Nobody, Aim::Session)
}

fn pairs(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().unwrap_or_default().split('&')
}

/// The request with the id as the engine knows it.
pub(super) fn untagged(mut request: Request) -> Request {
    let cut = PARAMETER.len() + CHARS;
    let mut first = true;
    let query = pairs(request.uri()).map(|pair| {
        let is_id = pair.starts_with(PARAMETER) && std::mem::take(&mut first);
        if is_id { pair.get(..cut).unwrap_or(pair) } else { pair }
    });
    let query = query.collect::<Vec<_>>().join("&");
    // Parts of a good address make a good one. If ever not, the engine knows no such session.
    if let Ok(uri) = format!("{}?{query}", request.uri().path()).parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// The engine's answer, with the tag put behind the id if it opens a session.
pub(super) async fn tag_opened(response: Response, tag: Tag) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_OPEN_BYTES).await else {
        tracing::error!("the engine's answer to an opening could not be read");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let Some(tagged) = std::str::from_utf8(&body).ok().and_then(|text| tagged(text, tag)) else {
        tracing::error!("the engine opened a session in a way that is not known");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    parts.headers.insert(header::CONTENT_LENGTH, tagged.len().into());
    Response::from_parts(parts, Body::from(tagged))
}

fn tagged(opened: &str, tag: Tag) -> Option<String> {
    let (id, rest) = opened.strip_prefix(OPEN)?.split_at_checked(CHARS)?;
    rest.starts_with('"').then(|| format!("{OPEN}{id}{tag}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "0123456789ab";
    const ID: &str = "AbCdEfGhIjKlMn-_";

    fn aim_of(uri: &str) -> Aim {
        aim(&uri.parse().unwrap())
    }

    #[test]
    fn a_request_is_for_the_replica_of_its_tag() {
        let tag = Tag::parse(TAG).unwrap();
        for path in ["/socket.io/", "/socket.io", "/socket.io/x"] {
            let uri = format!("{path}?EIO=4&transport=polling&sid={ID}{TAG}&sid=other");
            assert_eq!(aim_of(&uri), Aim::Session(tag), "{uri}");
        }
        for uri in ["/", "/socket.iox?sid=1", "/audio-stream?sid=1", "/socket/io/?sid=1"] {
            assert_eq!(aim_of(uri), Aim::Elsewhere, "{uri}");
        }
        for uri in ["/socket.io/", "/socket.io/?EIO=4&asid=1", "/socket.io/?EIO=4&sid"] {
            assert_eq!(aim_of(uri), Aim::Opening, "{uri}");
        }
        let long = format!("{ID}{TAG}0");
        for sid in ["", "garbage", ID, TAG, &long, "AbCdEfGhIjKlMn-_é", "%41", "éééééééééééééé"]
        {
            assert_eq!(aim_of(&format!("/socket.io/?sid={sid}")), Aim::Nobody, "{sid}");
        }
    }

    #[test]
    fn only_the_id_is_cut() {
        let uri = format!("/socket.io/?asid={ID}{TAG}&sid={ID}{TAG}&t=1&sid={ID}{TAG}");
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        let cut = format!("/socket.io/?asid={ID}{TAG}&sid={ID}&t=1&sid={ID}{TAG}");
        assert_eq!(untagged(request).uri().to_string(), cut);
    }

    #[test]
    fn an_open_packet_is_tagged_and_nothing_else() {
        let tag = Tag::parse(TAG).unwrap();
        let opened = format!("0{{\"sid\":\"{ID}\",\"upgrades\":[\"websocket\"]}}");
        let expected = format!("0{{\"sid\":\"{ID}{TAG}\",\"upgrades\":[\"websocket\"]}}");
        assert_eq!(tagged(&opened, tag), Some(expected));
        for other in ["", "ok", "0{\"sid\":\"short\"}", "0{\"sid\":\"AbCdEfGhIjKlMn-_longer\"}"] {
            assert_eq!(tagged(other, tag), None, "{other}");
        }
    }
}
