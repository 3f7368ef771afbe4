//! `mainstay push` of an image of 1 GiB against `crane push`, both to a fresh distribution on this machine, as ratios in one run: `make bench`.
//!
//! Each kind of archive that builders leave is pushed by both in turn, five times; medians count. crane reads no layout in a tar: it gets the same one
//! as a directory. The programs are those that `MAINSTAY_OPERATOR_BINARY`, `MAINSTAY_TEST_REGISTRY` and `MAINSTAY_CRANE` name.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly, and speaks to a person"
)]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "a program")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[path = "../tests/support/noise.rs"]
mod random;
#[path = "../tests/support/registry_server.rs"]
mod registry_server;

use registry_server::Distribution;

const LAYERS: u64 = 4;
const LAYER: u64 = 256 << 20;
const RUNS: usize = 5;

fn main() {
    let program = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let ours = program("MAINSTAY_OPERATOR_BINARY").unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_mainstay")));
    let (Some(crane), Some(_)) = (program("MAINSTAY_CRANE"), program("MAINSTAY_TEST_REGISTRY")) else {
        println!("push is not measured: MAINSTAY_CRANE and MAINSTAY_TEST_REGISTRY must name programs, as make bench does");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    println!("making an image of {LAYERS} layers of {} MiB that no compression makes smaller", LAYER >> 20);
    let image = Image::make(directory.path());
    println!("{:<28}{:>9}{:>9}{:>9}{:>14}", "", "push", "crane", "speed", "push's memory");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (mut slowest, mut largest) = (f64::MAX, 0u64);
    for (kind, archive, for_crane) in [
        ("OCI layout", &image.layout, &image.directory),
        ("Docker, gzip layers", &image.zipped, &image.zipped),
        ("Docker, plain layers", &image.plain, &image.plain),
    ] {
        let (mut push, mut other, mut memory) = (Vec::new(), Vec::new(), 0);
        for run in 0..RUNS {
            // Who is first in a run has colder caches.
            for turn in 0..2 {
                let server = runtime.block_on(Distribution::open());
                if (run + turn) % 2 == 0 {
                    let (took, peak) = timed(&mut pushing(&ours, archive, &server.endpoint, directory.path()));
                    push.push(took);
                    memory = memory.max(peak);
                } else {
                    other.push(timed(&mut craning(&crane, for_crane, &server.endpoint)).0);
                }
            }
        }
        let (push, other) = (median(push), median(other));
        let ratio = other.as_secs_f64() / push.as_secs_f64();
        println!("{kind:<28}{push:>9.2?}{other:>9.2?}{ratio:>8.2}x{:>10.1} MiB", memory as f64 / 1024.0);
        (slowest, largest) = (slowest.min(ratio), largest.max(memory));
    }
    println!(
        "push of 1 GiB against crane: {slowest:.2}x at least (wanted: 0.90x), {:.1} MiB at most (wanted: 64)",
        largest as f64 / 1024.0
    );
}

fn pushing(program: &Path, archive: &Path, endpoint: &str, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["push", "--plain-http", "--tag", "v1", "--version", "1", "--revision", &"3b9e0d1c".repeat(5)]);
    command.args(["--image", &format!("{endpoint}/bench/image"), "--archive"]).arg(archive);
    command.arg("--termination-log").arg(directory.join("last-word")).env("TMPDIR", directory);
    command
}

fn craning(program: &Path, archive: &Path, endpoint: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["push", "--insecure"]).arg(archive).arg(format!("{endpoint}/bench/image:v1"));
    command
}

