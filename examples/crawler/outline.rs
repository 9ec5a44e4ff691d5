//! What the tags of a page say without a tree: in one pass, whatever the page.

use std::convert::Infallible;
use std::io::{self, Read};
use std::time::Instant;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{IoReader, Span, Tokenizer};

use crate::findings::Findings;

/// # Errors
///
/// The deadline has passed.
pub fn read(html: &str, deadline: Instant) -> io::Result<Findings> {
    let mut outline = Outline::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| {
        outline.hear(&event);
        None::<Infallible>
    });
    emitter.naively_switch_states(true);
    let html = IoReader::new(Timed {
        text: html.as_bytes(),
        deadline,
    });
    Tokenizer::new_with_emitter(html, emitter).finish()?;
    Ok(outline.findings)
}

#[derive(Default)]
struct Outline {
    findings: Findings,
    tag: Tag,
    /// Drawings that are open: their `<title>` is not the page's.
    drawings: usize,
}

/// The attributes that mean something here; of any other there may be millions.
#[derive(Default)]
struct Tag {
    name: String,
    attributes: [Option<String>; ATTRIBUTES.len()],
    current: Option<usize>,
}

const ATTRIBUTES: [&str; 4] = ["content", "href", "name", "rel"];

impl Outline {
    fn hear(&mut self, event: &CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => self.tag = Tag::new(name),
            CallbackEvent::AttributeName { name } => self.tag.attribute(name),
            CallbackEvent::AttributeValue { value } => self.tag.value(value),
            CallbackEvent::CloseStartTag { self_closing } => {
                self.drawings += usize::from(self.tag.name == "svg" && !*self_closing);
                self.findings.tag(&self.tag.name, |name| self.tag.get(name));
            }
            CallbackEvent::EndTag { name } => {
                self.drawings -= usize::from(*name == b"svg" && self.drawings > 0);
                self.tag = Tag::default();
            }
            CallbackEvent::String { value } if self.tag.name == "title" && self.drawings == 0 => {
                self.findings.title(&String::from_utf8_lossy(value));
            }
            _ => {}
        }
    }
}

impl Tag {
    fn new(name: &[u8]) -> Self {
        Self {
            name: lossy(name),
            ..Self::default()
        }
    }

    fn attribute(&mut self, name: &[u8]) {
        let wanted = ATTRIBUTES
            .iter()
            .position(|attribute| attribute.as_bytes() == name);
        // The first of a name counts.
        self.current = wanted.filter(|&which| self.attributes[which].is_none());
        if let Some(which) = self.current {
            self.attributes[which] = Some(String::new());
        }
    }

    fn value(&mut self, value: &[u8]) {
        if let Some(which) = self.current.take() {
            self.attributes[which] = Some(lossy(value));
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let which = ATTRIBUTES.iter().position(|attribute| *attribute == name)?;
        self.attributes[which].as_deref()
    }
}

/// Ends in an error when its time has passed.
struct Timed<'a> {
    text: &'a [u8],
    deadline: Instant,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.text.read(buffer)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
