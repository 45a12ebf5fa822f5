//! The sizes that instances come in: names and sizes as on EC2, so that what people have written fits.

/// A size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// Its name.
    pub name: &'static str,
    /// Virtual processors.
    pub cores: u16,
    /// Memory, in megabytes.
    pub memory: u64,
    /// The empty disk that comes with it, in gigabytes; it takes only what is written.
    pub disk: u64,
}

const fn size(name: &'static str, cores: u16, memory: u64, disk: u64) -> InstanceType {
    InstanceType { name, cores, memory, disk }
}

/// What is taken where nobody says.
pub const DEFAULT: &str = "m1.small";

/// Every size.
pub const ALL: &[InstanceType] = &[
    size("c5.large", 2, 4096, 40),
    size("c5.xlarge", 4, 8192, 80),
    size("c5.2xlarge", 8, 16_384, 160),
    size("c5.4xlarge", 16, 32_768, 320),
    size("c5.9xlarge", 36, 73_728, 640),
    size("m1.small", 1, 1740, 20),
    size("m1.medium", 1, 3840, 40),
    size("m1.large", 2, 7680, 80),
    size("m1.xlarge", 4, 15_360, 160),
    size("m5.large", 2, 8192, 40),
    size("m5.xlarge", 4, 16_384, 80),
    size("m5.2xlarge", 8, 32_768, 160),
    size("m5.4xlarge", 16, 65_536, 320),
    size("m5.12xlarge", 48, 196_608, 640),
    size("m5.24xlarge", 96, 393_216, 1280),
    size("r5.large", 2, 16_384, 40),
    size("r5.xlarge", 4, 32_768, 80),
    size("r5.2xlarge", 8, 65_536, 160),
    size("t2.nano", 1, 512, 10),
    size("t2.micro", 1, 1024, 10),
    size("t2.small", 1, 2048, 20),
    size("t2.medium", 2, 4096, 40),
    size("t2.large", 2, 8192, 40),
    size("t2.xlarge", 4, 16_384, 80),
    size("t2.2xlarge", 8, 32_768, 160),
];

/// The size of a name.
pub fn find(name: &str) -> Option<&'static InstanceType> {
    ALL.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_by_family_and_there_once() {
        let mut names: Vec<_> = ALL.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert!(find(DEFAULT).is_some() && find("x9.mega").is_none());
    }
}
