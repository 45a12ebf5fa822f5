//! `varve-guest update`: which version of the operating system this machine runs, and going to another one.

use std::fmt::Write as _;
use std::time::SystemTime;

use varve_guest::console::chain;
use varve_guest::releases::Published;
use varve_guest::update::{Pinned, Policy, Releases as _, Request, Version, Versions};

pub(crate) const USAGE: &str = "       varve-guest update [status]        which version runs, and what the next start does\n\
     \x20      varve-guest update list            the versions that there are\n\
     \x20      varve-guest update compare TAG     what going to a version makes of this machine's changes; changes nothing\n\
     \x20      varve-guest update rebase TAG      go there at the next start\n\
     \x20      varve-guest update undo            back to the version before at the next start\n\
     \x20      varve-guest update cancel          neither of them\n\
     \x20      varve-guest update stay|follow|diverge   at new versions: none until asked, always, never\n";

/// Does what the words say, and returns what there is to show.
pub(crate) fn run(words: &[String], now: fn() -> SystemTime) -> Result<String, String> {
    let published = Published::of_this_machine(now).map_err(|error| chain(&error))?;
    let versions = || {
        published.versions().ok_or_else(|| {
            "this machine keeps its changes in memory: it starts at the version that its image or user data names".to_owned()
        })
    };
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["status"] => status(&versions()?),
        ["list"] => list(&published),
        ["compare", tag] => {
            let to = find(&published, tag)?;
            let rebase = published.compare(&to).map_err(|error| chain(error.as_ref()))?;
            Ok(format!("{rebase}\n"))
        }
        ["rebase", tag] => {
            let to = find(&published, tag)?;
            let said = format!("the next start goes to {to}\n");
            ask(&versions()?, Some(&Request::Rebase(to)))?;
            Ok(said)
        }
        ["undo"] => {
            ask(&versions()?, Some(&Request::Undo))?;
            Ok("the next start goes back to the version before\n".to_owned())
        }
        ["cancel"] => {
            ask(&versions()?, None)?;
            Ok("the version stays\n".to_owned())
        }
        ["stay"] => policy(&versions()?, Policy::Stay),
        ["follow"] => policy(&versions()?, Policy::Follow),
        ["diverge"] => policy(&versions()?, Policy::Diverge),
        _ => Err(format!("'{}' is not known\n{USAGE}", words.join(" "))),
    }
}

fn status(versions: &Versions) -> Result<String, String> {
    let pinned = pinned(versions)?;
    let mut text = format!("{} at {}\n", pinned.repository, pinned.version);
    text += match pinned.policy {
        Policy::Stay => "it stays there until it is asked to go elsewhere\n",
        Policy::Follow => "it takes the newest version at every start\n",
        Policy::Diverge => "it goes its own way\n",
    };
    match versions.request().map_err(|error| chain(&error))? {
        None => {}
        Some(Request::Rebase(to)) => text += &format!("the next start goes to {to}\n"),
        Some(Request::Undo) => text += "the next start goes back to the version before\n",
    }
    Ok(text)
}

fn list(published: &Published) -> Result<String, String> {
    let releases = published.list().map_err(|error| chain(error.as_ref()))?;
    let mut text = String::new();
    for release in releases {
        let tag = release.version.tag.unwrap_or_default();
        let day = release.published.get(..10).unwrap_or_default();
        let _ =
            writeln!(text, "{tag:<32} {day:<10}  {}", release.description.lines().next().unwrap_or_default());
    }
    Ok(text)
}

fn find(published: &Published, tag: &str) -> Result<Version, String> {
    let releases = published.list().map_err(|error| chain(error.as_ref()))?;
    let found = releases.into_iter().find(|release| release.version.tag.as_deref() == Some(tag));
    found
        .map(|release| release.version)
        .ok_or_else(|| format!("there is no version '{tag}'; 'varve-guest update list' shows all"))
}

fn policy(versions: &Versions, policy: Policy) -> Result<String, String> {
    let pinned = pinned(versions)?;
    versions.pin(&Pinned { policy, ..pinned }).map_err(|error| chain(&error))?;
    status(versions)
}

fn pinned(versions: &Versions) -> Result<Pinned, String> {
    let pinned = versions.pinned().map_err(|error| chain(&error))?;
    pinned.ok_or_else(|| "this machine has not recorded its version".to_owned())
}

fn ask(versions: &Versions, request: Option<&Request>) -> Result<(), String> {
    versions.ask(request).map_err(|error| chain(&error))
}
