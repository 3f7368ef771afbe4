//! `write: PullRequest`: one branch and one pull request for each ManifestPin, kept up to date without ever rewriting the branch.
//!
//! A newer state is a commit on top: it takes main in as its second parent, and its files are main's with the pins moved. Commits of people
//! on the branch are theirs: from then on it is left alone.

use kube::ResourceExt;
use mainstay_crds::{ManifestPin, ManifestPinStatus, PullRequestStatus, Reason};

use super::observe::Seen;
use super::write::{self, Edit};
use crate::clients::forge::{Forge, PullRequest, State as PullState};
use crate::clients::git::Pushed;
use crate::controllers::access;
use crate::controllers::context::Context;
use crate::controllers::problem::Problem;
use crate::controllers::source::clone_key;
use crate::domain::build::short;
use crate::domain::condition::{State, Verdict};
use crate::domain::message;

/// How soon to look again after a lost race on our own branch.
const SOON: std::time::Duration = std::time::Duration::from_secs(2);

/// The branch of a ManifestPin.
fn branch_of(object: &ManifestPin) -> String {
    let named = object.spec.pull_request.as_ref().and_then(|settings| settings.branch.clone());
    named.unwrap_or_else(|| format!("mainstay/{}/{}", object.namespace().unwrap_or_default(), object.name_any()))
}

/// Brings branch and pull request to what is wanted, and says how that stands.
pub(super) async fn keep(
    object: &ManifestPin,
    ctx: &Context,
    seen: &Seen,
    edit: &Edit,
    status: &mut ManifestPinStatus,
) -> Result<Verdict, Problem> {
    let branch = branch_of(object);
    if branch == seen.branch {
        return Err(Problem::stuck(
            Reason::InvalidSpec,
            format!("spec.pullRequest.branch is {branch}, the branch that the pull request is for"),
        ));
    }
    let key = clone_key(&seen.repository);
    let forge = forge(object, ctx, seen).await?;
    let tip = seen.graph.branches().iter().find(|(name, _)| *name == branch).map(|(_, tip)| hex::encode(tip));
    let known = ctx.calls.outside("forge.find", forge.find(&branch)).await?;
    let open = known.iter().find(|one| one.state == PullState::Open);
    let mut head = tip.clone();
    if let Some(tip) = &tip {
        let ahead = ctx.calls.outside("git.unmerged", ctx.git.unmerged(&key, &seen.head, tip)).await?;
        if let Some(theirs) = ahead.iter().find(|commit| !message::is_ours(&commit.message)) {
            tell(status, open, Some(tip));
            let text = format!(
                "branch {branch} has commit {} by {}: it is left alone. Merge the pull request, or delete the branch",
                short(&theirs.commit),
                theirs.author_name
            );
            return Ok(Verdict::new(State::Good, Reason::PullRequestEdited, text));
        }
    }
    let there = match &tip {
        Some(tip) => holds(ctx, &key, tip, edit).await?,
        None => false,
    };
    if there {
        let closed = known.iter().find(|one| one.state == PullState::Closed && !one.merged && Some(&one.head_sha) == tip.as_ref());
        if let (None, Some(closed)) = (open, closed) {
            tell(status, Some(closed), tip.as_deref());
            let text = format!("pull request {} was closed without merging: it stays closed until another image is wanted", closed.number);
            return Ok(Verdict::new(State::Good, Reason::PullRequestClosed, text));
        }
    } else {
        let mut parents: Vec<String> = Vec::new();
        if let Some(tip) = &tip {
            let ids = (crate::domain::graph::id(&seen.head), crate::domain::graph::id(tip));
            let merged = matches!(ids, (Some(head), Some(tip)) if seen.graph.descends(&head, &tip));
            parents.extend((!merged).then(|| tip.clone()));
        }
        parents.push(seen.head.clone());
        let request = write::request(object, ctx, seen, edit, (branch.clone(), tip, parents)).await?;
        let remote = access::remote(ctx, &seen.repository).await?;
        match write::push(ctx, seen, &remote, request).await? {
            Pushed::Landed { commit } => head = Some(commit),
            Pushed::Lost => {
                ctx.calls.outside("git.sync", ctx.git.sync(&key, &remote)).await?;
                return Err(Problem::waiting(Reason::PushRaced, format!("branch {branch} moved during the run"), SOON));
            }
        }
    }
    let (title, body) = words(object, edit);
    let request = match open {
        Some(open) if open.title == title && open.body == body => open.clone(),
        Some(open) => ctx.calls.outside("forge.update", forge.update(open.number, &title, &body)).await?,
        None => {
            let opened = ctx.calls.outside("forge.open", forge.open(&title, &body, &branch, &seen.branch)).await?;
            let text = format!("opened pull request {} ({}): {}", opened.number, opened.url, edit.summary());
            ctx.cluster.event(object, false, Reason::PullRequestOpened, "Pin", &text);
            opened
        }
    };
    tell(status, Some(&request), head.as_deref());
    let text = format!("pull request {} ({}) waits for a merge: {}", request.number, request.url, edit.summary());
    Ok(Verdict::new(State::Good, Reason::PullRequestOpen, text))
}

