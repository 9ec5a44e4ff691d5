//! What a body is: its type, and its text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// What a server says about a body.
#[derive(Debug, Default, PartialEq)]
pub struct Content {
    /// Without its parameters, in lower case; empty if the server gave none.
    pub kind: String,
    charset: Option<&'static Encoding>,
}

/// No registered type is longer.
const LONGEST_KIND: usize = 127;

impl Content {
    /// By a `Content-Type`.
    pub fn of(header: &str) -> Self {
        let (kind, parameters) = header.split_once(';').unwrap_or((header, ""));
        let charset = parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='));
        let charset = charset
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, value)| value);
        let charset = charset
            .map(|value| value.trim().trim_matches('"'))
            .find_map(|label| Encoding::for_label(label.as_bytes()));
        Self {
            kind: kind
                .trim()
                .chars()
                .take(LONGEST_KIND)
                .map(|c| c.to_ascii_lowercase())
                .collect(),
            charset,
        }
    }

    /// By what the server says, or by how `body` begins if it says nothing.
    pub fn is_html(&self, body: &[u8]) -> bool {
        match self.kind.as_str() {
            "text/html" | "application/xhtml+xml" => true,
            "" => begins_like_html(&self.text(&body[..body.len().min(1024)])),
            _ => false,
        }
    }

    /// `body` in the encoding that its mark, its header or its first lines name.
    pub fn text<'a>(&self, body: &'a [u8]) -> Cow<'a, str> {
        self.charset
            .or_else(|| named_in(body))
            .unwrap_or(UTF_8)
            .decode(body)
            .0
    }
}

/// As browsers find it: <https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type>.
fn begins_like_html(text: &str) -> bool {
    const BEGINNINGS: [&str; 16] = [
        "<!doctype html",
        "<html",
        "<head",
        "<script",
        "<iframe",
        "<h1",
        "<div",
        "<font",
        "<table",
        "<a",
        "<style",
        "<title",
        "<b",
        "<body",
        "<br",
        "<p",
    ];
    let text = text.trim_ascii_start().as_bytes();
    text.starts_with(b"<!--")
        || BEGINNINGS.iter().any(|beginning| {
            text.split_at_checked(beginning.len())
                .is_some_and(|(start, rest)| {
                    start.eq_ignore_ascii_case(beginning.as_bytes())
                        && matches!(rest.first(), Some(b' ' | b'>'))
                })
        })
}

/// `<meta charset=...>` or its elder sister, within the kilobyte in which HTML wants it.
fn named_in(html: &[u8]) -> Option<&'static Encoding> {
    let head = html[..html.len().min(1024)].to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let (_, label) = head.split_once("charset=")?;
    let label = label
        .trim_start_matches(['"', '\''])
        .split(['"', '\'', ' ', ';', '/', '>'])
        .next()?;
    // What could be read so far is not UTF-16, whatever it says.
    Some(Encoding::for_label(label.as_bytes())?.output_encoding())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_has_a_kind_and_a_charset() {
        let content = Content::of("Text/HTML; Charset=\"iso-8859-2\"");
        assert_eq!(content.kind, "text/html");
        assert_eq!(content.charset, Some(encoding_rs::ISO_8859_2));
        assert_eq!(Content::of("image/png").kind, "image/png");
        assert_eq!(Content::of(""), Content::default());
    }

    #[test]
    fn a_page_names_its_own_encoding() {
        let text = |html: &[u8]| Content::of("text/html").text(html).into_owned();
        assert!(text(b"<html><META Charset='koi8-r'>\xc1").ends_with('\u{430}'));
        assert!(
            text(b"<meta http-equiv=x content='text/html; charset=big5'>\xa4\xa4")
                .ends_with('\u{4e2d}')
        );
        assert_eq!(text(b"<p>no charset"), "<p>no charset");
        assert_eq!(
            text(b"<meta charset=utf-16>read"),
            "<meta charset=utf-16>read"
        );
        assert_eq!(text(b"\xff\xfe<\0p\0>\0"), "<p>");
    }

    #[test]
    fn what_a_server_says_nothing_about_is_html_if_it_begins_so() {
        let is_html = |header, body: &str| Content::of(header).is_html(body.as_bytes());
        assert!(is_html("", "\u{feff}\n <!DOCTYPE HTML>"));
        assert!(is_html("", "<p>text"));
        assert!(is_html("", "<A href=x>"));
        assert!(is_html("", "<!-- a page -->"));
        assert!(Content::of("").is_html(b"\xff\xfe<\0p\0>\0"));
        assert!(!is_html("", ""));
        assert!(!is_html("", "<pre>"));
        assert!(!is_html("", "%PDF-1.7 <html>"));
        assert!(!is_html("text/plain", "<p>text"));
    }
}
