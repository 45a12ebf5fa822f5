//! `varve vm run`: makes a machine and starts it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use varve_hypervisor::{
    AcceleratorChoice, BackEnd, Boot, Disk, Firmware, HypervisorError, KernelBoot, MachineName, MachineSpec,
    Megabytes, MetadataSource, Network, PortForward, UserData,
};

use super::follow;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// The port of ssh.
const SSH: u16 = 22;

/// Make a machine and start it
#[derive(Args, Debug)]
#[command(
    after_help = "A disk image stays as it is: what the machine writes goes to a file of its own. User data reach \
                  the machine as a disk labelled cidata, as cloud-init knows it, and through QEMU's firmware \
                  configuration as opt/varve/user-data. A free port of this host leads to the machine's port 22 unless \
                  one is given.\n\nExamples:\n  varve vm run debian-12.qcow2 --name web --ssh-key ~/.ssh/id_ed25519.pub --port 8080:80\n  \
                  varve vm run --kernel vmlinuz --initramfs initrd.img --append console=ttyS0 --scratch 10G --follow"
)]
pub(crate) struct Run {
    /// The image of a disk or a CD to start from: raw, qcow2, vdi, vhdx or ISO
    #[arg(value_name = "IMAGE", required_unless_present = "kernel", conflicts_with = "kernel")]
    image: Option<PathBuf>,
    /// A Linux kernel to start instead of an image
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The kernel's first file system
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initramfs: Option<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "TEXT", requires = "kernel", allow_hyphen_values = true)]
    append: Option<String>,
    /// What to call the machine; by default after the image
    #[arg(long)]
    name: Option<MachineName>,
    /// Virtual processors
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    cores: u16,
    /// Memory
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    memory: Megabytes,
    /// An empty disk of this size that goes away with the machine; can be given more than once
    #[arg(long, value_name = "SIZE")]
    scratch: Vec<Megabytes>,
    /// A disk image that the machine writes to, or with ,ro only reads; can be given more than once
    #[arg(long, value_name = "IMAGE[,ro]")]
    disk: Vec<String>,
    /// Let a port of this host lead to one of the machine; :MACHINE takes any free one
    #[arg(long, value_name = "[ADDRESS:]HOST:MACHINE[/udp]")]
    port: Vec<PortForward>,
    /// No network at all
    #[arg(long, conflicts_with = "port")]
    no_network: bool,
    /// What the machine is to become: any form that it reads
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// The private keys that open what is sealed in the user data, as varve context keygen writes them
    #[arg(long, value_name = "FILE", requires = "user_data")]
    identity: Option<PathBuf>,
    /// A file of public keys that may log in; can be given more than once
    #[arg(long, value_name = "FILE")]
    ssh_key: Vec<PathBuf>,
    /// What starts the machine
    #[arg(long, value_enum, default_value_t)]
    firmware: FirmwareName,
    /// What runs it: qemu, or libvirt, which then looks after it as after its own
    #[arg(long, value_name = "HYPERVISOR", default_value = "qemu")]
    hypervisor: BackEnd,
    /// What executes its instructions: auto, kvm or tcg (emulation)
    #[arg(long, value_name = "ACCELERATOR", default_value = "auto")]
    accelerator: AcceleratorChoice,
    /// Show the serial console until the machine ends; Ctrl-C leaves it running
    #[arg(long)]
    follow: bool,
}

/// [`Firmware`] on the command line.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum FirmwareName {
    #[default]
    Bios,
    Uefi,
}

impl Run {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let machines = super::machines(invocation)?;
        let now = invocation.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let follow = self.follow;
        let (accelerator, back_end) = (self.accelerator, self.hypervisor);
        let named = self.name.clone();
        let mut spec = self.spec()?;
        let first = spec.name.clone();
        let mut number = 1;
        let home = loop {
            match machines.create(spec.clone(), back_end, accelerator, now) {
                // A name that nobody chose can be another one.
                Err(HypervisorError::Exists { .. }) if named.is_none() && number < 1000 => {
                    number += 1;
                    spec.name = format!("{first}-{number}").parse().map_err(Failure::usage_error)?;
                }
                made => break made?,
            }
        };
        let name = home.name().clone();
        let status = machines.start(&name).inspect_err(|_| {
            // What could not be started was never wanted.
            if let Err(left) = machines.delete(&name, varve_hypervisor::Deletion::Forced) {
                invocation.output.warn(format!("{name} could not be removed again: {left}"));
            }
        })?;
        super::say_started(invocation, &status);
        invocation.output.line(&name)?;
        if follow { follow::follow(invocation, &machines, &name, 0) } else { Ok(()) }
    }

    fn spec(self) -> Result<MachineSpec, Failure> {
        let boot = match (self.image, self.kernel) {
            (_, Some(kernel)) => Boot::Kernel(KernelBoot {
                kernel,
                initramfs: self.initramfs,
                command_line: self.append.unwrap_or_default(),
            }),
            (Some(image), None) => Boot::Image(image),
            (None, None) => return Err(Failure::usage("an image or a kernel is needed")),
        };
        let source = match &boot {
            Boot::Image(path) => path,
            Boot::Kernel(boot) => &boot.kernel,
        };
        let near = || MachineName::near(&source.file_stem()?.to_string_lossy());
        let name = match self.name.or_else(near) {
            Some(name) => name,
            None => "machine".parse().map_err(Failure::usage_error)?,
        };
        let mut forwards = self.port;
        if !forwards.iter().any(|forward| forward.guest == SSH) {
            forwards.push(PortForward::to(SSH));
        }
        let network = if self.no_network { Network::Off } else { Network::User { forwards } };
        let (user_data, identity) = (told(self.user_data.as_deref())?, told(self.identity.as_deref())?);
        Ok(MachineSpec {
            name,
            cores: self.cores,
            memory: self.memory,
            boot,
            firmware: match self.firmware {
                FirmwareName::Bios => Firmware::Bios,
                FirmwareName::Uefi => Firmware::Uefi,
            },
            disks: self.disk.iter().map(|text| disk(text)).collect(),
            scratch: self.scratch,
            network,
            user_data,
            identity,
            ssh_keys: keys(&self.ssh_key)?,
            metadata: MetadataSource::Attached,
        })
    }
}

fn told(file: Option<&Path>) -> Result<UserData, Failure> {
    file.map_or_else(
        || Ok(UserData::default()),
        |path| UserData::new(read(path)?).map_err(Failure::usage_error),
    )
}

fn disk(text: &str) -> Disk {
    match text.strip_suffix(",ro") {
        Some(path) => Disk { path: path.into(), read_only: true },
        None => Disk { path: text.into(), read_only: false },
    }
}

fn keys(files: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let mut keys = Vec::new();
    for path in files {
        let text = String::from_utf8(read(path)?).unwrap_or_default();
        let before = keys.len();
        keys.extend(
            text.lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned),
        );
        if keys.len() == before || text.contains("PRIVATE KEY") {
            let message = format!("{} holds no public keys", path.display());
            return Err(Failure::usage(message).hint("give the file that ends in .pub"));
        }
    }
    Ok(keys)
}

/// A file of which a machine is to know; a huge one is refused before it is read.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| Failure::io("read", path, error))?;
    let mut bytes = Vec::new();
    file.take(16 << 20).read_to_end(&mut bytes).map_err(|error| Failure::io("read", path, error))?;
    if bytes.len() == 16 << 20 {
        return Err(Failure::new(ExitCode::Usage, format!("{} is too long", path.display())));
    }
    Ok(bytes)
}
