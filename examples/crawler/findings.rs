//! What is looked for in a page, tag by tag, however the tags were found.

use std::collections::HashSet;

use crate::wishes::Wishes;

/// No page that people write has more; beyond, it is a machine that writes.
const MOST_LINKS: usize = 50_000;
/// Some way beyond the longest URL that is visited, as dots and escapes may shorten it.
const LONGEST_HREF: usize = 8192;
const LONGEST_TITLE: usize = 300;

#[derive(Debug, Default, PartialEq)]
pub struct Findings {
    pub title: Option<String>,
    pub base: Option<String>,
    pub wishes: Wishes,
    /// Without their fragments, each once, in the order of the page.
    pub hrefs: Vec<String>,
    met: HashSet<String>,
}

impl Findings {
    /// A start tag, with what it says for an attribute. Links marked `nofollow` are left out.
    pub fn tag<'a>(&mut self, name: &str, attribute: impl Fn(&'static str) -> Option<&'a str>) {
        match name {
            "a" | "area" if !has_word(attribute("rel"), "nofollow") => {
                if let Some(href) = attribute("href") {
                    self.link(href);
                }
            }
            "base" if self.base.is_none() => self.base = attribute("href").map(str::to_owned),
            "meta" if has_word(attribute("name"), "robots") => {
                self.wishes |= Wishes::in_meta(attribute("content").unwrap_or_default());
            }
            _ => {}
        }
    }

    /// The text of a `<title>`; the first that has one counts.
    pub fn title(&mut self, text: &str) {
        if self.title.is_none() {
            let words = text.split_whitespace().take(LONGEST_TITLE);
            let title = words.collect::<Vec<_>>().join(" ");
            let title: String = title.chars().take(LONGEST_TITLE).collect();
            self.title = (!title.is_empty()).then_some(title);
        }
    }

    /// Each once, as the same link stands many times on a page, and joining it costs more than this.
    fn link(&mut self, href: &str) {
        let href = href.split_once('#').map_or(href, |(address, _)| address);
        if href.len() <= LONGEST_HREF && self.hrefs.len() < MOST_LINKS && !self.met.contains(href) {
            self.met.insert(href.to_owned());
            self.hrefs.push(href.to_owned());
        }
    }
}

fn has_word(attribute: Option<&str>, word: &str) -> bool {
    let is_break = |c: char| c == ',' || c.is_ascii_whitespace();
    attribute.is_some_and(|text| {
        text.split(is_break)
            .any(|found| found.eq_ignore_ascii_case(word))
    })
}
