//! The links of a page, as they are kept.

use serde::{Deserialize, Serialize};
use url::Url;

/// Each as how many bytes it shares with the one before, and the rest: links of a page are much alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outgoing(Vec<(u32, String)>);

impl Outgoing {
    pub fn of(links: &[Url]) -> Self {
        let links = links.iter().map(Url::as_str);
        let earlier = std::iter::once("").chain(links.clone());
        let pairs = earlier.zip(links);
        Self(
            pairs
                .map(|(earlier, link)| difference(earlier, link))
                .collect(),
        )
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn urls(&self) -> impl Iterator<Item = String> {
        self.0.iter().scan(String::new(), |url, (shared, rest)| {
            url.truncate(*shared as usize);
            url.push_str(rest);
            Some(url.clone())
        })
    }
}

fn difference(earlier: &str, link: &str) -> (u32, String) {
    let pairs = earlier.chars().zip(link.chars());
    let shared = pairs.take_while(|(one, other)| one == other);
    let shared = shared.map(|(c, _)| c.len_utf8()).sum::<usize>();
    (shared as u32, link[shared..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_kept_as_they_are_and_in_their_order() {
        let links = [
            "https://b.example/x/1",
            "https://b.example/x/12",
            "http://a.example/",
            "http://a.example/",
        ];
        let urls = links.map(|link| Url::parse(link).unwrap());
        let outgoing = Outgoing::of(&urls);
        assert_eq!(outgoing.urls().collect::<Vec<_>>(), links);
        assert_eq!(outgoing.0[1], (21, "2".to_owned()));
        assert!(Outgoing::of(&[]).is_empty());
    }
}
