//! A source file as tokens, with what is only compiled for tests taken out.
//!
//! Real lexing (`proc_macro2`), so that comments, strings and macros do not deceive the rules; no parsing beyond items.

use std::path::Path;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A word or sign of production code.
#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
    pub line: usize,
    /// Modules written out in this file around the token.
    pub inside: Vec<String>,
}

#[derive(Debug)]
pub struct Source {
    /// From the package's root, with `/`.
    pub path: String,
    /// `pipeline::lane`; empty for the root of the crate, `main` for the binary's.
    pub module: Vec<String>,
    /// Without what is `#[cfg(test)]`.
    pub tokens: Vec<Token>,
    /// Lines that are not `#[cfg(test)]`.
    pub lines: usize,
    /// Modules in files of their own that are `#[cfg(test)]`.
    pub test_modules: Vec<String>,
}

impl Source {
    pub fn read(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} cannot be lexed: {error}"));
        let mut reader = Reader::default();
        reader.items(stream);
        Self {
            path: path.to_owned(),
            module: module_of(path),
            tokens: reader.tokens,
            lines: text.lines().count() - reader.test_lines,
            test_modules: reader.test_modules,
        }
    }
}

fn module_of(path: &str) -> Vec<String> {
    let name = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let name = name.strip_suffix("/mod").unwrap_or(name);
    if name == "lib" { Vec::new() } else { name.split('/').map(str::to_owned).collect() }
}

/// Every `.rs` file below these folders, as path from the root and text.
pub fn files(root: &Path, folders: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("the package's folders can be read") {
            let path = entry.expect("the package's folders can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("sources are text");
                let name = path.strip_prefix(root).expect("it lies below").to_string_lossy().replace('\\', "/");
                found.push((name, text));
            }
        }
    }
    found.sort();
    found
}

#[derive(Default)]
struct Reader {
    tokens: Vec<Token>,
    inside: Vec<String>,
    test_lines: usize,
    test_modules: Vec<String>,
}

impl Reader {
    fn items(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            if is_for_tests(&trees[at..]) {
                let end = end_of_item(&trees, at);
                let (first, last) = (trees[at].span().start().line, last_line(&trees[end - 1]));
                self.test_lines += last - first + 1;
                self.test_modules.extend(module_in_a_file(&trees[at..end]));
                at = end;
                continue;
            }
            self.tree(&trees[at], at.checked_sub(2).map(|before| &trees[before..at]));
            at += 1;
        }
    }

    fn tree(&mut self, tree: &TokenTree, before: Option<&[TokenTree]>) {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                let module = match before {
                    Some([TokenTree::Ident(word), TokenTree::Ident(name)]) if word == "mod" => Some(name.to_string()),
                    _ => None,
                };
                self.push(open, line);
                self.inside.extend(module.clone());
                self.items(group.stream());
                if module.is_some() {
                    self.inside.pop();
                }
                self.push(close, last_line(tree));
            }
            TokenTree::Punct(sign) => {
                let second = self.tokens.last().is_some_and(|last| last.text == ":" && sign.as_char() == ':');
                if second {
                    self.tokens.pop();
                    self.push("::", line);
                } else if sign.as_char() == ':' && sign.spacing() == Spacing::Alone {
                    self.push(" : ", line);
                } else {
                    self.push(&sign.to_string(), line);
                }
            }
            TokenTree::Ident(word) => self.push(&word.to_string(), line),
            TokenTree::Literal(literal) => self.push(&literal.to_string(), line),
        }
    }

    fn push(&mut self, text: &str, line: usize) {
        self.tokens.push(Token { text: text.to_owned(), line, inside: self.inside.clone() });
    }
}

fn last_line(tree: &TokenTree) -> usize {
    match tree {
        TokenTree::Group(group) => group.span_close().end().line,
        other => other.span().end().line,
    }
}

/// `#[cfg(test)]`, or a condition that needs `test`.
fn is_for_tests(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else { return false };
    let mut inner = attribute.stream().into_iter();
    let (Some(TokenTree::Ident(cfg)), Some(TokenTree::Group(condition))) = (inner.next(), inner.next()) else {
        return false;
    };
    let condition = condition.stream().to_string();
    let has = |wanted: &str| condition.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == wanted);
    hash.as_char() == '#' && cfg == "cfg" && has("test") && !has("not") && !has("any")
}

/// Behind its `;` or its block.
fn end_of_item(trees: &[TokenTree], start: usize) -> usize {
    let mut at = start;
    while matches!(&trees[at], TokenTree::Punct(hash) if hash.as_char() == '#') {
        at += 2;
    }
    let is_use = trees[at..].iter().take(3).any(|tree| matches!(tree, TokenTree::Ident(word) if word == "use"));
    for (index, tree) in trees.iter().enumerate().skip(at) {
        match tree {
            TokenTree::Punct(sign) if sign.as_char() == ';' => return index + 1,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !is_use => return index + 1,
            _ => {}
        }
    }
    trees.len()
}

/// The name in `mod name;`.
fn module_in_a_file(item: &[TokenTree]) -> Option<String> {
    match item {
        [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(end)]
            if word == "mod" && end.as_char() == ';' =>
        {
            Some(name.to_string())
        }
        _ => None,
    }
}
