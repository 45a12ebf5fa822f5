//! The modules of a packaged kernel: what each says of itself, which ones an image takes along, and the text that tells
//! the guest how to load them. Modules are kept as they are, signatures included.

use std::collections::{BTreeMap, BTreeSet};

use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _};

/// The modules that an image takes along unless somebody says otherwise.
const WANTED: &str = include_str!("modules.list");

/// The list of modules that an image takes along: their names, see `modules.list` beside this file.
pub fn default_modules() -> Vec<String> {
    let lines = WANTED.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// A module, chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with underscores.
    pub name: String,
    /// Below `/lib/modules/RELEASE/`, without the ending of a compressed file.
    pub path: String,
    /// The ELF file.
    pub contents: Vec<u8>,
    /// The names of those that are loaded before it.
    pub dependencies: Vec<String>,
    /// What the kernel calls the devices that it drives.
    pub aliases: Vec<String>,
}

/// A name as the kernel compares it: in files' names it may have dashes.
pub(crate) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// Chooses `wanted` and what these depend on. `builtin` are the names that the kernel has anyway; `read` gives the path
/// and the ELF file of a name, or none if there is no such module. In an order in which they can be loaded.
///
/// # Errors
/// What `read` says, [`ModuleError`] for what is no module or is missing to another.
pub(crate) fn choose<E: From<ModuleError>>(
    wanted: &[String],
    builtin: &BTreeSet<String>,
    mut read: impl FnMut(&str) -> Result<Option<(String, Vec<u8>)>, E>,
) -> Result<Vec<Module>, E> {
    let mut found: BTreeMap<String, Module> = BTreeMap::new();
    let mut open: Vec<(String, Option<String>)> =
        wanted.iter().map(|name| (name.replace('-', "_"), None)).collect();
    while let Some((name, needed_by)) = open.pop() {
        if found.contains_key(&name) || builtin.contains(&name) {
            continue;
        }
        let Some((path, contents)) = read(&name)? else {
            match needed_by {
                Some(by) => return Err(ModuleError::Missing { name, by }.into()),
                None => continue,
            }
        };
        let said = Said::of(&contents).ok_or_else(|| ModuleError::Malformed { name: name.clone() })?;
        let mut dependencies = said.dependencies;
        dependencies.retain(|dependency| !builtin.contains(dependency));
        open.extend(dependencies.iter().map(|dependency| (dependency.clone(), Some(name.clone()))));
        // A soft dependency is loaded by an outside program that the first file system lacks, so it becomes a hard one.
        for soft in said.soft_dependencies {
            for candidate in [soft.clone(), format!("{soft}_generic")] {
                if !builtin.contains(&candidate)
                    && !dependencies.contains(&candidate)
                    && read(&candidate)?.is_some()
                {
                    dependencies.push(candidate.clone());
                    open.push((candidate, Some(name.clone())));
                }
            }
        }
        let module = Module { name: name.clone(), path, contents, dependencies, aliases: said.aliases };
        found.insert(name, module);
    }
    Ok(in_order(found))
}

/// The text of `/lib/modules/varve.modules`: a line per module with its path below `/lib/modules`, the paths of those it
/// needs and its aliases, both joined by commas, with tabs between the three.
pub(crate) fn index(release: &str, modules: &[Module]) -> String {
    let path = |module: &Module| format!("{release}/{}", module.path);
    let paths: BTreeMap<&str, String> =
        modules.iter().map(|module| (module.name.as_str(), path(module))).collect();
    let mut text = String::new();
    for module in modules {
        let needed: Vec<&str> = module
            .dependencies
            .iter()
            .filter_map(|name| paths.get(name.as_str()).map(String::as_str))
            .collect();
        text += &format!("{}\t{}\t{}\n", path(module), needed.join(","), module.aliases.join(","));
    }
    text
}

/// What a module says of itself.
struct Said {
    dependencies: Vec<String>,
    soft_dependencies: Vec<String>,
    aliases: Vec<String>,
}

impl Said {
    fn of(elf: &[u8]) -> Option<Self> {
        let file: ElfFile64 = ElfFile64::parse(elf).ok()?;
        let section = file.section_by_name(".modinfo")?.data().ok()?;
        let mut said = Self { dependencies: Vec::new(), soft_dependencies: Vec::new(), aliases: Vec::new() };
        for field in section.split(|byte| *byte == 0) {
            let Some((key, value)) = std::str::from_utf8(field).ok().and_then(|field| field.split_once('='))
            else {
                continue;
            };
            match key {
                "depends" => {
                    let names = value.split(',').filter(|name| !name.is_empty());
                    said.dependencies.extend(names.map(|name| name.replace('-', "_")));
                }
                "softdep" => {
                    let before = value.split_once("pre:").map_or("", |(_, names)| names);
                    let names = before.split("post:").next().unwrap_or("").split_whitespace();
                    said.soft_dependencies.extend(names.map(|name| name.replace('-', "_")));
                }
                // A device tree's names have commas, and no machine that we boot on has a device tree.
                "alias" if !value.contains([',', '\t', '\n']) => said.aliases.push(value.to_owned()),
                _ => {}
            }
        }
        Some(said)
    }
}

