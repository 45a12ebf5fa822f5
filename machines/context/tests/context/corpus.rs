//! Every form of user data, one file of the corpus each: what is read, what is said of it, what is planned.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use varve_context::read;

pub(crate) fn corpus() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_corpus_is_read_as_it_always_was() {
    let files = corpus();
    assert!(files.len() > 20);
    for path in files {
        let context = read(&fs::read(&path).unwrap());
        let mut text = format!("forms: {}\n", context.forms.join(", "));
        for notice in &context.notices {
            writeln!(text, "{notice}").unwrap();
        }
        for reference in &context.references {
            writeln!(text, "{reference:?}").unwrap();
        }
        let plan = context.document.plan();
        write!(text, "\n{}", context.document.to_toml().unwrap()).unwrap();
        for notice in &plan.notices {
            writeln!(text, "\nplan: {notice}").unwrap();
        }
        write!(text, "\n{plan}").unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().replace('.', "-");
        insta::assert_snapshot!(name, text);
    }
}
