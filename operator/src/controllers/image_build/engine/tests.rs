use super::*;
use crate::config::Config;

fn config(engines: &str) -> Config {
    Config::parse(&format!("{{steps: {{image: r/m:1}}, plainHTTPRegistries: ['10.88.0.1:5000'], registryMirrors: {{docker.io: ['10.88.0.1:5000', cache.example/hub]}}, \
         engines: {{{engines}}}}}")).unwrap()
}

/// Every engine, without a setting that is not needed.
fn plain() -> Config {
    config("buildkit: {image: r/b:1, nodeSelector: {disk: fast}}, kaniko: {image: r/k:1}, nix: {image: r/n:1}")
}

/// The build step of a commit on main.
fn built(engine: Engine, config: &Config) -> Step {
    step_of(engine, config, None, true)
}

fn request(config: &Config) -> Request<'_> {
    Request { name: "cv", context: "containers/cv", settings: None, from_main: true, evaluates_version: false, created: None, config }
}

fn step_of(engine: Engine, config: &Config, settings: Option<&BuildSettings>, from_main: bool) -> Step {
    step(engine, &Request { settings, from_main, ..request(config) }).unwrap()
}

fn settings(yaml: &str) -> BuildSettings {
    serde_saphyr::from_str(yaml).unwrap()
}

fn environment(step: &Step, name: &str) -> Option<String> {
    step.container.env.as_ref().unwrap().iter().find(|variable| variable.name == name)?.value.clone()
}

fn args(step: &Step) -> Vec<String> {
    step.container.args.clone().unwrap_or_default()
}

fn node(yaml: &str) -> Node {
    serde_saphyr::from_str(yaml).unwrap()
}

const ABLE: &str =
    "{metadata: {name: able, labels: {disk: fast}}, status: {runtimeHandlers: [{name: '', features: {userNamespaces: true}}]}}";

#[test]
fn auto_looks_at_the_nodes_the_pod_may_run_on() {
    let chosen = |nodes: &[Node]| choose(Variant::Dockerfile, None, &plain(), nodes).0;
    assert_eq!(chosen(&[node(ABLE)]), Engine::Buildkit);
    assert_eq!(chosen(&[]), Engine::Kaniko);
    assert_eq!(chosen(&[node(&ABLE.replace("true", "false"))]), Engine::Kaniko);
    assert_eq!(chosen(&[node(&ABLE.replace("fast", "slow"))]), Engine::Kaniko, "the engine's selector excludes it");
    let tainted = ABLE.replacen("{metadata", "{spec: {taints: [{key: a, value: b, effect: NoSchedule}]}, metadata", 1);
    assert_eq!(chosen(&[node(&tainted)]), Engine::Kaniko);
    let tolerant = settings("{tolerations: [{key: a, operator: Exists}]}");
    assert_eq!(choose(Variant::Dockerfile, Some(&tolerant), &plain(), &[node(&tainted)]).0, Engine::Buildkit);
}

#[test]
fn auto_looks_at_the_runtime_that_the_pod_gets() {
    let config = config("buildkit: {image: r/b:1, runtimeClassName: kata}");
    assert_eq!(choose(Variant::Dockerfile, None, &config, &[node(ABLE)]).0, Engine::Kaniko);
    assert_eq!(choose(Variant::Dockerfile, None, &config, &[node(&ABLE.replace("name: ''", "name: kata"))]).0, Engine::Buildkit);
}

#[test]
fn what_the_user_says_is_never_script_or_expansion() {
    let settings = settings("{target: run, args: {A: 'x; $(HOME) `id`'}}");
    let step = step_of(Engine::Buildkit, &plain(), Some(&settings), true);
    assert_eq!(step.container.command, step_of(Engine::Buildkit, &plain(), None, true).container.command);
    assert_eq!(args(&step), ["--opt", "target=run", "--opt", "build-arg:A=x; $$(HOME) `id`"]);
    assert!(step.user_namespace);
}

