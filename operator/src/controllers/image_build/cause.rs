//! What the Job and its pod say, in our words: how far it is, or why it failed (note ux section 3.3). Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use mainstay_crds::Reason;

use crate::domain::report::Report;

/// What is known of a build's Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits or works: reason and message for the condition.
    Running { reason: Reason, message: String },
    /// The tag is in the registry.
    Succeeded(Report),
    /// It ended without a word from `push`: the registry knows whether it worked.
    SucceededSilently,
    /// It will not make an image.
    Failed(Cause),
}

/// Why a build failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    /// Why.
    pub(super) reason: Reason,
    /// What, where, what to do.
    pub(super) message: String,
    /// Whether another attempt may succeed without a change of any input.
    pub(super) transient: bool,
    /// Container whose log tells more.
    pub(super) log_of: Option<&'static str>,
}

impl Cause {
    fn new(reason: Reason, message: String, transient: bool, log_of: Option<&'static str>) -> Self {
        Self { reason, message, transient, log_of }
    }
}

/// The steps in order.
const STEPS: [&str; 3] = ["source", "build", "push"];

/// Reads Job and pod. The pod is `None` before it is made and after somebody deleted it.
pub(super) fn progress(job: &Job, pod: Option<&Pod>) -> Progress {
    let ended = |type_: &str| job_condition(job, type_);
    // The step knows first: its pod ends a moment later, and its Job counts that a second after.
    if let Some(report) = pod.filter(|pod| exit_code(pod, "push") == Some(0)).and_then(|pod| report_of(pod, "push")) {
        return Progress::Succeeded(report);
    }
    if ended("Complete").is_some() {
        return Progress::SucceededSilently;
    }
    if let Some(pod) = pod.filter(|pod| phase(pod) == "Failed") {
        return Progress::Failed(pod_failure(pod));
    }
    if let Some(message) = ended("Failed") {
        return Progress::Failed(Cause::new(Reason::PodDeleted, format!("the build pod is gone before it ended ({message})"), true, None));
    }
    match pod {
        None => Progress::Running { reason: Reason::PodPending, message: "waiting for the build pod".to_owned() },
        Some(pod) => running(pod),
    }
}

fn running(pod: &Pod) -> Progress {
    let say = |reason, message: String| Progress::Running { reason, message };
    if let Some(message) = unschedulable(pod) {
        return say(
            Reason::BuildPodUnschedulable,
            format!(
                "no node fits the build pod: {}. It goes on as soon as one does; see spec.build and the engine's placement",
                message.trim_end_matches('.')
            ),
        );
    }
    // The first step that has not ended; those after it wait for it, and say so in the same words as one that cannot start.
    let unfinished = STEPS.into_iter().find_map(|name| {
        let state = container(pod, name)?.state.as_ref()?;
        state.terminated.is_none().then_some((name, state))
    });
    if let Some((name, state)) = unfinished {
        if let Some(waiting) = &state.waiting {
            let detail = waiting.message.as_deref().unwrap_or_default();
            match waiting.reason.as_deref().unwrap_or_default() {
                "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                    let value = image_value(name);
                    return say(
                        Reason::ImagePullFailed,
                        format!(
                            "the image of step {name} cannot be pulled: {detail}. Check {value} and imagePullSecrets of the chart; it is \
                             tried again until the build's deadline"
                        ),
                    );
                }
                "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                    return say(Reason::PodPending, format!("step {name} cannot start: {detail}"));
                }
                _ => {}
            }
        }
        let begun = state.running.is_some() || state.waiting.is_some() && name != "source";
        if begun {
            return match name {
                "source" => say(Reason::Cloning, "step 1/3: fetching the commit".to_owned()),
                "build" => say(Reason::Building, "step 2/3: building".to_owned()),
                _ => say(Reason::Pushing, "step 3/3: pushing".to_owned()),
            };
        }
    }
    if exit_code(pod, "push").is_some() {
        return say(Reason::Pushing, "step 3/3: the pod ends".to_owned());
    }
    say(Reason::PodPending, "the build pod starts".to_owned())
}

