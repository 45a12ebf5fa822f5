//! `varve man`: the manual pages, made from the definition of the command line.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Print the manual page, or write the pages of all subcommands into a directory
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The directory that gets one page per subcommand, such as /usr/local/share/man/man1
    directory: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let mut root = Cli::command();
        root.build();
        match self.directory {
            None => invocation.output.write(&render(&root, "varve", Path::new("standard output"))?),
            Some(directory) => {
                fs::create_dir_all(&directory)
                    .map_err(|error| Failure::io("create directory", &directory, error))?;
                write_pages(&root, "varve", &directory)
            }
        }
    }
}

fn write_pages(command: &clap::Command, name: &str, directory: &Path) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    let page = render(command, name, &path)?;
    fs::write(&path, page).map_err(|error| Failure::io("write", &path, error))?;
    for sub in command.get_subcommands() {
        write_pages(sub, &format!("{name}-{}", sub.get_name()), directory)?;
    }
    Ok(())
}

fn render(command: &clap::Command, name: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Page::new(command.clone())
        .title(name)
        .manual("Varve")
        .render(&mut page)
        .map_err(|error| Failure::io("write", path, error))?;
    Ok(page)
}