#[test]
fn mirrors_and_plain_http_reach_each_engine() {
    let toml = |config: &Config| environment(&built(Engine::Buildkit, config), "BUILDKITD_CONFIG").unwrap();
    let plain_http = "[registry.\"10.88.0.1:5000\"]\n  http = true\n";
    let mirrors = "  mirrors = [\"10.88.0.1:5000\", \"cache.example/hub\"]\n";
    assert_eq!(toml(&plain()), format!("{plain_http}[registry.\"docker.io\"]\n{mirrors}"));
    let mut both = plain();
    both.registry_mirrors = BTreeMap::from([("10.88.0.1:5000".to_owned(), both.registry_mirrors["docker.io"].clone())]);
    assert_eq!(toml(&both), format!("{plain_http}{mirrors}"), "a table that stands there twice is no TOML");
    let args = args(&built(Engine::Kaniko, &plain()));
    let told: Vec<_> = args.iter().filter(|arg| arg.contains("registry")).collect();
    let mapped = ["--registry-map=index.docker.io=10.88.0.1:5000", "--registry-map=index.docker.io=cache.example/hub"];
    assert_eq!(told, ["--insecure-registry=10.88.0.1:5000", mapped[0], mapped[1]]);
}

#[test]
fn kaniko_has_no_privileges() {
    insta::assert_yaml_snapshot!(built(Engine::Kaniko, &plain()).container);
}

#[test]
fn proxies_and_authorities_reach_each_engine() {
    let bundle = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem();
    let mut config = plain();
    config.proxy = serde_saphyr::from_str("{https: 'http://proxy.example:3128', noProxy: [10.0.0.0/8, .svc]}").unwrap();
    config.ca_bundle = Some(bundle);
    for engine in [Engine::Buildkit, Engine::Kaniko, Engine::Nix] {
        let step = built(engine, &config);
        for name in ["https_proxy", "HTTPS_PROXY"] {
            assert_eq!(environment(&step, name).as_deref(), Some("http://proxy.example:3128"), "{engine:?}");
        }
        assert_eq!(environment(&step, "no_proxy").as_deref(), Some("10.0.0.0/8,.svc"));
        assert_eq!(environment(&step, "http_proxy"), None);
    }
    let argument = "HTTPS_PROXY=http://proxy.example:3128";
    assert!(args(&built(Engine::Buildkit, &config)).contains(&format!("build-arg:{argument}")));
    assert!(args(&built(Engine::Kaniko, &config)).contains(&argument.to_owned()));
    let directories = |engine| environment(&built(engine, &config), "SSL_CERT_DIR").unwrap();
    assert_eq!(directories(Engine::Buildkit), "/etc/ssl/certs:/workspace/authorities");
    assert_eq!(directories(Engine::Kaniko), "/kaniko/ssl/certs:/workspace/authorities");
    assert_eq!(environment(&built(Engine::Nix, &config), "AUTHORITIES").as_deref(), Some("/workspace/authorities/bundle.crt"));
}

/// The claim of a step, and whether it is mounted read-only.
fn claim(step: &Step) -> Option<(String, bool)> {
    let source = step.volumes.iter().find_map(|volume| volume.persistent_volume_claim.as_ref())?;
    let mount = step.container.volume_mounts.as_ref().unwrap().iter().find(|mount| mount.name == "cache").unwrap();
    assert_eq!((source.read_only, mount.mount_path.as_str()), (mount.read_only, "/cache"));
    Some((source.claim_name.clone(), mount.read_only.unwrap_or(false)))
}

#[test]
fn a_claim_is_written_by_main_alone() {
    let config = config(
        "buildkit: {image: r/b:1, maxConcurrentBuilds: 3, cache: {claim: c, sizeLimit: 30G, maxAge: 168h}}, \
         kaniko: {image: r/k:1, cache: {claim: c, maxAge: 24h}}, nix: {image: r/n:1, cache: {claim: c, sizeLimit: 10Gi}}",
    );
    let (main, branch) = (|engine| built(engine, &config), |engine| step_of(engine, &config, None, false));
    let written = Some(("c".to_owned(), false));
    let read = Some(("c".to_owned(), true));

    let buildkit = main(Engine::Buildkit);
    assert_eq!(claim(&buildkit), written);
    let mut slots: Vec<String> = environment(&buildkit, "CACHE_SLOTS").unwrap().split(' ').map(str::to_owned).collect();
    slots.sort();
    assert_eq!(slots, ["0", "1", "2"], "a place for each build that may run at once");
    assert_eq!(environment(&buildkit, "CACHE_MEGABYTES").as_deref(), Some("10000"));
    assert_eq!(environment(&buildkit, "CACHE_MAX_AGE").as_deref(), Some("168h"));
    assert_eq!(claim(&branch(Engine::Buildkit)), None, "a daemon writes to its directory whatever it builds");
    assert_eq!(environment(&branch(Engine::Buildkit), "CACHE_SLOTS"), None);

    assert_eq!(claim(&main(Engine::Kaniko)), written);
    assert_eq!(claim(&branch(Engine::Kaniko)), read);
    let wanted =
        ["--cache=true", "--cache-repo=oci:/cache/kaniko", "--skip-push-permission-check", "--cache-ttl=24h", "--ignore-path=/cache"];
    let told = args(&main(Engine::Kaniko));
    assert!(wanted.iter().all(|arg| told.iter().any(|one| one == arg)), "{told:?}");
    assert!(!told.contains(&"--no-push-cache".to_owned()));
    assert!(args(&branch(Engine::Kaniko)).contains(&"--no-push-cache".to_owned()));

    assert_eq!(claim(&main(Engine::Nix)), written);
    assert_eq!(environment(&main(Engine::Nix), "CACHE_KIBIBYTES").as_deref(), Some("10485760"));
    assert_eq!((claim(&branch(Engine::Nix)), environment(&branch(Engine::Nix), "CACHE_WRITE")), (read, None));
}

