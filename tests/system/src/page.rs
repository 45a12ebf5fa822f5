//! Pages of the documentation, as what they tell people to type.

/// What a fence may be marked with: `sh` is run; the others are shown, and no commands.
const MARKS: [&str; 5] = ["sh", "text", "ini", "toml", "json"];

/// The contents of the fences marked `sh`.
///
/// # Errors
/// What is wrong with a fence that has no known mark, or no end.
pub fn shell_blocks(page: &str) -> Result<Vec<&str>, String> {
    let mut blocks = Vec::new();
    let mut parts = page.split("\n```");
    parts.next();
    while let Some(part) = parts.next() {
        let (mark, content) = part.split_once('\n').unwrap_or((part, ""));
        if !MARKS.contains(&mark) {
            return Err(format!("a block is marked '{mark}', and not with one of {MARKS:?}:\n{content}"));
        }
        if mark == "sh" {
            blocks.push(content);
        }
        parts.next().ok_or("the last block has no end")?;
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_by_their_marks() {
        let page = "a\n```sh\nvarve x\nvarve y\n```\nb\n\n```text\nz\n```\n```sh\nw\n```\n";
        assert_eq!(shell_blocks(page), Ok(vec!["varve x\nvarve y", "w"]));
        assert!(shell_blocks("a\n```\nx\n```\n").is_err());
        assert!(shell_blocks("a\n```sh\nx\n").is_err());
    }
}
