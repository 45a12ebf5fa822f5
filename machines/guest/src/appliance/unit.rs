//! The unit by which systemd serves the page. It lies in `/run`: a system that the guest did not boot has none.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::error::GuestError;

const NAME: &str = "varve-appliance.service";
const UNIT: &str = "[Unit]\n\
    Description=The page of this machine\n\
    Documentation=man:varve(1)\n\n\
    [Service]\n\
    ExecStart=/run/varve/varve-guest appliance serve\n\
    Restart=on-failure\n\
    RestartSec=5\n";

/// Writes it below a `/run`, and has it started; user data that mask the unit go before.
///
/// # Errors
/// [`GuestError::Io`].
pub(crate) fn write(run: &Path) -> Result<(), GuestError> {
    let units = run.join("systemd/system");
    let wanted = units.join("multi-user.target.wants");
    fs::create_dir_all(&wanted).map_err(GuestError::io("create", &wanted))?;
    let path = units.join(NAME);
    fs::write(&path, UNIT).map_err(GuestError::io("write", &path))?;
    let link = wanted.join(NAME);
    match symlink(Path::new("..").join(NAME), &link) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(GuestError::io("link", &link)(error))
        }
        _ => Ok(()),
    }
}
