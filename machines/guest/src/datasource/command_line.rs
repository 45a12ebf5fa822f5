//! User data on the kernel's command line: `varve.userdata=`, in base64. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Found;
use crate::command_line::CommandLine;

pub(super) fn read(line: &CommandLine) -> Result<Option<Found>, String> {
    let Some(text) = line.value(&["varve.userdata"]) else { return Ok(None) };
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    Ok(Some(Found { user_data: Some(bytes), ..Found::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded() {
        let found = read(&CommandLine::parse("quiet varve.userdata=IyEvYmluL3No")).unwrap().unwrap();
        assert_eq!(found.user_data.as_deref(), Some(&b"#!/bin/sh"[..]));
        assert!(read(&CommandLine::parse("varve.userdata=%%%")).is_err());
        assert_eq!(read(&CommandLine::parse("quiet")), Ok(None));
    }
}
