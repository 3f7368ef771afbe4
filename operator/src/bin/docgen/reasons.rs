//! The page of reasons.

use mainstay_crds::{Place, Reason, Says, Use};

use crate::table::Table;

/// The page.
pub(crate) fn page() -> String {
    let mut text = "# Reasons\n\n\
        One word says why something is as it is: in the condition `Ready` (of an ImageBuild `Succeeded`), in the status, in events, and as label of\n\
        [metrics](metrics.md). Words are part of the API. The reason of a condition is also that of the event which is written when it changes.\n\n\
        `True` is as wanted; `Unknown` is normal work, or a pause that somebody asked for; `False` is a problem. While a problem may pass by itself,\n\
        `Reconciling` is True with the reason `ProgressingWithRetry`; where it stays until something changes, `Stalled` is True.\n"
        .to_owned();
    for place in Place::ALL {
        text.push_str(&section(place));
    }
    text
}

fn section(place: Place) -> String {
    let (title, about) = match place {
        Place::SourceRepository => ("SourceRepository", "Condition `Ready`."),
        Place::Webhook => (
            "Webhooks",
            "Condition `WebhookReady` of a SourceRepository with `spec.webhook`; or one of [more than one kind](#more-than-one-kind).",
        ),
        Place::ContainerImage => {
            ("ContainerImage", "Condition `Ready`, and `status.variants[].reason`, which may also be one of an ImageBuild.")
        }
        Place::ImageBuild => ("ImageBuild", "Condition `Succeeded`."),
        Place::ManifestPin => ("ManifestPin", "Condition `Ready`."),
        Place::Shared => (
            "More than one kind",
            "Conditions that speak of what the operator needs: other objects, Secrets, the Git server, the registry, the API server.",
        ),
        Place::Pin => ("Single pins", "`status.pins[].reason` of a ManifestPin."),
        Place::Manifest => {
            ("Manifests that are left alone", "`status.skipped[].reason` of a ManifestPin: files, and places in them. The others go on.")
        }
        Place::Directory => ("Directories that are no containers", "`status.skipped[].reason` of a SourceRepository."),
        Place::Event => ("Events", "Those that are not the reason of a condition."),
        Place::Step => {
            ("Steps of a build pod", "In the termination message of a container; `push` and failures use the words of ImageBuild.")
        }
    };
    let mut table = if place.is_condition() {
        Table::new(&["reason", "condition", "what it means", "what to do"])
    } else {
        Table::new(&["reason", "what it means", "what to do"])
    };
    for (reason, one) in Reason::ALL.iter().flat_map(|reason| reason.uses().iter().map(move |one| (reason, one))) {
        if one.place == place {
            let word = format!("`{reason}`");
            if place.is_condition() {
                table.row(&[&word, &says(one), one.meaning, one.remedy]);
            } else {
                table.row(&[&word, one.meaning, one.remedy]);
            }
        }
    }
    format!("\n## {title}\n\n{about}\n\n{}", table.into_text())
}

fn says(one: &Use) -> String {
    let words = one.says.iter().map(|says| match says {
        Says::True => "True",
        Says::Unknown => "Unknown",
        Says::False => "False",
    });
    words.collect::<Vec<_>>().join(" or ")
}
