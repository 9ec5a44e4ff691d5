//! One spelling for URLs that mean the same.

use url::Url;

/// Longer ones come from calendars and session numbers, not from people.
const LONGEST_URL: usize = 2048;
/// As long as what we keep of it can be called after it; names of hosts end at 253, and far below.
const LONGEST_HOST: usize = 220;

/// One spelling for all URLs that are equal by RFC 3986: `url` sees to case, ports, dots and what
/// must be escaped; fragments, empty queries and needless escapes are seen to here. `None` for what
/// no crawler fetches.
pub fn normal(mut url: Url) -> Option<Url> {
    if !matches!(url.scheme(), "http" | "https")
        || url.host_str().is_none_or(|host| host.len() > LONGEST_HOST)
        || url.as_str().len() > LONGEST_URL
    {
        return None;
    }
    url.set_fragment(None);
    if url.query() == Some("") {
        url.set_query(None);
    }
    if url.path().contains('%') {
        let path = plain_escapes(url.path());
        url.set_path(&path);
    }
    if let Some(query) = url.query().filter(|query| query.contains('%')) {
        let query = plain_escapes(query);
        url.set_query(Some(&query));
    }
    Some(url)
}

/// `%7e` is `~`, and `%c3` is `%C3`. A text with a `%` that starts no escape is left alone.
fn plain_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((escape, rest)) = part.split_at_checked(2) else {
            return text.to_owned();
        };
        match u8::from_str_radix(escape, 16) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                plain.push(char::from(byte))
            }
            Ok(_) if !escape.starts_with('+') => plain.extend(["%", &escape.to_ascii_uppercase()]),
            _ => return text.to_owned(),
        }
        plain.push_str(rest);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(text: &str) -> Option<String> {
        normal(Url::parse(text).unwrap()).map(String::from)
    }

    #[test]
    fn equal_urls_have_one_spelling() {
        assert_eq!(
            normalised("http://EXAMPLE.org:80/a/./b/../c?#top").unwrap(),
            "http://example.org/a/c"
        );
        assert_eq!(
            normalised("http://example.org/%7euser/%c3%a9").unwrap(),
            "http://example.org/~user/%C3%A9"
        );
        assert_eq!(
            normalised("http://example.org/100%/%7e").unwrap(),
            "http://example.org/100%/%7e"
        );
        assert_eq!(
            normalised("http://example.org/?q=%61%2f%2e").unwrap(),
            "http://example.org/?q=a%2F."
        );
        assert_eq!(
            normalised("http://example.org").unwrap(),
            "http://example.org/"
        );
        assert_eq!(
            normalised(&format!("http://example.org/{}", "x".repeat(3000))),
            None
        );
        assert_eq!(normalised("ftp://example.org/"), None);
        assert_eq!(
            normalised(&format!("http://{}org/", "x.".repeat(120))),
            None
        );
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for text in [
            "http://example.org/a%2fb%25%41?%7E=%7e",
            "https://example.org/%%412",
            "https://example.org/%+1",
            "http://example.org/%2e%2e/x",
        ] {
            let once = normalised(text).unwrap();
            assert_eq!(normalised(&once).unwrap(), once);
        }
    }
}
