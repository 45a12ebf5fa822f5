//! Which version is booted: the one that the machine stays at, or another, to which its changes are carried over first.

use std::error::Error;
use std::path::{Path, PathBuf};

use super::Boot;
use crate::config::BootConfig;
use crate::console::chain;
use crate::error::GuestError;
use crate::os_mount::{self, MountSettings, Revision};
use crate::places::{PROGRAM, RUN};
use crate::scratch::Scratch;
use crate::update::{Bases, Outcome, Pinned, Policy, Request, UpdateError, Version, Versions};

impl Boot<'_> {
    /// The revision to mount. What is asked for is resolved when the machine has none yet or asks for another than before.
    pub(super) fn revision(
        &self,
        config: &BootConfig,
        scratch: &Scratch,
        settings: &MountSettings,
    ) -> Result<Revision, GuestError> {
        let resolve = || os_mount::resolve(settings, &config.reference, self.surroundings.now);
        if scratch.device.is_none() {
            return self.persistently(resolve);
        }
        let versions = Versions::in_directory(&scratch.auxiliary());
        if let Some(pinned) = versions.pinned()? {
            if pinned.repository == config.repository.name {
                return self.pinned(pinned, config, &versions, scratch, settings);
            }
            self.console.warn(format_args!(
                "this machine ran {} of {}; another system is asked for now, and what was changed is kept over it",
                pinned.version, pinned.repository
            ));
        }
        let revision = self.persistently(resolve)?;
        let asked = config.reference.to_string();
        versions.pin(&Pinned::first(&config.repository.name, &asked, Version::from(&revision)))?;
        self.console.say("this machine stays at this version from now on");
        Ok(revision)
    }

    fn pinned(
        &self,
        pinned: Pinned,
        config: &BootConfig,
        versions: &Versions,
        scratch: &Scratch,
        settings: &MountSettings,
    ) -> Result<Revision, GuestError> {
        let asked = config.reference.to_string();
        if pinned.asked != asked || pinned.policy == Policy::Follow {
            match os_mount::resolve(settings, &config.reference, self.surroundings.now) {
                Ok(wanted) => {
                    if wanted.hash != pinned.version.hash && versions.request()?.is_none() {
                        versions.ask(Some(&Request::Rebase(Version::from(&wanted))))?;
                    }
                    versions.pin(&Pinned { asked, ..pinned.clone() })?;
                }
                Err(error) => self.console.warn(format_args!(
                    "cannot ask for another version, {} is started: {}",
                    pinned.version,
                    chain(&error)
                )),
            }
        }
        let mut bases = Mounts { settings, mounted: Vec::new() };
        match versions.at_boot(&scratch.upper(), &mut bases) {
            Ok(outcome) => self.tell(&outcome),
            Err(error) => {
                self.console.error(chain(&error), Some("it is tried again at the next start"));
                self.console.say(format_args!("{} is started, as before", pinned.version));
            }
        }
        let version = versions.pinned()?.map_or(pinned.version, |pinned| pinned.version);
        Ok(Revision { hash: version.hash, number: version.revision, tag: version.tag, offline: false })
    }

    fn tell(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged => {}
            Outcome::Rebased { from, rebase } => {
                self.console.say(format_args!("going on from {from} with the changes of this machine"));
                rebase.to_string().lines().for_each(|line| self.console.say(line));
            }
            Outcome::Undone { from, kept } => {
                self.console.say(format_args!("going back from {from}"));
                for path in kept {
                    self.console.warn(format_args!("/{} was changed since, and stays", path.display()));
                }
            }
        }
    }
}

impl From<&Revision> for Version {
    fn from(revision: &Revision) -> Self {
        Self { hash: revision.hash.clone(), revision: revision.number, tag: revision.tag.clone() }
    }
}

/// Versions, mounted beside each other until this is dropped.
struct Mounts<'a> {
    settings: &'a MountSettings,
    mounted: Vec<PathBuf>,
}

impl Bases for Mounts<'_> {
    fn mount(&mut self, version: &Version) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
        let name = format!("base-{}", self.mounted.len());
        let settings = MountSettings {
            revision: version.hash.clone(),
            control: Path::new(RUN).join(format!("{name}.socket")),
            ..self.settings.clone()
        };
        let at = Path::new("/").join(&name);
        let log = Path::new(RUN).join(format!("{name}.log"));
        os_mount::mount(&settings, &at, Path::new(PROGRAM), &log, os_mount::OS_NAME)?;
        self.mounted.push(at.clone());
        Ok(at)
    }
}

impl Drop for Mounts<'_> {
    fn drop(&mut self) {
        for at in &self.mounted {
            // What stays mounted is seen by the guest's own processes alone.
            let _ = os_mount::unmount(at);
        }
    }
}

impl From<UpdateError> for GuestError {
    fn from(error: UpdateError) -> Self {
        Self::Version(Box::new(error))
    }
}
