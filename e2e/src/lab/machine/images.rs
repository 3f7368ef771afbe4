//! The base images that stories build on and builders run in, made once into the cache and pushed to each lab's registry.

use std::path::{Path, PathBuf};

use super::{
    command::{Command, run},
    debian,
    programs::{Programs, fresh_folder, short_hash},
    report::say,
};
use crate::lab::{
    Context, Error, Result,
    image::{self, Config},
    paths::Paths,
    registry::Registry,
};

/// The machine's CA certificates.
pub(crate) const CA_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Changed when a recipe below changes in a way that its inputs do not show.
const RECIPES: &str = "1";
/// What the nix engine finds as `<nixpkgs>`.
const NIXPKGS: &str = include_str!("../../../lab/nixpkgs/default.nix");
/// Where it lies in the image.
const NIXPKGS_FOLDER: &str = "usr/share/nixpkgs-of-the-lab";
/// A program that sleeps until it is told to end: all that a pod's sandbox needs.
const PAUSE: &str = "#include <signal.h>\n#include <unistd.h>\nstatic void end(int s) { (void)s; _exit(0); }\n\
    int main(void) { signal(SIGINT, end); signal(SIGTERM, end); for (;;) pause(); }\n";

/// One base image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    /// The repository in the registry.
    pub(crate) repository: &'static str,
    /// The tag.
    pub(crate) tag: &'static str,
    /// How long it takes.
    pub(crate) takes: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pause,
    Busybox,
    Debian,
    Buildkit,
    Nix,
    Golang,
    Node,
    Elixir,
}

/// The base images that every lab has.
pub(crate) const BASES: [Base; 5] = [
    Base { repository: "mainstay/pause", tag: "lab", takes: "1 s", kind: Kind::Pause },
    Base { repository: "library/busybox", tag: "1", takes: "1 s", kind: Kind::Busybox },
    Base { repository: "mainstay/buildkit", tag: "lab", takes: "5 s", kind: Kind::Buildkit },
    Base { repository: "library/debian", tag: "12-slim", takes: "40 s", kind: Kind::Debian },
    Base { repository: "mainstay/nix", tag: "lab", takes: "1 min", kind: Kind::Nix },
];

/// Those that hold a toolchain. They take minutes and few need them, so they are made when somebody asks.
pub(crate) const TOOLCHAINS: [Base; 3] = [
    Base { repository: "library/golang", tag: "1.26-bookworm", takes: "1.5 min", kind: Kind::Golang },
    Base { repository: "library/node", tag: "18-bookworm-slim", takes: "1.5 min", kind: Kind::Node },
    Base { repository: "library/elixir", tag: "1.14-otp-25-slim", takes: "1.5 min", kind: Kind::Elixir },
];

/// Where the cache keeps a base image: its name holds what it is made from.
pub(crate) async fn layout(paths: &Paths, programs: &Programs, base: &Base) -> Result<PathBuf> {
    let read = |file: &str| std::fs::read(file).context(format!("read {file}"));
    let inputs = match base.kind {
        Kind::Pause => PAUSE.as_bytes().to_vec(),
        Kind::Busybox => read("/bin/busybox")?,
        Kind::Buildkit => format!("{:?}{:?}", programs.folder("buildkit"), programs.folder("runc")).into_bytes(),
        Kind::Debian | Kind::Nix | Kind::Golang | Kind::Node | Kind::Elixir => {
            let more = match base.kind {
                Kind::Nix => NIXPKGS.to_owned(),
                Kind::Golang => run("go", &["version"]).await?,
                _ => String::new(),
            };
            [debian::inputs()?, read(&format!("/{CA_BUNDLE}"))?, more.into_bytes()].concat()
        }
    };
    let key = short_hash(&[RECIPES.as_bytes(), format!("{:?}", base.kind).as_bytes(), &inputs].concat());
    Ok(paths.cache().join("images").join(format!("{}-{key}", base.repository.replace('/', "-"))))
}

