//! What a route does, as its document tells it.

use crate::model::ErrorKind;

/// One route, seen from outside. Whoever may call it, and what follows from that, is in the table of
/// routes.
#[derive(Debug)]
pub(super) struct Operation {
    /// In lower case.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    /// Unique; clients that are made from the document name a function by it.
    pub id: &'static str,
    /// In a line.
    pub summary: &'static str,
    /// More, if there is more.
    pub description: &'static str,
    /// Names of components.
    pub parameters: &'static [&'static str],
    /// Media types with schemas, one of which is to be sent.
    pub takes: &'static [(&'static str, &'static str)],
    /// Whether the body may be left out.
    pub takes_nothing: bool,
    /// What is answered, apart from errors.
    pub answers: &'static [Answer],
    /// Kinds of errors beside those that every caller of such a route may meet.
    pub errors: &'static [ErrorKind],
    /// How errors are worded.
    pub words: Words,
    /// Security schemes, where the handler itself looks for a credential.
    pub credentials: &'static [&'static str],
}

/// What an [`Operation`] has that is not told.
pub(super) const NOTHING: Operation = Operation {
    method: "get",
    path: "/",
    id: "",
    summary: "",
    description: "",
    parameters: &[],
    takes: &[],
    takes_nothing: false,
    answers: &[],
    errors: &[],
    words: Words::Ours,
    credentials: &[],
};

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its status.
    pub status: u16,
    /// What it means.
    pub description: &'static str,
    /// Media types with schemas.
    pub bodies: &'static [(&'static str, &'static str)],
    /// Names of headers.
    pub headers: &'static [&'static str],
}

/// Whose clients read the errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// Our own.
    Ours,
    /// Those of `/api/*`, for what is wrong with a token.
    Tenant,
    /// OpenAI's.
    OpenAi,
    /// Deepgram's.
    Deepgram,
}

impl Words {
    /// The schema of an error of that status.
    pub(super) const fn schema(self, status: u16) -> &'static str {
        match (self, status) {
            (Self::Tenant, 401 | 500) => "TenantError",
            (Self::OpenAi, _) => "OpenAiError",
            (Self::Deepgram, _) => "DeepgramError",
            (Self::Ours | Self::Tenant, _) => "Error",
        }
    }
}
