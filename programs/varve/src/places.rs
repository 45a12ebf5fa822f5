//! Where things lie: the directories of this user, or of the system for root, or below `VARVE_HOME`. The table in
//! docs/operate/files.md is tested against it. Nothing is created here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use varve_repository::RepositoryName;

use crate::environment::Environment;

/// The directories of one user of Varve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Places {
    config: PathBuf,
    keys: PathBuf,
    repositories: PathBuf,
    transactions: PathBuf,
    packages: PathBuf,
    machines: PathBuf,
    forks: PathBuf,
    environments: PathBuf,
    copies: PathBuf,
    hub: PathBuf,
    cache: PathBuf,
    run: PathBuf,
    cvmfs: PathBuf,
}

impl Places {
    /// `VARVE_HOME` if set; else the system's directories for root and the XDG directories for everybody else.
    ///
    /// # Errors
    /// [`PlacesError`] if the environment does not tell.
    pub(crate) fn resolve(environment: &Environment, root: bool) -> Result<Self, PlacesError> {
        if let Some(home) = &environment.varve_home {
            return Self::below(home);
        }
        if root {
            return Ok(Self::of(
                Path::new("/etc/varve"),
                Path::new("/var/lib/varve"),
                PathBuf::from("/var/cache/varve"),
                PathBuf::from("/run/varve"),
            ));
        }
        let base = |variable: &Option<PathBuf>, below_home: &str| {
            let base = variable.clone().or_else(|| Some(environment.home.as_ref()?.join(below_home)));
            base.map(|base| base.join("varve")).ok_or(PlacesError::NoHome)
        };
        let config = base(&environment.xdg_config_home, ".config")?;
        let state = base(&environment.xdg_state_home, ".local/state")?;
        let cache = base(&environment.xdg_cache_home, ".cache")?;
        let run = match &environment.xdg_runtime_dir {
            Some(directory) => directory.join("varve"),
            None => state.join("run"),
        };
        Ok(Self::of(&config, &state, cache, run))
    }

    /// Settings: `repositories/NAME.toml`.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Varve's own configuration of clients.
    pub(crate) fn client(&self) -> PathBuf {
        self.config.join("client.toml")
    }

    /// CernVM-FS's configuration.
    pub(crate) fn cvmfs(&self) -> &Path {
        &self.cvmfs
    }

    /// The directory of all keys: `NAME.masterkey`, `NAME.key`, `NAME.crt`, `NAME.pub`.
    pub(crate) fn keys(&self) -> &Path {
        &self.keys
    }

    /// The directory whose children are the repositories of this machine, just as they are served.
    pub(crate) fn repositories(&self) -> PathBuf {
        self.repositories.clone()
    }

    /// One repository of this machine.
    pub(crate) fn repository(&self, name: &RepositoryName) -> PathBuf {
        self.repositories.join(name.as_str())
    }

    /// What the open transaction of a repository has changed, and where it is mounted unless somebody says otherwise.
    pub(crate) fn transaction(&self, name: &RepositoryName) -> PathBuf {
        self.transactions.join(name.as_str())
    }

    /// The files of packages that lists were locked with: by them, systems can be built when mirrors are gone.
    pub(crate) fn packages(&self) -> &Path {
        &self.packages
    }

    /// The settings of a repository of this machine.
    pub(crate) fn settings(&self, name: &RepositoryName) -> PathBuf {
        Self::settings_in(&self.config, name)
    }

    /// The settings of a repository, in a directory of configuration.
    pub(crate) fn settings_in(config: &Path, name: &RepositoryName) -> PathBuf {
        config.join("repositories").join(format!("{}.toml", name.as_str()))
    }

    /// The directory of all machines of this user.
    pub(crate) fn machines(&self) -> PathBuf {
        self.machines.clone()
    }

    /// The documents of this user's environments, and their names.
    pub(crate) fn environments(&self) -> &Path {
        &self.environments
    }

    /// What environments need and what is kept of it: revisions, proofs of revisions, images.
    pub(crate) fn copies(&self) -> &Path {
        &self.copies
    }

    /// The hub's database and certificate.
    pub(crate) fn hub(&self) -> &Path {
        &self.hub
    }

    /// The directory of all forks of environments.
    pub(crate) fn forks(&self) -> &Path {
        &self.forks
    }

