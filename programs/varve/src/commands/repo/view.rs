//! The writable view of an open transaction: the base revision mounted read-only, and an overlay over it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use varve_mount::MountOrder;
use varve_mount::overlay::{self, Overlay};
use varve_publish::Transaction;
use varve_repository::RepositoryName;

use crate::commands::mount;
use crate::failure::Failure;
use crate::places::Places;

/// Where a transaction is mounted. Can be handed to another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct View {
    /// The root catalog that shows through.
    base: String,
    /// Where that is mounted.
    lower: PathBuf,
    /// Where changes are kept.
    upper: PathBuf,
    /// The kernel's own directory beside that.
    work: PathBuf,
    /// Where all of the repository is shown.
    view: PathBuf,
    /// What of it can be written to, relative to it.
    at: PathBuf,
    /// Whether it is mounted in a user namespace.
    in_user_namespace: bool,
}

impl View {
    pub(crate) fn of(transaction: &Transaction) -> Self {
        let names = transaction.at().components();
        Self {
            base: transaction.base().to_owned(),
            lower: transaction.lower(),
            upper: transaction.upper(),
            work: transaction.work(),
            view: transaction.view().to_owned(),
            at: names.map(|name| OsStr::from_bytes(name.as_bytes()).to_owned()).collect(),
            in_user_namespace: transaction.is_private(),
        }
    }

    /// The directory that can be written to.
    pub(crate) fn writable(&self) -> PathBuf {
        below(&self.view, &self.at)
    }

    /// Whether it can be used.
    pub(crate) fn is_mounted(&self) -> bool {
        is_overlay(&self.writable())
    }

    /// How the base revision is mounted.
    pub(crate) fn base_order(&self, places: &Places, name: &RepositoryName) -> Result<MountOrder, Failure> {
        mount::base_order(places, name, &self.base, &self.lower, self.in_user_namespace)
    }

    /// Mounts it, over what a crash may have left of it.
    pub(crate) fn mount(&self, base: MountOrder) -> Result<(), Failure> {
        self.unmount(true)?;
        std::fs::create_dir_all(&self.view).map_err(|error| Failure::io("create", &self.view, error))?;
        varve_mount::start(base)?;
        let mounted = self.mount_over_base();
        if mounted.is_err() {
            self.unmount(true)?;
        }
        mounted
    }

    fn mount_over_base(&self) -> Result<(), Failure> {
        if !self.at.as_os_str().is_empty() {
            overlay::bind(&self.lower, &self.view)?;
        }
        let overlay = Overlay {
            source: &self.base,
            lower: &below(&self.lower, &self.at),
            upper: &self.upper,
            work: &self.work,
            set_id: false,
            self_contained: false,
            in_user_namespace: self.in_user_namespace,
        };
        Ok(overlay.mount(&self.writable())?)
    }

    /// Lets nobody write any more, or everybody again.
    pub(crate) fn set_writable(&self, writable: bool) -> Result<(), Failure> {
        Ok(overlay::set_writable(&self.writable(), writable)?)
    }

    /// Takes away what is mounted; with `lazy` also what is in use.
    pub(crate) fn unmount(&self, lazy: bool) -> Result<(), Failure> {
        if self.is_mounted() {
            overlay::take_away(&self.writable(), lazy)?;
        }
        if is_varve(&self.view) && !self.at.as_os_str().is_empty() {
            overlay::take_away(&self.view, lazy)?;
        }
        if is_varve(&self.lower) {
            varve_mount::unmount(&self.lower, lazy)?;
        }
        Ok(())
    }
}

/// Without a slash at the end where there is nothing to append.
fn below(directory: &Path, relative: &Path) -> PathBuf {
    directory.components().chain(relative.components()).collect()
}

fn is_overlay(directory: &Path) -> bool {
    matches!(overlay::mounted_on(directory), Ok(Some((kind, _))) if kind == "overlay")
}

fn is_varve(directory: &Path) -> bool {
    matches!(overlay::mounted_on(directory), Ok(Some((kind, _))) if kind == "fuse.varve")
}