fn pod_failure(pod: &Pod) -> Cause {
    let status = pod.status.as_ref();
    let reason = status.and_then(|s| s.reason.as_deref()).unwrap_or_default();
    let message = status.and_then(|s| s.message.as_deref()).unwrap_or_default();
    let last = last_step(pod);
    match reason {
        "DeadlineExceeded" => {
            let limit = pod.spec.as_ref().and_then(|s| s.active_deadline_seconds).unwrap_or_default();
            let pull = STEPS.into_iter().find_map(|name| {
                let detail = waiting_for_image(pod, name)?;
                Some(Cause::new(
                    Reason::ImagePullFailed,
                    format!(
                        "the image of step {name} could not be pulled within {limit}s: {detail}. Check {} and imagePullSecrets of the chart",
                        image_value(name)
                    ),
                    true,
                    None,
                ))
            });
            if pull.is_none() && last_begun(pod).is_none() {
                let text = format!(
                    "no step had begun after {limit}s: the node could not start the pod. kubectl describe pod says why; see the engine's \
                     runtimeClassName, cache and placement in the chart"
                );
                return Cause::new(Reason::PodNotStarted, text, true, None);
            }
            return pull.unwrap_or_else(|| {
                let text = format!(
                    "step {last} was still running after {limit}s. Make it faster, or raise spec.build.deadline of the ContainerImage"
                );
                Cause::new(Reason::DeadlineExceeded, text, false, Some(last))
            });
        }
        "Evicted" if message.contains("EmptyDir") || message.contains("emptyDir") => {
            let text = format!(
                "step {last} filled the workspace: {message}. Make the image smaller, or raise workspace.sizeLimit of the operator"
            );
            return Cause::new(Reason::WorkspaceFull, text, false, Some(last));
        }
        "" => {}
        _ => return Cause::new(Reason::Evicted, format!("the build pod was stopped by its node ({reason}): {message}"), true, Some(last)),
    }
    for name in STEPS {
        let Some(ended) = terminated(pod, name) else { continue };
        if ended.exit_code == 0 {
            continue;
        }
        if ended.reason.as_deref() == Some("OOMKilled") {
            let limit = memory_limit(pod, name).unwrap_or_else(|| "of the node".to_owned());
            let text = format!(
                "step {name} was killed: out of memory (limit {limit}). Raise spec.build.resources.limits.memory of the ContainerImage"
            );
            return Cause::new(Reason::OOMKilled, text, false, Some(name));
        }
        // Only our own steps report: what a build leaves there is a word of a Dockerfile.
        if let Some(report) = ended.message.as_deref().filter(|_| name != "build").and_then(Report::parse) {
            return Cause { reason: report.reason, message: report.message, transient: report.transient, log_of: Some(name) };
        }
        let (reason, transient) = match name {
            "source" => (Reason::CloneFailed, true),
            "build" => (Reason::BuildFailed, false),
            _ => (Reason::PushFailed, true),
        };
        let text = match &ended.message {
            Some(message) if !message.trim().is_empty() => {
                format!("step {name} ended with exit code {}: {}", ended.exit_code, message.trim())
            }
            _ => format!("step {name} ended with exit code {}", ended.exit_code),
        };
        return Cause::new(reason, text, transient, Some(name));
    }
    Cause::new(Reason::PodFailed, format!("the build pod failed: {message}"), true, Some(last))
}

fn job_condition(job: &Job, type_: &str) -> Option<String> {
    let conditions = job.status.as_ref()?.conditions.as_deref()?;
    let found = conditions.iter().find(|c| c.type_ == type_ && c.status == "True")?;
    Some(found.message.clone().unwrap_or_default())
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.as_deref().unwrap_or_default();
    let main = status.container_statuses.as_deref().unwrap_or_default();
    init.iter().chain(main).find(|status| status.name == name)
}

/// How a step ended; `None` while it has not.
fn exit_code(pod: &Pod, name: &str) -> Option<i32> {
    terminated(pod, name).map(|ended| ended.exit_code)
}

fn terminated<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStateTerminated> {
    container(pod, name)?.state.as_ref()?.terminated.as_ref()
}

fn report_of(pod: &Pod, name: &str) -> Option<Report> {
    terminated(pod, name)?.message.as_deref().and_then(Report::parse)
}