    /// What was fetched and can be fetched again.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Sockets and locks of running processes.
    pub(crate) fn run(&self) -> &Path {
        &self.run
    }

    fn below(home: &Path) -> Result<Self, PlacesError> {
        if !home.is_absolute() {
            return Err(PlacesError::RelativeHome { path: home.display().to_string() });
        }
        Ok(Self {
            config: home.join("config"),
            keys: home.join("keys"),
            repositories: home.join("repositories"),
            transactions: home.join("transactions"),
            packages: home.join("packages"),
            machines: home.join("machines"),
            forks: home.join("forks"),
            environments: home.join("environments"),
            copies: home.join("copies"),
            hub: home.join("hub"),
            cache: home.join("cache"),
            run: home.join("run"),
            cvmfs: home.join("config/cvmfs"),
        })
    }

    fn of(config: &Path, state: &Path, cache: PathBuf, run: PathBuf) -> Self {
        Self {
            config: config.to_owned(),
            keys: config.join("keys"),
            repositories: state.join("repositories"),
            transactions: state.join("transactions"),
            packages: state.join("packages"),
            machines: state.join("machines"),
            forks: state.join("forks"),
            environments: state.join("environments"),
            copies: state.join("copies"),
            hub: state.join("hub"),
            cache,
            run,
            cvmfs: PathBuf::from("/etc/cvmfs"),
        }
    }
}

/// Why nobody knows where things lie.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlacesError {
    /// Neither the XDG variables nor `HOME` are set.
    #[error("neither VARVE_HOME nor HOME is set to a directory")]
    NoHome,
    /// `VARVE_HOME` would mean another directory in every working directory.
    #[error("VARVE_HOME is '{path}', but must be an absolute path")]
    RelativeHome {
        /// Its value.
        path: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Environment {
        Environment { home: Some("/home/u".into()), ..Environment::default() }
    }

    fn described(places: &Places) -> Vec<String> {
        let name: RepositoryName = "NAME".parse().expect("a repository name");
        [
            places.repository(&name),
            places.transaction(&name),
            places.packages().to_owned(),
            places.keys().to_owned(),
            places.config().to_owned(),
            places.client(),
            places.cvmfs().to_owned(),
            places.settings(&name),
            places.machines().join("NAME"),
            places.forks().join("NAME"),
            places.environments().to_owned(),
            places.copies().to_owned(),
            places.hub().to_owned(),
            places.cache().to_owned(),
            places.run().to_owned(),
        ]
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect()
    }

    #[test]
    fn the_documentation_has_every_place() {
        let home = Environment { varve_home: Some("/HOME".into()), ..user() };
        let runtime = Environment { xdg_runtime_dir: Some("/run/user/1000".into()), ..user() };
        let columns = [
            Places::resolve(&home, true).expect("VARVE_HOME is set"),
            Places::resolve(&user(), true).expect("root needs no variable"),
            Places::resolve(&runtime, false).expect("HOME is set"),
        ]
        .map(|places| described(&places));
        let page = include_str!("../../../docs/operate/files.md");
        for ((home, root), user) in columns[0].iter().zip(&columns[1]).zip(&columns[2]) {
            let (home, user) = (home.replace("/HOME", "$VARVE_HOME"), user.replace("/home/u", "~"));
            let user = user.replace("/run/user/1000", "$XDG_RUNTIME_DIR");
            let cells = format!("| {home} | {root} | {user} |");
            assert!(page.contains(&cells), "docs/operate/files.md lacks the cells\n{cells}");
        }
    }

    #[test]
    fn xdg_variables_come_before_home() {
        let environment = Environment { xdg_state_home: Some("/s".into()), ..user() };
        let places = Places::resolve(&environment, false).expect("HOME is set");
        assert_eq!(places.repositories(), Path::new("/s/varve/repositories"));
        assert_eq!(places.run(), Path::new("/s/varve/run"));
    }

    #[test]
    fn without_any_home_or_with_a_relative_one_nothing_is_guessed() {
        assert!(matches!(Places::resolve(&Environment::default(), false), Err(PlacesError::NoHome)));
        let relative = Environment { varve_home: Some("here".into()), ..user() };
        assert!(matches!(Places::resolve(&relative, true), Err(PlacesError::RelativeHome { .. })));
    }
}