#[test]
fn a_container_may_have_another_cache_or_none() {
    let config = config("buildkit: {image: r/b:1, cache: {claim: c, registry: {repository: 'r:5000/cache'}}}");
    let with = |yaml: &str| step_of(Engine::Buildkit, &config, Some(&settings(yaml)), true);
    assert_eq!(claim(&with("{cache: {claim: own}}")).unwrap().0, "own");
    let none = with("{cache: {enabled: false}}");
    assert_eq!(claim(&none), None);
    assert!(args(&none).is_empty(), "{:?}", args(&none));
}

#[test]
fn a_registry_is_read_by_all_and_written_by_main() {
    let config = config(
        "buildkit: {image: r/b:1, cache: {registry: {repository: 'r:5000/cache', mode: min}}}, kaniko: {image: r/k:1, cache: {registry: {repository: 'r:5000/cache'}}}",
    );
    let reference = "type=registry,ref=r:5000/cache:cv";
    let read = ["--import-cache".to_owned(), reference.to_owned()];
    let written = ["--export-cache".to_owned(), format!("{reference},mode=min,ignore-error=true")];
    assert_eq!(args(&step_of(Engine::Buildkit, &config, None, false)), read);
    assert_eq!(args(&built(Engine::Buildkit, &config)), [read, written].concat());
    let kaniko = |from_main| args(&step_of(Engine::Kaniko, &config, None, from_main));
    assert!(kaniko(true).contains(&"--cache-repo=r:5000/cache".to_owned()));
    assert!(kaniko(false).contains(&"--no-push-cache".to_owned()) && !kaniko(true).contains(&"--no-push-cache".to_owned()));
}

#[test]
fn buildkit_gives_everything_the_time_of_the_commit() {
    let config = plain();
    let created = "2026-11-24T12:00:00Z".parse().ok();
    let settings = settings("{args: {SOURCE_DATE_EPOCH: '0'}}");
    let request = Request { settings: Some(&settings), created, ..request(&config) };
    let step = step(Engine::Buildkit, &request).unwrap();
    let times: Vec<String> = args(&step).into_iter().filter(|arg| arg.contains("SOURCE_DATE_EPOCH")).collect();
    assert_eq!(times, ["build-arg:SOURCE_DATE_EPOCH=1795521600", "build-arg:SOURCE_DATE_EPOCH=0"], "the last one counts");
    assert_eq!(environment(&step, "OUTPUT_OPTIONS").as_deref(), Some(",rewrite-timestamp=true"));
}

#[test]
fn nix_evaluates_a_version_only_where_no_file_says_one() {
    let config = plain();
    let step = |evaluates_version| step(Engine::Nix, &Request { evaluates_version, ..request(&config) }).unwrap();
    assert_eq!(environment(&step(true), "VERSION_OF").as_deref(), Some("cv"));
    assert_eq!(environment(&step(true), "VERSION_FILE").as_deref(), Some("/workspace/version"));
    assert_eq!(environment(&step(false), "VERSION_OF"), None);
}

#[test]
fn nix_takes_from_the_stores_that_are_named() {
    let config = config(
        "nix: {image: r/n:1, substituters: ['https://a.example', 'https://b.example'], trustedPublicKeys: ['a:1'], environment: {NIX_CONFIG: 'cores = 2'}}",
    );
    let wanted = "build-users-group =\nsandbox = false\nextra-substituters = https://a.example https://b.example\nextra-trusted-public-keys = a:1\ncores = 2";
    assert_eq!(environment(&built(Engine::Nix, &config), "NIX_CONFIG").as_deref(), Some(wanted));
}
