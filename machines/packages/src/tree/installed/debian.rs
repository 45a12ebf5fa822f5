//! dpkg's database of installed packages.

use super::Packages;
use crate::tree::error::TreeError;
use crate::tree::rooted::Root;

const STATUS: &str = "var/lib/dpkg/status";

/// Larger ones are not read.
const LARGEST: u64 = 256 << 20;

/// The packages of a tree.
pub(in crate::tree) fn installed(root: &Root) -> Result<Packages, TreeError> {
    let path = root.path().join(STATUS);
    let bytes = root.read(STATUS, LARGEST).map_err(TreeError::io("read", &path))?.unwrap_or_default();
    let updates = root.names("var/lib/dpkg/updates").map_err(TreeError::io("read", &path))?;
    if !updates.is_empty() {
        return Err(TreeError::Unfinished { package: "dpkg".into(), status: "interrupted".into() });
    }
    parse(&String::from_utf8_lossy(&bytes))
}

/// Reads the text of a status file.
fn parse(text: &str) -> Result<Packages, TreeError> {
    let mut packages = Packages::default();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let value = |line: &str| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            };
            paragraph.lines().filter(|line| !line.starts_with([' ', '\t'])).find_map(value)
        };
        let Some(name) = field("Package") else { continue };
        let status = field("Status").unwrap_or_default();
        // What was removed, or never there, has a paragraph too.
        if status.ends_with(" not-installed") {
            continue;
        }
        let complete = status.ends_with(" ok installed");
        let (Some(version), Some(architecture), true) = (field("Version"), field("Architecture"), complete)
        else {
            return Err(TreeError::Unfinished { package: name, status });
        };
        if !packages.add(&name, &architecture, &version) {
            return Err(TreeError::Unfinished { package: name, status: "recorded twice".into() });
        }
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: a\nStatus: install ok installed\nDescription: x\n Package: no\nVersion: 1:2-3\n\
        Architecture: all\n\nPackage: old\nStatus: deinstall ok not-installed\n\nPackage: b\nStatus: hold ok installed\n\
        Architecture: amd64\nVersion: 4\n";

    #[test]
    fn installed_packages_are_found() {
        let mut wanted = Packages::default();
        wanted.add("a", "all", "1:2-3");
        wanted.add("b", "amd64", "4");
        assert_eq!(parse(STATUS).expect("a status"), wanted);
        assert_eq!(parse("").expect("an empty one"), Packages::default());
    }

    #[test]
    fn half_installed_packages_are_told() {
        for status in
            ["install ok half-configured", "install reinstreq installed", "deinstall ok config-files"]
        {
            let text = STATUS.replace("hold ok installed", status);
            let told = parse(&text).expect_err("not installed").to_string();
            assert!(told.contains("'b'") && told.contains(status), "{told}");
        }
    }
}
