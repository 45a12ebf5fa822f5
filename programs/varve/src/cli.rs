//! The root of the command line: global options and the way to the subcommands. What they do stands in their own files.

use clap::{ArgAction, Args, Parser};

use crate::commands::Command;

/// Publish a software tree once; mount any version of it anywhere, verified, at the speed of a local disk.
#[derive(Debug, Parser)]
#[command(
    name = "varve",
    version,
    propagate_version = false,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Files, environment variables and exit codes are described in docs/operate/files.md."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every subcommand takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct GlobalOptions {
    /// Say more on standard error; repeat for even more
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 900)]
    pub(crate) verbose: u8,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 901)]
    pub(crate) quiet: bool,
}

/// The option that every listing has.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ListingOptions {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// One snapshot per subcommand, at any depth: `tests/snapshots/help-repo-list.snap`.
    #[test]
    fn help_of_every_subcommand() {
        let mut root = Cli::command().term_width(100);
        root.build();
        let mut seen = 0;
        snapshot(&mut root, "help", &mut seen);
        assert!(seen > 3, "the walk over the subcommands found only {seen}");
    }

    fn snapshot(command: &mut clap::Command, name: &str, seen: &mut usize) {
        *seen += 1;
        let help = command.render_long_help().to_string();
        insta::with_settings!({
            snapshot_path => "../tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true
        }, { insta::assert_snapshot!(name, help) });
        for sub in command.get_subcommands_mut() {
            let name = format!("{name}-{}", sub.get_name());
            snapshot(sub, &name, seen);
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
