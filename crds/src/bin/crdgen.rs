//! Writes `crds/generated/<plural>.yaml` from the Rust types: `cargo crdgen [directory]`.

use std::path::PathBuf;
use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args().nth(1).map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("generated"), PathBuf::from);
    fs::create_dir_all(&directory)?;
    for (name, yaml) in mainstay_crds::generate()? {
        fs::write(directory.join(name), yaml)?;
    }
    Ok(())
}
