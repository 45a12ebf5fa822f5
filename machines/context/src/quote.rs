//! How foreign text is written into other programs' files so that it stays text: one function per kind of file. Lines
//! can't break, since every value is a [`Line`](crate::text::Line) or narrower; what is here keeps words and strings whole.

/// One word of a POSIX shell.
pub(crate) fn shell(text: &str) -> String {
    // NUL is the one byte that no shell word can hold.
    shlex::try_quote(&text.replace('\0', "")).map_or_else(|_| "''".to_owned(), |word| word.into_owned())
}

/// Several words of a POSIX shell.
pub(crate) fn shell_words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(shell).collect::<Vec<_>>().join(" ")
}

/// A value between quotes in a unit or configuration file of systemd, where `%` begins a specifier.
pub(crate) fn systemd(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted += "%%",
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// One argument of `ExecStart=`, where `$` begins a variable as well.
pub(crate) fn systemd_argument(text: &str) -> String {
    systemd(text).replace('$', "$$")
}

/// A field of fstab(5).
pub(crate) fn fstab(text: &str) -> String {
    text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('#', "\\043")
}

/// A basic string of TOML.
pub(crate) fn toml(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Whether pam_env reads the value as it is written between double quotes.
pub(crate) fn is_plain_for_pam(text: &str) -> bool {
    !text.contains(['"', '\'', '\\', '#', '$', '@'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_keeps_its_text_whole() {
        assert_eq!(shlex::split(&shell("it's $x `y`")), Some(vec!["it's $x `y`".to_owned()]));
        assert_eq!(shell(""), "''");
        assert_eq!(systemd("a \"b\" 5% \\"), r#""a \"b\" 5%% \\""#);
        assert_eq!(systemd_argument("$HOME"), "\"$$HOME\"");
        assert_eq!(fstab("/a b#\\"), "/a\\040b\\043\\134");
        assert_eq!(toml("a\"b").parse::<toml::Value>().ok(), Some(toml::Value::from("a\"b")));
    }
}
