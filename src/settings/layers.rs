//! Layers of settings on top of each other, and which one each value came from.
//!
//! Pure: tables in, one table and its origins out. Tables merge key by key, everything else replaces. A *leaf* is
//! whatever is not a table, or a table without keys; each leaf has exactly one origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use toml::{Table, Value};

/// A key by its segments; a segment may itself contain a dot (`schemas.ids."OpsEvent.v1"`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// From bare segments joined by dots.
    #[must_use]
    pub fn dotted(text: &str) -> Self {
        Self(text.split('.').map(str::to_owned).collect())
    }

    /// This key with one more segment.
    #[must_use]
    pub fn join(&self, segment: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment.to_owned());
        Self(segments)
    }

    /// The last segment; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// Whether this is `other` or stands below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        for (index, segment) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            if bare(segment) {
                write!(f, "{dot}{segment}")?;
            } else {
                write!(f, "{dot}{segment:?}")?;
            }
        }
        Ok(())
    }
}

/// Where a value came from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// `config/default.toml`.
    Default,
    /// A profile that ships with the product.
    Profile(String),
    /// `--config`.
    File(PathBuf),
    /// A variable of this name.
    Environment(String),
    /// `--set`.
    Flag,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("flag --set"),
        }
    }
}

/// Where a leaf came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which layer.
    pub layer: Layer,
    /// The text as it was given, when it was read as TOML but the key may have wanted the text itself
    /// (`GATEKEEPER__INSTANCE=7`).
    pub text: Option<String>,
}

/// What all layers together say.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    root: Table,
    origins: BTreeMap<KeyPath, Origin>,
}

impl Tree {
    /// Everything, as one table.
    #[must_use]
    pub fn root(&self) -> &Table {
        &self.root
    }

    /// Each leaf and where it came from, in the order of keys.
    pub fn origins(&self) -> impl Iterator<Item = (&KeyPath, &Origin)> {
        self.origins.iter()
    }

    /// Where this key came from: its own origin, or the strongest claim among the leaves below it.
    #[must_use]
    pub fn origin(&self, key: &KeyPath) -> Option<&Origin> {
        self.origins.get(key).or_else(|| self.origins.iter().find(|(leaf, _)| leaf.is_within(key)).map(|(_, o)| o))
    }

    /// Lay a table over what is there.
    pub fn lay(&mut self, table: Table, layer: &Layer) {
        let origin = Origin { layer: layer.clone(), text: None };
        for (name, value) in table {
            self.put(&KeyPath(vec![name]), value, &origin);
        }
    }

    /// Lay one value over what is there; tables on its way are made.
    pub fn put(&mut self, key: &KeyPath, value: Value, origin: &Origin) {
        match value {
            Value::Table(table) if !table.is_empty() => {
                for (name, value) in table {
                    self.put(&key.join(&name), value, origin);
                }
            }
            // An empty table says nothing about a table that is there.
            Value::Table(_) if matches!(self.get(key), Some(Value::Table(_))) => {}
            leaf => {
                self.take(key);
                // A leaf that stood where a table is now gives way to it.
                for length in 1..key.0.len() {
                    let parent = KeyPath(key.0[..length].to_vec());
                    self.origins.remove(&parent);
                }
                insert(&mut self.root, &key.0, leaf);
                self.origins.insert(key.clone(), origin.clone());
            }
        }
    }

    /// Take a key out, with everything below it.
    pub fn take(&mut self, key: &KeyPath) -> Option<Value> {
        self.origins.retain(|leaf, _| !leaf.is_within(key));
        let (name, parents) = key.0.split_last()?;
        let mut table = &mut self.root;
        for parent in parents {
            table = table.get_mut(parent)?.as_table_mut()?;
        }
        table.remove(name)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &KeyPath) -> Option<&Value> {
        let (first, rest) = key.0.split_first()?;
        rest.iter().try_fold(self.root.get(first)?, |value, segment| value.as_table()?.get(segment))
    }
}

fn insert(table: &mut Table, segments: &[String], value: Value) {
    let Some((first, rest)) = segments.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let child = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !child.is_table() {
        *child = Value::Table(Table::new());
    }
    if let Value::Table(child) = child {
        insert(child, rest, value);
    }
}

