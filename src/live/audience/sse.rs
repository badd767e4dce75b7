//! `GET /rooms/{id}/events`: a room as server-sent events, a third door through which nobody speaks.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Wanted, wanted};
use crate::{
    live::{
        LiveService,
        caller::Caller,
        client::Client,
        entry::{Admitted, Presented, Refusal},
        guard, request,
        standing::Standing,
        wire::{Close, Event},
    },
    model::{Error, Language, SessionId},
    rooms::{Cursor, Label, RoomName},
    web::{Kill, credential},
};

const DOOR: &str = "sse";
/// How often a comment says that the service is there.
const BEAT: Duration = Duration::from_secs(5);
/// How soon a client comes back that lost its stream, in milliseconds.
const RETRY_MS: u64 = 1000;
/// Frames that wait for the connection.
const FRAMES: usize = 4;
/// How long a frame may wait there.
const WRITE: Duration = Duration::from_secs(20);

/// Streams a room to whoever may watch it.
pub async fn events(
    State(service): State<LiveService>,
    Path(room): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let presented = Presented {
        token: credential::any(&parts.headers),
        ticket: request::ticket(&parts),
        share: request::share(&parts.headers)
            .or_else(|| request::queried_share(&parts))
            .map(|share| (share, request::network(&parts))),
    };
    let admitted = match service.enter(presented).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.tell(&service, DOOR),
    };
    match Box::pin(open(service.clone(), admitted, &room, &parts)).await {
        Ok(frames) => stream(frames),
        Err(error) => Refusal::from(error).tell(&service, DOOR),
    }
}

/// Enters the room beside the request, which may be given up at any time.
async fn open(
    service: LiveService,
    admitted: Admitted,
    room: &str,
    parts: &Parts,
) -> Result<mpsc::Receiver<Bytes>, Error> {
    let room: RoomName = room.parse()?;
    let wanted = Wanted { room, share: None, resume: last_seen(&parts.headers) };
    let caller = Caller::of(&service, &admitted, (Language::ENGLISH, DOOR), parts);
    let (frames, received) = mpsc::channel(FRAMES);
    let (ready, entered) = oneshot::channel();
    let out = Out { frames, kill: parts.extensions.get::<Kill>().cloned() };
    let shutdown = service.shutdown.clone();
    let client = Client::new(service, caller, Standing::of(admitted));
    shutdown.spawn(async move {
        let present = Present(client);
        Box::pin(serve(&present.0, &wanted, ready, &out)).await;
    });
    match entered.await {
        Ok(entered) => entered.map(|()| received),
        Err(_) => Err(Error::new(crate::model::ErrorKind::Internal, "Internal server error")),
    }
}

/// A client that is here until this is dropped, whatever ends its stream.
struct Present(Client);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.retire();
    }
}

/// The position after which the client wants to go on. One that cannot be read is none.
fn last_seen(headers: &HeaderMap) -> Option<Cursor> {
    read_id(headers.get("last-event-id")?.to_str().ok()?)
}

/// The id of an event after which a client has seen so much: with the session and the number it is
/// found again in another epoch too.
fn id_of(Cursor { position, last }: Cursor) -> String {
    match last {
        Some(Label { session, n }) => format!("{position}/{session}/{n}"),
        None => position.to_string(),
    }
}

fn read_id(id: &str) -> Option<Cursor> {
    written(id).filter(wanted::is_plausible)
}

fn written(id: &str) -> Option<Cursor> {
    let Some((position, label)) = id.split_once('/') else {
        return Some(Cursor { position: id.parse().ok()?, last: None });
    };
    let (session, n) = label.split_once('/')?;
    let last = Label { session: SessionId(session.parse().ok()?), n: n.parse().ok()? };
    Some(Cursor { position: position.parse().ok()?, last: Some(last) })
}

fn stream(frames: mpsc::Receiver<Bytes>) -> Response {
    let next = async |mut frames: mpsc::Receiver<Bytes>| {
        frames.recv().await.map(|frame| (Ok::<_, Infallible>(frame), frames))
    };
    let mut response =
        Body::from_stream(futures_util::stream::unfold(frames, next)).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Proxies are not to collect what is live.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The way to the client.
struct Out {
    frames: mpsc::Sender<Bytes>,
    kill: Option<Kill>,
}

impl Out {
    /// Sends a frame; false if the client is gone, or reads nothing and was cut off.
    async fn send(&self, frame: String) -> bool {
        match timeout(WRITE, self.frames.send(frame.into())).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                self.kill.iter().for_each(Kill::now);
                false
            }
        }
    }
}

