//! What a crawl set out to do. It is kept beside the pages, for the runs that go on with it.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::Options;
use crate::scope::Scope;
use crate::site::{Docs, Site};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub starts: Vec<Url>,
    pub scope: Scope,
    pub max_depth: Option<u32>,
    /// The site that the crawler serves itself.
    pub docs: Option<Docs>,
}

impl Plan {
    /// A new crawl, and its site if no URL was given.
    pub fn new(options: &Options) -> Result<(Self, Option<Site>)> {
        let plan = |starts, docs, scope| Self {
            starts,
            scope: options.scope.unwrap_or(scope),
            max_depth: options.max_depth,
            docs,
        };
        if !options.urls.is_empty() {
            return Ok((plan(options.urls.clone(), None, Scope::Prefix), None));
        }
        let docs = options.docs.unwrap_or(Docs::Book).or_bundled();
        let site = Site::serve(docs, None).context("cannot serve the site to crawl")?;
        let scope = if docs == Docs::All {
            Scope::Host
        } else {
            Scope::Prefix
        };
        Ok((plan(vec![site.start(docs)?], Some(docs), scope), Some(site)))
    }

    /// Serves the site where the crawl began it.
    pub fn resume(&self) -> Result<Option<Site>> {
        let (Some(docs), Some(start)) = (self.docs, self.starts.first()) else {
            return Ok(None);
        };
        let site = Site::serve(docs, start.port()).with_context(|| {
            format!(
                "cannot serve {} at {start} again, where this crawl began; end the program that \
                 uses its port, or begin anew with --fresh",
                docs.name()
            )
        })?;
        Ok(Some(site))
    }

    /// Refuses options that would make it another crawl.
    pub fn agrees_with(&self, options: &Options) -> Result<()> {
        let same_site = options
            .docs
            .is_none_or(|docs| self.docs == Some(docs.or_bundled()));
        let same_starts = options.urls.is_empty() || options.urls == self.starts;
        let same_scope = options.scope.is_none_or(|scope| scope == self.scope);
        let same_depth = options.max_depth.is_none() || options.max_depth == self.max_depth;
        ensure!(
            same_site && same_starts && same_scope && same_depth,
            "{} holds another crawl: {self}. Go on with it by giving no URL, scope or depth; begin \
             this one elsewhere with --data DIR, or in its place with --fresh",
            options.data.display()
        );
        Ok(())
    }

    pub fn allows_depth(&self, depth: u32) -> bool {
        self.max_depth.is_none_or(|most| depth <= most)
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.docs {
            Some(docs) => f.write_str(docs.name()),
            None => {
                let starts: Vec<&str> = self.starts.iter().map(Url::as_str).collect();
                f.write_str(&starts.join(", "))
            }
        }
    }
}
