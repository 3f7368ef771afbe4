//! What each command may need of the cluster, in one table: `doctor` asks for it, and docs/plugin.md shows it. Pure.

/// What one command needs.
#[derive(Debug)]
pub(crate) struct Needs {
    /// The command, as it is typed.
    pub(crate) command: &'static str,
    /// Whether it changes something: then the role `edit` is for it, else `view`.
    pub(crate) acts: bool,
    /// Verbs and resources, all of group `mainstay.dev` where they are not pods, in the namespace.
    pub(crate) rights: &'static [(&'static [&'static str], &'static [&'static str])],
    /// What the table does not say.
    #[cfg_attr(not(test), expect(dead_code, reason = "it stands in the documentation"))]
    pub(crate) note: &'static str,
}

const IMAGES: &str = "containerimages";
const PINS: &str = "manifestpins";
const BUILDS: &str = "imagebuilds";
const SOURCES: &str = "sourcerepositories";

/// Every command.
pub(crate) const NEEDS: &[Needs] = &[
    see(
        "list",
        &[(&["list"], &[IMAGES, PINS, BUILDS])],
        "without the last two their columns stay empty; `-w`: also watch; `-A`: in all namespaces",
    ),
    see("tags", &[(&["get"], &[IMAGES]), (&["list"], &[PINS])], "with `--repo`: none"),
    see("why", &[(&["list"], &[IMAGES, PINS, BUILDS, SOURCES])], ""),
    see("logs", &[(&["list", "get"], &[BUILDS]), (&["get"], &[IMAGES, "pods", "pods/log"])], ""),
    see("pin diff", &[(&["get", "list"], &[PINS])], ""),
    see(
        "doctor",
        &[(&["list"], &[SOURCES, IMAGES])],
        "what the caller may not see of the cluster (nodes, definitions, the operator, the admission policy) is said and passed over",
    ),
    see("init", &[], "it asks no cluster"),
    see("completion", &[], "it asks no cluster; names are completed where they may be listed"),
    act("build", &[(&["get"], &[IMAGES, SOURCES]), (&["create"], &[BUILDS])], "`-f`: also list and watch `imagebuilds`"),
    act("retry", &[(&["get", "patch"], &[IMAGES]), (&["list", "create"], &[BUILDS])], ""),
    act("cancel", &[(&["get", "patch"], &[BUILDS])], ""),
    act("reconcile", &[(&["patch"], &[IMAGES, PINS, SOURCES, BUILDS])], "of what is named"),
    act("suspend", &[(&["patch"], &[IMAGES, PINS, SOURCES])], "of what is named"),
    act("resume", &[(&["patch"], &[IMAGES, PINS, SOURCES])], "of what is named"),
    act("pin sync", &[(&["get", "list", "patch"], &[PINS])], "`--wait`: also watch"),
    act("pin hold", &[(&["get", "patch"], &[PINS]), (&["get"], &[IMAGES])], ""),
    act("pin resume", &[(&["get", "list", "patch"], &[PINS])], ""),
];

const fn see(command: &'static str, rights: &'static [(&'static [&'static str], &'static [&'static str])], note: &'static str) -> Needs {
    Needs { command, acts: false, rights, note }
}

const fn act(command: &'static str, rights: &'static [(&'static [&'static str], &'static [&'static str])], note: &'static str) -> Needs {
    Needs { command, acts: true, rights, note }
}

/// One right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) verb: &'static str,
    pub(crate) resource: &'static str,
    /// Whether only commands that change something need it.
    pub(crate) acts: bool,
    /// The commands that need it.
    pub(crate) commands: Vec<&'static str>,
}

/// Each right once.
pub(crate) fn all() -> Vec<Right> {
    let mut all: Vec<Right> = Vec::new();
    for needs in NEEDS {
        for (verbs, resources) in needs.rights {
            for (verb, resource) in verbs.iter().flat_map(|verb| resources.iter().map(move |resource| (*verb, *resource))) {
                match all.iter_mut().find(|known| (known.verb, known.resource) == (verb, resource)) {
                    Some(known) => {
                        known.acts &= needs.acts;
                        known.commands.push(needs.command);
                    }
                    None => all.push(Right { verb, resource, acts: needs.acts, commands: vec![needs.command] }),
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    /// Every command that does something, as it is typed.
    fn commands(of: &clap::Command, before: &str) -> Vec<String> {
        let mut all = Vec::new();
        for one in of.get_subcommands().filter(|one| !one.is_hide_set()) {
            let name = format!("{before}{}", one.get_name());
            match one.has_subcommands() {
                true => all.extend(commands(one, &format!("{name} "))),
                false => all.push(name),
            }
        }
        all
    }

    fn row(needs: &Needs) -> String {
        let rights: Vec<String> = needs
            .rights
            .iter()
            .map(|(verbs, resources)| {
                let resources: Vec<String> = resources.iter().map(|resource| format!("`{resource}`")).collect();
                format!("{} {}", verbs.join(", "), resources.join(", "))
            })
            .collect();
        let rights = if rights.is_empty() { "none".to_owned() } else { rights.join("; ") };
        let role = if needs.rights.is_empty() {
            ""
        } else if needs.acts {
            "edit"
        } else {
            "view"
        };
        format!("| `{}` | {rights} | {role} | {} |", needs.command, needs.note).replace("|  |", "| |")
    }

    #[test]
    fn every_command_has_its_row_and_the_documentation_shows_it() {
        let (mut there, mut known) =
            (commands(&Cli::command(), ""), NEEDS.iter().map(|needs| needs.command.to_owned()).collect::<Vec<_>>());
        there.sort();
        known.sort();
        assert_eq!(there, known);
        let text = include_str!("../../../../docs/plugin.md");
        let missing: Vec<String> = NEEDS.iter().map(row).filter(|row| !text.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "docs/plugin.md lacks:\n{}", missing.join("\n"));
    }

    #[test]
    fn every_command_is_described() {
        let text = include_str!("../../../../docs/plugin.md");
        for command in commands(&Cli::command(), "") {
            let heading = text.contains(&format!("### {command}\n"));
            assert!(heading || text.contains(&format!("kubectl mainstay {command} ")), "docs/plugin.md says nothing of {command}");
        }
    }

    #[test]
    fn nobody_is_asked_for_secrets_and_only_what_acts_changes_something() {
        for right in all() {
            assert!(right.resource != "secrets" && (right.acts || matches!(right.verb, "get" | "list")), "{right:?}");
        }
    }
}
