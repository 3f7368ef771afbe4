//! The registry: distribution, over plain HTTP. One process wants a password for everything, the other gives the same images to all and takes none:
//! distribution's htpasswd knows no reading without a password.

use super::{
    processes::{Process, Ready},
    programs::Programs,
};
use crate::lab::{Context, Result, address, paths::Paths, state::write_private};

/// Writes what the registry reads.
pub(crate) fn configure(paths: &Paths, password: &str) -> Result<()> {
    let folder = paths.at("registry");
    std::fs::create_dir_all(&folder).context(format!("make {}", folder.display()))?;
    let hash = bcrypt::hash(password, 5).context("hash the registry's password")?;
    write_private(&folder.join("htpasswd"), format!("{}:{hash}\n", address::USER).as_bytes())?;
    let auth = format!("auth:\n  htpasswd: {{realm: mainstay-lab, path: {}/htpasswd}}\n", folder.display());
    std::fs::write(folder.join("config.yml"), config(paths, address::REGISTRY, &auth, false))
        .context("write the registry's configuration")?;
    let open = config(paths, address::READ_ONLY_REGISTRY, "", true);
    std::fs::write(folder.join("read-only.yml"), open).context("write the read-only registry's configuration")
}

/// The registry. Without credentials it answers 401, so that is what shows that it is up.
pub(crate) fn process(paths: &Paths, programs: &Programs) -> Process {
    serve(paths, programs, "registry", address::REGISTRY, "registry/config.yml", 401)
}

/// The registry that only reads.
pub(crate) fn read_only(paths: &Paths, programs: &Programs) -> Process {
    serve(paths, programs, "registry-read-only", address::READ_ONLY_REGISTRY, "registry/read-only.yml", 200)
}

fn serve(paths: &Paths, programs: &Programs, name: &'static str, at: &str, config: &str, status: u16) -> Process {
    Process {
        name,
        address: format!("http://{at}"),
        program: programs.program("registry", "registry"),
        args: vec!["serve".into(), paths.at(config).display().to_string()],
        env: vec![("OTEL_TRACES_EXPORTER", "none".into())],
        as_nobody: false,
        ready: Ready::Http(format!("http://{at}/v2/"), status),
    }
}

fn config(paths: &Paths, at: &str, auth: &str, read_only: bool) -> String {
    let folder = paths.at("registry");
    let folder = folder.display();
    format!(
        "version: 0.1\n\
         log: {{level: info, accesslog: {{disabled: false}}}}\n\
         storage:\n  filesystem: {{rootdirectory: {folder}/data}}\n  delete: {{enabled: {}}}\n  maintenance: {{readonly: {{enabled: {read_only}}}}}\n\
         {auth}\
         http: {{addr: '{at}'}}\n",
        !read_only
    )
}
