//! Texts as shells read them, conditions, and what is left out.

use super::*;

/// What a file sets and what is said of it, as `LINE: TEXT`.
fn result(text: &str) -> (Vec<(String, String)>, Vec<String>) {
    let (mut variables, mut notes) = (Variables::default(), Vec::new());
    variables.preset("CVMFS_FQRN", "a.example.org");
    read(text, Path::new("/f"), &mut variables, &mut notes);
    let set = variables.iter().filter(|(_, variable)| variable.line > 0);
    let set = set.map(|(name, variable)| (name.to_owned(), variable.value.clone())).collect();
    (set, notes.into_iter().map(|note| format!("{}: {}", note.line, note.text)).collect())
}

fn set(text: &str) -> Vec<(String, String)> {
    let (set, notes) = result(text);
    assert_eq!(notes, [""; 0], "{text}");
    set
}

fn value(text: &str) -> String {
    let set = set(text);
    assert_eq!(set.len(), 1, "{text}: {set:?}");
    set[0].1.clone()
}

#[test]
fn values_are_quoted_as_in_a_shell() {
    for (text, expected) in [
        ("A=b", "b"),
        ("A=", ""),
        ("A=b # c", "b"),
        ("A=b#c", "b#c"),
        ("  export A=b", "b"),
        ("readonly A='b;c'", "b;c"),
        ("A=\"http://a/x;http://b/x\"", "http://a/x;http://b/x"),
        ("A=a'b c'\"d e\"f", "ab cd ef"),
        ("A=\"a\\\"b\\$c\\d\"", "a\"b$c\\d"),
        ("A=a\\ b", "a b"),
        ("A='$B'", "$B"),
        ("A=\"a\\\nb\"", "ab"),
        ("A=a\\\nb", "ab"),
        ("A='a\nb'", "a\nb"),
        ("A=$CVMFS_FQRN", "a.example.org"),
        ("A=\"/keys/${CVMFS_FQRN}.pub\"", "/keys/a.example.org.pub"),
        ("A=${B:-c}", "c"),
        ("A=${B-}", ""),
        ("A=$B", ""),
        ("A=5$", "5$"),
        ("A=a\r\n", "a"),
        ("A=1; A=2", "2"),
        ("A=1\nA+=2", "12"),
        ("# A=1\n\nA=2", "2"),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn conditions_are_followed() {
    for (text, expected) in [
        ("if [ \"x$B\" = \"x\" ]; then A=1; else A=2; fi", "1"),
        ("if [ \"$B\" != \"\" ]\nthen\n A=1\nelse\n A=2\nfi", "2"),
        ("if [ $CVMFS_FQRN = b ]; then A=1; elif [ -n \"$CVMFS_FQRN\" ]; then A=2; else A=3; fi", "2"),
        ("if [[ -z $B && 1 == 1 ]]; then A=1; fi", "1"),
        ("if [ -z \"$B\" ] && [ ! -e /nowhere ]; then A=1; fi", "1"),
        ("if ! test -d /; then A=1; else A=2; fi", "2"),
        ("A=1\nif [ -d / ]; then\n if [ -f / ]; then A=2; else A=3; fi\nfi", "3"),
        ("A=1\nif [ -d / ]; then\n  return\nfi\nA=2", "1"),
        ("A=1\n[ -d / ] && A=2", "2"),
        ("A=1\n[ -d / ] || A=2", "1"),
        ("A=1; return; $(rm -rf /tmp/x)", "1"),
        ("if [ 1 -eq 1 ]; then A=1; fi", "1"),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_named_and_left_out() {
    for (text, line, word) in [
        ("A=1\nB=$(hostname)", 2, "command"),
        ("A=1\nB=`hostname`", 2, "command"),
        ("A=1\nB=${A%x}", 2, "command"),
        ("A=1\n\n. /etc/other", 3, "run"),
        ("A=1\ntouch /tmp/x; A=1", 2, "run"),
        ("A=1\nfor B in 1 2; do\n A=2\ndone", 2, "'for'"),
        ("A=1\ncase $A in\n 1) A=2;;\nesac", 2, "'case'"),
        ("A=1\nif [ $(hostname) = b ]; then A=2; else A=3; fi", 2, "condition"),
        ("A=1\nif grep -q x /etc/hosts; then A=2; fi", 2, "condition"),
        ("A=1\nB=2 command", 2, "alone"),
        ("A=1\nB=(1\n2)", 2, "brackets"),
        ("A=1\nB='x\nA=2\n", 2, "closed"),
        ("A=1\nB=$(x\n", 2, "closed"),
        ("A=1\nif [ -d / ]; then A=1", 2, "no end"),
        ("A=1\nfi", 2, "no beginning"),
        ("readonly A=1\nA=2", 2, "read-only since /f:1"),
        ("A=1\ncat < /etc/hosts | sort", 2, "run"),
    ] {
        let (set, notes) = result(text);
        assert_eq!(
            set.iter().find(|(name, _)| name == "A").map(|(_, value)| value.as_str()),
            Some("1"),
            "{text}"
        );
        let found = notes.iter().any(|note| note.starts_with(&format!("{line}: ")) && note.contains(word));
        assert!(found, "{text}: {notes:?}");
    }
}

#[test]
fn nothing_grows_without_limit() {
    let mut doubling = "A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n".to_owned();
    doubling.push_str(&"A=$A$A\n".repeat(40));
    let (set, notes) = result(&doubling);
    assert!(set[0].1.len() <= LONGEST);
    assert!(!notes.is_empty());
    let deep = "if [ 1 ]; then\n".repeat(100_000);
    assert!(result(&deep).1.iter().any(|note| note.contains("too deep")));
    let many: String = (0..2 * MOST).map(|number| format!("A{number}=1\n")).collect();
    assert!(result(&many).0.len() <= MOST);
}

#[test]
fn no_text_is_too_strange() {
    let parts = [
        "if", "[", "]", "then", "fi", ";", "\n", "A=", "$", "${", "}", "(", ")", "\"", "'", "`", "&&", "||",
        "\\", "do", "done", "for", "case", "esac", ";;", "else", "elif", "!", "return", "x", " ", "<", "#",
        "export", "[[",
    ];
    let mut state = 1_u32;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(parts[(state >> 16) as usize % parts.len()]);
            if state & 0x100 == 0 {
                text.push(' ');
            }
        }
        result(&text);
    }
}