/// Makes a base image in the cache, in one piece.
async fn build(programs: &Programs, base: &Base, layout: &Path) -> Result<()> {
    let work = layout.with_extension("building");
    let (tree, new) = (work.join("tree"), work.join("layout"));
    fresh_folder(&tree)?;
    let mut config = Config { env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".into()], ..Config::default() };
    match base.kind {
        Kind::Pause => {
            compile_pause(&tree).await?;
            config = Config { entrypoint: vec!["/pause".into()], user: "65535:65535".into(), ..Config::default() };
        }
        Kind::Busybox => {
            busybox(&tree).await?;
            config.cmd = vec!["sh".into()];
        }
        Kind::Buildkit => {
            busybox(&tree).await?;
            for (module, program) in [("buildkit", "buildkitd"), ("buildkit", "buildctl"), ("runc", "runc")] {
                copy(&programs.program(module, program), &tree.join("usr/bin").join(program))?;
            }
            copy(&Path::new("/").join(CA_BUNDLE), &tree.join(CA_BUNDLE))?;
            config.entrypoint = vec!["buildkitd".into()];
        }
        Kind::Debian => {
            debian::bootstrap(&tree, &[]).await?;
            config.cmd = vec!["bash".into()];
        }
        Kind::Nix => {
            // debootstrap does not see that libdbi-perl provides what a dependency of nix-bin asks for.
            debian::bootstrap(&tree, &["nix-bin", "libdbi-perl", "xz-utils", "ca-certificates", "busybox-static"]).await?;
            let nixpkgs = tree.join(NIXPKGS_FOLDER);
            std::fs::create_dir_all(&nixpkgs).context("make a folder for nixpkgs")?;
            std::fs::write(nixpkgs.join("default.nix"), NIXPKGS).context("write nixpkgs")?;
            config.cmd = vec!["bash".into()];
            config.env.push("NIX_CONFIG=build-users-group =".into());
            config.env.push(format!("NIX_PATH=nixpkgs=/{NIXPKGS_FOLDER}"));
        }
        Kind::Golang => {
            debian::bootstrap(&tree, &[]).await?;
            go(&tree).await?;
            config.cmd = vec!["bash".into()];
            config.env = ["PATH=/go/bin:/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOPATH=/go", "GOTOOLCHAIN=local"]
                .map(String::from)
                .into();
        }
        Kind::Node => {
            debian::bootstrap(&tree, &["nodejs"]).await?;
            config.cmd = vec!["node".into()];
        }
        Kind::Elixir => {
            debian::bootstrap(&tree, &["elixir"]).await?;
            config.cmd = vec!["iex".into()];
            config.env.push("LANG=C.UTF-8".into());
        }
    }
    image::write(&tree, &new, &config).await?;
    std::fs::rename(&new, layout).context(format!("move {} into place", layout.display()))?;
    std::fs::remove_dir_all(&work).context(format!("remove {}", work.display()))
}

/// Makes those that the cache does not have.
pub(crate) async fn make(paths: &Paths, programs: &Programs, bases: &[Base]) -> Result<()> {
    for base in bases {
        let layout = layout(paths, programs, base).await?;
        if !layout.is_dir() {
            say(&format!("    making {}:{} (about {})", base.repository, base.tag, base.takes));
            build(programs, base, &layout).await?;
        }
    }
    Ok(())
}

/// Pushes those that the registry does not have yet.
pub(crate) async fn push(paths: &Paths, programs: &Programs, registry: &Registry, bases: &[Base]) -> Result<()> {
    for base in bases {
        registry.push(&layout(paths, programs, base).await?, base.repository, base.tag).await?;
    }
    Ok(())
}

/// Makes an image of one static program, as user 65532 with the machine's CA certificates, pushes it, and gives its digest.
pub async fn push_program(paths: &Paths, registry: &Registry, program: &Path, name: &str, tag: &str) -> Result<String> {
    if !program.is_file() {
        return Err(Error::new("make the operator's image", format!("there is no file {}", program.display())));
    }
    std::fs::create_dir_all(paths.cache()).context("make the cache folder")?;
    let work = tempfile::tempdir_in(paths.cache()).context("make a folder for the image")?;
    let tree = work.path().join("tree");
    std::fs::create_dir_all(tree.join("tmp")).context("make a folder for the image")?;
    copy(program, &tree.join(name))?;
    run("chmod", &["755", &tree.join(name).display().to_string()]).await?;
    run("chmod", &["1777", &tree.join("tmp").display().to_string()]).await?;
    copy(&Path::new("/").join(CA_BUNDLE), &tree.join(CA_BUNDLE))?;
    let config = Config { entrypoint: vec![format!("/{name}")], user: "65532:65532".into(), ..Config::default() };
    let layout = work.path().join("layout");
    image::write(&tree, &layout, &config).await?;
    registry.push(&layout, "mainstay/operator", tag).await
}

async fn compile_pause(tree: &Path) -> Result<()> {
    let out = tree.join("pause").display().to_string();
    Command::new("gcc", ["-x", "c", "-", "-static", "-Os", "-s", "-o", &out]).input(PAUSE).run().await.map(drop)
}

/// This machine's Go, where Docker's image has it, without its tests.
async fn go(tree: &Path) -> Result<()> {
    let root = run("go", &["env", "GOROOT"]).await?;
    let to = tree.join("usr/local/go");
    std::fs::create_dir_all(&to).context("make a folder for Go")?;
    std::fs::create_dir_all(tree.join("go")).context("make GOPATH")?;
    let parts = ["bin", "lib", "pkg", "src", "go.env", "VERSION"].map(|part| format!("{}/{part}", root.trim()));
    let to = to.display().to_string();
    Command::new("cp", ["-r"].into_iter().chain(parts.iter().map(String::as_str)).chain([to.as_str()])).run().await.map(drop)
}

/// Busybox with a link for each of its programs, and the folders that programs expect.
async fn busybox(tree: &Path) -> Result<()> {
    for folder in ["bin", "usr/bin", "etc", "root", "run", "var", "tmp", "proc", "sys", "dev"] {
        std::fs::create_dir_all(tree.join(folder)).context(format!("make /{folder} of the image"))?;
    }
    run("chmod", &["1777", &tree.join("tmp").display().to_string()]).await?;
    copy(Path::new("/bin/busybox"), &tree.join("bin/busybox"))?;
    for program in run("/bin/busybox", &["--list"]).await?.lines().filter(|program| *program != "busybox") {
        std::os::unix::fs::symlink("busybox", tree.join("bin").join(program)).context("link a program of busybox")?;
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
    std::fs::write(tree.join("etc/passwd"), users).context("write the image's users")?;
    std::fs::write(tree.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").context("write the image's groups")
}

/// Copies a file, making its folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("copy {} to {}", from.display(), to.display());
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).context(what())?;
    }
    std::fs::copy(from, to).map(drop).context(what())
}
