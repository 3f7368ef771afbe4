//! `mainstay push`: an image archive becomes an immutable tag. It never moves a tag that is there, and says at the end what the tag names.

mod archive;
mod docker;
mod gzip;
mod hashed;
mod image;
mod layers;
mod layout;
mod name;
mod patience;
mod provenance;
mod tarball;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;

use mainstay_crds::{Reason, Variant};

use crate::clients::registry::{Credential, Image, REVISION, Registry, RegistryError, Settings};
use crate::domain::report::Report;
use crate::domain::tag;
use crate::domain::version::VersionError;
use crate::error::{Class, Classified, chain};
use crate::step;

use self::archive::ArchiveError;
use self::image::Ready;
use self::layers::Way;
use self::name::Name;
use self::patience::Patience;
use self::provenance::Key;

/// Longest time in which a registry takes no byte and gives no answer.
const IDLE: Duration = Duration::from_secs(60);

/// What to push, where, and under which labels.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// OCI layout (a tar or a directory), or Docker archive (plain or gzip).
    #[arg(long)]
    pub archive: PathBuf,
    /// Image without a tag: `host[:port]/path`.
    #[arg(long)]
    pub image: String,
    /// The tag.
    #[arg(long, requires = "version", required_unless_present = "version_file")]
    pub tag: Option<String>,
    /// The full commit that the image was built from.
    #[arg(long)]
    pub revision: String,
    /// The version.
    #[arg(long, requires = "tag")]
    pub version: Option<String>,
    /// File with the version that nix evaluated; the tag follows from it.
    #[arg(long, conflicts_with_all = ["tag", "version"])]
    pub version_file: Option<PathBuf>,
    /// Further labels, `key=value`.
    #[arg(long = "label", value_parser = pair)]
    pub labels: Vec<(String, String)>,
    /// When the commit was made, RFC 3339: the same inputs give the same image.
    #[arg(long)]
    pub created: Option<String>,
    /// Predicate of the provenance that is attached to the image, JSON. Nothing is attached without.
    #[arg(long)]
    pub provenance: Option<String>,
    /// Private key that signs the provenance, PEM.
    #[arg(long)]
    pub signing_key: Option<PathBuf>,
    /// `config.json` of Docker with the credentials.
    #[arg(long)]
    pub credentials: Option<PathBuf>,
    /// Certificate authority of the registry, PEM.
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// No TLS.
    #[arg(long)]
    pub plain_http: bool,
    /// Repository of the same registry that may have layers already; the registry is asked to take them over from there.
    #[arg(long = "mount-from")]
    pub mount_from: Vec<String>,
    /// Longest time without progress, in seconds.
    #[arg(long, default_value_t = 600)]
    pub deadline: u64,
    /// Where the last word goes.
    #[arg(long, default_value = step::TERMINATION_LOG)]
    pub termination_log: PathBuf,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| format!("{text:?} is not key=value"))
}

/// Why nothing was pushed.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0} is not host[:port]/path")]
    Image(String),
    #[error("{0}")]
    Conflict(String),
    #[error("neither --version and --tag nor --version-file")]
    Arguments,
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error("the provenance cannot be made: {0}")]
    Provenance(String),
}

impl PushError {
    fn report(&self) -> Report {
        let (reason, transient) = match self {
            PushError::Archive(ArchiveError::Architecture { .. }) => (Reason::ArchitectureMismatch, false),
            PushError::Archive(ArchiveError::Io(error)) if is_full(error) => (Reason::WorkspaceFull, false),
            PushError::Archive(_) | PushError::Registry(RegistryError::Content(_)) => (Reason::ArchiveInvalid, false),
            PushError::Conflict(_) => (Reason::TagConflict, false),
            PushError::Version(error) => (error.reason(), false),
            PushError::Provenance(_) => (Reason::ProvenanceFailed, false),
            PushError::Registry(RegistryError::Unauthorized { .. } | RegistryError::Forbidden { .. }) => (Reason::PushUnauthorized, false),
            PushError::Registry(error) => (Reason::PushFailed, error.class() != Class::Terminal),
            PushError::File(..) | PushError::Image(_) | PushError::Arguments => (Reason::PushFailed, false),
        };
        Report { reason: reason.to_owned(), message: chain(self), digest: None, version: None, transient }
    }
}

/// Runs the step.
pub async fn run(args: Args) -> ExitCode {
    let report = push(&args).await.unwrap_or_else(|error| error.report());
    let ok = report.digest.is_some();
    step::end(&args.termination_log, &report, ok)
}

