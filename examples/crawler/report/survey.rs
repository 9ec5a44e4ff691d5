//! All pages and their links, in memory.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;
use rayon::iter::{ParallelBridge, ParallelIterator};

use super::graph::Graph;
use crate::frontier::Frontier;
use crate::page::Page;

/// Of kinds that a chart has room for.
const MOST_KINDS: usize = 10;

pub struct Survey {
    /// Sorted by URL.
    pub pages: Vec<(String, Page)>,
    pub graph: Graph,
    ranks: Vec<f64>,
}

impl Survey {
    pub fn of(frontier: &Frontier) -> Result<Self> {
        let pages: Vec<(String, Page)> = frontier.pages().collect::<Result<_>>()?;
        let number = |url: &str| {
            let found = pages.binary_search_by(|(page, _)| page.as_str().cmp(url));
            found.ok().map(|number| number as u32)
        };
        let links = frontier.outgoing().par_bridge().map(|entry| {
            let (url, outgoing) = entry?;
            let from = number(&url);
            let links = outgoing.urls().filter_map(|to| Some((from?, number(&to)?)));
            Ok(links.collect::<Vec<_>>())
        });
        let links: Vec<Vec<(u32, u32)>> = links.collect::<Result<_>>()?;
        let redirects = pages.iter().zip(0..);
        let redirects = redirects
            .filter_map(|((_, page), from)| Some((from, number(page.redirect.as_deref()?)?)));
        let graph = Graph::new(
            pages.len(),
            links.into_iter().flatten().chain(redirects).collect(),
        );
        let ranks = graph.ranks();
        Ok(Self {
            pages,
            graph,
            ranks,
        })
    }

    /// When each was recorded.
    pub fn times(&self) -> Vec<u64> {
        self.pages.iter().map(|(_, page)| page.at).collect()
    }

    pub fn by_depth(&self) -> Vec<(String, u64)> {
        let counts = self.count(|page| page.depth);
        let named = counts
            .into_iter()
            .map(|(depth, pages)| (depth.to_string(), pages));
        with_rest(named.collect())
    }

    pub fn by_status(&self) -> Vec<(String, u64)> {
        most_first(self.count(Page::outcome))
    }

    pub fn by_type(&self) -> Vec<(String, u64)> {
        most_first(self.count(|page| match page.content_type.as_str() {
            "" => "none".to_owned(),
            kind => kind.to_owned(),
        }))
    }

    /// Pages that answered with an error, or not at all.
    pub fn broken(&self) -> Vec<usize> {
        let pages = self.pages.iter().enumerate();
        let is_broken =
            |page: &Page| page.error.is_some() || page.status.is_some_and(|status| status >= 400);
        pages
            .filter(|(_, (_, page))| is_broken(page))
            .map(|(number, _)| number)
            .collect()
    }

    pub fn most_linked(&self, most: usize) -> Vec<(usize, f64)> {
        let mut ranks: Vec<(usize, f64)> = self.ranks.iter().copied().enumerate().collect();
        ranks.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        ranks.truncate(most);
        ranks
    }

    pub fn most(&self, most: usize, of: impl Fn(&Page) -> u64) -> Vec<(usize, u64)> {
        let pages = self.pages.iter().enumerate();
        let mut pages: Vec<(usize, u64)> = pages
            .map(|(number, (_, page))| (number, of(page)))
            .collect();
        pages.sort_by_key(|(_, figure)| Reverse(*figure));
        pages.truncate(most);
        pages
    }

    fn count<K: Ord>(&self, kind: impl Fn(&Page) -> K) -> BTreeMap<K, u64> {
        let mut counts = BTreeMap::new();
        for (_, page) in &self.pages {
            *counts.entry(kind(page)).or_insert(0) += 1;
        }
        counts
    }
}

fn most_first(counts: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, pages)| Reverse(*pages));
    with_rest(counts)
}

fn with_rest(mut counts: Vec<(String, u64)>) -> Vec<(String, u64)> {
    if counts.len() > MOST_KINDS {
        let rest = counts.split_off(MOST_KINDS - 1);
        counts.push((
            "others".to_owned(),
            rest.iter().map(|(_, pages)| pages).sum(),
        ));
    }
    counts
}
