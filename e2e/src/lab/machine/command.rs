//! Running one program to its end.

use std::{ffi::OsStr, path::Path, process::Stdio};

use tokio::io::AsyncWriteExt;

use crate::lab::{Context, Error, Result, error::tail};

/// A program and its arguments.
pub(crate) struct Command {
    inner: tokio::process::Command,
    shown: String,
    input: Vec<u8>,
}

impl Command {
    /// The program, by name or path, and its arguments. Dies with us.
    pub(crate) fn new(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let program = program.as_ref();
        let mut shown = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
        let mut inner = tokio::process::Command::new(program);
        for arg in args {
            shown = format!("{shown} {}", arg.as_ref().to_string_lossy());
            inner.arg(arg);
        }
        inner.kill_on_drop(true);
        Self { inner, shown, input: Vec::new() }
    }

    /// With this variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    /// In this folder.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.inner.current_dir(dir);
        self
    }

    /// With this on its standard input.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it and gives its standard output; an error holds the end of its standard error.
    pub(crate) async fn run(mut self) -> Result<String> {
        let what = || format!("run `{}`", self.shown.chars().take(160).collect::<String>());
        self.inner.stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        self.inner.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.inner.spawn().context(what())?;
        if let Some(mut stdin) = child.stdin.take() {
            let input = std::mem::take(&mut self.input);
            tokio::spawn(async move { stdin.write_all(&input).await });
        }
        let output = child.wait_with_output().await.context(what())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let words = if words.trim().is_empty() { text.as_str() } else { &words };
        Err(Error::new(what(), format!("{}\n{}", output.status, tail(words, 20))))
    }
}

/// Runs a program and gives its standard output.
pub(crate) async fn run(program: &str, args: &[&str]) -> Result<String> {
    Command::new(program, args).run().await
}

/// Whether a program by this name is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
