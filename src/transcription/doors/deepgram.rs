//! `POST /v1/listen`, as Deepgram's clients ask it.
//!
//! Wire facts: <https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded>.

use axum::{
    extract::{FromRequest, Request, State},
    http::header,
    response::Response,
};

use crate::{
    model::Error,
    transcription::{
        Recordings, answer::Form as Told, asked::Asked, handlers, order::Order, upload::Form,
    },
    web::{JsonObject, body::Unreadable},
};

const ENDPOINT: &str = "/v1/listen";
/// Who is asked where it is there; else whoever can.
const DEEPGRAM: &str = "deepgram";
/// What would be answered elsewhere than here.
const ELSEWHERE: [&str; 2] = ["callback", "callback_method"];

/// `POST /v1/listen`.
pub async fn listen(State(recordings): State<Recordings>, request: Request) -> Response {
    handlers::answer(&recordings, ENDPOINT, request, async |request, digest, mut folder| {
        let fields: Vec<(String, String)> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
            kind.to_str().is_ok_and(|kind| kind.starts_with("application/json"))
        });
        let is_there = recordings.is_there(DEEPGRAM).is_ok();
        let provider = if is_there { DEEPGRAM } else { "auto" };
        let saved = if is_json {
            let url = url(request).await?;
            recordings.fetch(&url, digest, &mut folder).await?
        } else {
            recordings.receive_bare(request, digest, &mut folder).await?
        };
        let asked = read(&fields, provider)?;
        Ok(Order { asked, provider, plan: None, fields, saved, folder })
    })
    .await
}

/// The address in a body such as `{"url": …}`.
async fn url(request: Request) -> Result<String, Error> {
    let body = JsonObject::from_request(request, &()).await;
    let body: JsonObject = body.map_err(|Unreadable(error)| error)?;
    let url = body.text("url").ok_or_else(|| Error::invalid("url must be an address"))?;
    Ok(url.to_owned())
}

/// What is asked for: for Deepgram in its own words, for others as far as they know them.
fn read(fields: &[(String, String)], provider: &str) -> Result<Asked, Error> {
    if let Some((name, _)) = fields.iter().find(|(name, _)| ELSEWHERE.contains(&name.as_str())) {
        return Err(Error::invalid(format!("{name} is not supported")));
    }
    let form = Form { fields: fields.to_vec(), ..Form::default() };
    let mut asked = Asked::read(&form, provider)?;
    asked.form = Told::Listen;
    asked.options.punctuate = form.text("punctuate").or(form.text("smart_format")) == Some("true");
    if form.text("language").is_none()
        && form.text("detect_language").is_some_and(|told| told != "false")
    {
        asked.options.language = None;
    }
    asked.options.extra = fields.to_vec();
    if form.text("model").is_none() {
        let model = asked.options.model.clone().unwrap_or_default();
        asked.options.extra.push(("model".to_owned(), model));
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked, Error> {
        let fields: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        read(&fields, "deepgram")
    }

    #[test]
    fn parameters_go_on_as_they_are() {
        let told = asked("model=nova-3&keyterm=a&keyterm=b&utterances=true&language=it").unwrap();
        assert_eq!(told.options.extra.len(), 5);
        assert_eq!(
            (told.options.model.as_deref(), told.options.language.as_deref()),
            (Some("nova-3"), Some("it"))
        );
        let bare = asked("").unwrap();
        assert_eq!(bare.options.extra, [("model".to_owned(), "nova-2".to_owned())]);
        assert_eq!(asked("detect_language=true").unwrap().options.language, None);
        assert!(asked("callback=http://a").is_err());
    }
}
