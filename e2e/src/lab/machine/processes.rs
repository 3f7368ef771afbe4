//! The lab's long-running processes: started in sessions of their own, remembered by pid and start time.
//!
//! A pid alone may be somebody else's by now; a pid with its start time (field 22 of `/proc/PID/stat`) is one process.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::lab::{Context, Error, Result, paths::Paths, state::write_private};

/// A process that the lab wants to run.
pub(crate) struct Process {
    /// Its name in `lab status` and `lab logs`.
    pub(crate) name: &'static str,
    /// Where it listens, for people.
    pub(crate) address: String,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Variables beside the inherited ones.
    pub(crate) env: Vec<(&'static str, String)>,
    /// Whether it runs as the user `nobody` (some programs refuse to be root).
    pub(crate) as_nobody: bool,
    /// When it is ready.
    pub(crate) ready: Ready,
}

/// How a process shows that it is ready.
pub(crate) enum Ready {
    /// This address answers with this status.
    Http(String, u16),
    /// This socket accepts a connection.
    Socket(PathBuf),
}

/// What is remembered of a started process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// Where it listens.
    pub address: String,
}

impl Record {
    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// Starts a process unless it runs already, and waits until it is ready. Says whether it was started now.
pub(crate) async fn ensure(paths: &Paths, process: &Process, http: &reqwest::Client) -> Result<bool> {
    let record = record(paths, process.name)?.filter(Record::is_alive);
    let begun_now = record.is_none();
    let record = match record {
        Some(record) => record,
        None => start(paths, process)?,
    };
    wait_ready(paths, process, &record, http).await?;
    Ok(begun_now)
}

fn start(paths: &Paths, process: &Process) -> Result<Record> {
    let what = || format!("start {}", process.name);
    let log_file = paths.log(process.name);
    let open = || std::fs::OpenOptions::new().create(true).append(true).open(&log_file).context(what());
    // `setsid` replaces itself by the program, so the pid stays; a session of its own survives our terminal.
    let mut command = std::process::Command::new("setsid");
    if process.as_nobody {
        command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.arg(&process.program).args(&process.args);
    command.envs(process.env.iter().map(|(name, value)| (*name, value.as_str())));
    command.stdin(Stdio::null()).stdout(open()?).stderr(open()?).current_dir(paths.run());
    let child = command.spawn().context(what())?;
    let pid = child.id();
    let started = started(pid).ok_or_else(|| Error::new(what(), "it ended at once").log(&log_file))?;
    let record = Record { name: process.name.into(), pid, started, address: process.address.clone() };
    let text = serde_json::to_vec(&record).context(what())?;
    write_private(&record_file(paths, process.name), &text)?;
    Ok(record)
}

async fn wait_ready(paths: &Paths, process: &Process, record: &Record, http: &reqwest::Client) -> Result<()> {
    let what = || format!("wait for {}", process.name);
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let cause = match &process.ready {
            Ready::Http(url, wanted) => match http.get(url).send().await {
                Ok(answer) if answer.status().as_u16() == *wanted => return Ok(()),
                Ok(answer) => format!("{url} answers {}", answer.status()),
                Err(error) => format!("{url} does not answer: {error}"),
            },
            Ready::Socket(socket) => match tokio::net::UnixStream::connect(socket).await {
                Ok(_) => return Ok(()),
                Err(error) => format!("{}: {error}", socket.display()),
            },
        };
        if !record.is_alive() {
            return Err(Error::new(what(), "it ended").log(paths.log(process.name)));
        }
        if Instant::now() > deadline {
            return Err(Error::new(what(), format!("not ready after 90 s: {cause}")).log(paths.log(process.name)));
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// Stops a process: asks, waits ten seconds, then insists. Does nothing if that very process is gone.
pub(crate) async fn stop(record: &Record) -> Result<()> {
    for (signal, patience) in [("TERM", Duration::from_secs(10)), ("KILL", Duration::from_secs(5))] {
        if !record.is_alive() {
            return Ok(());
        }
        // It may end between the look and the signal: then there is nothing left to stop.
        let sent = super::command::run("kill", &["-s", signal, &record.pid.to_string()]).await;
        let deadline = Instant::now() + patience;
        while record.is_alive() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if record.is_alive() {
            sent?;
        }
    }
    if record.is_alive() {
        return Err(Error::new(format!("stop {}", record.name), format!("process {} does not end", record.pid)));
    }
    Ok(())
}

/// The process that has this pid now.
pub(crate) fn identify(pid: u32, name: &str) -> Option<Record> {
    Some(Record { name: name.into(), pid, started: started(pid)?, address: String::new() })
}

/// Every remembered process, alive or not, in the order of their start.
pub(crate) fn records(paths: &Paths) -> Result<Vec<Record>> {
    let folder = paths.at("pids");
    let mut records = Vec::new();
    if let Ok(entries) = std::fs::read_dir(&folder) {
        for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|ext| ext == "json")) {
            records.extend(read_record(&entry.path())?);
        }
    }
    records.sort_by_key(|record: &Record| record.started);
    Ok(records)
}

fn record(paths: &Paths, name: &str) -> Result<Option<Record>> {
    read_record(&record_file(paths, name))
}

fn record_file(paths: &Paths, name: &str) -> PathBuf {
    paths.at("pids").join(format!("{name}.json"))
}

fn read_record(file: &Path) -> Result<Option<Record>> {
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map(Some).context(format!("read {}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(format!("read {}", file.display()), error)),
    }
}

/// When the process with this pid started; `None` if there is none, or only its remains.
fn started(pid: u32) -> Option<u64> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The start time in a line of `/proc/PID/stat`, unless the process is a zombie or dead.
/// The second field is the program's name in brackets and may hold anything, brackets and spaces too.
fn parse_stat(line: &str) -> Option<u64> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        assert_eq!(parse_stat(STAT), Some(987_654));
        assert_eq!(parse_stat(&STAT.replace(" S ", " Z ")), None);
        assert_eq!(parse_stat("42 (cut"), None);
        assert_eq!(parse_stat("42 (cut) S 1"), None);
    }

    #[test]
    fn another_process_with_the_same_pid_is_not_ours() {
        let pid = std::process::id();
        let ours = Record { name: "me".into(), pid, started: started(pid).unwrap(), address: String::new() };
        assert!(ours.is_alive());
        assert!(!Record { started: ours.started + 1, ..ours }.is_alive());
    }

    #[tokio::test]
    async fn a_started_process_is_remembered_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path(), folder.path());
        for part in ["log", "pids"] {
            std::fs::create_dir(paths.at(part)).unwrap();
        }
        let socket = paths.at("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let process = Process {
            name: "sleeper",
            address: String::new(),
            program: "sleep".into(),
            args: vec!["60".into()],
            env: vec![],
            as_nobody: false,
            ready: Ready::Socket(socket),
        };
        let http = crate::lab::connect::http_client(None).unwrap();
        assert!(ensure(&paths, &process, &http).await.unwrap());
        assert!(!ensure(&paths, &process, &http).await.unwrap());
        let records = records(&paths).unwrap();
        assert_eq!(records.len(), 1);
        stop(&records[0]).await.unwrap();
        assert!(!records[0].is_alive());
    }
}
