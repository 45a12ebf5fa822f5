//! `varve-guest mount NAME[@REVISION] DIRECTORY` and `umount`: repositories of the booted machine, for the units of systemd that
//! user data make. With few options, none of them for people: they have `varve mount`.

use std::fs;
use std::path::{Path, PathBuf};

use varve_guest::config::RepositoryConfig;
use varve_guest::console::chain;
use varve_guest::os_mount::{self, MountSettings};
use varve_guest::places::RUN;
use varve_store::ByteSize;

/// Where fetched objects are kept, unless something else is said.
const CACHE: &str = "/var/cache/varve/guest";
/// How large that may become.
const QUOTA: u64 = 4 << 30;
/// Seconds after which a read without an answer is an error: programs can live with one, unlike those of the root directory.
const DEADLINE: u64 = 60;
/// How the processes of such a mount are shown.
const NAME: &str = "varve-guest";

/// What the words of `mount` say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    target: String,
    directory: PathBuf,
    servers: Vec<String>,
    keys: Vec<PathBuf>,
    proxy: String,
    cache: Option<PathBuf>,
    quota: Option<u64>,
}

/// Mounts a repository; returns when it can be used.
pub(crate) fn mount(words: &[String], program: &Path) -> Result<(), String> {
    let arguments = parse(words)?;
    let (name, revision) = arguments.target.split_once('@').unwrap_or((&arguments.target, ""));
    let mut keys = String::new();
    for path in &arguments.keys {
        keys +=
            &fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        keys.push('\n');
    }
    let servers: Vec<String> =
        arguments.servers.iter().map(|server| server.replace("@fqrn@", name)).collect();
    let cache = arguments.cache.clone().unwrap_or_else(|| CACHE.into());
    for directory in [&cache, Path::new(RUN)] {
        fs::create_dir_all(directory)
            .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    }
    let settings = MountSettings {
        repository: RepositoryConfig {
            name: name.to_owned(),
            servers: servers.join(";"),
            proxy: arguments.proxy.clone(),
            keys,
        },
        revision: revision.to_owned(),
        cache,
        cache_quota: Some(arguments.quota.unwrap_or(QUOTA)),
        control: Path::new(RUN).join(format!("{name}.socket")),
        deadline: DEADLINE,
    };
    let log = Path::new(RUN).join(format!("{name}.log"));
    os_mount::mount(&settings, &arguments.directory, program, &log, NAME).map_err(|error| chain(&error))
}

/// Unmounts it again.
pub(crate) fn unmount(words: &[String]) -> Result<(), String> {
    let [directory] = words else { return Err("umount takes one directory".to_owned()) };
    os_mount::unmount(Path::new(directory)).map_err(|error| chain(&error))
}

fn parse(words: &[String]) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    let mut plain = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if !word.starts_with("--") {
            plain.push(word.clone());
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} takes a value"))?.clone();
        match word.as_str() {
            "--server" => arguments.servers.push(value),
            "--key" => arguments.keys.push(value.into()),
            "--proxy" => arguments.proxy = value,
            "--cache" => arguments.cache = Some(value.into()),
            "--cache-quota" => {
                let quota: ByteSize =
                    value.parse().map_err(|_| format!("'{value}' is no size such as 4GiB"))?;
                arguments.quota = Some(quota.get());
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    let [target, directory] = plain.try_into().map_err(|_| "mount takes NAME[@REVISION] and a directory")?;
    let name = target.split('@').next().unwrap_or_default();
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(format!("'{target}' is no repository"));
    }
    if arguments.servers.is_empty() {
        return Err(format!("no server is configured for {name}: say it in the user data, [repositories]"));
    }
    if arguments.keys.is_empty() {
        return Err(format!("no key is configured for {name}: say it in the user data, [repositories]"));
    }
    Ok(Arguments { target, directory: directory.into(), ..arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Arguments, String> {
        parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_read() {
        let arguments =
            read("a.b@v1 /cvmfs/a.b --server http://h/cvmfs/@fqrn@ --key /k --cache-quota 1GiB").unwrap();
        assert_eq!((arguments.target.as_str(), arguments.quota), ("a.b@v1", Some(1 << 30)));
        for (bad, said) in [
            ("a.b", "takes NAME"),
            ("../x /d --server h --key k", "no repository"),
            ("a.b /d --key k", "no server"),
            ("a.b /d --server h", "no key"),
            ("a.b /d --server", "takes a value"),
            ("a.b /d --nonsense 1", "unknown option"),
        ] {
            assert!(read(bad).unwrap_err().contains(said), "{bad}");
        }
    }
}