/// Dependencies first, else by name.
fn in_order(mut modules: BTreeMap<String, Module>) -> Vec<Module> {
    let mut ordered = Vec::with_capacity(modules.len());
    let names: Vec<String> = modules.keys().cloned().collect();
    for name in names {
        let mut stack = vec![name];
        while let Some(name) = stack.last() {
            let Some(module) = modules.get(name) else {
                stack.pop();
                continue;
            };
            let before = module.dependencies.iter().find(|dependency| {
                // Two that need each other can't be; one on the stack is passed over instead of waiting forever.
                modules.contains_key(*dependency) && !stack.contains(dependency)
            });
            match before.cloned() {
                Some(dependency) => stack.push(dependency),
                None => {
                    let name = name.clone();
                    stack.pop();
                    ordered.extend(modules.remove(&name));
                }
            }
        }
    }
    ordered
}

/// Why modules can't be taken along.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// It is no ELF file with a `.modinfo` section.
    #[error("the module {name} is malformed")]
    Malformed {
        /// Its name.
        name: String,
    },
    /// One that another needs is not there.
    #[error("the module {name}, which {by} needs, is not in the package")]
    Missing {
        /// The one that is missing.
        name: String,
        /// The one that needs it.
        by: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest ELF file that has a `.modinfo`.
    fn module(modinfo: &str) -> Vec<u8> {
        let modinfo = modinfo.as_bytes();
        let names = b"\0.modinfo\0.shstrtab\0";
        let names_at = 64 + modinfo.len();
        let table = (names_at + names.len()).next_multiple_of(8);
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        elf.extend([1, 0, 62, 0, 1, 0, 0, 0]);
        elf.resize(40, 0);
        elf.extend((table as u64).to_le_bytes());
        elf.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
        elf.extend(modinfo);
        elf.extend(names);
        elf.resize(table + 64, 0);
        for (name, kind, at, size) in [(1_u32, 1_u32, 64, modinfo.len()), (10, 3, names_at, names.len())] {
            elf.extend(name.to_le_bytes());
            elf.extend(kind.to_le_bytes());
            elf.extend([0; 16]);
            elf.extend((at as u64).to_le_bytes());
            elf.extend((size as u64).to_le_bytes());
            elf.extend([0; 24]);
        }
        elf
    }

    fn chosen(wanted: &[&str], builtin: &[&str], there: &[(&str, &str)]) -> Result<Vec<Module>, ModuleError> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let builtin = builtin.iter().map(|&name| name.to_owned()).collect();
        choose(&wanted, &builtin, |name| {
            let found = there.iter().find(|(other, _)| *other == name);
            Ok(found.map(|(name, said)| (format!("kernel/{name}.ko"), module(said))))
        })
    }

    #[test]
    fn what_is_needed_comes_along_and_first() {
        let there = [
            ("ext4", "depends=jbd2,mbcache,crc16\0softdep=pre: crc32c\0alias=fs-ext4\0license=GPL"),
            ("jbd2", "depends="),
            ("mbcache", "depends="),
            ("crc32c_generic", "alias=crc32c\0alias=of:N*Ta,b"),
            ("other", ""),
        ];
        let modules = chosen(&["ext4", "nowhere"], &["crc16"], &there).expect("chosen");
        assert_eq!(
            index("6.1", &modules),
            "6.1/kernel/crc32c_generic.ko\t\tcrc32c\n\
             6.1/kernel/jbd2.ko\t\t\n\
             6.1/kernel/mbcache.ko\t\t\n\
             6.1/kernel/ext4.ko\t6.1/kernel/jbd2.ko,6.1/kernel/mbcache.ko,6.1/kernel/crc32c_generic.ko\tfs-ext4\n"
        );
    }

    #[test]
    fn a_missing_dependency_and_a_malformed_module_are_errors() {
        assert!(matches!(chosen(&["a"], &[], &[("a", "depends=b")]), Err(ModuleError::Missing { .. })));
        let read = |_: &str| Ok(Some(("kernel/a.ko".to_owned(), b"no ELF".to_vec())));
        let chosen = choose::<ModuleError>(&["a".to_owned()], &BTreeSet::new(), read);
        assert!(matches!(chosen, Err(ModuleError::Malformed { .. })));
    }

    #[test]
    fn modules_that_need_each_other_end() {
        let modules = chosen(&["a"], &[], &[("a", "depends=b"), ("b", "depends=a")]).expect("chosen");
        assert_eq!(modules.len(), 2);
    }

    #[test]
    fn names_are_those_of_files_with_underscores() {
        assert_eq!(name_of("kernel/drivers/block/xen-blkfront.ko.xz"), "xen_blkfront");
        assert!(default_modules().contains(&"virtio_blk".to_owned()));
    }
}
