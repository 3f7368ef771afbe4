//! What the builder itself said, found in the log of the build step. Pure.

use mainstay_crds::Reason;

use super::cause::Cause;

/// Lines at the end of a log in which a full disk is looked for: what a step said long before it failed is not why.
const LAST_WORDS: usize = 12;

/// Makes the cause of a failed build step as exact as the builder's own words are.
pub(super) fn explain(cause: &mut Cause, log_tail: &str) {
    if cause.reason != Reason::BuildFailed {
        return;
    }
    if let Some(words) = error_in(log_tail) {
        cause.transient = may_pass(&words);
        cause.reason = reason_of(&words);
        cause.message = words;
    }
    if let Some(line) = full_disk_in(log_tail) {
        cause.reason = Reason::WorkspaceFull;
        cause.message = format!("{line}. Make the image smaller, raise workspace.sizeLimit of the chart, or give the node more disk");
    }
}

/// The line that says that a disk is full.
fn full_disk_in(log_tail: &str) -> Option<&str> {
    log_tail.lines().rev().take(LAST_WORDS).map(str::trim).find(|line| line.to_lowercase().contains("no space left on device"))
}

/// The words of the builder itself: the failing line of the Dockerfile and the error, found in the log of the build step.
fn error_in(log_tail: &str) -> Option<String> {
    let lines: Vec<&str> = log_tail.lines().map(str::trim).collect();
    let error = lines.iter().rev().find_map(|line| {
        [
            "error: failed to solve: ",
            "ERROR: failed to solve: ",
            "Error: error building image: ",
            "error building image: ",
            "error: ",
            "ERROR: ",
            "Error: ",
        ]
        .iter()
        .find_map(|mark| line.strip_prefix(mark))
    })?;
    let place = lines.iter().rev().find(|line| {
        line.rsplit_once(':')
            .is_some_and(|(file, number)| file.ends_with("Dockerfile") && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    });
    let instruction = lines.iter().rev().find_map(|line| line.split_once(">>> ").map(|(_, text)| text.trim()));
    Some(match (place, instruction) {
        (Some(place), Some(instruction)) => format!("{place}: {instruction}: {error}"),
        (Some(place), None) => format!("{place}: {error}"),
        _ => error.to_owned(),
    })
}

/// The reason of a build step that failed, by the builder's own words.
fn reason_of(error: &str) -> Reason {
    const SYNTAX: [&str; 3] = ["dockerfile parse error", "parsing dockerfile", "failed to parse stage name"];
    /// Words of our own script for nix.
    const NO_VERSION: &str = "default.nix says no version";
    let error = error.to_lowercase();
    if SYNTAX.iter().any(|words| error.contains(words)) {
        Reason::DockerfileInvalid
    } else if error.starts_with(NO_VERSION) {
        Reason::VersionNotFound
    } else {
        Reason::BuildFailed
    }
}

/// Whether a builder's error is one of the way to a registry or cache, and not of what is built: the same commit may do better. What a step of
/// the Dockerfile says is never looked at.
fn may_pass(error: &str) -> bool {
    const FETCHING: [&str; 5] =
        ["failed to resolve source metadata", "failed to do request", "failed to copy", "failed to fetch", "unable to download"];
    const PASSING: [&str; 10] = [
        "i/o timeout",
        "connection refused",
        "connection reset",
        "tls handshake timeout",
        "temporary failure in name resolution",
        "unexpected eof",
        "too many requests",
        "bad gateway",
        "service unavailable",
        "gateway timeout",
    ];
    let error = error.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    has(&FETCHING) && has(&PASSING) && !error.contains("did not complete successfully")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_nix_does_not_know_is_no_mistake_of_the_build() {
        let mut cause = Cause { reason: Reason::BuildFailed, message: String::new(), transient: false, log_of: Some("build") };
        explain(&mut cause, "error: default.nix says no version, and <nixpkgs> has no cv.version: add it\n");
        assert_eq!(cause.reason, "VersionNotFound");
        assert!(cause.message.contains("cv.version"), "{}", cause.message);
    }

    #[test]
    fn a_registry_that_is_away_may_come_back_and_a_broken_step_stays() {
        let away = "Dockerfile:2: FROM r/b:1: DeadlineExceeded: failed to resolve source metadata for r/b:1: failed to do request: Head: dial tcp: i/o timeout";
        assert!(may_pass(away));
        assert!(may_pass("error: unable to download 'https://cache.example/x.narinfo': HTTP error 503 Service Unavailable"));
        assert!(!may_pass("Dockerfile:2: FROM r/b:1: failed to resolve source metadata for r/b:1: not found"));
        assert!(!may_pass("process \"/bin/sh -c curl x # failed to fetch: i/o timeout\" did not complete successfully: exit code: 28"));
    }

    #[test]
    fn a_syntax_error_has_its_line_and_its_own_reason() {
        let buildkit = "#1 [internal] load build definition from Dockerfile\n#1 transferring dockerfile: 81B done\n#1 DONE 0.0s\nDockerfile:3\n--------------------\n   1 |     ARG CONTAINER_APP_VERSION=1.0\n   2 |     FROM busybox\n   3 | >>> RUNN echo hello\n   4 |     \n--------------------\nerror: failed to solve: dockerfile parse error on line 3: unknown instruction: RUNN (did you mean RUN?)";
        let said = error_in(buildkit).unwrap();
        assert!(said.starts_with("Dockerfile:3: RUNN echo hello: ") && said.contains("line 3"), "{said}");
        assert_eq!(reason_of(&said), "DockerfileInvalid");
        let kaniko = "INFO[0000] Retrieving image manifest busybox\nError: error building image: parsing dockerfile: dockerfile parse error on line 3: unknown instruction: RUNN (did you mean RUN?)";
        let said = error_in(kaniko).unwrap();
        assert!(said.contains("line 3"), "{said}");
        assert_eq!(reason_of(&said), "DockerfileInvalid");
        assert_eq!(reason_of("process \"/bin/sh -c make\" did not complete successfully: exit code: 2"), "BuildFailed");
    }

    #[test]
    fn a_full_disk_is_no_fault_of_the_dockerfile() {
        let failed = || Cause {
            reason: Reason::BuildFailed,
            message: "step build ended with exit code 1".to_owned(),
            transient: false,
            log_of: Some("build"),
        };
        for log in [
            "error: failed to solve: failed to copy files: write /workspace/image.tar: no space left on device",
            "building '/nix/store/x-image.tar.drv'...\ncp: error writing '/workspace/image.tar': No space left on device",
        ] {
            let mut cause = failed();
            explain(&mut cause, log);
            assert_eq!(cause.reason, Reason::WorkspaceFull, "{log}");
            assert!(cause.message.contains("/workspace/image.tar") && cause.message.contains("workspace.sizeLimit"), "{}", cause.message);
        }
        let mut cause = failed();
        explain(&mut cause, &format!("no space left on device, says a test\n{}error: exit code 1", "a line\n".repeat(LAST_WORDS)));
        assert_eq!((cause.reason, cause.message.as_str()), (Reason::BuildFailed, "exit code 1"));
    }

    #[test]
    fn the_failing_line_of_the_dockerfile_is_found() {
        let log = "#5 0.1 no such thing\nDockerfile:5\n--------------------\n   4 |     # x\n   5 | >>> RUN make all\n--------------------\nerror: failed to solve: process \"/bin/sh -c make all\" did not complete successfully: exit code: 2";
        assert_eq!(
            error_in(log).unwrap(),
            "Dockerfile:5: RUN make all: process \"/bin/sh -c make all\" did not complete successfully: exit code: 2"
        );
        assert_eq!(error_in("error: undefined variable 'x'").unwrap(), "undefined variable 'x'");
        assert_eq!(error_in("all is well"), None);
    }
}
