//! The forge: Gitea with a SQLite file, as the user `nobody` because it refuses to be root.

use std::path::Path;

use super::{
    command::{Command, run},
    processes::{Process, Ready},
    programs::Programs,
};
use crate::lab::{Context, Result, address, paths::Paths, state::write_private};

/// Copies the forge to where `nobody` may read it, and writes what it reads.
pub(crate) async fn configure(paths: &Paths, programs: &Programs) -> Result<()> {
    let folder = paths.at("forge");
    std::fs::create_dir_all(folder.join("data")).context(format!("make {}", folder.display()))?;
    let text = |path: &Path| path.display().to_string();
    for part in ["gitea", "static"] {
        run("cp", &["-r", &text(&programs.program("gitea", part)), &text(&folder)]).await?;
    }
    write_private(&folder.join("app.ini"), config(paths, &super::credentials::secret()?).as_bytes())?;
    run("chown", &["-R", "65534:65534", &text(&folder.join("data")), &text(&folder.join("app.ini"))]).await.map(drop)
}

/// The forge.
pub(crate) fn process(paths: &Paths) -> Process {
    Process {
        name: "gitea",
        address: address::FORGE.into(),
        program: paths.at("forge/gitea"),
        args: vec!["web".into(), "--config".into(), paths.at("forge/app.ini").display().to_string()],
        env: vec![("HOME", paths.at("forge/data").display().to_string()), ("USER", "nobody".into())],
        as_nobody: true,
        ready: Ready::Http(format!("{}/api/healthz", address::FORGE), 200),
    }
}

/// Makes the administrator.
pub(crate) async fn create_admin(paths: &Paths, password: &str) -> Result<()> {
    let (program, config) = (paths.at("forge/gitea"), paths.at("forge/app.ini"));
    let (program, config) = (program.display().to_string(), config.display().to_string());
    let email = format!("{}@lab.invalid", address::USER);
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", &program, "--config", &config];
    let create = ["admin", "user", "create", "--admin", "--must-change-password=false", "--username", address::USER];
    let rest = ["--email", &email, "--password", password];
    Command::new("setpriv", as_nobody.iter().chain(&create).chain(&rest))
        .dir(paths.run())
        .env("HOME", paths.at("forge/data"))
        .env("USER", "nobody")
        .run()
        .await
        // The command line holds the password: it must not be in the message.
        .map_err(|error| crate::lab::Error::new("make the forge's administrator", error.to_string().replace(password, "***")))?;
    Ok(())
}

fn config(paths: &Paths, secret: &str) -> String {
    let folder = paths.at("forge");
    let folder = folder.display();
    let (ip, url) = (address::NODE_IP, address::FORGE);
    format!(
        "RUN_MODE = prod\nRUN_USER = nobody\nWORK_PATH = {folder}/data\n\
         [server]\nSTATIC_ROOT_PATH = {folder}/static\nHTTP_ADDR = {ip}\nHTTP_PORT = 3000\nROOT_URL = {url}/\n\
         DISABLE_SSH = true\nOFFLINE_MODE = true\n\
         [database]\nDB_TYPE = sqlite3\nPATH = {folder}/data/gitea.db\n\
         [security]\nINSTALL_LOCK = true\nSECRET_KEY = {secret}\nPASSWORD_HASH_ALGO = pbkdf2\n\
         [webhook]\nALLOWED_HOST_LIST = *\n\
         [service]\nDISABLE_REGISTRATION = true\n\
         [repository]\nDEFAULT_BRANCH = main\n\
         [cron.update_checker]\nENABLED = false\n\
         [log]\nMODE = console\nLEVEL = Info\n"
    )
}
