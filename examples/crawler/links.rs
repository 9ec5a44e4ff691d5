//! What a page of HTML says: its title, and where its links lead.

use std::collections::HashSet;
use std::io;
use std::time::Instant;

use url::Url;

use crate::normal::normal;
use crate::wishes::Wishes;
use crate::{outline, tree};

#[derive(Debug, Default, PartialEq)]
pub struct Document {
    pub title: Option<String>,
    /// Normal URLs, each once, in the order of the page; none of a page that wants none followed.
    pub links: Vec<Url>,
    pub wishes: Wishes,
}

/// Reads the document found at `url`, which has asked for `wishes` already.
///
/// # Errors
///
/// The deadline has passed.
pub fn read(html: &str, url: &Url, mut wishes: Wishes, deadline: Instant) -> io::Result<Document> {
    let findings = match tree::read(html, deadline) {
        Some(findings) => findings,
        None => outline::read(html, deadline)?,
    };
    wishes |= findings.wishes;
    let base = findings.base.and_then(|href| normal(url.join(&href).ok()?));
    Ok(Document {
        title: findings.title,
        links: match wishes.nofollow {
            true => Vec::new(),
            false => resolve(&findings.hrefs, base.as_ref().unwrap_or(url)),
        },
        wishes,
    })
}

fn resolve(hrefs: &[String], base: &Url) -> Vec<Url> {
    let mut met = HashSet::new();
    let urls = hrefs
        .iter()
        .filter_map(|href| normal(base.join(href).ok()?));
    urls.filter(|url| met.insert(url.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::sample::select;
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn read_at(html: &str, address: &str) -> Document {
        let soon = Instant::now() + Duration::from_secs(60);
        read(html, &url(address), Wishes::default(), soon).unwrap()
    }

    fn links(html: &str) -> Vec<String> {
        let document = read_at(html, "http://example.org/book/ch01.html");
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
        let title = |html| read_at(html, "http://example.org/").title;
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

    /// Pages that would keep a parser busy for hours, or fill the memory: each costs a second at most, and its
    /// links are found.
    #[test]
    fn what_nobody_wrote_by_hand_has_its_links_all_the_same() {
        let many = |times: usize, piece: &str| piece.repeat(times);
        let each = |times: usize, piece: &dyn Fn(usize) -> String| {
            (0..times).map(piece).collect::<String>()
        };
        let pages = [
            ("levels", many(200_000, "<div>")),
            ("levels of drawings", many(100_000, "<svg><g>")),
            (
                "attributes",
                format!("<div {}>", each(1_000_000, &|n| format!("a{n} "))),
            ),
            ("attributes in a drawing's title", {
                format!(
                    "<svg><title><p {}></title></svg>",
                    each(300_000, &|n| format!("a{n} "))
                )
            }),
            ("a comment", format!("<!--{}-->", many(16 << 20, "x"))),
            ("an address", format!("<a href='/{}'>", many(8 << 20, "x"))),
            ("a base", format!("<base href='/{}/'>", many(8 << 20, "x"))),
            (
                "nothing closed",
                many(50_000, "<table><tr><td><ul><li><p><select><form><button>"),
            ),
            ("tables", many(100_000, "<table>")),
            ("tables in cells", many(50_000, "<table><tr><td>")),
            ("paragraphs out of tables", many(50_000, "<table><p>x")),
            (
                "letters",
                each(100_000, &|n| format!("<b id={n}><i><a name={n}>")),
            ),
            ("letters again and again", {
                let letters = each(500, &|n| format!("<b id={n}>"));
                format!("<p>{letters}</p>{}", many(100_000, "<p>x</p>"))
            }),
            (
                "letters closed in the wrong order",
                many(50_000, "<a><b></a><i></b></i><p>"),
            ),
            ("templates", many(100_000, "<template>")),
            ("frames", many(100_000, "<frameset>")),
            ("entities", many(1 << 18, "&amp")),
            ("beginnings", many(1 << 20, "<")),
            ("zeros", many(1 << 18, "\0<\0")),
        ];
        for (name, html) in pages {
            let html = format!("<title>{name}</title>{html}<a href=/end>");
            let document = read_at(&html, "http://example.org/");
            assert_eq!(document.title.as_deref(), Some(name));
            let last = document.links.last().map(Url::path);
            assert_eq!(last, Some("/end"), "{name}");
        }
    }

    #[test]
    fn the_time_of_a_page_ends_in_the_midst_of_it() {
        let read = |html: &str, deadline| {
            let url = url("http://example.org/");
            read(html, &url, Wishes::default(), deadline)
        };
        let passed = Instant::now() - Duration::from_millis(1);
        assert!(read("<a href=x>", passed).is_err());
    }

    #[test]
    fn with_a_tree_or_without_the_same_is_found() {
        let soon = Instant::now() + Duration::from_secs(60);
        for page in [
            include_str!("site/index.html"),
            include_str!("site/deques.html"),
            "<title>A &amp; B</title><svg><title>Drawing</title></svg><a href='?a&amp;b' href=never>x</a>
             <script>'<a href=script>'</script><!-- <a href=comment> --><textarea><a href=text></textarea>
             <noscript><a href=noscript></noscript><A HREF=1 REL=next>x</a><area href=2><a href>self</a>
             <base href=/b/><meta name=robots content=none><a rel=nofollow href=3><p><a href=4#x",
        ] {
            let (tree, outline) = (tree::read(page, soon), outline::read(page, soon).unwrap());
            assert_eq!(tree, Some(outline));
        }
    }

    proptest! {
        /// Tags in any order, but for drawings and forms, where only a tree knows which of them count.
        #[test]
        fn without_a_tree_no_link_is_missed(
            soup in vec(select(&[
                "<a href=1>", "<a href='2'>", "<area href=\"3\">", "</a>", "<b>", "</b>", "<p>", "</p>", "<div>", "</div>",
                "<table>", "<tr>", "<td>", "</table>", "<ul>", "<li>", "</ul>", "<title>", "</title>", "<script>",
                "</script>", "<style>", "</style>", "<!--", "-->", "<base href=/b/>", "&amp;", "'", "\"", "<", ">", "\0", " ",
                "text", "<br/>", "<body>", "</body>", "</html>", "<noscript>", "</noscript>", "<h1>", "</h1>",
            ][..]), 0..50),
        ) {
            let soon = Instant::now() + Duration::from_secs(60);
            let soup = soup.concat();
            let (tree, outline) = (tree::read(&soup, soon).unwrap(), outline::read(&soup, soon).unwrap());
            let missed = tree.hrefs.iter().find(|href| !outline.hrefs.contains(href));
            prop_assert_eq!(missed, None);
        }
    }
}
