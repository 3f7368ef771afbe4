//! Which step a build is at, read from the end of its builder's log.
//!
//! BuildKit numbers the steps of each stage; stages run at the same time, and what a stage has not begun is not in the log. So `n/m` is the place of
//! a step in its own stage, which is named where there are several: `build 3/7 RUN go build`. kaniko numbers nothing. nix says at the beginning how
//! much it will build or fetch, and then one line for each.

use std::collections::BTreeMap;

use mainstay_crds::Engine;

use super::scrub;

/// Longest text, in characters.
const MAX: usize = 100;

/// Instructions of a Dockerfile that make a step.
const INSTRUCTIONS: [&str; 17] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The step, for people: one line without escapes and secrets. `None` where the log does not say; then what was known before still holds.
pub fn step(engine: Engine, log: &str) -> Option<String> {
    let found = match engine {
        Engine::Buildkit => buildkit(log),
        Engine::Kaniko => kaniko(log),
        Engine::Nix => nix(log),
        Engine::Auto => None,
    }?;
    let clean = scrub::clean(&found).replace(['\n', '\t'], " ");
    let mut text = clean.trim().to_owned();
    if let Some((end, _)) = text.char_indices().nth(MAX) {
        text.truncate(end);
        text.push('…');
    }
    (!text.is_empty()).then_some(text)
}

/// A vertex of BuildKit's graph.
struct Vertex {
    text: String,
    numbered: bool,
    ended: bool,
    /// Its newest line.
    at: usize,
}

/// `#8 [build 3/7] RUN go build` begins a vertex, or goes on with it; `#8 DONE 1.2s` and the like end it.
fn buildkit(log: &str) -> Option<String> {
    let mut all: BTreeMap<u32, Vertex> = BTreeMap::new();
    for (at, line) in log.lines().enumerate() {
        let Some((number, rest)) = line.trim_end().strip_prefix('#').and_then(|line| line.split_once(' ')) else { continue };
        let Ok(number) = number.parse() else { continue };
        if let Some((text, numbered)) = vertex(rest) {
            all.entry(number).or_insert(Vertex { text, numbered, ended: false, at });
        }
        if let Some(known) = all.get_mut(&number) {
            known.at = at;
            known.ended |= ["DONE ", "CACHED", "CANCELED", "ERROR"].iter().any(|end| rest.starts_with(end));
        }
    }
    // What runs before what ended, a step of the Dockerfile before BuildKit's own, the newest line before older ones.
    all.into_values().max_by_key(|vertex| (!vertex.ended, vertex.numbered && !vertex.ended, vertex.at)).map(|vertex| vertex.text)
}

fn vertex(rest: &str) -> Option<(String, bool)> {
    if rest.starts_with("exporting to ") {
        return Some((rest.to_owned(), false));
    }
    let (place, text) = rest.strip_prefix('[')?.split_once("] ")?;
    let words: Vec<&str> = place.split_whitespace().collect();
    let (last, before) = words.split_last()?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let numbered = last.split_once('/').is_some_and(|(n, m)| is_number(n) && is_number(m));
    if !numbered {
        return Some((text.to_owned(), false));
    }
    // A platform may stand before the stage; a base image is known by its name.
    let stage = before.iter().rfind(|word| !word.contains('/')).map_or_else(String::new, |stage| format!("{stage} "));
    let text = if text.starts_with("FROM ") { text.split("@sha256:").next().unwrap_or(text) } else { text };
    Some((format!("{stage}{last} {text}"), true))
}

/// `INFO[0003] RUN go build` begins a step. A terminal's colours may stand around `INFO`.
fn kaniko(log: &str) -> Option<String> {
    log.lines().rev().find_map(|line| {
        let line = scrub::clean(line);
        let text = line.strip_prefix("INFO[")?.split_once(']')?.1.trim();
        let instruction = text.split(' ').next().unwrap_or_default();
        INSTRUCTIONS.contains(&instruction).then(|| text.to_owned())
    })
}

/// `these 12 derivations will be built:`, then `building '/nix/store/….drv'...` for each; the same for paths that are fetched.
fn nix(log: &str) -> Option<String> {
    let (mut building, mut copying) = (Work::default(), Work::default());
    let mut newest = None;
    for line in log.lines().map(str::trim) {
        if let Some(announced) = line.strip_prefix("these ").or_else(|| line.starts_with("this ").then_some(line)) {
            let count = announced.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(1);
            if announced.contains("will be built") {
                building = Work { of: Some(count), begun: 0 };
            } else if announced.contains("will be fetched") {
                copying = Work { of: Some(count), begun: 0 };
            }
        } else if let Some(path) = line.strip_prefix("building '/nix/store/") {
            newest = Some(building.next("building", path));
        } else if let Some(path) = line.strip_prefix("copying path '/nix/store/") {
            newest = Some(copying.next("copying", path));
        }
    }
    newest
}

/// How much of something is done, where its announcement was seen.
#[derive(Default)]
struct Work {
    of: Option<usize>,
    begun: usize,
}

