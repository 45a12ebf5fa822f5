//! What is the matter with a context's content, and what a machine makes of it.

use varve_context::Notice;

/// How a content begins that its owner has encrypted; docs/formats/protected.md.
const PROTECTED: &str = "{\"varve-protected\":1,";

/// What a reader of user data says.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Checked {
    /// Whether a machine would take it.
    pub sound: bool,
    /// Whether it is encrypted: then nothing more is known.
    pub protected: bool,
    /// The forms that were found.
    pub forms: Vec<String>,
    /// What is wrong or was left out, in the order of the lines.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub notices: Vec<Notice>,
    /// What a machine does with it, in words.
    pub explanation: String,
    /// What it becomes, as a document in TOML without the secrets.
    pub document: String,
}

/// Whether a content is encrypted by its owner's secret.
pub fn is_protected(content: &str) -> bool {
    content.starts_with(PROTECTED) && serde_json::from_str::<serde_json::Value>(content.trim()).is_ok()
}

/// Reads user data as a machine would.
pub fn check(content: &str) -> Checked {
    if is_protected(content) {
        return Checked {
            sound: true,
            protected: true,
            forms: vec!["protected".to_owned()],
            notices: Vec::new(),
            explanation: String::new(),
            document: String::new(),
        };
    }
    let context = varve_context::read(content.as_bytes());
    let explanation = varve_context::explain(&context);
    let mut notices = context.notices;
    notices.extend(context.document.plan().notices);
    Checked {
        sound: notices.iter().all(|notice| notice.severity != varve_context::Severity::Error),
        protected: false,
        forms: context.forms.iter().map(|form| (*form).to_owned()).collect(),
        notices,
        explanation,
        document: context.document.to_toml().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let checked = check("[machine]\nhostname = ['a']\n");
        assert!(!checked.sound);
        assert_eq!(checked.notices[0].place.line, 2);
        let checked = check("[machine]\nhostname = 'a.example.org'\n");
        assert!(checked.sound, "{:?}", checked.notices);
        assert!(checked.explanation.contains("/etc/hostname"), "{}", checked.explanation);
        assert!(checked.document.contains("a.example.org"), "{}", checked.document);
    }

    #[test]
    fn what_is_encrypted_is_not_looked_into() {
        assert!(check("{\"varve-protected\":1,\"data\":\"x\"}").protected);
        assert!(!check("{\"varve-protected\":1,").protected);
    }
}
