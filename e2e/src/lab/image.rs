//! Images as OCI layout folders: made from a tree of files, with the same digest every time.
//!
//! Layers are packed, hashed and compressed by the machine's `tar`, `sha256sum` and `gzip`: several times faster than a
//! debug build of ours.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Context, Error, Result,
    machine::command::{Command, run},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// How the image runs.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The program that starts, with its first arguments.
    pub entrypoint: Vec<String>,
    /// The arguments that a pod may replace.
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `uid` or `uid:gid`; root if empty.
    pub user: String,
    /// The architecture it is for; this machine's if empty.
    pub architecture: String,
}

/// What is in a layout folder.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest's digest.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// The digests of configuration and layers.
    pub blobs: Vec<String>,
}

/// Writes the image whose only layer is the tree to the (new) folder `layout`, and gives the manifest's digest.
pub async fn write(tree: &Path, layout: &Path, config: &Config) -> Result<String> {
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).context(format!("make {}", blobs.display()))?;
    let layer = layout.join("layer.tar");
    let (layer_name, tree) = (layer.display().to_string(), tree.display().to_string());
    let pack = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=gnu", "-cf", &layer_name, "-C", &tree, "."];
    Command::new("tar", pack).run().await?;
    let unpacked = sha256_of(&layer).await?;
    run("gzip", &["-n", "-1", &layer_name]).await?;
    let packed_layer = layout.join("layer.tar.gz");
    let packed = sha256_of(&packed_layer).await?;
    let size = std::fs::metadata(&packed_layer).context("look at the layer")?.len();
    std::fs::rename(&packed_layer, blobs.join(&packed)).context("move the layer into place")?;

    let image = json!({
        "architecture": if config.architecture.is_empty() { architecture() } else { &config.architecture },
        "os": "linux",
        "config": {
            "Entrypoint": config.entrypoint,
            "Cmd": config.cmd,
            "Env": config.env,
            "User": config.user,
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{unpacked}")]},
    });
    let (config_digest, config_size) = put(&blobs, &image)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config_size},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": format!("sha256:{packed}"),
            "size": size,
        }],
    });
    let (digest, size) = put(&blobs, &manifest)?;
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": digest, "size": size}]});
    std::fs::write(layout.join("index.json"), index.to_string()).context("write the layout's index")?;
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).context("write the layout's version")?;
    Ok(digest)
}

/// What is in a layout folder.
pub fn read(layout: &Path) -> Result<Image> {
    let what = || format!("read the image in {}", layout.display());
    let parse = |file: &Path| -> Result<Value> { serde_json::from_slice(&std::fs::read(file).context(what())?).context(what()) };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let incomplete = || Error::new(what(), "it is incomplete");
    let index = parse(&layout.join("index.json"))?;
    let digest = text(index.pointer("/manifests/0/digest")).ok_or_else(incomplete)?;
    let media_type = text(index.pointer("/manifests/0/mediaType")).ok_or_else(incomplete)?;
    let manifest = parse(&blob_file(layout, &digest))?;
    let layers = manifest.get("layers").and_then(Value::as_array).into_iter().flatten();
    let mut blobs: Vec<String> = layers.filter_map(|layer| text(layer.get("digest"))).collect();
    blobs.push(text(manifest.pointer("/config/digest")).ok_or_else(incomplete)?);
    Ok(Image { digest, media_type, blobs })
}

/// Where a layout keeps a blob.
pub fn blob_file(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replacen(':', "/", 1))
}

/// This machine's architecture, as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn put(blobs: &Path, content: &Value) -> Result<(String, usize)> {
    let text = content.to_string();
    let digest = hex::encode(Sha256::digest(&text));
    std::fs::write(blobs.join(&digest), &text).context("write a part of an image")?;
    Ok((format!("sha256:{digest}"), text.len()))
}

async fn sha256_of(file: &Path) -> Result<String> {
    let line = Command::new("sha256sum", [file]).run().await?;
    Ok(line.split_ascii_whitespace().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_tree_is_the_same_image() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("file"), "content").unwrap();
        let config = Config { entrypoint: vec!["/file".into()], ..Config::default() };
        let one = write(&tree, &folder.path().join("one"), &config).await.unwrap();
        let two = write(&tree, &folder.path().join("two"), &config).await.unwrap();
        assert_eq!(one, two);
        let image = read(&folder.path().join("one")).unwrap();
        assert_eq!((image.digest, image.blobs.len()), (one, 2));
        for blob in &image.blobs {
            assert!(blob_file(&folder.path().join("one"), blob).is_file());
        }
    }
}
