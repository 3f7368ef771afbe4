//! One folder per kind: observe -> validate -> plan -> apply -> status.
