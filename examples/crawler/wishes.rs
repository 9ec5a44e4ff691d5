//! What a page asks of crawlers, in a header or in a `<meta>`.

use std::ops::BitOrAssign;

/// To be left out of an index, and its links not to be followed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wishes {
    pub noindex: bool,
    pub nofollow: bool,
}

/// Rules with a value; any other word before a colon is a crawler that is spoken to.
const WITH_VALUE: [&str; 4] = [
    "max-image-preview",
    "max-snippet",
    "max-video-preview",
    "unavailable_after",
];

impl Wishes {
    /// By the `content` of `<meta name=robots>`.
    pub fn in_meta(content: &str) -> Self {
        let is_break = |c: char| c == ',' || c.is_ascii_whitespace();
        content
            .split(is_break)
            .fold(Self::default(), |wishes, word| wishes.and(word))
    }

    /// By an `X-Robots-Tag`, which may speak to `product` alone, or to others.
    pub fn in_header(header: &str, product: &str) -> Self {
        let (mut wishes, mut is_ours) = (Self::default(), true);
        for rule in header.split(',') {
            let mut word = rule.trim();
            if let Some((name, rest)) = word.split_once(':')
                && !WITH_VALUE
                    .iter()
                    .any(|rule| rule.eq_ignore_ascii_case(name.trim()))
            {
                is_ours = name.trim().eq_ignore_ascii_case(product);
                word = rest.trim();
            }
            if is_ours {
                wishes = wishes.and(word);
            }
        }
        wishes
    }

    fn and(self, word: &str) -> Self {
        let is = |wish: &str| word.eq_ignore_ascii_case(wish);
        Self {
            noindex: self.noindex || is("noindex") || is("none"),
            nofollow: self.nofollow || is("nofollow") || is("none"),
        }
    }
}

impl BitOrAssign for Wishes {
    fn bitor_assign(&mut self, other: Self) {
        self.noindex |= other.noindex;
        self.nofollow |= other.nofollow;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Wishes = Wishes {
        noindex: false,
        nofollow: false,
    };
    const NOINDEX: Wishes = Wishes {
        noindex: true,
        nofollow: false,
    };
    const NOFOLLOW: Wishes = Wishes {
        noindex: false,
        nofollow: true,
    };
    const NONE: Wishes = Wishes {
        noindex: true,
        nofollow: true,
    };

    #[test]
    fn a_page_says_in_words_what_it_does_not_want() {
        assert_eq!(Wishes::in_meta("noindex, NoFollow"), NONE);
        assert_eq!(Wishes::in_meta("none"), NONE);
        assert_eq!(Wishes::in_meta("all,noindex"), NOINDEX);
        assert_eq!(Wishes::in_meta("nofollowing"), NOTHING);
    }

    #[test]
    fn a_header_may_speak_to_one_crawler_only() {
        let wishes = |header| Wishes::in_header(header, "diskette-crawler");
        assert_eq!(wishes("nofollow"), NOFOLLOW);
        assert_eq!(wishes("otherbot: noindex, nofollow"), NOTHING);
        assert_eq!(
            wishes("Diskette-Crawler: noindex, otherbot: nofollow"),
            NOINDEX
        );
        assert_eq!(
            wishes("unavailable_after: 25 Jun 2030 15:00:00 PST, nofollow"),
            NOFOLLOW
        );
    }
}
