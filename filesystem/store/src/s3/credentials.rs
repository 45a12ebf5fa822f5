//! Who asks for objects in a bucket: found in what the program knows of its environment, or in files of Amazon's form.
//! The environment itself is not read here.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The profile of a credentials file that counts unless another one is chosen.
const DEFAULT_PROFILE: &str = "default";

/// The most bytes of a credentials file that are looked at.
const FILE_LIMIT: u64 = 1 << 20;

/// An access key. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// The key's name.
    pub key_id: String,
    /// The key.
    pub secret: String,
    /// What comes with a key that lasts only for a while.
    pub token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials")
    }
}

/// What a program's environment says about credentials: the variables that Amazon's tools read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsEnvironment {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    pub credentials: Option<S3Credentials>,
    /// `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`.
    pub file: Option<PathBuf>,
    /// `AWS_PROFILE`.
    pub profile: Option<String>,
}

impl AwsEnvironment {
    /// The credentials for a bucket: those in `file` and `profile` if the settings name them, else the variables', else those
    /// of the user's file.
    ///
    /// # Errors
    /// [`CredentialsError`] if there are none, or a file that is named has none.
    pub fn credentials(
        &self,
        file: Option<&Path>,
        profile: Option<&str>,
    ) -> Result<S3Credentials, CredentialsError> {
        let named = file.is_some() || profile.is_some();
        if !named && let Some(credentials) = &self.credentials {
            return Ok(credentials.clone());
        }
        let path = file.or(self.file.as_deref()).ok_or(CredentialsError::None)?;
        let profile = profile.or(self.profile.as_deref()).unwrap_or(DEFAULT_PROFILE);
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Err(CredentialsError::None);
            }
            Err(source) => return Err(CredentialsError::Read { path: path.to_owned(), source }),
        };
        parse(&text, profile)
            .ok_or_else(|| CredentialsError::Profile { path: path.to_owned(), profile: profile.to_owned() })
    }
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

/// The key of a profile: lines `name = value` below `[profile]`.
fn parse(text: &str, profile: &str) -> Option<S3Credentials> {
    let mut here = false;
    let (mut key_id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            here = section.trim().trim_start_matches("profile ").trim() == profile;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| here && !line.starts_with(['#', ';']))
        else {
            continue;
        };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => key_id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    Some(S3Credentials { key_id: key_id?, secret: secret?, token })
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Nobody has said any.
    #[error("no credentials for S3 are known")]
    None,
    /// A file can't be read.
    #[error("cannot read the credentials {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file does not have a key.
    #[error("{} has no access key in the profile '{profile}'", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// The profile.
        profile: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# a comment\n[default]\naws_access_key_id = ONE\naws_secret_access_key=s1\n\n\
        [ other ]\nAWS_ACCESS_KEY_ID=TWO\naws_secret_access_key = s=2\naws_session_token = t\nregion = x\n[half]\n\
        aws_access_key_id = THREE\n";

    fn key(name: &str) -> S3Credentials {
        S3Credentials { key_id: name.to_owned(), secret: "s".to_owned(), token: None }
    }

    #[test]
    fn profiles_are_read() {
        let other = parse(FILE, "other").expect("it is there");
        assert_eq!((other.key_id.as_str(), other.secret.as_str()), ("TWO", "s=2"));
        assert_eq!(other.token.as_deref(), Some("t"));
        assert_eq!(parse(FILE, "default").map(|found| found.key_id), Some("ONE".to_owned()));
        assert!(parse(FILE, "half").is_none() && parse(FILE, "none").is_none());
    }

    #[test]
    fn what_is_named_comes_before_variables_and_these_before_the_users_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("credentials");
        fs::write(&file, FILE).expect("writable");
        let user = AwsEnvironment { file: Some(file.clone()), ..AwsEnvironment::default() };
        let both = AwsEnvironment { credentials: Some(key("ENV")), ..user.clone() };
        let id = |found: Result<S3Credentials, _>| {
            found.map(|found| found.key_id).map_err(|e: CredentialsError| e)
        };
        assert_eq!(id(user.credentials(None, None)).expect("found"), "ONE");
        assert_eq!(id(both.credentials(None, None)).expect("found"), "ENV");
        assert_eq!(id(both.credentials(None, Some("other"))).expect("found"), "TWO");
        assert_eq!(id(both.credentials(Some(&file), None)).expect("found"), "ONE");
        assert!(matches!(both.credentials(Some(&file), Some("half")), Err(CredentialsError::Profile { .. })));
        let missing = directory.path().join("missing");
        assert!(matches!(both.credentials(Some(&missing), None), Err(CredentialsError::Read { .. })));
        assert!(matches!(AwsEnvironment::default().credentials(None, None), Err(CredentialsError::None)));
        let nowhere = AwsEnvironment { file: Some(missing), ..AwsEnvironment::default() };
        assert!(matches!(nowhere.credentials(None, None), Err(CredentialsError::None)));
        assert!(!format!("{both:?}").contains("ENV"));
    }
}
