//! A commit goes to a branch by compare-and-swap, never by force, and what became of it is read from the branch.
//!
//! The push names the commit that the branch must be at, and the server itself compares. What a push says is only a hint: libgit2 says
//! Ok of a rejected one (note crates, section 3), and an answer may be lost after the server has done its work.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use git2::{ErrorCode, Oid, PushOptions, Repository};

use super::auth::Remote;
use super::error::GitError;
use super::fetch::{self, Attempt};
use super::write::{self, WriteRequest};

/// libgit2 pushes references only. One push at a time goes through a clone; one that a crash left here is overwritten.
const TEMPORARY: &str = "refs/mainstay/push";

/// Longest text of a server that is kept, and longest that is shown.
const MAX_HEARD: usize = 8192;
const MAX_SHOWN: usize = 200;

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The branch has the commit: it was read back.
    Landed {
        /// The commit, 40 digits.
        commit: String,
    },
    /// The branch was not, or is no longer, where it was expected. Nothing of ours is there: fetch, and decide again.
    Lost,
}

/// What a push seems to have done.
enum Answer {
    Accepted,
    Lost,
    /// Rejected by a rule of the server.
    Refused(GitError),
    /// Sent, and no answer that says what became of it: the branch decides.
    Unknown(GitError),
}

/// Makes the commit, pushes it and reads the branch back, which brings all heads of the clone up to date.
pub(super) fn write(repository: &Repository, remote: &Remote, request: &WriteRequest, deadline: Duration) -> Result<Pushed, GitError> {
    let Some(prepared) = write::commit(repository, request)? else { return Ok(Pushed::Lost) };
    let commit = prepared.commit;
    let answer = push(repository, remote, &request.branch, prepared.expected, commit, deadline)?;
    let doubt = match answer {
        Answer::Lost => return Ok(Pushed::Lost),
        Answer::Refused(error) => return Err(error),
        Answer::Accepted => None,
        Answer::Unknown(error) => Some(error),
    };
    if let Err(error) = fetch::heads(repository, remote, deadline) {
        return Err(doubt.unwrap_or(error));
    }
    let tip = repository.refname_to_id(&format!("refs/heads/{}", request.branch)).ok();
    let landed = match tip {
        Some(tip) => tip == commit || repository.graph_descendant_of(tip, commit)?,
        None => false,
    };
    match doubt {
        _ if landed => Ok(Pushed::Landed { commit: commit.to_string() }),
        // Somebody else was there first, whatever the server said.
        _ if tip != prepared.expected => Ok(Pushed::Lost),
        Some(error) => Err(error),
        None => {
            let message = format!("it reported success, but branch {} does not have the commit", request.branch);
            Err(GitError::PushFailed { url: remote.url.clone(), message })
        }
    }
}

fn push(
    repository: &Repository,
    remote: &Remote,
    branch: &str,
    expected: Option<Oid>,
    commit: Oid,
    deadline: Duration,
) -> Result<Answer, GitError> {
    let attempt = Attempt::new(remote, deadline)?;
    let _guard = attempt.session.enter();
    let expected = expected.unwrap_or(Oid::ZERO_SHA1);
    let (moved, sent) = (Cell::new(false), Cell::new(false));
    let (status, heard) = (RefCell::new(None), RefCell::new(Vec::new()));
    let mut callbacks = attempt.callbacks();
    callbacks.push_negotiation(|updates| {
        if updates.iter().any(|update| update.src() != expected) {
            moved.set(true);
            return Err(git2::Error::from_str("the branch has moved"));
        }
        if Instant::now() >= attempt.until() {
            return Err(git2::Error::from_str("no time is left"));
        }
        sent.set(true);
        Ok(())
    });
    callbacks.push_update_reference(|_, message| {
        *status.borrow_mut() = message.map(str::to_owned);
        Ok(())
    });
    callbacks.sideband_progress(|text| {
        let mut heard = heard.borrow_mut();
        let room = MAX_HEARD.saturating_sub(heard.len());
        heard.extend_from_slice(text.get(..room).unwrap_or(text));
        true
    });
    let mut options = PushOptions::new();
    options.remote_callbacks(callbacks);
    repository.reference(TEMPORARY, commit, true, "")?;
    let refspec = format!("{TEMPORARY}:refs/heads/{branch}");
    let result = repository.remote_anonymous(&remote.url).and_then(|mut git| git.push(&[refspec], Some(&mut options)));
    drop(options);
    if let Ok(mut temporary) = repository.find_reference(TEMPORARY) {
        // One that stays is overwritten by the next push.
        let _ = temporary.delete();
    }
    if moved.get() {
        return Ok(Answer::Lost);
    }
    if let Some(status) = status.into_inner() {
        return Ok(rejected(remote, branch, &status, &heard.into_inner()));
    }
    let Err(error) = result else { return Ok(Answer::Accepted) };
    if error.code() == ErrorCode::NotFastForward {
        return Ok(Answer::Lost);
    }
    match attempt.explain(error) {
        // The password is right, and may not write.
        GitError::AuthenticationFailed { url, message } if message.starts_with("HTTP 403") => {
            Err(GitError::PushRefused { url, branch: branch.to_owned(), message: one_line(&[&message]) })
        }
        error if sent.get() => Ok(Answer::Unknown(error)),
        error => Err(error),
    }
}

