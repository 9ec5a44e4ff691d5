//! The tree of a page, where it has one that people would write.

use std::panic;
use std::time::{Duration, Instant};

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use scraper::{ElementRef, Html, HtmlTreeSink, Node};

use crate::findings::Findings;

/// As in browsers.
const DEEPEST: usize = 512;
/// Elements, their attributes and texts: misnested tags make a small page a tree of millions.
const LARGEST: usize = 1_000_000;
/// The attributes of a tag are compared with each other.
const LONGEST_TAG: usize = 64 << 10;
/// What is left of the quadratic: many long tags, or many levels that are not the newest element's.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the tree of `html` says; `None` if it is too deep or too large to make it, or not made by `deadline`.
pub fn read(html: &str, deadline: Instant) -> Option<Findings> {
    // A parser that gives up with a panic makes no tree, either.
    panic::catch_unwind(|| look(html, deadline)).ok()?
}

fn look(html: &str, deadline: Instant) -> Option<Findings> {
    let tree = parse(html, deadline.min(Instant::now() + PATIENCE))?;
    let mut findings = Findings::default();
    for element in tree.root_element().descendent_elements() {
        let tag = element.value();
        if tag.name() == "title" && is_in_head(element) {
            findings.title(&element.text().collect::<String>());
        }
        findings.tag(tag.name(), |attribute| tag.attr(attribute));
    }
    Some(findings)
}

fn parse(html: &str, until: Instant) -> Option<Html> {
    let sink = HtmlTreeSink::new(Html::new_document());
    let mut parser = parse_document(sink, ParseOpts::default());
    let (mut nodes, mut size, mut without_end) = (0, 0, 0);
    for bite in bites(html) {
        parser.process(bite.into());
        let html = parser.tokenizer.sink.sink.0.borrow();
        let new = html.tree.nodes().len() - nodes;
        nodes += new;
        size += html
            .tree
            .values()
            .rev()
            .take(new)
            .map(weight)
            .sum::<usize>();
        without_end = if bite.ends_with('>') {
            0
        } else {
            without_end + bite.len()
        };
        let newest = html.tree.nodes().next_back()?;
        if size > LARGEST
            || without_end > LONGEST_TAG
            || new > 0 && newest.ancestors().nth(DEEPEST).is_some()
            || Instant::now() > until
        {
            return None;
        }
    }
    Some(parser.finish())
}

/// With one tag each at most, so that the tree can be looked at before it has grown by much.
fn bites(html: &str) -> impl Iterator<Item = &str> {
    const LONGEST: usize = 4 << 10;
    html.split_inclusive('>').flat_map(|mut rest| {
        std::iter::from_fn(move || {
            let (bite, more) = rest.split_at(boundary(rest, LONGEST));
            rest = more;
            (!bite.is_empty()).then_some(bite)
        })
    })
}

/// At `most` bytes or a little before, between two characters.
fn boundary(text: &str, most: usize) -> usize {
    let ends = (0..=most.min(text.len())).rev();
    { ends }
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or_default()
}

fn weight(node: &Node) -> usize {
    1 + node.as_element().map_or(0, |element| element.attrs.len())
}

/// A drawing in the page has a `<title>`, too.
fn is_in_head(title: ElementRef) -> bool {
    let parent = title.parent().and_then(ElementRef::wrap);
    parent.is_some_and(|parent| parent.value().name() == "head")
}
