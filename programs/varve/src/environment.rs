//! Every environment variable that Varve reads, declared once. The table in docs/operate/files.md is tested against it.

use std::ffi::OsString;
use std::path::PathBuf;

use varve_store::{AwsEnvironment, S3Credentials};

/// A declared variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does, as the documentation says it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation is tested against it"))]
    pub(crate) meaning: &'static str,
}

macro_rules! variables {
    ($($constant:ident: $name:literal = $meaning:literal;)*) => {
        $(pub(crate) const $constant: Variable = Variable { name: $name, meaning: $meaning };)*
        /// Every variable.
        #[cfg(test)]
        pub(crate) const ALL: &[Variable] = &[$($constant),*];
    };
}

variables! {
    VARVE_HOME: "VARVE_HOME" = "one directory for everything: repositories, keys, configuration, cache and run files";
    VARVE_LOG: "VARVE_LOG" = "what is said on standard error, such as `info,varve_store=debug`; overrides `-v` and `-q`";
    VARVE_HUB_DATABASE: "VARVE_HUB_DATABASE" = "the hub's database, where `--database` doesn't name it; so that a password isn't seen in the list of processes";
    NO_COLOR: "NO_COLOR" = "no colours, if set and not empty";
    HOME: "HOME" = "the user's home directory, where the XDG variables are not set";
    SHELL: "SHELL" = "the shell of `varve repo shell` and of `varve run` without an environment; `/bin/sh` without it";
    USER: "USER" = "the user's name, for systems in which `varve run` makes it known";
    SLURM_JOB_ID: "SLURM_JOB_ID" = "the batch job, whose processes all end with it: `varve run` shares mounts only within";
    XDG_CONFIG_HOME: "XDG_CONFIG_HOME" = "where `varve/` with a user's configuration and keys lies";
    XDG_STATE_HOME: "XDG_STATE_HOME" = "where `varve/` with a user's repositories lies";
    XDG_CACHE_HOME: "XDG_CACHE_HOME" = "where `varve/` with a user's cache lies";
    XDG_RUNTIME_DIR: "XDG_RUNTIME_DIR" = "where `varve/` with a user's sockets and locks lies";
    SOURCE_DATE_EPOCH: "SOURCE_DATE_EPOCH" = "the date, in seconds since 1970, of the images and kernels that are made";
    AWS_ACCESS_KEY_ID: "AWS_ACCESS_KEY_ID" = "the name of the access key for storage on S3";
    AWS_SECRET_ACCESS_KEY: "AWS_SECRET_ACCESS_KEY" = "that access key";
    AWS_SESSION_TOKEN: "AWS_SESSION_TOKEN" = "what comes with an access key that lasts only for a while";
    AWS_SHARED_CREDENTIALS_FILE: "AWS_SHARED_CREDENTIALS_FILE" = "a file with access keys instead of `~/.aws/credentials`";
    AWS_PROFILE: "AWS_PROFILE" = "which of the access keys in such a file";
}

/// What the variables say. Directories that are not absolute count as unset, as the XDG specification wants it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) varve_home: Option<PathBuf>,
    pub(crate) log: Option<String>,
    pub(crate) hub_database: Option<String>,
    pub(crate) no_color: bool,
    pub(crate) home: Option<PathBuf>,
    pub(crate) shell: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) batch_job: Option<String>,
    pub(crate) xdg_config_home: Option<PathBuf>,
    pub(crate) xdg_state_home: Option<PathBuf>,
    pub(crate) xdg_cache_home: Option<PathBuf>,
    pub(crate) xdg_runtime_dir: Option<PathBuf>,
    pub(crate) source_date_epoch: Option<u64>,
    pub(crate) access_key: Option<S3Credentials>,
    pub(crate) shared_credentials: Option<PathBuf>,
    pub(crate) aws_profile: Option<String>,
}

impl Environment {
    /// Reads every declared variable once through `lookup`.
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |variable: Variable| lookup(variable.name).filter(|value| !value.is_empty());
        let string = |variable| text(variable).and_then(|value| value.into_string().ok());
        let (key_id, secret) = (string(AWS_ACCESS_KEY_ID), string(AWS_SECRET_ACCESS_KEY));
        let token = string(AWS_SESSION_TOKEN);
        let directory = |variable| text(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            // A relative VARVE_HOME is a mistake that must not silently move everything elsewhere: places.rs refuses it.
            varve_home: text(VARVE_HOME).map(PathBuf::from),
            log: text(VARVE_LOG).map(|value| value.to_string_lossy().into_owned()),
            hub_database: string(VARVE_HUB_DATABASE),
            no_color: text(NO_COLOR).is_some(),
            home: directory(HOME),
            shell: directory(SHELL),
            user: string(USER),
            batch_job: string(SLURM_JOB_ID),
            xdg_config_home: directory(XDG_CONFIG_HOME),
            xdg_state_home: directory(XDG_STATE_HOME),
            xdg_cache_home: directory(XDG_CACHE_HOME),
            xdg_runtime_dir: directory(XDG_RUNTIME_DIR),
            source_date_epoch: string(SOURCE_DATE_EPOCH).and_then(|value| value.parse().ok()),
            access_key: key_id.zip(secret).map(|(key_id, secret)| S3Credentials { key_id, secret, token }),
            shared_credentials: text(AWS_SHARED_CREDENTIALS_FILE).map(PathBuf::from),
            aws_profile: string(AWS_PROFILE),
        }
    }

    /// Who asks where objects are kept on S3.
    pub(crate) fn aws(&self) -> AwsEnvironment {
        let of_the_user = || Some(self.home.as_ref()?.join(".aws/credentials"));
        AwsEnvironment {
            credentials: self.access_key.clone(),
            file: self.shared_credentials.clone().or_else(of_the_user),
            profile: self.aws_profile.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_read_and_no_other() {
        let asked = std::cell::RefCell::new(Vec::new());
        Environment::read(|name| {
            asked.borrow_mut().push(name.to_owned());
            None
        });
        let mut asked = asked.into_inner();
        let mut declared: Vec<&str> = ALL.iter().map(|variable| variable.name).collect();
        asked.sort();
        declared.sort_unstable();
        assert_eq!(asked, declared);
    }

    #[test]
    fn empty_and_relative_values_count_as_unset() {
        let environment = Environment::read(|name| match name {
            "XDG_CACHE_HOME" => Some("relative".into()),
            "NO_COLOR" => Some("".into()),
            _ => None,
        });
        assert_eq!(environment.xdg_cache_home, None);
        assert!(!environment.no_color);
    }

    #[test]
    fn the_documentation_has_every_variable() {
        let page = include_str!("../../../docs/operate/files.md");
        for variable in ALL {
            let row = format!("| `{}` | {} |", variable.name, variable.meaning);
            assert!(page.contains(&row), "docs/operate/files.md lacks the row\n{row}");
        }
    }
}
