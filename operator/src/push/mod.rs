//! `mainstay push`: an image archive becomes an immutable tag.
