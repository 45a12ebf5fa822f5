//! Any bytes as user data: whatever they are, they are read within bounds, and what is planned stays in its place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_context::{Action, read};

fuzz_target!(|bytes: &[u8]| {
    let context = read(bytes);
    let plan = context.document.plan();
    for step in &plan.steps {
        match &step.action {
            Action::Lines { lines, .. } => assert!(lines.iter().all(|line| !line.contains('\n'))),
            Action::File(file) => assert!(file.path.starts_with('/') && !file.path.contains("/../")),
            _ => {}
        }
    }
});
