//! The boot, step by step.
//!
//! ```text
//!  kernel file systems ─▶ drivers ─┬▶ network ───────────────┬▶ revision ─▶ mount ─▶ overlay ─▶ context ─▶ init
//!                                  └▶ scratch, local user data┘
//! ```
//!
//! What can mend itself (a server, a cable) is waited for, with the reason on the console; what can't ends the boot.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use varve_mount::overlay::Overlay;

use crate::command_line::CommandLine;
use crate::config::{BOOT_FILE, BootConfig, BootSection};
use crate::console::{Console, chain};
use crate::datasource::{self, UserData};
use crate::error::GuestError;
use crate::modules::Modules;
use crate::network::{self, Network};
use crate::os_mount::{self, MountSettings};
use crate::places::{NEW_ROOT, OS, PROGRAM, RUN, SCRATCH};
use crate::record::{self, BootRecord};
use crate::scratch::Scratch;
use crate::shutdown::End;
use crate::{kernel_mounts, switch};

/// How long the network is waited for before that is an error, which is tried again.
const NETWORK_PATIENCE: Duration = Duration::from_secs(30);
/// The pause before the first repetition of a step; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What the boot is given by the program.
pub struct Surroundings {
    /// The guest's own program.
    pub program: std::path::PathBuf,
    /// What the kernel passed to it, and what init is to get.
    pub arguments: Vec<OsString>,
    /// The clock.
    pub now: fn() -> SystemTime,
}

/// Boots the machine: returns only if it can't be booted, after the machine was told to switch off.
pub fn run(surroundings: &Surroundings) {
    let early = kernel_mounts::mount_all();
    let line = CommandLine::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let console = Console::open(line.has(&["varve.debug", "cvmdebug"]));
    console.say(format_args!("Varve guest {}", env!("CARGO_PKG_VERSION")));
    let error = match early.and_then(|()| boot(surroundings, &line, &console)) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    console.error(chain(&error), error.hint());
    console.say("this machine can't be booted, and is switched off");
    End::PowerOff.now();
}

/// Nothing.
enum Never {}

fn boot(surroundings: &Surroundings, line: &CommandLine, console: &Console) -> Result<Never, GuestError> {
    let mut record = BootRecord::default();
    switch::leave_program(&surroundings.program)?;
    console.log_to(&Path::new(RUN).join("boot.log"));
    record.done("start");
    let mut modules = Modules::of_image();
    modules.load_always(console);
    modules.load_for_devices(console);
    record.done("drivers");

    let fixed = network::address::Fixed::of_command_line(line)?;
    let network = persistently(console, || network::bring_up(console, &fixed, NETWORK_PATIENCE))?;
    write_resolver(&network)?;
    record.done("network");

    let user_data = datasource::local(line, console);
    match &user_data {
        Some(UserData { source, found }) => console
            .say(format_args!("user data: {source}, {} bytes", found.user_data.as_ref().map_or(0, Vec::len))),
        None => console.say("no user data"),
    }
    record.user_data_source = user_data.as_ref().map(|data| data.source.clone());
    record.instance_id = user_data.as_ref().and_then(|data| data.found.facts.instance_id.clone());
    record.done("user data");

    let config = configuration(line)?;
    let scratch = Scratch::in_memory(Path::new(SCRATCH), memory())?;
    record.scratch = Some(scratch.clone());

    mount_system(&config, &scratch, surroundings, console, &mut record)?;
    prepare_root(&config, &network, user_data.as_ref())?;
    switch::hand_on_mounts()?;
    record.done("switch");
    record.write(Path::new(record::FILE))?;
    console.say(format_args!("starting {}", config.init.display()));
    switch::free_image();
    Err(switch::become_init(&config.init, surroundings.arguments.iter().cloned()))
}

