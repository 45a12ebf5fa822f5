//! What Apptainer, which knows nothing of an image's configuration when it is given a directory, looks for in it: scripts that
//! set the image's variables and start its entry point. Pure: a configuration in, texts out.

use crate::container::ImageConfiguration;

/// The directory of these files. Images that have one are left as they are.
pub(super) const DIRECTORY: &str = ".singularity.d";

/// Names below the directory, texts and permissions.
pub(super) fn files(image: &ImageConfiguration) -> [(&'static str, String); 3] {
    [
        ("env/10-docker2singularity.sh", variables(image)),
        ("runscript", start(image)),
        ("startscript", start(image)),
    ]
}

/// The caller's variables count, but for the path of programs.
fn variables(image: &ImageConfiguration) -> String {
    let mut text = "#!/bin/sh\n".to_owned();
    for (name, value) in image.variables().filter(|(name, _)| is_variable(name)) {
        let value = quoted(value);
        text += &match name {
            "PATH" => format!("export PATH={value}\n"),
            _ => format!("[ -n \"${{{name}+set}}\" ] || {name}={value}\nexport {name}\n"),
        };
    }
    text
}

fn start(image: &ImageConfiguration) -> String {
    let words = |words: &[String]| words.iter().map(|word| format!("{} ", quoted(word))).collect::<String>();
    let entry = words(image.entry_point());
    let command = words(image.command());
    let without = match (entry.is_empty(), command.is_empty()) {
        (true, true) => "exec /bin/sh".to_owned(),
        _ => format!("exec {entry}{command}"),
    };
    format!("#!/bin/sh\n[ $# -eq 0 ] || exec {entry}\"$@\"\n{}\n", without.trim_end())
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// As a shell takes it for one word, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\0', "").replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::container::Digest;

    fn image(text: &str) -> ImageConfiguration {
        ImageConfiguration::read(text.as_bytes(), &Digest::of(text.as_bytes())).expect("a configuration")
    }

    fn shell(script: &str, arguments: &[&str]) -> String {
        let output = Command::new("sh")
            .args(["-c", script, "sh"])
            .args(arguments)
            .env("KEPT", "callers")
            .output()
            .expect("a shell");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    #[test]
    fn variables_are_set_whatever_is_in_them() {
        let image = image(
            r#"{"config":{"Env":["PATH=/bin:/usr/bin","KEPT=images","HOSTILE='$(touch x)`id`\" ;\n","a b=1","1=2"]}}"#,
        );
        let script = format!("{}printf '%s|%s|%s' \"$PATH\" \"$KEPT\" \"$HOSTILE\"", variables(&image));
        assert_eq!(shell(&script, &[]), "/bin:/usr/bin|callers|'$(touch x)`id`\" ;\n");
    }

    #[test]
    fn the_entry_point_is_started_with_arguments_or_the_command() {
        let both = image(r#"{"config":{"Entrypoint":["printf","%s.","it's"],"Cmd":["b c"]}}"#);
        assert_eq!(shell(&start(&both), &[]), "it's.b c.");
        assert_eq!(shell(&start(&both), &["x", "y z"]), "it's.x.y z.");
        let command = image(r#"{"config":{"Cmd":["echo","hello"]}}"#);
        assert_eq!(shell(&start(&command), &[]), "hello\n");
        assert_eq!(shell(&start(&command), &["echo", "other"]), "other\n");
    }
}
