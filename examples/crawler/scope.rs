//! Where the crawl may go.

use std::net::IpAddr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Scope {
    /// Below the folder of a start URL
    Prefix,
    /// On the host of a start URL
    Host,
    /// Anywhere
    Any,
}

impl Scope {
    /// Whether a crawl that began at `starts` may visit `url`.
    pub fn contains(self, starts: &[Url], url: &Url) -> bool {
        match self {
            Self::Any => true,
            Self::Host => starts.iter().any(|start| same_host(start, url)),
            Self::Prefix => starts
                .iter()
                .any(|start| same_host(start, url) && url.path().starts_with(folder(start))),
        }
    }
}

/// Whether `url` is on this machine, where no proxy is needed to reach it.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// `http` and `https` of one host are one host, as most sites send the one to the other.
fn same_host(one: &Url, other: &Url) -> bool {
    one.host() == other.host() && one.port() == other.port()
}

/// The path up to its last slash: `/book/` of `/book/index.html` as of `/book/`.
fn folder(url: &Url) -> &str {
    let path = url.path();
    path.rfind('/').map_or(path, |end| &path[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(scope: Scope, start: &str, url: &str) -> bool {
        scope.contains(&[Url::parse(start).unwrap()], &Url::parse(url).unwrap())
    }

    #[test]
    fn a_prefix_is_the_start_s_folder() {
        let within = |url| allows(Scope::Prefix, "http://example.org/book/index.html", url);
        assert!(within("http://example.org/book/"));
        assert!(within("https://example.org/book/ch01/x.html?y"));
        assert!(!within("http://example.org/book"));
        assert!(!within("http://example.org/bookshop/"));
        assert!(!within("http://example.org/"));
        assert!(!within("http://other.example/book/"));
        assert!(!within("http://example.org:8080/book/"));
        assert!(allows(
            Scope::Prefix,
            "http://example.org",
            "http://example.org/all/of/it"
        ));
    }

    #[test]
    fn a_host_is_the_whole_name_and_the_port() {
        let within = |url| allows(Scope::Host, "http://example.org:8000/book/", url);
        assert!(within("http://example.org:8000/"));
        assert!(!within("http://example.org/"));
        assert!(!within("http://www.example.org:8000/"));
    }

    #[test]
    fn any_is_any() {
        assert!(allows(
            Scope::Any,
            "http://example.org/",
            "https://other.example/"
        ));
    }

    #[test]
    fn each_start_opens_its_own_ground() {
        let starts =
            ["http://a.example/x/", "http://b.example/y/"].map(|url| Url::parse(url).unwrap());
        assert!(Scope::Prefix.contains(&starts, &Url::parse("http://b.example/y/z").unwrap()));
        assert!(!Scope::Prefix.contains(&starts, &Url::parse("http://b.example/x/").unwrap()));
    }

    #[test]
    fn loopback_needs_no_proxy() {
        let loopback = |url| is_loopback(&Url::parse(url).unwrap());
        assert!(loopback("http://127.0.0.1:8000/"));
        assert!(loopback("http://[::1]/"));
        assert!(loopback("http://localhost/"));
        assert!(!loopback("http://example.org/"));
    }
}
