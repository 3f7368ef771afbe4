//! `up`: from whatever is there to a lab that is ready.

use std::{path::Path, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Node, ServiceAccount};
use kube::Api;

use super::{
    argocd, clear,
    command::run,
    containerd, control_plane, credentials, firewall, forge_server, images, is_alive, lock, network, node, not_a_strangers, packages, pki,
    processes::{self, Process},
    programs::{MODULES, Programs},
    registry_server,
    report::{Report, say},
    sweep,
};
use crate::lab::{
    Context, Error, Lab, Result, address,
    connect::http_client,
    forge::Forge,
    paths::Paths,
    registry::Registry,
    state::{Phase, State},
};

/// Starts the lab, or what is missing of it. A first start that fails or is interrupted is taken down again.
pub async fn up(paths: &Paths, checkout: &Path, take_over: bool) -> Result<Lab> {
    let _lock = lock(paths)?;
    let found = State::load(paths).map_err(|error| error.remedy(format!("remove {}", paths.state().display())))?;
    if let Some(state) = &found {
        state.check_owner(checkout, take_over, is_alive(paths))?;
    }
    let missing = packages::missing().await?;
    let programs = Programs::of(checkout, paths).await?;
    let unbuilt: Vec<_> = MODULES.iter().filter(|module| !programs.is_built(module)).collect();
    let running = found.filter(|state| is_usable(paths, state, &programs));
    let mut report = Report::new(10 + usize::from(!missing.is_empty()) + unbuilt.len());

    if !missing.is_empty() {
        report.step(&format!("installing the Debian packages {}", missing.join(", ")), packages::install(&missing)).await?;
    }
    for module in unbuilt {
        let title = format!("building {} from its Go module (the first time: about {} on 2 cores)", module.name, module.takes);
        report.step(&title, programs.build(checkout, module)).await?;
    }
    report.step("base images", images::make(paths, &programs, &images::BASES)).await?;
    let repair = running.is_some();
    let work = async {
        let state = match running {
            Some(state) => take(paths, state, checkout)?,
            None => report.step("clearing the ground, certificates and configuration", begin(paths, checkout, &programs)).await?,
        };
        start(paths, &programs, state, &mut report).await
    };
    let result = tokio::select! {
        result = work => result,
        signal = interrupted() => Err(Error::new("start the lab", format!("interrupted by {signal}"))),
    };
    match result {
        Ok(lab) => Ok(lab),
        Err(error) if repair => Err(error.remedy("start anew: cargo lab down && cargo lab up")),
        Err(error) => {
            say("==> it failed: taking down what was started");
            keep_logs(paths).await;
            if let Some(state) = State::load(paths)? {
                clear(paths, &state.baseline).await?;
            }
            Err(error.remedy(format!("read the logs in {}; then run it again", paths.last_failure().display())))
        }
    }
}