impl Work {
    fn next(&mut self, verb: &str, path: &str) -> String {
        self.begun += 1;
        let path = path.split('\'').next().unwrap_or(path);
        let name = path.split_once('-').map_or(path, |(_, name)| name).trim_end_matches(".drv");
        match self.of {
            Some(of) if of >= self.begun => format!("{verb} {}/{of} {name}", self.begun),
            _ => format!("{verb} {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(engine: Engine, log: &str) -> String {
        step(engine, log).unwrap_or_default()
    }

    const ONE_STAGE: &str = "\
#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 312B done
#1 DONE 0.0s

#2 [internal] load metadata for docker.io/library/debian:stable-slim
#2 DONE 0.9s

#4 [1/3] FROM docker.io/library/debian:stable-slim@sha256:3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a6978870a1b2c3d4e5f60718293a4b5
#4 resolve docker.io/library/debian:stable-slim@sha256:3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a6978870a1b2c3d4e5f60718293a4b5 0.0s done
#4 sha256:aa 3.1MB / 29.8MB 0.2s
";

    #[test]
    fn buildkits_step_is_the_one_that_runs() {
        assert_eq!(of(Engine::Buildkit, ONE_STAGE), "1/3 FROM docker.io/library/debian:stable-slim");
        let next = format!(
            "{ONE_STAGE}#4 DONE 2.1s\n\n#5 [2/3] RUN apt-get update && apt-get install -y curl\n#5 0.345 Get:1 http://deb trixie InRelease\n"
        );
        assert_eq!(of(Engine::Buildkit, &next), "2/3 RUN apt-get update && apt-get install -y curl");
        let end =
            format!("{next}#5 DONE 9.9s\n\n#6 [3/3] COPY . /srv\n#6 DONE 0.1s\n\n#7 exporting to oci image format\n#7 exporting layers\n");
        assert_eq!(of(Engine::Buildkit, &end), "exporting to oci image format");
        assert_eq!(of(Engine::Buildkit, "#1 [internal] load build definition from Dockerfile\n"), "load build definition from Dockerfile");
    }

    #[test]
    fn buildkits_stages_are_named_and_the_newest_line_counts() {
        let log = "\
#8 [build 3/7] RUN go build ./...
#9 [linux/amd64 stage-1 2/3] RUN useradd app
#8 0.812 go: downloading example.org/x v1.2.3
#9 0.101 done
#9 DONE 0.2s
";
        assert_eq!(of(Engine::Buildkit, log), "build 3/7 RUN go build ./...");
        let other = log.replace("#9 DONE 0.2s\n", "");
        assert_eq!(of(Engine::Buildkit, &other), "stage-1 2/3 RUN useradd app");
        // The head of a step that speaks much is no longer in the tail: what was known before still holds.
        assert_eq!(step(Engine::Buildkit, "#8 12.3 compiling\n#8 12.4 [5/9] RUN not this\n"), None);
    }

    #[test]
    fn kanikos_step_is_its_last_instruction() {
        let log = "\
INFO[0000] Retrieving image manifest debian:stable-slim
INFO[0001] Executing 0 build triggers
INFO[0001] Building stage 'debian:stable-slim' [idx: '0', base-idx: '-1']
INFO[0002] Unpacking rootfs as cmd RUN apt-get update requires it.
\u{1b}[36mINFO\u{1b}[0m[0005] RUN apt-get update
INFO[0005] Initializing snapshotter ...
INFO[0006] Running: [/bin/sh -c apt-get update]
Get:1 http://deb trixie InRelease
";
        assert_eq!(of(Engine::Kaniko, log), "RUN apt-get update");
        assert_eq!(step(Engine::Kaniko, "INFO[0000] Retrieving image manifest debian:stable-slim\n"), None);
    }

    #[test]
    fn nix_counts_what_it_announced() {
        let fetched = "\
these 2 derivations will be built:
  /nix/store/0c2ac90b2dd4nzrg9yd2d3mbb8z5jl1a-layer.drv
  /nix/store/1d3bd01c3ee5oash0ze3e4nccc906km2b-image.tar.gz.drv
these 3 paths will be fetched (4.21 MiB download, 18.05 MiB unpacked):
  /nix/store/2e4ce12d4ff6pbti1af4f5oddd017ln3c-glibc-2.40-66
copying path '/nix/store/2e4ce12d4ff6pbti1af4f5oddd017ln3c-glibc-2.40-66' from 'https://cache.example.org'...
";
        assert_eq!(of(Engine::Nix, fetched), "copying 1/3 glibc-2.40-66");
        let built = format!("{fetched}building '/nix/store/0c2ac90b2dd4nzrg9yd2d3mbb8z5jl1a-layer.drv'...\nmaking a layer\n");
        assert_eq!(of(Engine::Nix, &built), "building 1/2 layer");
        assert_eq!(of(Engine::Nix, "building '/nix/store/0c2ac90b2dd4nzrg9yd2d3mbb8z5jl1a-hello-2.12.drv'...\n"), "building hello-2.12");
        let one = "this derivation will be built:\n  /nix/store/0c2ac90b2dd4nzrg9yd2d3mbb8z5jl1a-x.drv\nbuilding '/nix/store/0c2ac90b2dd4nzrg9yd2d3mbb8z5jl1a-x.drv'...\n";
        assert_eq!(of(Engine::Nix, one), "building 1/1 x");
    }

    #[test]
    fn secrets_and_escapes_go_and_a_long_step_is_cut() {
        assert_eq!(of(Engine::Buildkit, "#5 [2/3] RUN NPM_TOKEN=hunter2 \u{1b}[31mnpm\u{1b}[0m ci\n"), "2/3 RUN NPM_TOKEN=*** npm ci");
        assert_eq!(of(Engine::Buildkit, &format!("#5 [2/3] RUN {}\n", "é".repeat(500))).chars().count(), MAX + 1);
    }

    proptest! {
        #[test]
        fn any_log_gives_one_short_line_or_none(log in "([#a-z0-9 /\\[\\]'-]{0,40}\n){0,20}", junk in ".{0,200}") {
            for engine in [Engine::Auto, Engine::Buildkit, Engine::Kaniko, Engine::Nix] {
                let text = of(engine, &format!("{log}{junk}"));
                prop_assert!(text.chars().count() <= MAX + 1 && !text.chars().any(char::is_control));
            }
        }
    }
}