/// What a rejection means, in the words of git's own `receive-pack` and of the forges.
fn rejected(remote: &Remote, branch: &str, status: &str, heard: &[u8]) -> Answer {
    let text = status.to_lowercase();
    let heard = String::from_utf8_lossy(heard);
    let has = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
    let (url, message) = (remote.url.clone(), one_line(&[status, &heard]));
    if has(&text, &["unpack", "internal"]) || has(&heard.to_lowercase(), &["internal server error", "no space left"]) {
        return Answer::Unknown(GitError::PushFailed { url, message });
    }
    let error = GitError::PushRefused { url, branch: branch.to_owned(), message };
    let rule = ["declined", "protected", "prohibited", "denied", "deny", "not allowed", "not permitted", "locked"];
    let race = ["fast-forward", "fast forward", "fetch first", "failed to update ref", "lock", "already exists", "incorrect old value"];
    if has(&text, &rule) {
        Answer::Refused(error)
    } else if has(&text, &race) {
        Answer::Lost
    } else {
        Answer::Unknown(error)
    }
}

/// A server's words in one short line without control characters.
fn one_line(texts: &[&str]) -> String {
    let lines = texts.iter().flat_map(|text| text.split(['\n', '\r']));
    let words = lines.map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned());
    // Progress of the server's own work says nothing about the refusal.
    let said: Vec<String> = words.filter(|line| !line.is_empty() && !line.starts_with("Resolving deltas")).collect();
    let text = said.join(": ");
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::auth::Auth;
    use super::*;

    fn word(status: &str, heard: &str) -> String {
        let remote = Remote { url: "u".to_owned(), branch: None, auth: Auth::None, ca: None };
        match rejected(&remote, "main", status, heard.as_bytes()) {
            Answer::Lost => "lost".to_owned(),
            Answer::Refused(GitError::PushRefused { message, .. }) => format!("refused {message}"),
            Answer::Unknown(GitError::PushRefused { message, .. }) => format!("perhaps refused {message}"),
            Answer::Unknown(GitError::PushFailed { message, .. }) => format!("failed {message}"),
            _ => "?".to_owned(),
        }
    }

    #[test]
    fn a_rejection_is_a_race_a_rule_or_a_failure() {
        for race in [
            "failed to update ref",
            "non-fast-forward",
            "reference already exists",
            "cannot lock ref 'refs/heads/main': is at 1 but expected 2",
            "incorrect old value provided",
        ] {
            assert_eq!(word(race, ""), "lost");
        }
        assert_eq!(
            word("pre-receive hook declined", "\nGitea: Not allowed to push to protected branch main\n"),
            "refused pre-receive hook declined: Gitea: Not allowed to push to protected branch main"
        );
        assert_eq!(
            word("protected branch hook declined", "error: GH006: locked\r\n"),
            "refused protected branch hook declined: error: GH006: locked"
        );
        assert_eq!(
            word("unpacker error", "fatal: write error: No space left on device"),
            "failed unpacker error: fatal: write error: No space left on device"
        );
    }

    #[test]
    fn a_word_that_is_new_to_us_is_no_rule_until_the_branch_was_read() {
        assert_eq!(word("remote ref has seen better days", ""), "perhaps refused remote ref has seen better days");
        assert_eq!(word("branch is locked", ""), "refused branch is locked");
    }

    #[test]
    fn a_server_is_quoted_in_one_short_line() {
        assert_eq!(one_line(&["no", "a\x1b[2Jb\r\nResolving deltas: 100% (1/1), done.\n\n c "]), "no: a[2Jb: c");
        assert_eq!(one_line(&["é".repeat(500).as_str()]).chars().count(), MAX_SHOWN);
    }
}