/// How long a program runs, and the most memory it had resident, in KiB.
fn timed(command: &mut Command) -> (Duration, u64) {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let now = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(now.unwrap_or_default());
        if let Some(ended) = child.try_wait().unwrap() {
            let took = begun.elapsed();
            let said = io::read_to_string(child.stderr.take().unwrap()).unwrap();
            assert!(ended.success(), "{command:?}: {said}");
            return (took, peak);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// One image in every form.
struct Image {
    layout: PathBuf,
    directory: PathBuf,
    plain: PathBuf,
    zipped: PathBuf,
}

/// A file in the layout of an image, by its digest.
struct Stored {
    path: PathBuf,
    digest: String,
    size: u64,
}

impl Image {
    fn make(root: &Path) -> Self {
        let directory = root.join("layout");
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        let mut layers = Vec::new();
        for number in 0..LAYERS {
            let plain = root.join(format!("layer-{number}.tar"));
            noise(&plain, number + 1);
            let zipped = root.join("zipped");
            let mut encoder = GzEncoder::new(File::create(&zipped).unwrap(), Compression::none());
            io::copy(&mut File::open(&plain).unwrap(), &mut encoder).unwrap();
            encoder.finish().unwrap();
            layers.push((hashed(&plain), store(&blobs, &zipped), plain));
        }
        let diff_ids: Vec<&String> = layers.iter().map(|(digest, _, _)| digest).collect();
        let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let text = |name: &str, value: &Value| {
            let path = root.join(name);
            fs::write(&path, value.to_string()).unwrap();
            path
        };
        let config = store(&blobs, &text("config", &config));
        let described: Vec<Value> =
            layers.iter().map(|(_, stored, _)| describe("application/vnd.oci.image.layer.v1.tar+gzip", stored)).collect();
        let (image, index) = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": image,
            "config": describe("application/vnd.oci.image.config.v1+json", &config), "layers": described,
        });
        let manifest = store(&blobs, &text("manifest", &manifest));
        let index = json!({"schemaVersion": 2, "mediaType": index, "manifests": [describe(image, &manifest)]});
        fs::write(directory.join("index.json"), index.to_string()).unwrap();
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();

        let layout = root.join("layout.tar");
        let mut archive = tar::Builder::new(File::create(&layout).unwrap());
        archive.append_dir_all("", &directory).unwrap();
        archive.finish().unwrap();
        let saved = |name: &str, files: Vec<&PathBuf>| {
            let names: Vec<String> = (0..LAYERS).map(|number| format!("{number}/layer.tar")).collect();
            let path = root.join(name);
            let mut archive = tar::Builder::new(File::create(&path).unwrap());
            for (name, file) in names.iter().zip(files) {
                archive.append_path_with_name(file, name).unwrap();
            }
            archive.append_path_with_name(&config.path, "config.json").unwrap();
            let manifest = text("manifest.json", &json!([{"Config": "config.json", "RepoTags": ["image:v1"], "Layers": names}]));
            archive.append_path_with_name(manifest, "manifest.json").unwrap();
            archive.finish().unwrap();
            path
        };
        let plain = saved("plain.tar", layers.iter().map(|(_, _, plain)| plain).collect());
        let zipped = saved("zipped.tar", layers.iter().map(|(_, stored, _)| &stored.path).collect());
        for (_, _, plain) in &layers {
            fs::remove_file(plain).unwrap();
        }
        Self { layout, directory, plain, zipped }
    }
}

fn describe(media_type: &str, stored: &Stored) -> Value {
    json!({"mediaType": media_type, "digest": stored.digest, "size": stored.size})
}

fn store(blobs: &Path, file: &Path) -> Stored {
    let digest = hashed(file);
    let path = blobs.join(digest.trim_start_matches("sha256:"));
    fs::rename(file, &path).unwrap();
    Stored { size: path.metadata().unwrap().len(), digest, path }
}

fn hashed(file: &Path) -> String {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(file).unwrap(), &mut HashWriter(&mut hash)).unwrap();
    format!("sha256:{}", hex::encode(hash.finalize()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A tar with one file of bytes as if they were random.
fn noise(path: &Path, seed: u64) {
    let mut header = tar::Header::new_gnu();
    header.set_path("data").unwrap();
    header.set_size(LAYER);
    header.set_mode(0o644);
    header.set_cksum();
    let mut out = io::BufWriter::new(File::create(path).unwrap());
    out.write_all(header.as_bytes()).unwrap();
    for word in random::words(seed).take(usize::try_from(LAYER / 8).unwrap()) {
        out.write_all(&word).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.flush().unwrap();
}
