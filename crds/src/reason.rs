use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a [`Reason`] is met, in the order in which a reader wants to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Condition `Ready` of a SourceRepository.
    SourceRepository,
    /// Condition `WebhookReady` of a SourceRepository.
    Webhook,
    /// Condition `Ready` of a ContainerImage, and `status.variants[].reason`.
    ContainerImage,
    /// Condition `Succeeded` of an ImageBuild.
    ImageBuild,
    /// Condition `Ready` of a ManifestPin.
    ManifestPin,
    /// The condition of more than one kind.
    Shared,
    /// `status.pins[].reason` of a ManifestPin.
    Pin,
    /// `status.skipped[].reason` of a ManifestPin.
    Manifest,
    /// `status.skipped[].reason` of a SourceRepository.
    Directory,
    /// An event that is not the reason of a condition.
    Event,
    /// The termination message of a build pod's step.
    Step,
}

impl Place {
    /// All, in that order.
    pub const ALL: [Place; 11] = [
        Place::SourceRepository,
        Place::Webhook,
        Place::ContainerImage,
        Place::ImageBuild,
        Place::ManifestPin,
        Place::Shared,
        Place::Pin,
        Place::Manifest,
        Place::Directory,
        Place::Event,
        Place::Step,
    ];

    /// Whether it is a condition, so that a reason there has a status.
    pub fn is_condition(self) -> bool {
        self <= Place::Shared
    }
}

/// Status of a condition (`Ready`, of an ImageBuild `Succeeded`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Says {
    /// As wanted.
    True,
    /// Normal work, or a pause that somebody asked for.
    Unknown,
    /// A problem.
    False,
}

/// One meaning of a [`Reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Where it is met.
    pub place: Place,
    /// What the condition is with it; empty where there is no condition.
    pub says: &'static [Says],
    /// What it means, in Markdown.
    pub meaning: &'static str,
    /// What to do about it, in Markdown; empty where there is nothing to do.
    pub remedy: &'static str,
}

/// Makes the enum and what is said of each word from one table, so that no word is without its meaning.
macro_rules! reasons {
    ($($word:ident { $($place:ident $(($($says:ident)|+))? $meaning:literal $(=> $remedy:literal)?);+ $(;)? })+) => {
        /// Why something is as it is: one CamelCase word, part of the API. It serves condition, status, event and metric label alike.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $( #[doc = concat!($($meaning, ". "),+)] $word, )+
        }

        impl Reason {
            /// All, in the order of the table.
            pub const ALL: &'static [Reason] = &[$(Reason::$word),+];

            /// The word used in YAML.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$word => stringify!($word)),+ }
            }

            /// Everything that it means: at least one place.
            pub const fn uses(self) -> &'static [Use] {
                match self {
                    $(Reason::$word => &[$(Use {
                        place: Place::$place,
                        says: &[$($(Says::$says),+)?],
                        meaning: $meaning,
                        remedy: concat!($($remedy)?),
                    }),+]),+
                }
            }
        }
    };
}

pub(crate) use reasons;

use crate::Reason;

impl Reason {
    /// Reads the word; `None` where it is not one of ours.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.as_str().to_owned()
    }
}

/// What stands in a status is text: it may be from another version of the operator.
impl PartialEq<str> for Reason {
    fn eq(&self, word: &str) -> bool {
        self.as_str() == word
    }
}

impl PartialEq<&str> for Reason {
    fn eq(&self, word: &&str) -> bool {
        self.as_str() == *word
    }
}

impl PartialEq<Reason> for String {
    fn eq(&self, reason: &Reason) -> bool {
        self == reason.as_str()
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::parse(&word).ok_or_else(|| serde::de::Error::custom(format!("{word} is no reason of ours")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_what_it_means_and_what_to_do() {
        for reason in Reason::ALL {
            for one in reason.uses() {
                assert!(!one.meaning.is_empty(), "{reason}");
                assert_eq!(one.place.is_condition(), !one.says.is_empty(), "{reason}: a condition has a status, nothing else has");
                let waits = one.says.iter().any(|says| *says != Says::True);
                assert!(!waits || !one.remedy.is_empty(), "{reason}: whoever waits or has a problem is told what to do");
            }
            let mut places: Vec<Place> = reason.uses().iter().map(|one| one.place).collect();
            places.dedup();
            assert_eq!(places.len(), reason.uses().len(), "{reason} has one meaning in each place");
        }
    }

    #[test]
    fn a_word_is_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::parse("Nonsense"), None);
        assert!(serde_json::from_str::<Reason>("\"Nonsense\"").is_err());
    }
}
