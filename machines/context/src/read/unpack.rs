//! What is wrapped around user data: gzip and base64, unpacked within bounds.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

/// What unpacks to more is refused.
pub(super) const MAX_UNPACKED: usize = 16 << 20;

/// The bytes that a gzip file holds.
pub(super) fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(MAX_UNPACKED as u64 + 1);
    decoder.read_to_end(&mut unpacked).map_err(|error| format!("its gzip data are broken: {error}"))?;
    if unpacked.len() > MAX_UNPACKED {
        return Err(format!("it unpacks to more than {MAX_UNPACKED} bytes"));
    }
    Ok(unpacked)
}

/// Whether bytes are gzip's.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

/// What bytes are that look like base64 as a whole, if that is something known: gzip, or text with a heading.
pub(super) fn base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let plausible = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(byte);
    if bytes.len() < 16 || !bytes.iter().all(plausible) {
        return None;
    }
    let packed: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).ok()
}
