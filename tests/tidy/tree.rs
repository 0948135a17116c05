//! All sources of the library and who imports whom in them.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, Token};

pub type Module = Vec<String>;

/// A path in production code that leads to a module of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: Module,
    pub to: Module,
    /// `src/pipeline/lane/mod.rs:7`.
    pub at: String,
}

/// A path in production code as it is written, from its first segment.
struct Path {
    segments: Vec<String>,
    /// Modules written out in the file around it.
    inside: Vec<String>,
    line: usize,
}

impl Path {
    /// The module it is written in, inner ones included.
    fn base(&self, source: &Source) -> Module {
        source.module.iter().chain(&self.inside).cloned().collect()
    }
}

pub struct Tree {
    pub sources: Vec<Source>,
    modules: BTreeSet<Module>,
    /// What a `use` makes known in a module: `(module, name) -> path`.
    names: BTreeMap<(Module, String), Vec<String>>,
}

impl Tree {
    pub fn new(files: &[(String, String)]) -> Self {
        let mut sources: Vec<_> = files.iter().map(|(path, text)| Source::read(path, text)).collect();
        let tests: Vec<Module> = sources
            .iter()
            .flat_map(|source| source.test_modules.iter().map(|name| joined(&source.module, name)))
            .collect();
        sources.retain(|source| !tests.iter().any(|test| source.module.starts_with(test)));
        let with_parents =
            |source: &Source| (0..=source.module.len()).map(|end| source.module[..end].to_vec()).collect::<Vec<_>>();
        let modules = sources.iter().flat_map(with_parents).collect();
        let mut names = BTreeMap::new();
        for source in &sources {
            for (path, name) in uses(&source.tokens) {
                names.insert((path.base(source), name), path.segments);
            }
        }
        Self { sources, modules, names }
    }

    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for source in &self.sources {
            for path in paths(&source.tokens) {
                if let Some(to) = self.resolve(&path.base(source), &path.segments, 8)
                    && to != source.module
                {
                    let at = format!("{}:{}", source.path, path.line);
                    imports.push(Import { from: source.module.clone(), to, at });
                }
            }
        }
        imports.sort();
        imports.dedup();
        imports
    }

    /// Uses of other people's crates: crate, module, place.
    pub fn crates(&self) -> Vec<(String, Module, String)> {
        let mut found = Vec::new();
        for source in &self.sources {
            for path in paths(&source.tokens) {
                let first = path.segments[0].clone();
                if self.resolve(&path.base(source), &path.segments, 8).is_none() {
                    found.push((first, source.module.clone(), format!("{}:{}", source.path, path.line)));
                }
            }
        }
        found
    }

    /// The deepest module of ours that a path leads to, through re-exports.
    fn resolve(&self, base: &[String], segments: &[String], depth: usize) -> Option<Module> {
        let (first, mut rest) = segments.split_first()?;
        let mut current: Module = match first.as_str() {
            "crate" | "gatekeeper" => Vec::new(),
            "self" => base.to_vec(),
            "super" => base.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default(),
            name => {
                let child = joined(base, name);
                if self.modules.contains(&child) {
                    child
                } else {
                    return self.follow(base, name, rest, depth);
                }
            }
        };
        while let Some((name, after)) = rest.split_first() {
            let child = joined(&current, name);
            if name == "super" {
                current.pop();
            } else if self.modules.contains(&child) {
                current = child;
            } else {
                return self.follow(&current, name, after, depth).or(Some(current));
            }
            rest = after;
        }
        Some(current)
    }

    fn follow(&self, module: &[String], name: &str, rest: &[String], depth: usize) -> Option<Module> {
        let path = self.names.get(&(module.to_vec(), name.to_owned()))?;
        // A name that begins with itself (`use clap;`) is somebody else's.
        if depth == 0 || path.first().is_some_and(|first| first == name) {
            return None;
        }
        let whole: Vec<_> = path.iter().chain(rest).cloned().collect();
        self.resolve(module, &whole, depth - 1)
    }
}

fn joined(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Not `impl Trait + use<'a>`, which captures and imports nothing.
fn begins_use(tokens: &[Token], at: usize) -> bool {
    tokens[at].text == "use" && tokens.get(at + 1).is_some_and(|next| is_word(next) || matches!(&*next.text, "{" | "::"))
}

/// Every path of two segments or more, and every leaf of a `use`.
fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut found: Vec<Path> = uses(tokens).into_iter().map(|(path, _)| path).collect();
    let mut at = 0;
    while at < tokens.len() {
        if begins_use(tokens, at) {
            at += tokens[at..].iter().take_while(|token| token.text != ";").count();
            continue;
        }
        let starts = is_word(&tokens[at]) && at.checked_sub(1).is_none_or(|before| tokens[before].text != "::");
        let is_visibility = at >= 2 && tokens[at - 1].text == "in" && tokens[at - 2].text == "(";
        let mut end = at + 1;
        while end + 1 < tokens.len() && tokens[end].text == "::" && is_word(&tokens[end + 1]) {
            end += 2;
        }
        if starts && !is_visibility && end > at + 1 {
            let segments = tokens[at..end].iter().step_by(2).map(|token| token.text.clone()).collect();
            found.push(Path { segments, inside: tokens[at].inside.clone(), line: tokens[at].line });
        }
        at = end;
    }
    found
}

/// The leaves of every `use`, with the name each makes known.
fn uses(tokens: &[Token]) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if begins_use(tokens, at) {
            at = leaves(tokens, at + 1, &[], &mut found);
        }
        at += 1;
    }
    found
}

/// Read one `use` tree from `at`; answers where it ends.
fn leaves(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<(Path, String)>) -> usize {
    let mut segments = before.to_vec();
    let mut name = None;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "::" => {}
            "{" => {
                at += 1;
                while at < tokens.len() && !matches!(&*tokens[at].text, "}" | ";") {
                    at = leaves(tokens, at, &segments, found);
                    at += usize::from(at < tokens.len() && tokens[at].text == ",");
                }
                return at + 1;
            }
            "as" => {
                name = tokens.get(at + 1).map(|token| token.text.clone());
                at += 1;
            }
            "," | "}" | ";" => break,
            word => segments.push(word.to_owned()),
        }
        at += 1;
    }
    if segments.len() > 1 && segments.last().is_some_and(|last| last == "self" || last == "*") {
        segments.pop();
    }
    if let Some(last) = segments.last() {
        let name = name.unwrap_or_else(|| last.clone());
        let token = &tokens[at.min(tokens.len() - 1)];
        found.push((Path { segments, inside: token.inside.clone(), line: token.line }, name));
    }
    at
}
