//! What EC2 says when it doesn't do something: the one place where codes get their status and become a document.

use http::StatusCode;
use varve_chassis::db::DatabaseError;

use super::xml::Xml;

/// A refusal, in EC2's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    code: &'static str,
    message: String,
}

impl Fault {
    /// A fault with one of EC2's codes.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The fault that hides what is nobody's business. It is logged by whoever made it.
    pub fn internal() -> Self {
        Self::new("InternalError", "An internal error has occurred")
    }

    /// For what EC2 has and this cloud doesn't.
    pub fn unsupported(what: &str) -> Self {
        Self::new("UnsupportedOperation", format!("This cloud does not have {what}."))
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Its message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self.code {
            "AuthFailure" => StatusCode::UNAUTHORIZED,
            "SignatureDoesNotMatch"
            | "MissingAuthenticationToken"
            | "OptInRequired"
            | "UnauthorizedOperation" => StatusCode::FORBIDDEN,
            "DryRunOperation" => StatusCode::PRECONDITION_FAILED,
            "InternalError" | "InsufficientInstanceCapacity" => StatusCode::INTERNAL_SERVER_ERROR,
            "RequestLimitExceeded" | "Unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "RequestEntityTooLarge" => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The document.
    pub fn document(&self, request_id: &str) -> String {
        let mut xml = Xml::document();
        xml.element("Response", |xml| {
            xml.element("Errors", |xml| {
                xml.element("Error", |xml| {
                    xml.text("Code", self.code);
                    xml.text("Message", &self.message);
                });
            });
            xml.text("RequestID", request_id);
        });
        xml.finish()
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        tracing::error!(%error, "the cloud's database");
        match error {
            DatabaseError::Unavailable { .. } | DatabaseError::Busy => Self::new(
                "Unavailable",
                "The server is overloaded and can't handle the request. Please try again.",
            ),
            _ => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_quotes_what_it_says() {
        let fault = Fault::new("InvalidParameterValue", "<a> & \u{1}\"b\"");
        assert_eq!(
            fault.document("r-1"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InvalidParameterValue</Code>\
             <Message>&lt;a&gt; &amp; \u{fffd}&quot;b&quot;</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
        );
    }
}
