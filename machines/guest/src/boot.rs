//! The boot, step by step.
//!
//! ```text
//!  kernel file systems ─▶ drivers ─▶ user data of the machine ─▶ network ─▶ user data of the cloud
//!    ─▶ scratch ─▶ revision ─▶ mount ─▶ overlay ─▶ context ─▶ init
//! ```
//!
//! What can mend itself (a server, a cable) is waited for, with the reason on the console; what can't ends the boot.

mod version;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use varve_mount::overlay::Overlay;

use crate::appliance;
use crate::command_line::CommandLine;
use crate::config::{BOOT_FILE, BootConfig, BootSection};
use crate::console::{Console, chain};
use crate::context::{self, Context};
use crate::datasource::pairing::{self, HubAddress, MachineFacts};
use crate::datasource::{self, UserData};
use crate::emergency::{self, Answer};
use crate::error::GuestError;
use crate::fetch::Taken;
use crate::modules::Modules;
use crate::network::{self, Network};
use crate::os_mount::{self, MountSettings};
use crate::places::{NEW_ROOT, OS, PROGRAM, RUN, SCRATCH};
use crate::record::{self, BootRecord};
use crate::scratch::{Scratch, Wanted};
use crate::shutdown::End;
use crate::{clock, kernel_mounts, switch};

/// How long the network is waited for before that is an error, which is tried again.
const NETWORK_PATIENCE: Duration = Duration::from_secs(30);
/// The pause before the first repetition of a step; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a message stays before the machine that can't be booted is switched off.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What the boot is given by the program.
pub struct Surroundings {
    /// The guest's own program.
    pub program: PathBuf,
    /// What the kernel passed to it, and what init is to get.
    pub arguments: Vec<OsString>,
    /// The clock.
    pub now: fn() -> SystemTime,
}

/// Boots the machine: returns only if it can't be booted, after the machine was told to switch off.
pub fn run(surroundings: &Surroundings) {
    let mounted = kernel_mounts::mount_all();
    let line = CommandLine::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let console = Console::open(line.has(&["varve.debug", "cvmdebug"]));
    console.say(format_args!("Varve guest {}", env!("CARGO_PKG_VERSION")));
    let emergency = line.has(&["varve.emergency"]);
    let mut boot = Boot { surroundings, line, console, emergency, record: BootRecord::default() };
    let error = match mounted.and_then(|()| boot.all()) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    boot.console.error(chain(&error), error.hint());
    if boot.emergency {
        let _ = emergency::prompt(&boot.console);
    } else {
        boot.console.say(
            "this machine can't be booted, and is switched off; with varve.emergency it would ask what to do",
        );
        std::thread::sleep(LAST_WORDS);
    }
    End::PowerOff.now();
}

/// Nothing.
enum Never {}

struct Boot<'a> {
    surroundings: &'a Surroundings,
    line: CommandLine,
    console: Console,
    /// Whether somebody wants to be asked.
    emergency: bool,
    record: BootRecord,
}

