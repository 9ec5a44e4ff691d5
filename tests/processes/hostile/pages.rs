//! Pages for which no parser was made.

use std::fmt::Write;

type Page = (&'static str, fn() -> String);

pub(super) const ALL: &[Page] = &[
    ("levels", || "<div>".repeat(200_000)),
    ("attributes", || {
        format!("<p {}>", numbered(1_000_000, |n| format!("a{n} ")))
    }),
    ("comment", || {
        format!("<!--{}-->", "x".repeat((16 << 20) - 1000))
    }),
    ("unclosed", || {
        "<ul><li><p><form><select><button>".repeat(50_000)
    }),
    ("tables", || "<table><tr><td>".repeat(50_000)),
    ("letters", || {
        numbered(100_000, |n| format!("<b id={n}><i><a name={n}>"))
    }),
    ("clones", || {
        let letters = numbered(500, |n| format!("<b id={n}>"));
        format!("<p>{letters}</p>{}", "<p>x</p>".repeat(100_000))
    }),
];

/// With a title, and a link at its end.
pub(super) fn html(name: &str) -> Option<String> {
    let (_, body) = ALL.iter().find(|(known, _)| *known == name)?;
    Some(format!(
        "<title>{name}</title>{}<a href='/found/{name}'>",
        body()
    ))
}

fn numbered(times: usize, piece: fn(usize) -> String) -> String {
    (0..times).fold(String::new(), |mut all, n| {
        let _ = write!(all, "{}", piece(n));
        all
    })
}
