//! OCI registry client: tags, manifests, blobs.
