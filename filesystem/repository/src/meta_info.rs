//! The description of a repository that its maintainers edit: a JSON object.

use serde_json::Value;

/// The most bytes of a description, decompressed.
pub const META_INFO_LIMIT: usize = 1 << 20;

/// What maintainers say of their repository. Every field may be absent: people write it by hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetaInfo {
    /// Who looks after it.
    pub administrator: Option<String>,
    /// How to reach them.
    pub email: Option<String>,
    /// Whose it is.
    pub organisation: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Where to read more.
    pub url: Option<String>,
    /// The address of the stratum 0.
    pub recommended_stratum0: Option<String>,
    /// The addresses of its copies.
    pub recommended_stratum1s: Vec<String>,
    /// Whatever else they want to say.
    pub custom: Option<Value>,
}

impl MetaInfo {
    /// Reads the JSON text. Fields of the wrong type count as absent.
    ///
    /// # Errors
    /// [`MetaInfoError`] if it is no JSON object of a reasonable size.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetaInfoError> {
        if bytes.len() > META_INFO_LIMIT {
            return Err(MetaInfoError::TooLarge);
        }
        let Value::Object(mut fields) = serde_json::from_slice(bytes).map_err(MetaInfoError::Json)? else {
            return Err(MetaInfoError::NoObject);
        };
        let mut text = |key: &str| match fields.get_mut(key).map(Value::take) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        Ok(Self {
            administrator: text("administrator"),
            email: text("email"),
            organisation: text("organisation"),
            description: text("description"),
            url: text("url"),
            recommended_stratum0: text("recommended-stratum0"),
            recommended_stratum1s: match fields.get_mut("recommended-stratum1s").map(Value::take) {
                Some(Value::Array(values)) => values
                    .into_iter()
                    .filter_map(|value| match value {
                        Value::String(text) => Some(text),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            },
            custom: fields.remove("custom"),
        })
    }

    /// The JSON text, with the fields that are there.
    pub fn to_json(&self) -> String {
        let mut fields = serde_json::Map::new();
        let texts = [
            ("administrator", &self.administrator),
            ("email", &self.email),
            ("organisation", &self.organisation),
            ("description", &self.description),
            ("url", &self.url),
            ("recommended-stratum0", &self.recommended_stratum0),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                fields.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        if !self.recommended_stratum1s.is_empty() {
            let addresses = self.recommended_stratum1s.clone();
            fields.insert("recommended-stratum1s".to_owned(), Value::from(addresses));
        }
        if let Some(custom) = &self.custom {
            fields.insert("custom".to_owned(), custom.clone());
        }
        format!("{:#}\n", Value::Object(fields))
    }
}

/// Why bytes are no description.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaInfoError {
    /// More bytes than anybody reads.
    #[error("description is larger than 1 MiB")]
    TooLarge,
    /// No JSON.
    #[error("description is no JSON text")]
    Json(#[source] serde_json::Error),
    /// JSON, but of another form.
    #[error("description is no JSON object")]
    NoObject,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_written() {
        let text = br#"{"administrator": "A", "email": 7, "recommended-stratum1s": ["x", 3, "y"],
            "custom": {"a": [1]}, "more": true}"#;
        let info = MetaInfo::parse(text).expect("an object");
        assert_eq!((info.administrator.as_deref(), &info.email), (Some("A"), &None));
        assert_eq!(info.recommended_stratum1s, ["x", "y"]);
        assert_eq!(MetaInfo::parse(info.to_json().as_bytes()).expect("an object"), info);
        assert_eq!(MetaInfo::parse(b"{}").expect("an object"), MetaInfo::default());
        assert_eq!(MetaInfo::default().to_json(), "{}\n");
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(matches!(MetaInfo::parse(b"[]"), Err(MetaInfoError::NoObject)));
        assert!(matches!(MetaInfo::parse(b"<html>"), Err(MetaInfoError::Json(_))));
        assert!(matches!(MetaInfo::parse(&[b'['; 100_000]), Err(MetaInfoError::Json(_))));
        assert!(matches!(MetaInfo::parse(&vec![b' '; META_INFO_LIMIT + 1]), Err(MetaInfoError::TooLarge)));
    }
}