async fn push(args: &Args) -> Result<Report, PushError> {
    let patience = Patience::new(Duration::from_secs(args.deadline));
    let (endpoint, repository) = args.image.split_once('/').ok_or_else(|| PushError::Image(args.image.clone()))?;
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| PushError::File(path.clone(), error));
    let credential = match &args.credentials {
        Some(path) => Credential::from_docker_config(&read(path)?, &args.image)?,
        None => None,
    };
    let ca = args.ca.as_ref().map(read).transpose()?;
    let name = Name::new(args)?;
    let settings = Settings { endpoint: endpoint.to_owned(), plain_http: args.plain_http, ca, credential, deadline: IDLE };
    let registry = Registry::new(settings)?;

    if let Some(report) = there(args, &name, &registry, repository, &patience).await? {
        return Ok(report);
    }
    // A key that does not serve is no reason to have built for nothing: it is looked at before anything is sent.
    let key = args.signing_key.as_ref().map(|path| Key::from_pem(&read(path)?).map_err(PushError::Provenance)).transpose()?;
    step::say(&format!("reading {}", args.archive.display()));
    let spool = tempfile::tempdir().map_err(|error| PushError::File(std::env::temp_dir(), error))?;
    let (path, directory) = (args.archive.clone(), spool.path().to_owned());
    let opened = tokio::task::spawn_blocking(move || archive::open(&path, &directory)).await;
    let contents = opened.map_err(std::io::Error::other).map_err(ArchiveError::from)??;
    archive::check(&contents)?;
    let labels = labels(args, &name);
    let config = image::config(contents.config, &labels)?;
    let way = Way { registry: &registry, repository, neighbours: &args.mount_from, patience: &patience, spool: spool.path() };
    let layers = layers::send(&way, &contents.layers).await?;
    patience.retry(async || registry.push_bytes(repository, &config).await).await?;
    let ready = image::manifest(&config, layers, contents.annotations, &labels)?;
    // Somebody else may have been faster while the layers were on their way.
    if let Some(report) = there(args, &name, &registry, repository, &patience).await? {
        return Ok(report);
    }
    attest(&registry, repository, args, &ready, key.as_ref(), &patience).await?;
    patience.retry(async || registry.push_manifest(repository, &name.tag, &ready.media_type, &ready.manifest).await).await?;
    match patience.retry(async || registry.image(repository, &name.tag).await).await? {
        Some(image) if image.digest == ready.digest => {
            let message = format!("pushed {}:{} ({})", args.image, name.tag, ready.digest);
            Ok(Report { reason: Reason::Pushed, message, digest: Some(ready.digest), version: name.told(), transient: false })
        }
        Some(image) => taken(args, &name, Some(image))?.ok_or_else(|| lost(args, &name)),
        None => Err(lost(args, &name)),
    }
}

fn lost(args: &Args, name: &Name) -> PushError {
    let message = format!("tag {} was pushed and is not there", name.tag);
    PushError::Registry(RegistryError::ResponseInvalid { what: args.image.clone(), message })
}

/// What there is already of this commit: under our tag, and where the version was evaluated under any. Two builds of one commit may have evaluated
/// different ones, and a commit has one image (design section 6.1).
async fn there(args: &Args, name: &Name, registry: &Registry, repository: &str, patience: &Patience) -> Result<Option<Report>, PushError> {
    if name.evaluated {
        let found = patience.retry(async || registry.image_at(repository, &args.revision, Variant::Nix).await).await?;
        if let Some((tag, image)) = found {
            let version = tag::parse(&tag).map_or_else(String::new, |parts| parts.version.to_owned());
            return taken(args, &Name { version, tag, evaluated: true }, Some(image));
        }
    }
    taken(args, name, patience.retry(async || registry.image(repository, &name.tag).await).await?)
}

/// Whether there is no room left on the disk.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// A tag that is there: success where it names our commit, else a conflict. `None` where it is not there.
fn taken(args: &Args, name: &Name, there: Option<Image>) -> Result<Option<Report>, PushError> {
    let Some(image) = there else { return Ok(None) };
    if image.revision.as_deref() == Some(args.revision.as_str()) {
        let message = format!("tag {} is in the registry already, built from this commit ({})", name.tag, image.digest);
        let version = name.told();
        return Ok(Some(Report { reason: Reason::AlreadyExists, message, digest: Some(image.digest), version, transient: false }));
    }
    Err(PushError::Conflict(tag::conflict(&name.tag, image.revision.as_deref(), &image.digest)))
}

fn labels(args: &Args, name: &Name) -> Vec<(String, String)> {
    let mut all = vec![(REVISION.to_owned(), args.revision.clone()), ("org.opencontainers.image.version".to_owned(), name.version.clone())];
    all.extend(args.created.iter().map(|created| ("org.opencontainers.image.created".to_owned(), created.clone())));
    all.extend(args.labels.iter().cloned());
    all
}

/// Attaches the provenance, before the tag is given: an image that has a tag has it. A registry that takes no such thing is no obstacle, unless
/// a key says that signatures are wanted.
async fn attest(
    registry: &Registry,
    repository: &str,
    args: &Args,
    ready: &Ready,
    key: Option<&Key>,
    patience: &Patience,
) -> Result<(), PushError> {
    let Some(predicate) = &args.provenance else { return Ok(()) };
    let predicate = serde_json::from_str(predicate).map_err(|error| PushError::Provenance(error.to_string()))?;
    let attestation = provenance::attestation(&args.image, &ready.digest, predicate, &now(), key).map_err(PushError::Provenance)?;
    patience.retry(async || registry.push_manifest(repository, &ready.digest, &ready.media_type, &ready.manifest).await).await?;
    let subject = Image {
        digest: ready.digest.clone(),
        media_type: ready.media_type.clone(),
        size: ready.manifest.len(),
        revision: Some(args.revision.clone()),
    };
    let artifact = attestation.artifact();
    match patience.retry(async || registry.attach(repository, &subject, &artifact).await).await {
        Ok(digest) => step::say(&format!("attached provenance {digest}{}", if key.is_some() { ", signed" } else { "" })),
        Err(error) if key.is_none() && error.class() == Class::Terminal => step::say(&format!("no provenance is attached: {error}")),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The time now, in whole seconds.
fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_fault_of_the_archive() {
        let of = |kind: ErrorKind| PushError::from(ArchiveError::from(std::io::Error::from(kind))).report().reason;
        assert_eq!((of(ErrorKind::StorageFull).as_str(), of(ErrorKind::UnexpectedEof).as_str()), ("WorkspaceFull", "ArchiveInvalid"));
    }
}
