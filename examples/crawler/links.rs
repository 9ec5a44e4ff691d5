//! What a page of HTML says: its title, and where its links lead.

use std::collections::HashSet;
use std::hash::Hash;

use scraper::{ElementRef, Html};
use url::Url;

use crate::normal::normal;

#[derive(Debug, Default, PartialEq)]
pub struct Document {
    pub title: Option<String>,
    /// Normal URLs, each once, in the order of the page.
    pub links: Vec<Url>,
}

/// Reads the document found at `url`. Links marked `nofollow` are left out.
pub fn read(html: &str, url: &Url) -> Document {
    let html = Html::parse_document(html);
    let (mut title, mut base, mut hrefs, mut nofollow) = (None, None, Vec::new(), false);
    for element in html.root_element().descendent_elements() {
        let tag = element.value();
        match tag.name() {
            "a" | "area" if !has_word(tag.attr("rel"), "nofollow") => {
                hrefs.extend(tag.attr("href"))
            }
            "base" if base.is_none() => {
                base = tag.attr("href").and_then(|href| url.join(href).ok())
            }
            "meta" if has_word(tag.attr("name"), "robots") => {
                nofollow |= has_word(tag.attr("content"), "nofollow");
            }
            "title" if title.is_none() && is_in_head(element) => title = text(element),
            _ => {}
        }
    }
    if nofollow {
        hrefs.clear();
    }
    Document {
        title,
        links: resolve(hrefs, base.as_ref().unwrap_or(url)),
    }
}

fn resolve(hrefs: Vec<&str>, base: &Url) -> Vec<Url> {
    let mut hrefs: Vec<_> = hrefs.into_iter().map(without_fragment).collect();
    // Twice, as the same link stands many times on a page, and joining it costs more than this.
    keep_first(&mut hrefs);
    let urls = hrefs
        .into_iter()
        .filter_map(|href| normal(base.join(href).ok()?));
    let mut urls: Vec<_> = urls.collect();
    keep_first(&mut urls);
    urls
}

fn keep_first<T: Clone + Eq + Hash>(items: &mut Vec<T>) {
    let mut met = HashSet::new();
    items.retain(|item| met.insert(item.clone()));
}

fn without_fragment(href: &str) -> &str {
    href.split_once('#').map_or(href, |(address, _)| address)
}

fn has_word(attribute: Option<&str>, word: &str) -> bool {
    let is_break = |c: char| c == ',' || c.is_ascii_whitespace();
    attribute.is_some_and(|text| {
        text.split(is_break)
            .any(|found| found.eq_ignore_ascii_case(word))
    })
}

/// A drawing in the page has a `<title>`, too.
fn is_in_head(title: ElementRef) -> bool {
    let parent = title.parent().and_then(ElementRef::wrap);
    parent.is_some_and(|parent| parent.value().name() == "head")
}

fn text(element: ElementRef) -> Option<String> {
    let text: String = element.text().collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn links(html: &str) -> Vec<String> {
        let document = read(html, &url("http://example.org/book/ch01.html"));
        document.links.iter().map(Url::to_string).collect()
    }

    #[test]
    fn links_are_absolute_and_each_is_named_once() {
        let found = links(
            "<a href=ch02.html>on</a> <a href='ch02.html#end'>on</a> <a href=./x/../ch02.html>on</a>
             <map><area href=/map></map> <a name=here>none</a>
             <a href='//other.example/?q=1'>out</a>",
        );
        let expected = [
            "http://example.org/book/ch02.html",
            "http://example.org/map",
            "http://other.example/?q=1",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_link_to_a_place_on_the_page_is_a_link_to_the_page() {
        assert_eq!(
            links("<a href='#end'>down</a>"),
            ["http://example.org/book/ch01.html"]
        );
    }

    #[test]
    fn only_what_http_can_fetch_is_a_link() {
        let found = links(
            "<a href='mailto:a@b.c'>m</a> <a href='javascript:0'>j</a> <a href='data:,x'>d</a>
             <a href='http://'>empty</a> <a href='HTTPS://Example.ORG:443/A'>h</a>",
        );
        assert_eq!(found, ["https://example.org/A"]);
    }

    #[test]
    fn the_first_base_decides_where_links_start() {
        let found = links("<base href=/else/><base href=/never/><a href=x>x</a>");
        assert_eq!(found, ["http://example.org/else/x"]);
    }

    #[test]
    fn who_asks_not_to_be_followed_is_not() {
        assert_eq!(
            links("<a rel='noopener NOFOLLOW' href=x>x</a><a rel=next href=y>y</a>"),
            ["http://example.org/book/y"]
        );
        assert!(links("<meta name=Robots content='noindex,nofollow'><a href=x>x</a>").is_empty());
    }

    #[test]
    fn the_title_is_the_head_s_and_on_one_line() {
        let title = |html| read(html, &url("http://example.org/")).title;
        assert_eq!(
            title("<title> A \n  book </title><p>text").as_deref(),
            Some("A book")
        );
        assert_eq!(title("<body><svg><title>Drawing</title></svg>"), None);
        assert_eq!(title("<title></title>"), None);
    }

    #[test]
    fn broken_html_still_has_links() {
        assert_eq!(
            links("<div><a href=x <p><table><a href='y'></b></i></div")
                .last()
                .unwrap(),
            "http://example.org/book/y"
        );
    }
}
