//! Stories against a real, throw-away Kubernetes, and the lab that makes one on a bare machine.

pub mod lab;
