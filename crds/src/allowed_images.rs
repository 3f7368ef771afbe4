use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// The images that the chart's admission policy lets in. Written by the operator; nobody else needs to.
///
/// A kind of its own and not a ConfigMap: the API server watches ConfigMaps as parameters only until the last policy that takes one is removed,
/// and with the next policy it believes for ever what it saw last (Kubernetes 1.37). And whoever may edit a namespace may write its ConfigMaps.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "AllowedImages",
    plural = "allowedimages",
    singular = "allowedimages",
    category = "mainstay",
    namespaced,
    derive = "PartialEq",
    cel,
    doc = "The images that the chart's admission policy lets in. Written by the operator."
)]
#[serde(rename_all = "camelCase")]
pub struct AllowedImagesSpec {
    /// Digests (`sha256:…`) and full names with tag (`registry.example/team/cv:v1.0.3-0c2ac90`), one a line, under the last two digits of the
    /// line (of nix, those before `-nix`), so that a look-up reads a few dozen lines of ten thousand.
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = ("self.all(key, key.matches('^[0-9a-f]{2}$'))", "images must be listed under the last two hexadecimal digits of the line (those before -nix)"))]
    pub images: BTreeMap<String, String>,
}
