//! A registry's subjects in memory, for tests: the least that keeps the port's promises.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use futures_util::future::BoxFuture;

use super::{Level, LevelOf, Subjects, Version};
use crate::pipeline::schema_set::registry::{RegisteredSchema, RegistryError};
use crate::settings::load::{LoadOptions, load};
use crate::settings::topics::Topics;

#[derive(Default)]
pub(super) struct Shelf(Mutex<State>);

#[derive(Default)]
struct State {
    ids: BTreeMap<String, u32>,
    subjects: BTreeMap<String, Vec<String>>,
    levels: BTreeMap<String, Level>,
    objection: Option<String>,
    error: Option<RegistryError>,
}

impl Shelf {
    pub fn fails(&self, error: Option<RegistryError>) {
        self.state().error = error;
    }

    pub fn objects(&self, objection: Option<&str>) {
        self.state().objection = objection.map(str::to_owned);
    }

    /// As if these had been registered there, and nothing else.
    pub fn put(&self, subject: &str, texts: &[&str]) {
        let mut state = self.state();
        for text in texts {
            state.id_of(text);
        }
        state.subjects.insert(subject.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect());
    }

    pub fn texts(&self, subject: &str) -> Vec<String> {
        self.state().subjects.get(subject).cloned().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }

    fn answer<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&mut State) -> T,
    ) -> BoxFuture<'static, Result<T, RegistryError>> {
        let mut state = self.state();
        let answer = match state.error.clone() {
            Some(error) => Err(error),
            None => Ok(answer(&mut state)),
        };
        Box::pin(async move { answer })
    }
}

impl State {
    fn id_of(&mut self, text: &str) -> u32 {
        let next = u32::try_from(self.ids.len()).expect("a few") + 1;
        *self.ids.entry(text.to_owned()).or_insert(next)
    }
}

impl Subjects for Shelf {
    fn find<'a>(&'a self, subject: &'a str, text: &'a str) -> BoxFuture<'a, Result<Option<u32>, RegistryError>> {
        self.answer(|state| {
            let there = state.subjects.get(subject).is_some_and(|texts| texts.iter().any(|one| one == text));
            there.then(|| state.id_of(text))
        })
    }

    fn register<'a>(&'a self, subject: &'a str, text: &'a str) -> BoxFuture<'a, Result<u32, RegistryError>> {
        self.answer(|state| {
            state.subjects.entry(subject.to_owned()).or_default().push(text.to_owned());
            state.id_of(text)
        })
    }

    fn versions<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Vec<Version>, RegistryError>> {
        self.answer(|state| {
            let texts = state.subjects.get(subject).cloned().unwrap_or_default();
            let version = |(number, text): (u32, String)| {
                let id = state.id_of(&text);
                Version {
                    number,
                    id,
                    schema: RegisteredSchema { kind: "AVRO".to_owned(), text, has_references: false },
                }
            };
            (1..).zip(texts).map(version).collect()
        })
    }

    fn objections<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, RegistryError>> {
        self.answer(|state| state.objection.iter().cloned().collect())
    }

    fn level<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<LevelOf, RegistryError>> {
        self.answer(|state| match state.levels.get(subject) {
            Some(&level) => LevelOf { level, own: true },
            None => LevelOf { level: Level::Backward, own: false },
        })
    }

    fn set_level<'a>(&'a self, subject: &'a str, level: Level) -> BoxFuture<'a, Result<(), RegistryError>> {
        self.answer(|state| {
            state.levels.insert(subject.to_owned(), level);
        })
    }
}

/// The shipped names.
pub(super) fn topics() -> Topics {
    load(&LoadOptions::default()).expect("the defaults").settings.topics
}
