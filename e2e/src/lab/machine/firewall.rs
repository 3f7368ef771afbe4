//! The firewall rules that kube-proxy, the kubelet and the CNI plugins add, told apart from those of others, and one of our own.

use std::collections::BTreeSet;

use super::command::{Command, run};
use crate::lab::{Result, address, state::Baseline};

/// The programs that speak for IPv4 and IPv6, with the nftables family that they write to.
const FAMILIES: [(&str, &str); 2] = [("iptables", "ip"), ("ip6tables", "ip6")];
/// The tables that the lab's programs put chains into.
const TABLES: [&str; 3] = ["nat", "filter", "mangle"];

/// Our own table, as `family name`.
const SHIELD: &str = "inet mainstay-lab";

/// Keeps everybody but this machine from the port that Argo CD's controller opens on every address: it cannot be told another.
pub(crate) async fn shield() -> Result<()> {
    let rule = format!("iifname != lo tcp dport {} drop", address::ARGOCD_HEALTH_PORT);
    let chain = format!("chain input {{ type filter hook input priority filter; policy accept; {rule}; }}");
    // Made anew in one piece, whether it is there or not.
    let script = format!("table {SHIELD} {{ }}\ndelete table {SHIELD}\ntable {SHIELD} {{ {chain}; }}\n");
    Command::new("nft", ["-f", "-"]).input(script).run().await.map(drop)
}

/// Whether the lab makes a table of this name.
fn is_made(table: &str) -> bool {
    table == SHIELD || table.ends_with(" kube-proxy")
}

/// Every nftables table, as `family name`.
pub(crate) async fn tables() -> Result<BTreeSet<String>> {
    let text = run("nft", &["list", "tables"]).await?;
    Ok(text.lines().filter_map(|line| line.strip_prefix("table ")).map(|table| table.trim().to_owned()).collect())
}

/// Every chain of Kubernetes and CNI, as `program table chain`. Looks only into tables that exist: the question makes none.
pub(crate) async fn chains(tables: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut chains = BTreeSet::new();
    for (program, family) in FAMILIES {
        for table in TABLES.iter().filter(|table| tables.contains(&format!("{family} {table}"))) {
            let saved = run(&format!("{program}-save"), &["-t", table]).await?;
            chains.extend(our_chains(&saved).map(|chain| format!("{program} {table} {chain}")));
        }
    }
    Ok(chains)
}

/// Removes what the lab's programs added since `before`; everything else stays as it is.
pub(crate) async fn clean(before: &Baseline) -> Result<()> {
    let now = tables().await?;
    for table in now.iter().filter(|table| is_made(table) && !before.tables.contains(*table)) {
        nft("delete", table).await?;
    }
    for (program, family) in FAMILIES {
        for table in TABLES.iter().filter(|table| now.contains(&format!("{family} {table}"))) {
            let saved = run(&format!("{program}-save"), &["-t", table]).await?;
            let foreign = |chain: &str| before.chains.contains(&format!("{program} {table} {chain}"));
            let kept = without_our_chains(&saved, foreign);
            if kept != saved {
                Command::new(format!("{program}-restore"), ["-T", table]).input(kept.clone()).run().await?;
            }
            let name = format!("{family} {table}");
            if !before.tables.contains(&name) && is_empty(&kept) {
                nft("delete", &name).await?;
            }
        }
    }
    Ok(())
}

/// What is there beyond `before` that the lab's programs would have made.
pub(crate) async fn leftovers(before: &Baseline) -> Result<Vec<String>> {
    let now = tables().await?;
    let made = now.iter().filter(|table| is_made(table) && !before.tables.contains(*table));
    let mut left: Vec<String> = made.map(|table| format!("nftables table {table}")).collect();
    let chains = chains(&now).await?;
    left.extend(chains.difference(&before.chains).map(|chain| format!("firewall chain {chain}")));
    Ok(left)
}

async fn nft(verb: &str, table: &str) -> Result<()> {
    let words: Vec<&str> = [verb, "table"].into_iter().chain(table.split_ascii_whitespace()).collect();
    run("nft", &words).await.map(drop)
}

/// The chains in the output of `iptables-save` that Kubernetes or CNI made.
fn our_chains(saved: &str) -> impl Iterator<Item = &str> {
    let names = saved.lines().filter_map(|line| line.strip_prefix(':')?.split_ascii_whitespace().next());
    names.filter(|name| name.starts_with("CNI-") || name.starts_with("KUBE-"))
}

/// The output of `iptables-save` without our chains, their rules, and the rules that jump to them.
fn without_our_chains(saved: &str, foreign: impl Fn(&str) -> bool) -> String {
    let ours: BTreeSet<&str> = our_chains(saved).filter(|chain| !foreign(chain)).collect();
    let is_ours = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("-A") => {
                let words: Vec<&str> = words.collect();
                let jump = words.iter().position(|word| matches!(*word, "-j" | "-g")).and_then(|at| words.get(at + 1));
                words.first().is_some_and(|chain| ours.contains(chain)) || jump.is_some_and(|chain| ours.contains(chain))
            }
            Some(word) => word.strip_prefix(':').is_some_and(|chain| ours.contains(chain)),
            None => false,
        }
    };
    saved.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n")).collect()
}

/// Whether a table holds no rule and no chain beyond the built-in ones.
fn is_empty(saved: &str) -> bool {
    const BUILT_IN: [&str; 5] = [":PREROUTING ", ":INPUT ", ":FORWARD ", ":OUTPUT ", ":POSTROUTING "];
    let built_in = |line: &str| BUILT_IN.iter().any(|name| line.starts_with(name)) && line.contains(" ACCEPT ");
    saved.lines().all(|line| line.starts_with(['#', '*']) || line == "COMMIT" || line.is_empty() || built_in(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = r#"*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:CNI-aa11 - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:DOCKER - [0:0]
-A POSTROUTING -s 10.88.0.5/32 -m comment --comment "name: \"lab\" id: \"x\"" -j CNI-aa11
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A CNI-aa11 -d 10.88.0.0/16 -j ACCEPT
COMMIT
"#;

    #[test]
    fn only_our_chains_go() {
        let kept = without_our_chains(SAVED, |_| false);
        assert!(!kept.contains("CNI-") && !kept.contains("KUBE-"));
        assert!(kept.contains(":DOCKER") && kept.contains("docker0"));
        assert!(!is_empty(&kept));
        assert_eq!(without_our_chains(SAVED, |_| true), SAVED);
    }

    #[test]
    fn a_table_of_built_in_chains_is_empty() {
        assert!(is_empty("*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [1:2]\nCOMMIT\n"));
        assert!(!is_empty("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"));
        assert!(!is_empty("*nat\n:DOCKER - [0:0]\nCOMMIT\n"));
    }
}