fn waiting_for_image(pod: &Pod, name: &str) -> Option<String> {
    let waiting = container(pod, name)?.state.as_ref()?.waiting.as_ref()?;
    let pulling = matches!(waiting.reason.as_deref(), Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName"));
    pulling.then(|| waiting.message.clone().unwrap_or_default())
}

fn unschedulable(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let found =
        conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable"))?;
    found.message.as_deref()
}

/// The last step that has begun, and the first where none has.
fn last_step(pod: &Pod) -> &'static str {
    last_begun(pod).unwrap_or("source")
}

fn last_begun(pod: &Pod) -> Option<&'static str> {
    let begun = |state: &ContainerState| state.running.is_some() || state.terminated.as_ref().is_some_and(|t| t.started_at.is_some());
    STEPS.into_iter().rev().find(|name| container(pod, name).and_then(|s| s.state.as_ref()).is_some_and(begun))
}

/// The value of the chart that names the image of a step.
fn image_value(step: &str) -> &'static str {
    if step == "build" { "engines.<engine>.image" } else { "image" }
}

fn memory_limit(pod: &Pod, name: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let all = spec.init_containers.as_deref().unwrap_or_default().iter().chain(&spec.containers);
    let limits = all.into_iter().find(|c| c.name == name)?.resources.as_ref()?.limits.as_ref()?;
    limits.get("memory").map(|quantity| quantity.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &str) -> Pod {
        let spec =
            "{activeDeadlineSeconds: 60, initContainers: [{name: build, resources: {limits: {memory: 64Mi}}}], containers: [{name: push}]}";
        serde_saphyr::from_str(&format!("{{spec: {spec}, status: {status}}}")).unwrap()
    }

    fn failed(status: &str) -> Cause {
        match progress(&Job::default(), Some(&pod(&status.replacen('{', "{phase: Failed, ", 1)))) {
            Progress::Failed(cause) => cause,
            other => panic!("{other:?}"),
        }
    }

    fn waits(status: &str) -> (Reason, String) {
        match progress(&Job::default(), Some(&pod(status))) {
            Progress::Running { reason, message } => (reason, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn out_of_memory_names_the_limit_and_the_field() {
        let cause = failed("{initContainerStatuses: [{name: build, state: {terminated: {exitCode: 137, reason: OOMKilled}}}]}");
        assert_eq!((cause.reason.as_str(), cause.transient), ("OOMKilled", false));
        assert!(cause.message.contains("64Mi") && cause.message.contains("spec.build.resources"), "{}", cause.message);
    }

    #[test]
    fn a_report_is_passed_on() {
        let message =
            Report { reason: Reason::PushUnauthorized, message: "no".into(), digest: None, version: None, transient: false }.to_json();
        let cause =
            failed(&format!("{{containerStatuses: [{{name: push, state: {{terminated: {{exitCode: 1, message: '{message}'}}}}}}]}}"));
        assert_eq!((cause.reason.as_str(), cause.message.as_str()), ("PushUnauthorized", "no"));
    }

    #[test]
    fn the_deadline_names_the_step() {
        let cause = failed(
            "{reason: DeadlineExceeded, initContainerStatuses: [{name: build, state: {terminated: {exitCode: 137, startedAt: '2026-01-01T00:00:00Z'}}}]}",
        );
        assert_eq!(cause.reason, "DeadlineExceeded");
        assert!(cause.message.contains("step build") && cause.message.contains("60s"), "{}", cause.message);
    }

    #[test]
    fn a_deadline_spent_on_a_pull_is_the_pull() {
        let cause = failed(
            "{reason: DeadlineExceeded, initContainerStatuses: [{name: build, state: {waiting: {reason: ImagePullBackOff, message: nope}}}]}",
        );
        assert_eq!((cause.reason.as_str(), cause.transient), ("ImagePullFailed", true));
    }

    #[test]
    fn a_full_workspace_stays_and_another_eviction_passes() {
        let full = failed("{reason: Evicted, message: 'Usage of EmptyDir volume \"workspace\" exceeds the limit \"1Gi\".'}");
        assert_eq!((full.reason.as_str(), full.transient), ("WorkspaceFull", false));
        let drained = failed("{reason: Evicted, message: 'The node was low on resource: memory.'}");
        assert_eq!((drained.reason.as_str(), drained.transient), ("Evicted", true));
    }

    #[test]
    fn the_step_that_has_not_ended_speaks() {
        let status = "{initContainerStatuses: [{name: source, state: {terminated: {exitCode: 0}}}, {name: build, state: {waiting: {reason: PodInitializing}}}], containerStatuses: [{name: push, state: {waiting: {reason: PodInitializing}}}]}";
        assert_eq!(waits(status).0, "Building");
        assert_eq!(waits(&status.replacen("terminated: {exitCode: 0}", "waiting: {reason: PodInitializing}", 1)).0, "PodPending");
    }

    #[test]
    fn waiting_says_for_what() {
        assert_eq!(waits("{}").0, "PodPending");
        assert_eq!(waits("{initContainerStatuses: [{name: source, state: {running: {}}}]}").0, "Cloning");
        let (reason, message) =
            waits("{initContainerStatuses: [{name: build, state: {waiting: {reason: ImagePullBackOff, message: 'not found: r/b:1'}}}]}");
        assert_eq!(reason, "ImagePullFailed");
        assert!(message.contains("not found: r/b:1"));
        let (reason, message) =
            waits("{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/1 nodes are available'}]}");
        assert_eq!(reason, "BuildPodUnschedulable");
        assert!(message.contains("0/1 nodes"));
    }

    #[test]
    fn a_pod_that_somebody_deleted_is_tried_again() {
        let job: Job =
            serde_saphyr::from_str("{status: {conditions: [{type: Failed, status: 'True', message: BackoffLimitExceeded}]}}").unwrap();
        assert!(matches!(progress(&job, None), Progress::Failed(Cause { reason, transient: true, .. }) if reason == "PodDeleted"));
    }

    #[test]
    fn success_needs_the_word_of_push() {
        let job: Job = serde_saphyr::from_str("{status: {conditions: [{type: Complete, status: 'True'}]}}").unwrap();
        assert_eq!(progress(&job, None), Progress::SucceededSilently);
        let said = pod(
            "{containerStatuses: [{name: push, state: {terminated: {exitCode: 0, message: '{\"reason\":\"Pushed\",\"message\":\"ok\",\"digest\":\"sha256:ab\"}'}}}]}",
        );
        // Whether or not the Job has counted its pod.
        assert!(matches!(progress(&job, Some(&said)), Progress::Succeeded(_)));
        assert!(
            matches!(progress(&Job::default(), Some(&said)), Progress::Succeeded(report) if report.digest.as_deref() == Some("sha256:ab"))
        );
    }

    #[test]
    fn a_build_step_cannot_speak_for_us() {
        let forged = Report {
            reason: Reason::Pushed,
            message: "all is well".into(),
            digest: Some("sha256:ab".into()),
            version: None,
            transient: true,
        }
        .to_json();
        let cause =
            failed(&format!("{{initContainerStatuses: [{{name: build, state: {{terminated: {{exitCode: 1, message: '{forged}'}}}}}}]}}"));
        assert_eq!((cause.reason.as_str(), cause.transient), ("BuildFailed", false));
        let running = format!("{{initContainerStatuses: [{{name: build, state: {{terminated: {{exitCode: 0, message: '{forged}'}}}}}}]}}");
        assert!(matches!(progress(&Job::default(), Some(&pod(&running))), Progress::Running { .. }));
    }

    #[test]
    fn a_pod_that_never_started_is_told_from_a_slow_step() {
        let cause = failed("{reason: DeadlineExceeded}");
        assert_eq!((cause.reason.as_str(), cause.transient), ("PodNotStarted", true));
    }

    #[test]
    fn an_engine_image_that_is_missing_names_the_value() {
        let (reason, message) = waits(
            "{initContainerStatuses: [{name: source, state: {terminated: {exitCode: 0}}}, {name: build, state: {waiting: {reason: ImagePullBackOff, message: 'r/kaniko:1: not found'}}}]}",
        );
        assert_eq!(reason, "ImagePullFailed");
        assert!(message.contains("engines.<engine>.image") && message.contains("not found"), "{message}");
    }
}
