//! User data of a legacy form as a document of Varve's own.

use varve_context::{Document, Secret};

use crate::error::HubError;

/// What stands for a secret until the text is whole: printing leaves secrets out.
const MARK: &str = "varve-secret-";

/// The user data as a document in TOML, secrets and all; what had no place in it is said by [`super::check`].
///
/// # Errors
/// [`HubError::Invalid`] if nothing can be made of them.
pub fn import(content: &str) -> Result<String, HubError> {
    let mut context = varve_context::read(content.as_bytes());
    if context.has_errors() {
        let first = context.notices.iter().find(|notice| notice.severity == varve_context::Severity::Error);
        return Err(HubError::invalid("content", first.map_or(String::new(), ToString::to_string)));
    }
    if context.document == Document::default() {
        return Err(HubError::invalid("content", "there is nothing in it that a document could hold"));
    }
    let mut secrets = Vec::new();
    context.document.secrets(&mut |secret| {
        if let Secret::Plain(text) = secret {
            let text = std::mem::take(text);
            *secret = Secret::Sealed(format!("{MARK}{}", secrets.len()));
            secrets.push(text);
        }
    });
    let unprintable = |error: &dyn std::fmt::Display| HubError::invalid("content", error);
    let text = context.document.to_toml().map_err(|error| unprintable(&error))?;
    let mut value: toml::Value = toml::from_str(&text).map_err(|error| unprintable(&error))?;
    put_back(&mut value, &secrets);
    toml::to_string_pretty(&value).map_err(|error| unprintable(&error))
}

fn put_back(value: &mut toml::Value, secrets: &[String]) {
    match value {
        toml::Value::Table(table) => {
            let mark = table.get("sealed").and_then(toml::Value::as_str);
            let number = mark.and_then(|mark| mark.strip_prefix(MARK)?.parse::<usize>().ok());
            match number.and_then(|number| secrets.get(number)) {
                Some(secret) => *value = toml::Value::String(secret.clone()),
                None => table.iter_mut().for_each(|(_, value)| put_back(value, secrets)),
            }
        }
        toml::Value::Array(array) => array.iter_mut().for_each(|value| put_back(value, secrets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_user_data_become_a_document_with_its_secrets() {
        let text = import(
            "[amiconfig]\nplugins=cernvm condor\n[cernvm]\nrepositories=atlas,sft\nusers=ada:phys:secretword\n\
             [condor]\ncondor_secret=hush\ncondor_master=head.example.org\n",
        )
        .unwrap();
        assert!(text.contains("secretword") && text.contains("hush"), "{text}");
        assert!(!text.contains(MARK), "{text}");
        let again = varve_context::read(text.as_bytes());
        assert!(!again.has_errors(), "{:?}", again.notices);
        assert_eq!(again.document.htcondor, varve_context::read(text.as_bytes()).document.htcondor);
    }

    #[test]
    fn nothing_is_made_of_nonsense() {
        assert!(import("\u{0}").is_err() && import("").is_err());
    }
}
