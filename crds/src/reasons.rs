//! The table of reasons. A line says where a word is met, what the condition is with it, what it means, and what to do.
//! Links are relative to `docs/reference`, which `cargo docgen` writes from here.

use crate::reason::{Place, Says, Use, reasons};

reasons! {
    Fetched { SourceRepository(True) "main was read" }
    Fetching { SourceRepository(Unknown) "the first fetch is under way" => "wait" }
    RepositoryEmpty { SourceRepository(False) "it has no commit" => "push one" }
    BranchNotFound { SourceRepository(False) "there is no such branch" => "check `spec.branch`" }
    Listening { Webhook(True) "hooks are taken at `status.webhook`" }
    WebhooksOff { Webhook(False) "the operator has no webhook port: commits are found at the interval" => "set `webhook.enabled` of the chart, or remove `spec.webhook`" }

    UpToDate {
        ContainerImage(True) "the registry has main's tag";
        ManifestPin(True) "every pin is as it should be";
        Pin "it is current";
    }
    Building {
        ContainerImage(Unknown) "its build is made or runs; the message says how far it is" => "wait";
        ImageBuild(Unknown) "step 2 of 3: the engine builds" => "wait";
    }
    BuildQueued {
        ContainerImage(Unknown) "its build waits for its turn" => "wait, or raise `maxConcurrentBuilds` of the engine (chart) or of the SourceRepository";
    }
    Promoting { ContainerImage(Unknown) "a branch image of the same inputs gets main's tag (`promoteIdentical`)" => "wait" }
    Suspended {
        SourceRepository(Unknown) "`spec.suspend` is true: new commits are not looked for" => "set it to false";
        ContainerImage(Unknown) "main's tag is missing, and `spec.suspend` keeps it from being built" => "set it to false";
        ManifestPin(Unknown) "`spec.suspend` is true: nothing is written" => "set it to false";
    }
    BuildFailed {
        ContainerImage(False) "its build failed; `status.variants[].reason` has the reason of the ImageBuild" => "read the message, and mend what it names";
        ImageBuild(False) "the builder said no" => "read the line and the log, and mend it by a commit; where a registry or cache could not be reached, it is tried again by itself";
    }
    BuildCancelled {
        ContainerImage(False) "its build was cancelled by hand" => "set `mainstay.dev/rebuild-at` for another";
        Event "an ImageBuild was cancelled by hand, or because main went on";
    }
    TagMissing { ContainerImage(False) "(of a variant) the tag was pushed and is gone from the registry" => "nothing, it is built again; look for what removes tags" }
    DuplicateContainer {
        ContainerImage(False) "an older ContainerImage makes the same image" => "delete one of the two, or change `spec.image` or `spec.variants`";
    }
    TagConflict {
        ContainerImage(False) "the registry has the tag, made from another commit" => "remove that tag, or commit to the container: a tag is never moved";
        ImageBuild(False) "the registry has the tag, made from another commit" => "remove that tag, or commit to the container: a tag is never moved";
    }
    NoBuildFile {
        ContainerImage(False) "main has no such directory, or no file for `spec.variants`" => "check `spec.path` and `spec.variants`";
        ImageBuild(False) "at the commit of the build: the directory has no file for the variant" => "mend it in Git";
        Directory "neither a Dockerfile nor a default.nix" => "add one";
    }
    VersionNotFound {
        ContainerImage(False) "the Dockerfile has no `ARG CONTAINER_APP_VERSION=…`" => "add one";
        ImageBuild(False) "at the commit of the build no file says a version; for nix, nixpkgs has none for this name either" => "add one in Git";
    }
    VersionInvalid {
        ContainerImage(False) "the version is computed, empty, too long, or has a character that a tag cannot have; or its file cannot be read" => "write it out";
        ImageBuild(False) "at the commit of the build: the version is computed, empty, too long, or has a character that a tag cannot have; or its file cannot be read" => "mend it in Git";
    }

    Queued { ImageBuild(Unknown) "it waits for its turn, or its Job is being made; the message has its place in the line" => "wait" }
    PodPending { ImageBuild(Unknown) "the pod is being started" => "wait" }
    Cloning { ImageBuild(Unknown) "step 1 of 3: the commit is fetched" => "wait" }
    Pushing { ImageBuild(Unknown) "step 3 of 3: the image is pushed" => "wait" }
    Pushed { ImageBuild(True) "the registry has the tag" }
    AlreadyExists { ImageBuild(True) "the registry had the tag, made from the same commit" }
    BuildPodUnschedulable {
        ImageBuild(Unknown) "no node fits the pod" => "it goes on when one does; check `spec.build` of the ContainerImage and the engine's placement in the chart";
    }
    ImagePullFailed {
        ImageBuild(Unknown | False) "the image of a step cannot be pulled" => "check `engines.<name>.image` and `imagePullSecrets` of the chart; it is tried until the deadline";
    }
    PodRefused {
        ImageBuild(Unknown) "the cluster refuses the pod (pod security level, quota, a missing RuntimeClass, ServiceAccount or PriorityClass), or its node cannot start it" => "the message says which and what to do; it goes on by itself";
    }
    RefNotFound { ImageBuild(False) "`spec.ref` names no commit of a branch" => "correct it in a new ImageBuild" }
    RefAmbiguous { ImageBuild(False) "`spec.ref` names several commits" => "write more digits in a new ImageBuild" }
    EngineNotConfigured { ImageBuild(False) "the engine has no image" => "set `engines.<name>.image` of the chart, or `spec.build.engine`" }
    CloneFailed { ImageBuild(False) "the step `source` could not get the commit" => "read the message; it is tried again if it may pass" }
    DockerfileInvalid { ImageBuild(False) "the Dockerfile is none" => "mend the line that the message names" }
    OOMKilled { ImageBuild(False) "a step needed more memory than its limit" => "raise `spec.build.resources.limits.memory`" }
    DeadlineExceeded { ImageBuild(False) "a step took too long" => "raise `spec.build.deadline`" }
    PodNotStarted { ImageBuild(False) "no step began before the deadline" => "`kubectl describe pod`; check runtime, cache and placement of the engine; a new attempt is made" }
    WorkspaceFull { ImageBuild(False) "the workspace is full" => "make the image smaller, or raise `workspace.sizeLimit` of the chart" }
    Evicted { ImageBuild(False) "its node stopped the pod" => "nothing: a new attempt is made" }
    PodDeleted { ImageBuild(False) "somebody deleted the pod" => "nothing: a new attempt is made" }
    PodFailed { ImageBuild(False) "the pod failed, and no step says why" => "nothing: a new attempt is made" }
    Cancelled {
        ImageBuild(False) "`spec.cancel` was set, or main went on (`spec.supersededBuilds` of the ContainerImage)" => "nothing, or `mainstay.dev/rebuild-at` on the ContainerImage";
    }
    JobDeleted { ImageBuild(False) "somebody deleted the Job twice" => "set `mainstay.dev/rebuild-at` on the ContainerImage" }
    ArchiveInvalid { ImageBuild(False) "the builder left no image that can be pushed" => "read the message: more than one image, none, an empty one" }
    ArchitectureMismatch { ImageBuild(False) "the image is for another architecture than the node that built it" => "place the build on such a node, or mend the file" }
    PushUnauthorized { ImageBuild(False) "the registry refused the credentials" => "give them the right to push" }
    ProvenanceFailed { ImageBuild(False) "the key in `spec.provenance` of the SourceRepository does not serve" => "see [provenance](../provenance.md)" }
    PushFailed {
        ImageBuild(False) "the push failed otherwise" => "read the message; it is tried again if it may pass";
        ManifestPin(False) "the Git server could not take the push" => "nothing: it is tried again";
    }
    NameConflict {
        ContainerImage(False) "an ImageBuild of that name is not ours" => "delete or rename it";
        ImageBuild(False) "a Job of that name is not ours" => "delete it, then set `mainstay.dev/rebuild-at`";
    }
    ImageNotFound {
        ImageBuild(False) "there is no such ContainerImage" => "create it, or delete the build";
        ManifestPin(False) "`spec.images.names` names no ContainerImage" => "create it, or correct the name";
    }

    Held {
        ManifestPin(True) "all is as it should be, and some pins are held";
        Pin "a person put it back to an older tag from main, or `spec.hold` names its image" => "nothing: the next change of the container ends a rollback's hold. Or set `mainstay.dev/resume-at` to a new value";
    }
    DryRun { ManifestPin(True) "`status.diff` has what would be written" }
    PullRequestOpen { ManifestPin(True) "a pull request waits" => "merge it" }
    PullRequestEdited { ManifestPin(True) "its branch has a commit of a person, and is left alone" => "merge it, or delete the branch" }
    PullRequestClosed { ManifestPin(True) "it was closed without merging" => "nothing, until another image is wanted" }
    Behind {
        ManifestPin(Unknown) "a newer image came during the run: the next commit follows at once" => "wait";
        Pin "a newer image waits to be written" => "nothing, unless `Ready` names a problem";
    }
    NoMainImage {
        ManifestPin(Unknown) "a pin waits for its image" => "look at the ContainerImage that the message names";
        Pin "main's image is not built yet, or its build failed" => "`kubectl describe cimg <name>`";
    }
    Overtaken { ManifestPin(Unknown) "the object changed during the run" => "nothing: it is looked at again at once" }
    PushRaced { ManifestPin(Unknown | False) "other writers were faster on the branch" => "nothing: it is tried again" }
    NotFromMain { ManifestPin(False) "a pin names an image that is not from main, or is gone" => "pin one that is, or set `spec.violations: Repair`" }
    PinConflict { ManifestPin(False) "two ManifestPins mean the same place" => "change `spec.paths` or `spec.images` of one" }
    NoMatchInFiles { ManifestPin(False) "no manifest names one of the images" => "check `spec.paths`, `spec.images` and the `registry.prefix`" }
    NotNewer {
        ManifestPin(False) "what is wanted is not newer than what is pinned" => "wait for a build of main's newest commit";
        Pin "what is wanted is not newer than what is pinned" => "wait for a build of main's newest commit";
    }
    NotEditable {
        ManifestPin(False) "a file cannot be edited safely" => "read the message, and edit it by hand";
        Pin "its file cannot be edited safely" => "read the message, and edit it by hand";
    }
    PushRejected { ManifestPin(False) "the server does not let us write to the branch" => "give the right to, or use `spec.write: PullRequest`" }
    TemplateInvalid { ManifestPin(False) "`spec.commit.message` is no valid template" => "correct it" }
    SigningKeyInvalid { ManifestPin(False) "the key that signs commits does not serve" => "check the Secret, its key and passphrase" }
    WriteInvalid { ManifestPin(False) "the commit cannot be made" => "read the message" }
    TooManyFiles { ManifestPin(False) "`spec.paths` selects more than is read" => "narrow `spec.paths`, or use `spec.exclude`" }
    ForgeUnauthorized { ManifestPin(False) "the forge refused the token" => "give it the right to read and write pull requests" }
    ForgeRepositoryNotFound { ManifestPin(False) "the forge has no such repository, or hides it from the token" => "check `spec.url` of the SourceRepository and `spec.pullRequest.apiURL`" }
    ForgeRepositoryMoved { ManifestPin(False) "the repository has another address" => "put it into `spec.url` of the SourceRepository" }
    ForgeAddressInvalid { ManifestPin(False) "the address of the forge cannot be told from `spec.url`" => "set `spec.pullRequest.apiURL`" }
    ForgeRejected { ManifestPin(False) "the forge refused the request" => "read the message" }
    ForgeConflict { ManifestPin(False) "somebody was faster at the forge" => "nothing: it is tried again" }
    ForgeThrottled { ManifestPin(False) "the forge counts too many requests" => "nothing: it is tried again" }
    ForgeUnavailable { ManifestPin(False) "the forge cannot answer now" => "nothing: it is tried again" }
    ForgeResponseInvalid { ManifestPin(False) "the forge's answer is not understood" => "nothing: it is tried again; is something else answering?" }
    ForgeCertificateInvalid { ManifestPin(False) "the forge's certificate is not trusted" => "put the authority into key `ca.crt` of its Secret" }

    SourceNotFound { Shared(False) "the namespace has no SourceRepository, or not the one that `spec.sourceRef` names" => "create it, or change `spec.sourceRef`" }
    SourceAmbiguous { Shared(False) "the namespace has several SourceRepositories" => "name one in `spec.sourceRef`" }
    SourceUnavailable { Shared(Unknown | False) "the SourceRepository has not been fetched" => "look at the SourceRepository" }
    InvalidSpec {
        ContainerImage(False) "the image is on another host than `registry.prefix`" => "change `spec.image`";
        ManifestPin(False) "a pattern in `spec.paths`, or the branch of the pull request, is wrong" => "correct it";
    }
    SecretNotFound { Shared(False) "a Secret that a field names does not exist" => "create it" }
    SecretInvalid { Shared(False) "it lacks a key, or the key does not serve" => "the message names both" }
    RepositoryUnreachable { Shared(False) "no connection to the Git server, or none in time" => "check the address, DNS and network policies" }
    AuthenticationFailed { Shared(False) "the Git server refused the credentials" => "mend the Secret of `spec.credentialsSecretRef`" }
    RepositoryNotFound { Shared(False) "the address names nothing that the credentials may see" => "check `spec.url`, and what the token may read" }
    CertificateInvalid { Shared(False) "the Git server's certificate is not trusted" => "put the authority into key `ca.crt` of the Secret" }
    HostKeyUnknown { Shared(False) "the SSH host is not in `known_hosts`" => "add the line of `ssh-keyscan` to the Secret" }
    CloneDamaged { Shared(False) "the operator's clone is broken" => "nothing: it is made anew" }
    CloneNotWritable { Shared(False) "the volume of the clones cannot be written" => "enlarge `persistence.size`, or free the node's disk" }
    GitProtocol { Shared(False) "the Git server's answer is not understood" => "read the message; is something else than Git answering?" }
    RegistryUnauthorized { Shared(False) "the registry refused the credentials" => "mend the Secret of `registry.credentialsSecretRef`" }
    RegistryForbidden { Shared(False) "the registry knows the credentials and refuses what they may not do" => "give them the right to" }
    RegistryNotFound { Shared(False) "the registry does not know something that must be there" => "check `registry.prefix`" }
    RegistryCertificateInvalid { Shared(False) "the registry's certificate is not trusted" => "put the authority into the Secret of `registry.caSecretRef`" }
    RegistryThrottled { Shared(False) "the registry counts too many requests" => "nothing: it is tried again" }
    RegistryUnavailable { Shared(False) "the registry cannot answer now" => "nothing: it is tried again" }
    RegistryResponseInvalid { Shared(False) "the registry's answer is not understood" => "nothing: it is tried again; is something else answering?" }
    ApiForbidden { Shared(False) "the operator may not do this in the cluster" => "install the chart's roles again" }
    ApiInvalid { Shared(False) "the API server refused an object" => "are the kinds of the same version as the operator?" }
    ApiNotFound { Shared(False) "the API server does not know the kind or the object" => "are the kinds of the same version as the operator?" }
    ApiConflict { Shared(False) "somebody was faster at the API server" => "nothing: it is tried again" }
    ApiUnavailable { Shared(False) "the API server cannot answer now" => "nothing: it is tried again" }
    Overdue { Shared(False) "a call took longer than it may" => "nothing: it is tried again; raise `callDeadline` of the chart if it stays" }

    SameVersion { Pin "`spec.policy: Version`, and the newer image has the same version" }
    Violation { Pin "the image is `[branch]`, `[unknown]` or gone from the registry" => "pin an image from main, or set `spec.violations: Repair`" }
    Conflict { Pin "another ManifestPin means the same place" => "change `spec.paths` or `spec.images` of one of the two" }

    Template { Manifest "a template, which is no YAML" => "keep its tag in a values file, which is read" }
    Syntax { Manifest "no YAML: the message has the line" => "mend it" }
    NotUtf8 { Manifest "not UTF-8 text" => "save it as UTF-8" }
    ConflictMarkers { Manifest "an unresolved merge" => "resolve it" }
    TooLarge { Manifest "too many bytes, values or images to be read" => "split it, or exclude it" }
    FileTooLarge { Manifest "larger than 4 MiB" => "split it, or exclude it" }
    NameInvalid {
        Manifest "its name is not UTF-8" => "rename it";
        Directory "no name for an image" => "rename it";
    }
    Symlink {
        Manifest "a symbolic link" => "name the file that it points to";
        Directory "a symbolic link" => "make it a directory";
    }
    Submodule {
        Manifest "a submodule, which is not fetched" => "put the files into this repository";
        Directory "a submodule, which is not fetched" => "put the files into this repository";
    }
    SharedAnchor { Manifest "the tag stands behind an anchor that other places share" => "write it out" }
    ValueTag { Manifest "the value has a YAML tag, so that it is no text" => "write it plainly" }
    Escaped { Manifest "the value is written with escapes" => "write it plainly" }
    BlockScalar { Manifest "the image is named in a block of text, such as a script" => "make it a whole value, or put a scheme such as `docker://` before it" }
    LooseText { Manifest "the image is named inside a longer text, and may be an example there" => "make it a whole value, or put a scheme such as `docker://` before it" }
    TagForeign { Manifest "a tag that Mainstay does not make" => "pin one of main's tags once" }
    DigestForeign { Manifest "a digest that is not `sha256:` and 64 digits" => "correct it" }
    DigestWithoutTag { Manifest "a digest, and no tag beside it" => "write the tag too" }
    DigestMissing { Manifest "its digest would stay while the tag changes" => "edit it by hand" }
    Stale { Manifest "the place is not where it was found" => "nothing: the file stays as it is, and is read again" }
    Overlap { Manifest "two edits mean the same bytes" => "edit it by hand" }
    Unproven { Manifest "the edit would not have read as wanted: the file stays as it is" => "edit it by hand" }
    ManagedByGitOps { Manifest "(`target: Cluster`) Argo CD or Flux would put it back" => "pin its manifest" }

    ContainerDiscovered { Event "discovery created a ContainerImage" }
    BuildCreated { Event "an ImageBuild was created for a commit" }
    ImagePushed { Event "a build gave an image" }
    BuildSkipped { Event "a build found its tag in the registry" }
    ImageBuildFailed { Event "a build failed; the message has its reason" => "as for that reason" }
    ImagePromoted { Event "main's tag was given to a branch image of the same inputs" }
    PinCommitted { Event "pins were written by a commit" }
    PinPatched { Event "the images of a live workload were set (`target: Cluster`)" }
    PullRequestOpened { Event "a pull request was opened" }
    CommitStatusFailed { Event "commit statuses cannot be written (`spec.commitStatuses`); the message has the cause" => "as for that cause; builds go on" }

    Cloned { Step "`source` wrote the tree of the commit" }
}