/// What image and command line say together.
fn configuration(line: &CommandLine) -> Result<BootConfig, GuestError> {
    let mut section = match fs::read_to_string(BOOT_FILE) {
        Ok(text) => BootSection::parse(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BootSection::default(),
        Err(error) => return Err(GuestError::io("read", Path::new(BOOT_FILE))(error)),
    };
    section.overlay(BootSection::of_command_line(line));
    section.resolve()
}

/// Mounts the revision that is asked for, and over it the overlay that becomes the root directory.
fn mount_system(
    config: &BootConfig,
    scratch: &Scratch,
    surroundings: &Surroundings,
    console: &Console,
    record: &mut BootRecord,
) -> Result<(), GuestError> {
    let mut settings = MountSettings {
        repository: config.repository.clone(),
        revision: String::new(),
        cache: scratch.cache(),
        cache_quota: Some(scratch.cache_quota),
        control: Path::new(RUN).join("os.socket"),
    };
    let revision =
        persistently(console, || os_mount::resolve(&settings, &config.reference, surroundings.now))?;
    console.say(format_args!("{} at {revision}", config.repository.name));
    record.done("revision");
    settings.revision.clone_from(&revision.hash);
    let log = Path::new(RUN).join("os.log");
    protect_from_memory_shortage(true);
    let mounted =
        persistently(console, || os_mount::mount(&settings, Path::new(OS), Path::new(PROGRAM), &log));
    protect_from_memory_shortage(false);
    mounted?;
    record.done("mount");
    record.repository = Some(config.repository.clone());
    record.revision = Some(revision);
    let root = Path::new(NEW_ROOT);
    fs::create_dir_all(root).map_err(GuestError::io("create", root))?;
    Overlay {
        source: "varve-os",
        lower: Path::new(OS),
        upper: &scratch.upper(),
        work: &scratch.work(),
        set_id: true,
        in_user_namespace: false,
    }
    .mount(root)?;
    let init = root.join(config.init.strip_prefix("/").unwrap_or(&config.init));
    if fs::symlink_metadata(&init).is_err() {
        return Err(GuestError::NoInit { path: config.init.clone() });
    }
    Ok(())
}

/// Makes the tree this machine's.
fn prepare_root(
    config: &BootConfig,
    network: &Network,
    user_data: Option<&UserData>,
) -> Result<(), GuestError> {
    let _ = config;
    network::write_networkd(network, Path::new("/run"))?;
    let offered = network.configured.iter().find_map(|configured| configured.lease.hostname.clone());
    let hostname = user_data.and_then(|data| data.found.facts.hostname.clone()).or(offered);
    if let Some(hostname) = hostname {
        let path = Path::new(NEW_ROOT).join("etc/hostname");
        fs::write(&path, format!("{hostname}\n")).map_err(GuestError::io("write", &path))?;
        let _ = rustix::system::sethostname(hostname.as_bytes());
    }
    Ok(())
}

fn write_resolver(network: &Network) -> Result<(), GuestError> {
    let text = network::resolver::text(network);
    fs::create_dir_all("/etc").map_err(GuestError::io("create", Path::new("/etc")))?;
    for path in ["/etc/resolv.conf", "/run/varve/resolv.conf"] {
        fs::write(path, &text).map_err(GuestError::io("write", Path::new(path)))?;
    }
    Ok(())
}

/// Tries again for as long as it can get better by itself.
fn persistently<T>(
    console: &Console,
    mut step: impl FnMut() -> Result<T, GuestError>,
) -> Result<T, GuestError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match step() {
            Err(error) if error.is_transient() => {
                console.error(chain(&error), error.hint());
                console.say(format_args!("trying again in {} s", pause.as_secs()));
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

/// Processes that are started meanwhile are not killed for want of memory: everything else hangs on them.
fn protect_from_memory_shortage(protect: bool) {
    let _ = fs::write("/proc/self/oom_score_adj", if protect { "-1000" } else { "0" });
}

/// The machine's memory in bytes.
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit.max(1))
}
