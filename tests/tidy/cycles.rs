//! No cycles: of two modules side by side, at any depth, at most one knows the other.
//!
//! A folder is one module to those beside it. What a child takes from its own parent's file is no cycle: a parent's file is
//! the words that its children share.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Module, Tree};

type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// Every cycle among brothers and sisters, once.
pub fn violations(tree: &Tree) -> Vec<String> {
    let mut by_parent: BTreeMap<Module, Graph> = BTreeMap::new();
    for import in tree.imports() {
        let shared = import.from.iter().zip(&import.to).take_while(|(one, other)| one == other).count();
        if let (Some(from), Some(to)) = (import.from.get(shared), import.to.get(shared)) {
            let graph = by_parent.entry(import.from[..shared].to_vec()).or_default();
            graph.entry(from.clone()).or_default().entry(to.clone()).or_insert(import.at);
        }
    }
    by_parent.iter().flat_map(|(parent, graph)| cycles(parent, graph)).collect()
}

fn cycles(parent: &[String], graph: &Graph) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for start in graph.keys() {
        if !told.contains(start)
            && let Some(path) = way_back(graph, start)
        {
            told.extend(path.iter().cloned());
            let steps = path.windows(2).map(|pair| format!("{} ({})", pair[1], graph[&pair[0]][&pair[1]]));
            let steps: Vec<_> = steps.collect();
            found.push(format!("a cycle in {}: {start} -> {}", parent.join("::"), steps.join(" -> ")));
        }
    }
    found
}

/// The shortest way from a module to itself.
fn way_back(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = std::collections::VecDeque::from([vec![start.to_owned()]]);
    while let Some(way) = ways.pop_front() {
        for next in graph.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            let mut longer = way.clone();
            longer.push(next.clone());
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}