/// `config/default.toml`: documents every key, and is the defaults.
pub const DEFAULT: &str = include_str!("../../config/default.toml");

/// The lowest layer.
pub(super) fn defaults() -> Table {
    DEFAULT.parse().expect("the defaults are compiled in and parsed by a test")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(text: &str) -> Table {
        text.parse().expect("the test's own TOML")
    }

    fn tree(layers: &[(&str, Layer)]) -> Tree {
        let mut tree = Tree::default();
        for (text, layer) in layers {
            tree.lay(table(text), layer);
        }
        tree
    }

    #[test]
    fn tables_merge_key_by_key_while_lists_and_values_replace() {
        let merged = tree(&[
            ("a = 1\n[t]\nx = [1, 2]\ny = 1\n[t.u]\nz = 1", Layer::Default),
            ("[t]\nx = [3]\n[t.u]\nw = 2", Layer::Flag),
        ]);
        assert_eq!(*merged.root(), table("a = 1\n[t]\nx = [3]\ny = 1\n[t.u]\nz = 1\nw = 2"));
        let from = |key| merged.origin(&KeyPath::dotted(key)).map(|origin| origin.layer.clone());
        assert_eq!(from("t.x"), Some(Layer::Flag));
        assert_eq!(from("t.y"), Some(Layer::Default));
        assert_eq!(from("t.u.w"), Some(Layer::Flag));
    }

    #[test]
    fn a_value_and_a_table_give_way_to_each_other_with_their_origins() {
        let value_over_table = tree(&[("[t.u]\nx = 1", Layer::Default), ("t = 5", Layer::Flag)]);
        assert_eq!(*value_over_table.root(), table("t = 5"));
        assert_eq!(value_over_table.origins().count(), 1);
        let table_over_value = tree(&[("t = 5", Layer::Default), ("[t.u]\nx = 1", Layer::Flag)]);
        assert_eq!(*table_over_value.root(), table("[t.u]\nx = 1"));
        assert_eq!(table_over_value.origins().count(), 1);
    }

    #[test]
    fn a_segment_with_a_dot_is_quoted() {
        assert_eq!(KeyPath(vec!["ids".into(), "OpsEvent.v1".into()]).to_string(), "ids.\"OpsEvent.v1\"");
    }

    fn values(depth: u32) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            "[a-z]{0,3}".prop_map(Value::String),
            Just(Value::Array(vec![Value::Integer(1)])),
        ];
        leaf.prop_recursive(depth, 24, 3, |inner| {
            proptest::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|map| Value::Table(map.into_iter().collect()))
        })
    }

    fn tables() -> impl Strategy<Value = Table> {
        proptest::collection::btree_map("[abc]", values(3), 0..3).prop_map(|map| map.into_iter().collect())
    }

    fn leaves(table: &Table, at: &KeyPath, found: &mut Vec<KeyPath>) {
        for (name, value) in table {
            match value {
                Value::Table(inner) if !inner.is_empty() => leaves(inner, &at.join(name), found),
                _ => found.push(at.join(name)),
            }
        }
    }

    proptest! {
        #[test]
        fn every_leaf_has_exactly_one_origin_whatever_lies_over_what(layers in proptest::collection::vec(tables(), 1..5)) {
            let mut tree = Tree::default();
            for (number, table) in layers.into_iter().enumerate() {
                tree.lay(table, &Layer::Environment(number.to_string()));
            }
            let mut found = Vec::new();
            leaves(tree.root(), &KeyPath::default(), &mut found);
            found.sort();
            let known: Vec<_> = tree.origins().map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(found, known);
        }

        #[test]
        fn the_last_layer_wins_for_each_of_its_leaves(below in tables(), above in tables()) {
            let mut tree = Tree::default();
            tree.lay(below, &Layer::Default);
            tree.lay(above.clone(), &Layer::Flag);
            let mut found = Vec::new();
            leaves(&above, &KeyPath::default(), &mut found);
            let mut alone = Tree::default();
            alone.lay(above, &Layer::Flag);
            for key in found {
                let wanted = alone.get(&key);
                let got = tree.get(&key);
                let says_nothing = matches!(wanted, Some(Value::Table(_))) && matches!(got, Some(Value::Table(_)));
                prop_assert!(says_nothing || got == wanted, "{} is {:?}, not {:?}", key, got, wanted);
            }
        }
    }
}
