//! What the library's errors mean: absence, or a fault of the service with what can be done about it.

use std::error::Error;

use object_store::client::{HttpError, HttpErrorKind};

use crate::StoreError;
use crate::error::ServiceFault;

/// The most of a service's own words that are repeated.
const MOST_WORDS: usize = 300;

/// What was tried with which thing.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// As in "cannot ACTION s3://…".
    pub(super) action: &'static str,
    /// The object or file, as the caller calls it.
    pub(super) name: &'a str,
    /// Its whole address, for messages.
    pub(super) object: &'a str,
    /// The store.
    pub(super) place: &'a str,
}

/// The error that a failed request becomes.
pub(super) fn translate(error: &object_store::Error, attempt: Attempt<'_>) -> StoreError {
    let text = words(error);
    let code = tag(&text, "Code").unwrap_or_default();
    let fault = match error {
        object_store::Error::NotFound { .. } if code != "NoSuchBucket" => {
            return StoreError::NotFound { name: attempt.name.to_owned(), place: attempt.place.to_owned() };
        }
        object_store::Error::NotFound { .. } => ServiceFault::NoBucket,
        _ if text.contains("without LOCATION") || is_of_region(code) || text.contains("status code: 30") => {
            ServiceFault::Region
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ServiceFault::Denied
        }
        _ if is_unreachable(error) => ServiceFault::Unreachable,
        _ => ServiceFault::Failed,
    };
    let reason = match (fault, code, tag(&text, "Message")) {
        (ServiceFault::Unreachable, ..) => innermost(error),
        // The library puts the address before it once more.
        (_, "", _) => text.rsplit_once(" - ").map_or(text.as_str(), |(_, last)| last).to_owned(),
        (_, code, None | Some("")) => code.to_owned(),
        (_, code, Some(message)) => format!("{code}: {message}"),
    };
    StoreError::Service {
        action: attempt.action,
        object: attempt.object.to_owned(),
        reason: shorten(&reason),
        fault,
    }
}

/// Nothing came before the deadline.
pub(super) fn timed_out(attempt: Attempt<'_>) -> StoreError {
    StoreError::TimedOut { name: attempt.name.to_owned(), place: attempt.place.to_owned() }
}

/// A fault that is none of the library's.
pub(super) fn failed(attempt: Attempt<'_>, reason: &str) -> StoreError {
    StoreError::Service {
        action: attempt.action,
        object: attempt.object.to_owned(),
        reason: shorten(reason),
        fault: ServiceFault::Failed,
    }
}

fn is_of_region(code: &str) -> bool {
    matches!(
        code,
        "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "TemporaryRedirect"
            | "IllegalLocationConstraintException"
    )
}

/// The error in one line: the library's own, which has its causes in it.
fn words(error: &object_store::Error) -> String {
    match error.source() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Whether no connection came about.
fn is_unreachable(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return error.kind() == HttpErrorKind::Connect;
        }
        cause = error.source();
    }
    false
}

/// The text of the first XML element of this name.
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

fn shorten(text: &str) -> String {
    let clean = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    clean.take(MOST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(error: &object_store::Error) -> String {
        let attempt = Attempt { action: "store", name: "n", object: "s3://b/n", place: "s3://b" };
        match translate(error, attempt) {
            StoreError::Service { fault, reason, .. } => format!("{fault:?} {reason}"),
            other => other.to_string(),
        }
    }

    #[test]
    fn the_services_words_are_understood() {
        let path = || "n".to_owned();
        let absent = |source: &str| object_store::Error::NotFound { path: path(), source: source.into() };
        assert_eq!(
            fault(&absent("404: <Error><Code>NoSuchKey</Code></Error>")),
            "n does not exist at s3://b"
        );
        assert_eq!(
            fault(&absent("<Error><Code>NoSuchBucket</Code><Message>no\nbucket</Message></Error>")),
            "NoBucket NoSuchBucket: no bucket"
        );
        let denied = object_store::Error::PermissionDenied {
            path: path(),
            source: "<Code>AccessDenied</Code><Message>Access Denied</Message>".into(),
        };
        assert_eq!(fault(&denied), "Denied AccessDenied: Access Denied");
        let generic = |source: &str| object_store::Error::Generic { store: "S3", source: source.into() };
        let region = generic("<Code>AuthorizationHeaderMalformed</Code><Message>expecting 'x'</Message>");
        assert_eq!(fault(&region), "Region AuthorizationHeaderMalformed: expecting 'x'");
        assert_eq!(
            fault(&generic("Received redirect without LOCATION")),
            "Region Received redirect without LOCATION"
        );
        assert_eq!(fault(&generic("500")), "Failed 500");
        assert!(fault(&generic(&"<Code>".repeat(1000))).len() < 400);
    }
}
