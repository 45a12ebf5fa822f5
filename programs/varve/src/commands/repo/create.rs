//! `varve repo create`: keys, whitelist and an empty first revision.

use clap::Args;
use varve_publish::{CreateRequest, NestingFile, PublishError, SettingsFile, create};
use varve_repository::{MetaInfo, RepositoryName};

use super::local;
use super::storage::StorageOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Make a repository on this machine: its keys and an empty first revision
#[derive(Args, Debug)]
#[command(
    after_help = "Settings that are not given can be changed later in the repository's settings file, see \
                  docs/operate/publish.md. Whoever mounts the repository needs the public key NAME.pub."
)]
pub(crate) struct Create {
    /// The fully qualified name, such as software.example.org
    name: RepositoryName,
    /// The algorithm that names objects: sha1, rmd160 or shake128
    #[arg(long, value_name = "ALGORITHM")]
    hash: Option<String>,
    /// How contents are stored: zlib or none
    #[arg(long, value_name = "METHOD")]
    compression: Option<String>,
    /// Store the very bytes that CernVM-FS stores; slower
    #[arg(long)]
    exact: bool,
    /// Seconds after which clients look for a new revision
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<std::num::NonZeroU32>,
    /// Don't give every revision a tag of its own
    #[arg(long)]
    no_auto_tags: bool,
    /// Make nested catalogs only where a marker or the dirtab asks for them
    #[arg(long)]
    no_auto_nesting: bool,
    #[command(flatten)]
    storage: StorageOptions,
    /// What the repository is for, shown to whoever looks at it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl Create {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let settings = SettingsFile {
            hash: self.hash,
            compression: self.compression,
            effort: self.exact.then(|| "exact".to_owned()),
            ttl: self.ttl,
            auto_tags: self.no_auto_tags.then_some(false),
            nesting: self
                .no_auto_nesting
                .then(|| NestingFile { automatic: Some(false), ..NestingFile::default() }),
            storage: self.storage.to_settings()?,
            ..SettingsFile::default()
        };
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let meta_info = MetaInfo { description: self.description, ..MetaInfo::default() };
        let place = local.place(&settings.resolve().map_err(PublishError::from)?);
        invocation.output.say("making keys");
        create(&local, &CreateRequest { settings, meta_info, owner, now: invocation.now() })?;
        let public = local.keys.join(format!("{}.pub", self.name));
        invocation.output.say(format!("made {} in {place}", self.name));
        invocation.output.say(format!("its public key is {}", public.display()));
        Ok(())
    }
}