/// Whether what runs can be kept: it was up, in this boot, from these programs, and some of it still runs.
fn is_usable(paths: &Paths, state: &State, programs: &Programs) -> bool {
    state.phase == Phase::Up && state.boot == boot_id() && state.programs == programs.key() && is_alive(paths)
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Keeps a running lab, for this checkout.
fn take(paths: &Paths, mut state: State, checkout: &Path) -> Result<State> {
    state.owner = checkout.into();
    state.save(paths)?;
    Ok(state)
}

/// Removes what an earlier lab left, remembers what the machine is like, and writes everything that the programs read.
async fn begin(paths: &Paths, checkout: &Path, programs: &Programs) -> Result<State> {
    if let Some(old) = State::load(paths)? {
        say("    the lab that was here does not run as it should: removing what is left of it");
        clear(paths, &old.baseline).await?;
    } else if network::bridge(paths) == network::Bridge::Ours {
        say("    there are remains of a lab without its state: removing them");
        clear(paths, &sweep::baseline_unknown().await?).await?;
    }
    not_a_strangers(paths)?;
    network::check_free(paths).await?;
    std::fs::create_dir_all(paths.run()).context(format!("make {}", paths.run().display()))?;
    let state = State {
        owner: checkout.into(),
        phase: Phase::Starting,
        boot: boot_id(),
        programs: programs.key().into(),
        baseline: sweep::baseline().await?,
        registry_password: credentials::secret()?,
        forge_password: credentials::secret()?,
        forge_token: None,
    };
    state.save(paths)?;
    for folder in ["log", "pids"] {
        std::fs::create_dir_all(paths.at(folder)).context(format!("make {folder}"))?;
    }
    pki::create(&paths.at("pki"))?;
    credentials::create(paths)?;
    control_plane::configure(paths)?;
    containerd::configure(paths, &state.registry_password)?;
    registry_server::configure(paths, &state.registry_password)?;
    node::configure(paths)?;
    forge_server::configure(paths, programs).await?;
    argocd::configure(paths, programs)?;
    Ok(state)
}

/// Starts what does not run, in the order in which one needs the other, and waits until it is ready.
async fn start(paths: &Paths, programs: &Programs, mut state: State, report: &mut Report) -> Result<Lab> {
    let http = http_client(Some(&paths.ca()))?;
    let registry = Registry::new(address::REGISTRY, true, address::USER, &state.registry_password)?;
    let ensure = async |processes: &[Process]| -> Result<()> {
        for process in processes {
            processes::ensure(paths, process, &http).await?;
        }
        Ok(())
    };
    report
        .step("network", async {
            network::ensure(paths).await?;
            firewall::shield().await
        })
        .await?;
    let control = [control_plane::etcd(paths, programs), control_plane::api_server(paths, programs)];
    report.step("etcd and the API server", ensure(&control)).await?;
    report
        .step("containerd and the registry", async {
            ensure(&[
                containerd::process(paths, programs),
                registry_server::process(paths, programs),
                registry_server::read_only(paths, programs),
            ])
            .await
        })
        .await?;
    report.step("base images into the registry", images::push(paths, programs, &registry, &images::BASES)).await?;
    let rest = [control_plane::controller_manager(paths, programs), control_plane::scheduler(paths, programs)];
    let node = [node::kubelet(paths, programs), node::proxy(paths, programs)];
    report
        .step("controller manager, scheduler, kubelet, kube-proxy", async {
            ensure(&rest).await?;
            ensure(&node).await
        })
        .await?;
    report
        .step("the forge", async {
            ensure(&[forge_server::process(paths)]).await?;
            if state.forge_token.is_none() {
                forge_server::create_admin(paths, &state.forge_password).await?;
                let forge = Forge::new(address::FORGE, address::USER, &state.forge_password, "")?;
                state.forge_token = Some(forge.create_token("lab", &["all"]).await?);
            }
            Ok(())
        })
        .await?;
    report
        .step("Argo CD", async {
            argocd::install(paths, programs).await?;
            ensure(&[argocd::redis(paths), argocd::repo_server(paths, programs), argocd::controller(paths)]).await
        })
        .await?;
    state.phase = Phase::Up;
    state.save(paths)?;
    let lab = Lab::of_machine(paths)?;
    let ready = report.step("waiting for the node", wait_for_node(&lab)).await;
    if ready.is_err() {
        state.phase = Phase::Starting;
        state.save(paths)?;
    }
    ready.map(|()| lab)
}

/// Waits until pods can be made: the node is ready, and the default namespace has its account and its CA.
async fn wait_for_node(lab: &Lab) -> Result<()> {
    let client = lab.client().await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let what = "wait for the node";
    let wait = async {
        loop {
            let node = nodes.get_opt(address::NODE_NAME).await.context(what)?;
            let account = accounts.get_opt("default").await.context(what)?;
            let ca = maps.get_opt("kube-root-ca.crt").await.context(what)?;
            if node.is_some_and(|node| is_ready(&node)) && account.is_some() && ca.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let late = |_| Error::new(what, "it is not ready after 90 s: see `kubectl describe node lab` and the kubelet's log");
    tokio::time::timeout(Duration::from_secs(90), wait).await.map_err(late)?
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Keeps the logs of a failed start where the clean-up does not reach.
async fn keep_logs(paths: &Paths) {
    let to = paths.last_failure();
    if super::programs::fresh_folder(&to).is_ok() {
        // There are no logs when it failed before the first program started.
        drop(run("cp", &["-r", &format!("{}/.", paths.at("log").display()), &to.display().to_string()]).await);
    }
}

/// Waits for the person or the system to ask for an end.
async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "the end of its terminal",
    }
}
