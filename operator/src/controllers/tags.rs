//! The tags of an image, listed once in a while and not at every look: a moved branch changes the class of tags, not which tags there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::context::Context;
use crate::clients::call::CallError;
use crate::clients::registry::{Image, Registry};

/// What is known of the tags of every image. Lost in a crash: then it is asked for again.
#[derive(Debug, Default)]
pub struct Tags {
    listed: Mutex<HashMap<String, Arc<Listed>>>,
    /// When each image was forgotten: a list that was asked for before that is none.
    forgotten: Mutex<HashMap<String, Instant>>,
}

/// The tags of one image at one time.
#[derive(Debug)]
pub struct Listed {
    /// All tags.
    pub tags: Vec<String>,
    at: Instant,
    occasion: String,
    /// What tags were seen to name; `None`: they were not there.
    seen: Mutex<HashMap<String, Option<Image>>>,
}

impl Tags {
    /// The tags of an image, by its name with host. They are asked for again after `age`, and whenever `occasion` is another: something has
    /// happened that may have made a tag.
    ///
    /// # Errors
    /// Where the registry does not answer.
    pub async fn list(
        &self,
        ctx: &Context,
        (registry, path): (&Registry, &str),
        image: &str,
        occasion: &str,
        age: Duration,
    ) -> Result<Arc<Listed>, CallError> {
        let forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).get(image).copied();
        let is_good = |known: &Arc<Listed>| {
            known.at.elapsed() < age && known.occasion == occasion && forgotten.is_none_or(|forgotten| known.at > forgotten)
        };
        if let Some(known) = self.known(image).filter(is_good) {
            return Ok(known);
        }
        let asked = Instant::now();
        let tags = ctx.calls.outside("registry.tags", registry.tags(path)).await?;
        let fresh = Arc::new(Listed { tags, at: asked, occasion: occasion.to_owned(), seen: Mutex::default() });
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(image.to_owned(), fresh.clone());
        Ok(fresh)
    }

    /// A tag was given or taken: the next look asks the registry.
    pub fn forget(&self, image: &str) {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).insert(image.to_owned(), Instant::now());
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).remove(image);
    }

    /// The tags of an image as they were last listed.
    pub fn known(&self, image: &str) -> Option<Arc<Listed>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).get(image).cloned()
    }
}

impl Listed {
    /// The digest of a tag, where it was looked at.
    pub fn digest(&self, tag: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(tag)?.as_ref().map(|image| image.digest.clone())
    }

    /// The image that a tag names; `None` where there is none. It is asked for once for each list: what makes a tag makes a new list too.
    ///
    /// # Errors
    /// Where the registry does not answer.
    pub async fn image(&self, ctx: &Context, (registry, path): (&Registry, &str), tag: &str) -> Result<Option<Image>, CallError> {
        if let Some(seen) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(tag) {
            return Ok(seen.clone());
        }
        let found = ctx.calls.outside("registry.image", registry.image(path, tag)).await?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(tag.to_owned(), found.clone());
        Ok(found)
    }
}
