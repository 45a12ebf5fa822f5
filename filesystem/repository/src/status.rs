//! `.cvmfs_status.json`: what monitoring asks of a server of a repository. Whoever writes one field keeps the others.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// A time in the form of the fields of `.cvmfs_status.json`: as `date --utc` writes it.
pub fn status_date(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
    time.strftime("%a %b %e %H:%M:%S UTC %Y").to_string()
}

/// The status with another value of one field. What is no status counts as an empty one.
pub fn status_with(status: &[u8], field: &str, value: &str) -> Vec<u8> {
    let mut fields: Map<String, Value> = serde_json::from_slice(status).unwrap_or_default();
    fields.insert(field.to_owned(), value.into());
    let mut bytes = serde_json::to_vec_pretty(&fields).expect("because texts make JSON");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_field_changes_and_the_others_stay() {
        let changed = status_with(br#"{"last_snapshot":"x","last_gc":"y"}"#, "last_gc", "z");
        let changed: Value = serde_json::from_slice(&changed).expect("JSON");
        assert_eq!(changed, serde_json::json!({"last_snapshot": "x", "last_gc": "z"}));
        assert_eq!(status_with(b"<html>", "last_gc", "z"), b"{\n  \"last_gc\": \"z\"\n}\n");
    }

    #[test]
    fn times_are_written_as_by_date() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_219_200);
        assert_eq!(status_date(time), "Sat Nov 21 00:00:00 UTC 2026");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        assert_eq!(status_date(time), "Fri Jan  2 00:00:00 UTC 1970");
    }
}
