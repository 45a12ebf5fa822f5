//! The writable view of an open transaction: the base revision mounted read-only, and an overlay over it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use varve_mount::overlay::{self, Overlay};
use varve_publish::Transaction;
use varve_repository::RepositoryName;

use crate::commands::mount;
use crate::failure::Failure;
use crate::places::Places;

/// Where a transaction is mounted.
pub(super) struct View<'a> {
    transaction: &'a Transaction,
    /// The directory that can be written to: the view itself, or the part of it that the transaction is about.
    writable: PathBuf,
}

impl<'a> View<'a> {
    pub(super) fn of(transaction: &'a Transaction) -> Self {
        let writable = below(transaction.view(), transaction);
        Self { transaction, writable }
    }

    /// Whether it can be used.
    pub(super) fn is_mounted(&self) -> bool {
        is_overlay(&self.writable)
    }

    /// Mounts it, over what a crash may have left of it.
    pub(super) fn mount(&self, places: &Places, name: &RepositoryName) -> Result<(), Failure> {
        let transaction = self.transaction;
        self.unmount(true)?;
        let (lower, view) = (transaction.lower(), transaction.view());
        std::fs::create_dir_all(view).map_err(|error| Failure::io("create", view, error))?;
        varve_mount::start(mount::base_order(places, name, transaction.base(), &lower)?)?;
        let mounted = self.mount_over(&lower);
        if mounted.is_err() {
            self.unmount(true)?;
        }
        mounted
    }

    fn mount_over(&self, lower: &Path) -> Result<(), Failure> {
        let transaction = self.transaction;
        if !transaction.at().is_root() {
            overlay::bind(lower, transaction.view())?;
        }
        let overlay = Overlay {
            source: transaction.base(),
            lower: &below(lower, transaction),
            upper: &transaction.upper(),
            work: &transaction.work(),
            in_user_namespace: transaction.is_private(),
        };
        Ok(overlay.mount(&self.writable)?)
    }

    /// Lets nobody write any more, or everybody again.
    pub(super) fn set_writable(&self, writable: bool) -> Result<(), Failure> {
        Ok(overlay::set_writable(&self.writable, writable)?)
    }

    /// Takes away what is mounted; with `lazy` also what is in use.
    pub(super) fn unmount(&self, lazy: bool) -> Result<(), Failure> {
        let transaction = self.transaction;
        if is_overlay(&self.writable) {
            overlay::take_away(&self.writable, lazy)?;
        }
        let bound = !transaction.at().is_root() && is_varve(transaction.view());
        if bound {
            overlay::take_away(transaction.view(), lazy)?;
        }
        if is_varve(&transaction.lower()) {
            varve_mount::unmount(&transaction.lower(), lazy)?;
        }
        Ok(())
    }
}

/// The place of what the transaction is about in a directory that shows the repository.
fn below(directory: &Path, transaction: &Transaction) -> PathBuf {
    let mut path = directory.to_owned();
    path.extend(transaction.at().components().map(|name| OsStr::from_bytes(name.as_bytes()).to_owned()));
    path
}

fn is_overlay(directory: &Path) -> bool {
    matches!(overlay::mounted_on(directory), Ok(Some((kind, _))) if kind == "overlay")
}

fn is_varve(directory: &Path) -> bool {
    matches!(overlay::mounted_on(directory), Ok(Some((kind, _))) if kind == "fuse.varve")
}