impl Boot<'_> {
    fn all(&mut self) -> Result<Never, GuestError> {
        switch::leave_program(&self.surroundings.program)?;
        self.console.log_to(&Path::new(RUN).join("boot.log"));
        self.record.done("start");
        let mut modules = Modules::of_image();
        modules.load_always(&self.console);
        modules.load_for_devices(&self.console);
        self.record.done("drivers");

        // It takes milliseconds, and may say how the network is brought up.
        let local = datasource::local(&self.line, &self.console);
        let mut fixed = network::address::Fixed::of_command_line(&self.line)?;
        if let Some(UserData { found, .. }) = &local {
            fixed.extend(context::addresses(found));
        }
        let network = self.persistently(|| network::bring_up(&self.console, &fixed, NETWORK_PATIENCE))?;
        write_resolver(&network)?;
        self.record.done("network");
        let mut user_data = local.or_else(|| datasource::remote(&network.dhcp_servers(), &self.console));
        let mut scratch = None;
        if user_data.as_ref().is_none_or(|known| known.found.user_data.is_none())
            && let Some(hub) = self.image_and_line()?.hub()
        {
            // What was given to the machine once is on its disk: nobody is asked again.
            let prepared = self.prepare_scratch(&Wanted::of_line(&self.line))?;
            let given = self.paired(&hub, &network, &prepared);
            scratch = Some(prepared);
            if let Some(bytes) = given {
                let known = user_data.get_or_insert_default();
                known.source = format!("hub {}", hub.address);
                known.found.user_data = Some(bytes);
            }
        }
        let mut context = self.read_context(user_data);
        context.include_plain(&self.console);
        self.record.done("user data");

        let config = self.configuration(&context)?;
        let scratch = match scratch {
            Some(prepared) => prepared,
            None => self.prepare_scratch(&self.scratch(&context))?,
        };
        self.record.scratch = Some(scratch.clone());
        self.record.done("scratch");
        clock::mend(&config.repository, image_date(), self.surroundings.now, &self.console);

        self.mount_system(&config, &scratch)?;
        self.overlay(&config, &scratch)?;
        self.personalize(&network, &mut context, &scratch)?;
        switch::hand_on_mounts()?;
        self.record.done("switch");
        self.record.write(Path::new(record::FILE))?;
        self.console.say(format_args!("starting {}", config.init.display()));
        switch::free_image();
        Err(switch::become_init(&config.init, self.surroundings.arguments.iter().cloned()))
    }

    fn read_context(&mut self, user_data: Option<UserData>) -> Context {
        let Some(UserData { source, found }) = user_data else {
            self.console.say("no user data");
            return Context::default();
        };
        let length = found.user_data.as_ref().map_or(0, Vec::len);
        self.console.say(format_args!("user data: {source}, {length} bytes"));
        let context = Context::read(&found, &self.console);
        self.record.instance_id = found.facts.instance_id;
        self.record.user_data_source = Some(source);
        context
    }

    /// What image and command line say.
    fn image_and_line(&self) -> Result<BootSection, GuestError> {
        let mut section = image_section()?;
        section.overlay(BootSection::of_command_line(&self.line));
        Ok(section)
    }

    fn prepare_scratch(&self, wanted: &Wanted) -> Result<Scratch, GuestError> {
        Scratch::prepare(Path::new(SCRATCH), wanted, memory(), &self.console)
    }

    /// What a hub gave this machine, now or at an earlier start.
    fn paired(&self, hub: &HubAddress, network: &Network, scratch: &Scratch) -> Option<Vec<u8>> {
        let kept = scratch.auxiliary().join("paired");
        if let Ok(bytes) = fs::read(&kept) {
            self.console.say(format_args!("user data of an earlier pairing; {} forgets it", kept.display()));
            return Some(bytes);
        }
        let boots = self.image_and_line().ok()?;
        let facts = MachineFacts {
            name: network.hostname().unwrap_or_default(),
            network: network.addresses().join(", "),
            system: boots.repository.unwrap_or_default(),
            ..MachineFacts::of_firmware(Path::new("/sys/class/dmi/id"))
        };
        let bytes = pairing::pair(hub, &facts, &self.console)?;
        if scratch.device.is_some()
            && let Err(error) = pairing::keep(&kept, &bytes)
        {
            self.console
                .warn(format_args!("the machine will ask for a PIN again at its next start: {error}"));
        }
        Some(bytes)
    }

    /// What image, user data and command line say together.
    fn configuration(&self, context: &Context) -> Result<BootConfig, GuestError> {
        let mut section = image_section()?;
        section.overlay(context.boot_section());
        section.overlay(BootSection::of_command_line(&self.line));
        section.resolve()
    }

    fn scratch(&self, context: &Context) -> Wanted {
        let of_line = Wanted::of_line(&self.line);
        Wanted { whole_disk: of_line.whole_disk || context.wants_whole_disk(), ..of_line }
    }

    /// Mounts the revision that is pinned, or the one that is asked for, which is pinned then.
    fn mount_system(&mut self, config: &BootConfig, scratch: &Scratch) -> Result<(), GuestError> {
        let mut settings = MountSettings {
            repository: config.repository.clone(),
            revision: String::new(),
            cache: scratch.cache(),
            cache_quota: Some(scratch.cache_quota),
            control: Path::new(RUN).join("os.socket"),
            deadline: os_mount::OS_DEADLINE.as_secs(),
        };
        let revision = self.revision(config, scratch, &settings)?;
        self.console.say(format_args!("{} at {revision}", config.repository.name));
        self.record.done("revision");
        settings.revision.clone_from(&revision.hash);
        let log = Path::new(RUN).join("os.log");
        protect_from_memory_shortage(true);
        let mounted = self.persistently(|| {
            os_mount::mount(&settings, Path::new(OS), Path::new(PROGRAM), &log, os_mount::OS_NAME)
        });
        protect_from_memory_shortage(false);
        mounted?;
        self.record.done("mount");
        self.record.repository = Some(config.repository.clone());
        self.record.revision = Some(revision);
        Ok(())
    }

    /// Puts the overlay over the mount that becomes the root directory.
    fn overlay(&self, config: &BootConfig, scratch: &Scratch) -> Result<(), GuestError> {
        let root = Path::new(NEW_ROOT);
        fs::create_dir_all(root).map_err(GuestError::io("create", root))?;
        Overlay {
            source: "varve-os",
            lower: Path::new(OS),
            upper: &scratch.upper(),
            work: &scratch.work(),
            set_id: true,
            self_contained: true,
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
    fn personalize(
        &mut self,
        network: &Network,
        context: &mut Context,
        scratch: &Scratch,
    ) -> Result<(), GuestError> {
        network::write_networkd(network, Path::new("/run"))?;
        appliance::unit::write(Path::new("/run"))?;
        let root = Path::new(NEW_ROOT);
        let days =
            (self.surroundings.now)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
                / 86400;
        let taken = Taken::in_directory(&scratch.auxiliary(), self.record.instance_id.as_deref());
        context.complete(root, &taken, &self.console);
        let hostname = context.apply(root, days as u32, network.hostname(), &self.console);
        context.remember(&taken, &self.console);
        if let Some(hostname) = hostname {
            let _ = rustix::system::sethostname(hostname.as_bytes());
        }
        network::resolver::write_if_missing(network, root);
        self.record.done("context");
        Ok(())
    }

    /// Tries again for as long as it can get better by itself, or somebody says so.
    fn persistently<T>(&self, mut step: impl FnMut() -> Result<T, GuestError>) -> Result<T, GuestError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match step() {
                Err(error) if error.is_transient() => error,
                result => return result,
            };
            self.console.error(chain(&error), error.hint());
            if self.emergency {
                match emergency::prompt(&self.console) {
                    Answer::Retry => continue,
                    Answer::Unanswered => {}
                }
            }
            self.console.say(format_args!("trying again in {} s", pause.as_secs()));
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The image's own settings.
fn image_section() -> Result<BootSection, GuestError> {
    match fs::read_to_string(BOOT_FILE) {
        Ok(text) => BootSection::parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BootSection::default()),
        Err(error) => Err(GuestError::io("read", Path::new(BOOT_FILE))(error)),
    }
}

fn write_resolver(network: &Network) -> Result<(), GuestError> {
    let text = network::resolver::text(network);
    fs::create_dir_all("/etc").map_err(GuestError::io("create", Path::new("/etc")))?;
    for path in ["/etc/resolv.conf", "/run/varve/resolv.conf"] {
        fs::write(path, &text).map_err(GuestError::io("write", Path::new(path)))?;
    }
    Ok(())
}

/// When the image was made, as far as its files tell.
fn image_date() -> Option<SystemTime> {
    ["/init", BOOT_FILE].iter().filter_map(|path| fs::metadata(path).ok()?.modified().ok()).max()
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