/// Enters, says so, and streams to the end.
async fn serve(
    client: &Client,
    wanted: &Wanted,
    ready: oneshot::Sender<Result<(), Error>>,
    out: &Out,
) {
    let (place, joined) = match client.enter(wanted).await {
        Ok(entered) => entered,
        Err(error) => {
            // Nobody waits for the answer of a request that was given up.
            drop(ready.send(Err(error)));
            return;
        }
    };
    drop(ready.send(Ok(())));
    client.outbox().push(Event::Joined(Box::new(joined)));
    let leaving = client.leaving().clone();
    tokio::select! {
        () = write(client, out) => {}
        () = async {
            let mut place = place;
            let ended = client.watch(&mut place).await;
            // Given up at once, however long the client takes to read that this is the end.
            drop(place);
            client.see_off(&wanted.room, ended);
            // There is nothing else to hear on this stream.
            client.outbox().close(Close::CredentialRevoked);
            std::future::pending::<()>().await;
        } => {}
        () = async {
            leaving.cancelled().await;
            client.drain();
            std::future::pending::<()>().await;
        } => {}
        close = guard::watch(client) => client.log_close(close.code(), close.reason()),
    }
}

/// Writes events until there are no more, or the client is gone.
async fn write(client: &Client, out: &Out) {
    let mut beat = tokio::time::interval(BEAT);
    if !out.send(format!("retry: {RETRY_MS}\n\n")).await {
        return;
    }
    loop {
        let next = tokio::select! {
            next = client.outbox().next() => next,
            _ = beat.tick() => {
                if !out.send(":\n\n".to_owned()).await {
                    return;
                }
                continue;
            }
            () = out.frames.closed() => return,
        };
        let (event, last) = match next {
            Some(Ok(letter)) => (letter.event, false),
            Some(Err(close)) => {
                client.log_close(close.code(), close.reason());
                (close.notice(), true)
            }
            None => return,
        };
        let Some(frame) = frame(&event) else { return };
        if !out.send(frame).await || last {
            return;
        }
    }
}

/// An event as the client reads it: with the position from which it would go on, where it moves that.
fn frame(event: &Event) -> Option<String> {
    let data = event.to_json().ok()?;
    let cursor = match event {
        Event::Seen(seen) => seen.cursor(),
        Event::Joined(joined) => Some(joined.cursor()),
        _ => None,
    };
    let mut frame = cursor.map(|cursor| format!("id: {}\n", id_of(cursor))).unwrap_or_default();
    if let Event::Closing(closing) = event {
        frame.push_str(&format!("retry: {}\n", closing.reconnect_after_ms.max(RETRY_MS)));
    }
    frame.push_str(&format!("event: {}\ndata: {data}\n\n", event.name()));
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::wire::{Seen, Viewers},
        rooms::{Position, Text},
    };

    #[test]
    fn an_id_says_where_a_client_has_come_to() {
        let position = Position { epoch: 5, offset: 7 };
        let label = Label { session: SessionId::mint(), n: 3 };
        for last in [None, Some(label)] {
            let cursor = Cursor { position, last };
            assert_eq!(read_id(&id_of(cursor)), Some(cursor));
        }
        for strange in ["", "x", "5", "5-7/", "5-7/x/3", "5-7/x", "-/-/-"] {
            assert_eq!(read_id(strange), None, "{strange}");
        }
        for strange in [0, 1 << 53] {
            let last = Some(Label { n: strange, ..label });
            assert_eq!(read_id(&id_of(Cursor { position, last })), None, "{strange}");
        }
    }

    #[test]
    fn frames_move_the_position_with_finals_only() {
        let room: RoomName = "a".parse().expect("a name");
        let label = Label { session: SessionId::mint(), n: 1 };
        let text = Text { label, body: r#"{"type":"transcription","n":1}"#.to_owned() };
        let place = Position { epoch: 5, offset: 7 };
        let of = |position| Seen::read(&room, position, &text).map(Event::Seen).expect("seen");
        let written = frame(&of(Some(place))).expect("a frame");
        let begins = format!("id: 5-7/{}/1\nevent: transcription\ndata: {{", label.session);
        assert!(written.starts_with(&begins), "{written}");
        assert!(written.ends_with("}\n\n"), "{written}");
        let written = frame(&of(None)).expect("a frame");
        assert!(written.starts_with("event: transcription\n"), "{written}");
        let viewers = Event::Viewers(Viewers { room: "a".to_owned(), viewers: 3 });
        let expected =
            "event: viewers\ndata: {\"type\":\"viewers\",\"room\":\"a\",\"viewers\":3}\n\n";
        assert_eq!(frame(&viewers).as_deref(), Some(expected));
        let closing = frame(&Close::SlowReader.notice()).expect("a frame");
        assert!(closing.starts_with("retry: 1000\nevent: closing\n"), "{closing}");
    }
}
