//! `varve image build`: kernel, guest and settings become images.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use varve_image::{
    BootSettings, Compression, DEFAULT_COMMAND_LINE, FilePart, Format, Guest, ImageBuild, ImageKey, Kernel,
    default_modules,
};
use varve_repository::{PublicKeys, RepositoryName};

use super::inputs;
use crate::cli::ListingOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;
use crate::progress::Unit;

/// Make boot images of a kernel and the guest
#[derive(Args, Debug)]
#[command(
    after_help = "An image without --repository boots what its user data or the kernel's command line name. The same \
                  inputs make the same bytes when SOURCE_DATE_EPOCH is set. See docs/operate/image.md."
)]
pub(crate) struct Build {
    /// The repository that holds the operating system
    #[arg(long, value_name = "NAME")]
    repository: Option<RepositoryName>,
    /// Where it is served, best first; `@fqrn@` stands for its name
    #[arg(long, value_name = "URL", requires = "repository", value_delimiter = ',')]
    server: Vec<String>,
    /// Its public keys, files or directories; for a repository of this machine its own
    #[arg(long, value_name = "FILE", requires = "repository")]
    key: Vec<PathBuf>,
    /// The version that is booted, by its tag; the newest if not given
    #[arg(long, value_name = "TAG", requires = "repository", conflicts_with_all = ["hash", "date"])]
    tag: Option<String>,
    /// The version that is booted, by its root catalog's hash
    #[arg(long, value_name = "HASH", requires = "repository", conflicts_with = "date")]
    hash: Option<String>,
    /// The version that is booted: the newest of that time, such as 2026-11-01
    #[arg(long, value_name = "TIME", requires = "repository")]
    date: Option<String>,
    /// Proxies, groups separated by `;` and each of several by `|`
    #[arg(long, value_name = "PROXIES", requires = "repository")]
    proxy: Option<String>,
    /// A kernel: a package that apt knows, its file, or a bzImage such as `varve image kernel` makes
    #[arg(long, value_name = "PACKAGE|FILE", default_value = "linux-image-amd64")]
    kernel: String,
    /// Modules of the kernel beside the usual ones
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    module: Vec<String>,
    /// More for the kernel's command line
    #[arg(long, value_name = "TEXT")]
    append: Vec<String>,
    /// The program that becomes process 1; found beside this one if not given
    #[arg(long, value_name = "FILE")]
    guest: Option<PathBuf>,
    /// The forms: iso, raw, qcow2, vmdk, vdi, vhd, vhdx, ova, efi, kernel, or all
    #[arg(long, short, value_name = "FORM", value_delimiter = ',', default_value = "iso")]
    format: Vec<String>,
    /// What the initramfs is compressed with: xz, zstd or none
    #[arg(long, value_name = "HOW", default_value_t)]
    compression: Compression,
    /// What files and boot menus are named by
    #[arg(long, value_name = "NAME", default_value = "varve")]
    name: String,
    /// The private key that signs the manifest; made at the first use if not given
    #[arg(long, value_name = "FILE")]
    sign_with: Option<PathBuf>,
    /// Where the files are put
    #[arg(long, short, value_name = "DIRECTORY", default_value = ".")]
    output: PathBuf,
    #[command(flatten)]
    listing: ListingOptions,
}

/// A file that was made.
#[derive(Serialize)]
struct Made {
    file: String,
    format: String,
    size: u64,
    sha256: String,
}

impl Row for Made {
    const HEADINGS: &'static [&'static str] = &["FILE", "FORM", "BYTES"];
    const NUMBERS: &'static [usize] = &[2];

    fn cells(&self) -> Vec<String> {
        vec![self.file.clone(), self.format.clone(), self.size.to_string()]
    }
}

impl Build {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let formats = formats(&self.format)?;
        let boot_settings = self.boot_settings(invocation)?;
        let guest = match &self.guest {
            Some(path) => path.clone(),
            None => {
                let program = std::env::current_exe();
                inputs::guest(&program.map_err(|error| Failure::io("find", "this program".as_ref(), error))?)?
            }
        };
        let guest = Guest::open(&guest)?;
        let key = inputs::signing_key(invocation, self.sign_with.as_deref())?;
        let (key, made) = match self.sign_with {
            Some(_) => (ImageKey::load(&key)?, None),
            None => {
                let (loaded, made) = ImageKey::load_or_make(&key)?;
                (loaded, made.then_some(key))
            }
        };
        if let Some(made) = made {
            invocation.output.say(format!("made the key {} that images are signed with", made.display()));
        }
        let package = inputs::package(invocation, &self.kernel)?;
        let mut wanted = default_modules();
        wanted.extend(self.module.iter().cloned());
        let progress = invocation.progress("building", Unit::Count, Some(formats.len() as u64 + 2));
        progress.set_detail("reading the kernel");
        let kernel = Kernel::open(&package, &wanted)?;
        progress.advance(1);
        let lacking = kernel.lacking(&self.module);
        if !lacking.is_empty() {
            let message = format!("{} has no module {}", package.display(), lacking.join(", "));
            return Err(Failure::usage(message));
        }
        let line: Vec<&str> =
            [DEFAULT_COMMAND_LINE].into_iter().chain(self.append.iter().map(String::as_str)).collect();
        let build = ImageBuild {
            name: &self.name,
            kernel: &kernel,
            guest: &guest,
            boot_settings: boot_settings.as_ref(),
            command_line: &line.join(" "),
            compression: self.compression,
            epoch: inputs::epoch(invocation),
        };
        let built = build.write(&formats, &self.output, &key, |what| {
            progress.advance(1);
            progress.set_detail(what);
        })?;
        progress.finish();
        let rows: Vec<Made> = built.files.into_iter().map(|part| self.made(part)).collect();
        invocation.output.listing(self.listing, &rows)
    }

    fn made(&self, part: FilePart) -> Made {
        let file = self.output.join(&part.name).display().to_string();
        Made { file, format: part.format, size: part.size, sha256: part.sha256 }
    }

    fn boot_settings(&self, invocation: &Invocation) -> Result<Option<BootSettings>, Failure> {
        let Some(repository) = &self.repository else { return Ok(None) };
        let mut keys = self.key.clone();
        if keys.is_empty() {
            let own = invocation.places()?.keys().join(format!("{repository}.pub"));
            if !fs::exists(&own).unwrap_or(false) {
                return Err(Failure::usage(format!("no public key of {repository} is known here"))
                    .hint("name its file with --key"));
            }
            keys.push(own);
        }
        let keys = PublicKeys::load(&keys).map_err(Failure::usage_error)?.to_pem();
        let settings = BootSettings {
            repository: repository.to_string(),
            servers: self.server.clone(),
            tag: self.tag.clone(),
            hash: self.hash.clone(),
            date: self.date.clone(),
            proxy: self.proxy.clone(),
            keys: vec![keys],
        };
        settings.check().map_err(Failure::usage_error)?;
        if settings.servers.is_empty() {
            invocation
                .output
                .warn("no --server is given: user data or the kernel's command line must name one");
        }
        Ok(Some(settings))
    }
}

/// The forms that were asked for, each once.
fn formats(names: &[String]) -> Result<Vec<Format>, Failure> {
    let mut formats: Vec<Format> = Vec::new();
    for name in names {
        let named = match name.as_str() {
            "all" => Format::ALL.to_vec(),
            name => vec![name.parse().map_err(|error: String| Failure::usage(error))?],
        };
        for format in named {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
    }
    Ok(formats)
}