/// Closes a pull request that has become obsolete: main has what it would bring.
pub(super) async fn close(object: &ManifestPin, ctx: &Context, seen: &Seen, status: &mut ManifestPinStatus) -> Result<(), Problem> {
    // Without one that is known to be open there is nothing to ask the forge for.
    let Some(known) = status.pull_request.clone().filter(|known| known.state == "Open") else { return Ok(()) };
    let forge = forge(object, ctx, seen).await?;
    let all = ctx.calls.outside("forge.find", forge.find(&branch_of(object))).await?;
    let number = u64::try_from(known.number).unwrap_or_default();
    let mut now = all.into_iter().find(|one| one.number == number);
    if let Some(open) = now.as_ref().filter(|one| one.state == PullState::Open) {
        let comment = format!("Obsolete: {} names the newest images from main at {}.", seen.branch, short(&seen.head));
        now = Some(ctx.calls.outside("forge.close", forge.close(open.number, &comment)).await?);
    }
    match now {
        Some(now) => tell(status, Some(&now), None),
        None => status.pull_request = None,
    }
    Ok(())
}

/// Whether the files of the edit stand on a branch as they are wanted.
async fn holds(ctx: &Context, key: &str, tip: &str, edit: &Edit) -> Result<bool, Problem> {
    let wanted: std::collections::HashMap<String, Vec<u8>> = edit.files.iter().cloned().collect();
    let paths: std::collections::HashSet<String> = wanted.keys().cloned().collect();
    let found = ctx.calls.outside("git.blobs", ctx.git.blobs(key, tip, move |path| paths.contains(path))).await?;
    Ok(found.files.len() == wanted.len() && found.files.iter().all(|file| wanted.get(&file.path) == Some(&file.bytes)))
}

fn tell(status: &mut ManifestPinStatus, request: Option<&PullRequest>, head: Option<&str>) {
    status.pull_request = request.map(|one| PullRequestStatus {
        number: i64::try_from(one.number).unwrap_or_default(),
        url: one.url.clone(),
        state: match (one.state, one.merged) {
            (PullState::Open, _) => "Open",
            (PullState::Closed, true) => "Merged",
            (PullState::Closed, false) => "Closed",
        }
        .to_owned(),
        head: head.map(str::to_owned),
    });
}

/// Title and body, always the same for the same edit.
fn words(object: &ManifestPin, edit: &Edit) -> (String, String) {
    let mut images: Vec<&str> = edit.lines.iter().map(|line| line.image.as_str()).collect();
    images.sort_unstable();
    images.dedup();
    let title = match (images.as_slice(), edit.lines.first()) {
        ([one], Some(line)) => format!("Pin {one} to {}", line.new),
        (all, _) => format!("Pin {} images from main", all.len()),
    };
    let mut body = String::from("| manifest | image | from | to | built from |\n|---|---|---|---|---|\n");
    for line in &edit.lines {
        let row = format!(
            "| {} | {} | {} {} | {} `[main]` | {} |\n",
            line.path,
            line.image,
            line.old,
            line.old_class,
            line.new,
            short(&line.commit)
        );
        body.push_str(&row);
    }
    body.push_str(&format!(
        "\nKept up to date by ManifestPin {}/{}. A commit of yours on this branch makes it yours.\n",
        object.namespace().unwrap_or_default(),
        object.name_any()
    ));
    (title, body)
}

async fn forge(object: &ManifestPin, ctx: &Context, seen: &Seen) -> Result<Forge, Problem> {
    let settings = object.spec.pull_request.clone().unwrap_or_default().forge;
    access::forge(ctx, &seen.repository, &settings, "spec.pullRequest.tokenSecretRef", "read and write pull requests").await
}
