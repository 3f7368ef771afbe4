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
}

/// The tags of one image at one time.
#[derive(Debug)]
pub struct Listed {
    /// All tags.
    pub tags: Vec<String>,
    at: Instant,
    occasion: String,
    /// Images that tags of this list were seen to name.
    confirmed: Mutex<HashMap<String, Image>>,
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
        if let Some(known) = self.known(image).filter(|known| known.at.elapsed() < age && known.occasion == occasion) {
            return Ok(known);
        }
        let tags = ctx.calls.outside("registry.tags", registry.tags(path)).await?;
        let fresh = Arc::new(Listed { tags, at: Instant::now(), occasion: occasion.to_owned(), confirmed: Mutex::default() });
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(image.to_owned(), fresh.clone());
        Ok(fresh)
    }

    /// The tags of an image as they were last listed.
    pub fn known(&self, image: &str) -> Option<Arc<Listed>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).get(image).cloned()
    }
}

impl Listed {
    /// The image that a tag names; `None` where there is none. What was there is asked for once for each list, what was absent each time.
    ///
    /// # Errors
    /// Where the registry does not answer.
    pub async fn image(&self, ctx: &Context, (registry, path): (&Registry, &str), tag: &str) -> Result<Option<Image>, CallError> {
        if let Some(image) = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).get(tag) {
            return Ok(Some(image.clone()));
        }
        let found = ctx.calls.outside("registry.image", registry.image(path, tag)).await?;
        if let Some(image) = &found {
            self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).insert(tag.to_owned(), image.clone());
        }
        Ok(found)
    }
}
