//! The configuration of a container image: what its commands get unless somebody says otherwise. Pure: bytes in, value out.

use serde::Deserialize;

use super::{DOCUMENT_LIMIT, Digest};

/// What an image's configuration says. Form: the image specification of the Open Container Initiative, and Docker's before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ImageConfiguration {
    /// The kind of processor, as Go names it.
    #[serde(default)]
    pub architecture: String,
    /// The operating system.
    #[serde(default)]
    pub os: String,
    /// A kind of that processor.
    #[serde(default)]
    pub variant: Option<String>,
    /// When it was made, as it says.
    #[serde(default)]
    pub created: Option<String>,
    /// How it is run.
    #[serde(default, rename = "config")]
    run: Option<Run>,
    #[serde(default)]
    rootfs: RootDirectory,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Run {
    user: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct RootDirectory {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// It isn't the one of that image.
    #[error("its digest is {found}, not {id}")]
    Digest {
        /// The image's id.
        id: Digest,
        /// What it has instead.
        found: Digest,
    },
    /// It is too large.
    #[error("it has more than {DOCUMENT_LIMIT} bytes")]
    TooLarge,
    /// It is not one.
    #[error("it is no configuration of an image")]
    Malformed(#[from] serde_json::Error),
}

impl ImageConfiguration {
    /// Reads the configuration of the image of that id.
    ///
    /// # Errors
    /// [`ConfigurationError`], also if the id is not that of these bytes.
    pub fn read(bytes: &[u8], id: &Digest) -> Result<Self, ConfigurationError> {
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(ConfigurationError::TooLarge);
        }
        let found = Digest::of(bytes);
        if found != *id {
            return Err(ConfigurationError::Digest { id: id.clone(), found });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Who the command is to be: a name or number, and behind `:` a group.
    pub fn user(&self) -> Option<&str> {
        self.run.as_ref()?.user.as_deref().filter(|user| !user.is_empty())
    }

    /// The environment variables; what is no `NAME=VALUE` is left out.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.run.as_ref().and_then(|run| run.env.as_deref()).unwrap_or_default();
        all.iter().filter_map(|variable| variable.split_once('=')).filter(|(name, _)| !name.is_empty())
    }

    /// What every command is preceded by.
    pub fn entry_point(&self) -> &[String] {
        self.run.as_ref().and_then(|run| run.entrypoint.as_deref()).unwrap_or_default()
    }

    /// The command, or the arguments of the entry point, if nobody says others.
    pub fn command(&self) -> &[String] {
        self.run.as_ref().and_then(|run| run.cmd.as_deref()).unwrap_or_default()
    }

    /// Where the command starts.
    pub fn directory(&self) -> Option<&str> {
        self.run.as_ref()?.working_dir.as_deref().filter(|directory| directory.starts_with('/'))
    }

    /// The digests of the layers without their compression, the lowest first, as text.
    pub(crate) fn layers(&self) -> &[String] {
        &self.rootfs.diff_ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ImageConfiguration, ConfigurationError> {
        ImageConfiguration::read(text.as_bytes(), &Digest::of(text.as_bytes()))
    }

    #[test]
    fn what_is_missing_or_null_says_nothing() {
        for text in [
            "{}",
            r#"{"config":null,"rootfs":{"type":"layers","diff_ids":[]}}"#,
            r#"{"config":{"Env":null,"Cmd":null,"Entrypoint":null,"User":"","WorkingDir":""}}"#,
        ] {
            let read = read(text).expect("sound");
            assert_eq!((read.user(), read.directory(), read.variables().count()), (None, None, 0), "{text}");
            assert!(read.entry_point().is_empty() && read.command().is_empty(), "{text}");
        }
    }

    #[test]
    fn all_is_read() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"User":"1000:50","Env":["A=b=c","odd","=x"],
            "Entrypoint":["/bin/tool"],"Cmd":["-v"],"WorkingDir":"/data","Volumes":{"/x":{}}},"history":[]}"#;
        let read = read(text).expect("sound");
        assert_eq!(read.user(), Some("1000:50"));
        assert_eq!(read.variables().collect::<Vec<_>>(), [("A", "b=c")]);
        assert_eq!(
            (read.entry_point(), read.command()),
            (&["/bin/tool".to_owned()][..], &["-v".to_owned()][..])
        );
        assert_eq!(read.directory(), Some("/data"));
    }

    #[test]
    fn another_images_configuration_is_refused() {
        let other = Digest::of(b"other");
        let error = ImageConfiguration::read(b"{}", &other).expect_err("refused");
        assert!(matches!(error, ConfigurationError::Digest { .. }));
        assert!(matches!(read("[1"), Err(ConfigurationError::Malformed(_))));
    }
}
