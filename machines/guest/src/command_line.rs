//! The kernel's command line: which words are settings of the guest. Pure.

/// The words of a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    words: Vec<(String, Option<String>)>,
}

impl CommandLine {
    /// Reads `/proc/cmdline`. As the kernel does it, double quotes keep blanks together, and words behind `--` are not for us.
    pub fn parse(text: &str) -> Self {
        let mut words = Vec::new();
        let (mut word, mut quoted, mut any) = (String::new(), false, false);
        for c in text.trim_end().chars().chain([' ']) {
            match c {
                '"' => (quoted, any) = (!quoted, true),
                c if c.is_whitespace() && !quoted => {
                    if std::mem::take(&mut any) {
                        let word = std::mem::take(&mut word);
                        if word == "--" {
                            break;
                        }
                        words.push(match word.split_once('=') {
                            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                            None => (word, None),
                        });
                    }
                }
                c => {
                    word.push(c);
                    any = true;
                }
            }
        }
        Self { words }
    }

    /// The last value of a setting under the first of these names that has one. Empty values count as none.
    pub fn value(&self, names: &[&str]) -> Option<&str> {
        let said = |name: &&str| {
            let of_name = self.words.iter().filter(|(word, _)| word == *name);
            of_name.filter_map(|(_, value)| value.as_deref()).next_back()
        };
        names.iter().find_map(said).filter(|value| !value.is_empty())
    }

    /// Every value of a setting, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.iter().filter(move |(word, _)| word == name).filter_map(|(_, value)| value.as_deref())
    }

    /// Whether a switch is on under one of these names: the word alone, or with a value that isn't a refusal.
    pub fn has(&self, names: &[&str]) -> bool {
        self.words.iter().any(|(word, value)| {
            names.contains(&word.as_str()) && !matches!(value.as_deref(), Some("0" | "no" | "off" | "false"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_the_kernel_reads_them() {
        let line = CommandLine::parse(
            "BOOT_IMAGE=/vmlinuz quiet varve.tag=v1 varve.tag=v2 x=\"a b\" \"y=c d\" varve.debug varve.emergency=0 e= -- varve.hash=1\n",
        );
        assert_eq!(line.value(&["varve.tag"]), Some("v2"));
        assert_eq!(line.value(&["none", "x"]), Some("a b"));
        assert_eq!(line.value(&["y"]), Some("c d"));
        assert_eq!(line.value(&["e"]), None);
        assert_eq!(line.value(&["varve.hash"]), None);
        assert!(line.has(&["varve.debug"]) && line.has(&["quiet"]));
        assert!(!line.has(&["varve.emergency"]));
        assert_eq!(CommandLine::parse(""), CommandLine::default());
    }
}
