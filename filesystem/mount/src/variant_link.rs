//! Variant symbolic links: `$(NAME)` and `$(NAME:-default)` in a target stand for a variable of the client.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// The values of variables, by name.
pub type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

/// The target with its variables put in. One that has no value stands for its default, or for nothing. Text that only looks
/// like the beginning of a variable, without `)`, stays as it is.
///
/// Without a set of variables, even an empty one, the target is as it was published.
pub fn expand_link<'a>(target: &'a [u8], variables: Option<&Variables>) -> Cow<'a, [u8]> {
    let (Some(first), Some(variables)) = (find(target, b"$("), variables) else {
        return Cow::Borrowed(target);
    };
    let mut expanded = target[..first].to_vec();
    let mut rest = &target[first..];
    while let Some(start) = find(rest, b"$(") {
        let Some(length) = find(&rest[start..], b")") else { break };
        let inside = &rest[start + 2..start + length];
        expanded.extend_from_slice(&rest[..start]);
        let (name, default) = match find(inside, b":-") {
            Some(at) => (&inside[..at], &inside[at + 2..]),
            None => (inside, &b""[..]),
        };
        expanded.extend_from_slice(variables.get(name).map_or(default, Vec::as_slice));
        rest = &rest[start + length + 1..];
    }
    expanded.extend_from_slice(rest);
    Cow::Owned(expanded)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_defaults_are_put_in() {
        let variables = Variables::from([(b"ARCH".to_vec(), b"x86_64".to_vec())]);
        for (target, expanded) in [
            ("plain/target", "plain/target"),
            ("$(ARCH)/lib", "x86_64/lib"),
            ("/opt/$(OTHER:-fallback/x)/$(ARCH:-none)", "/opt/fallback/x/x86_64"),
            ("$(OTHER)", ""),
            ("pre-$(A)-mid-$(B:-bb)-post", "pre--mid-bb-post"),
            ("$X$(", "$X$("),
            ("$(open", "$(open"),
            ("$(ARCH)$(open", "x86_64$(open"),
        ] {
            assert_eq!(expand_link(target.as_bytes(), Some(&variables)), expanded.as_bytes(), "{target}");
            assert_eq!(expand_link(target.as_bytes(), None), target.as_bytes());
        }
    }
}
