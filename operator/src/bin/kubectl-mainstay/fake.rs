//! An API server for unit tests that holds a few objects, says what it is told to, and remembers what it was asked. Stories use a real one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use kube::Client;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// What it has, in namespace `n`.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    /// By plural and name.
    objects: BTreeMap<(String, String), Value>,
    /// Whole answers by path.
    answers: BTreeMap<String, (u16, Value)>,
    /// What every other question is answered with.
    otherwise: Option<(u16, Value)>,
}

/// A question: method, path, body.
type Asked = (Method, String, Value);

/// What it was asked, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    /// Path and body of the patches.
    pub(crate) fn patches(&self) -> Vec<(String, Value)> {
        self.all().into_iter().filter(|(method, _, _)| *method == Method::PATCH).map(|(_, path, body)| (path, body)).collect()
    }
}

/// A refusal as the API server writes it.
pub(crate) fn refusal(code: u16, message: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code}))
}

impl Fake {
    /// It has this object.
    pub(crate) fn object(&mut self, plural: &str, name: &str, object: &impl Serialize) {
        self.objects.insert((plural.to_owned(), name.to_owned()), serde_json::to_value(object).unwrap());
    }

    /// It answers this path so.
    pub(crate) fn answer(&mut self, path: &str, answer: (u16, Value)) {
        self.answers.insert(path.to_owned(), answer);
    }

    /// It answers so whatever it has no other answer for.
    pub(crate) fn otherwise(&mut self, answer: (u16, Value)) {
        self.otherwise = Some(answer);
    }

    /// A client of it, and what it will have been asked.
    pub(crate) fn serve(self) -> (Cluster, Log) {
        let (this, log) = (Arc::new(self), Log::default());
        let asked = log.clone();
        let app = Router::new().fallback(move |request: Request| {
            let (this, asked) = (this.clone(), asked.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let path = parts.uri.path().to_owned();
                let answer = this.reply(&parts.method, &path);
                asked.0.lock().unwrap().push((parts.method, path, serde_json::from_slice(&body).unwrap_or_default()));
                let (code, text) = answer;
                Response::builder().status(StatusCode::from_u16(code).unwrap()).body(Body::from(text.to_string())).unwrap()
            }
        });
        (Cluster::new(Client::new(app, "n"), "https://fake".to_owned(), "n".to_owned()), log)
    }

    fn reply(&self, method: &Method, path: &str) -> (u16, Value) {
        if let Some(answer) = self.answers.get(path) {
            return answer.clone();
        }
        let segments: Vec<&str> = path.split('/').collect();
        let of = |from_end: usize| segments.iter().rev().nth(from_end).copied().unwrap_or_default().to_owned();
        if let Some(object) = self.objects.get(&(of(1), of(0))) {
            return (200, object.clone());
        }
        let items: Vec<&Value> = self.objects.iter().filter(|((plural, _), _)| *plural == of(0)).map(|(_, object)| object).collect();
        if *method == Method::GET && !items.is_empty() {
            return (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}));
        }
        self.otherwise.clone().unwrap_or_else(|| refusal(404, &format!("{} \"{}\" not found", of(1), of(0))))
    }
}
