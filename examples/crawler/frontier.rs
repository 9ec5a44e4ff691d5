//! What the processes share: the URLs to visit, and what became of each.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use diskette::deque::Claim;
use diskette::{Access, Deque, Index, Store};
use parking_lot::Mutex;
use serde::Serialize;
use url::Url;

use crate::page::{Page, Visit};
use crate::plan::Plan;

pub struct Frontier {
    store: Store,
    todo: Deque<Visit>,
    /// Each URL ever queued, without a page until it is visited.
    pages: Index<String, Option<Page>>,
    /// What the crawl set out to do: one entry.
    plan: Index<String, Plan>,
    known: Mutex<HashSet<String>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub pages: u64,
    /// Queued URLs, those in some worker's hands among them.
    pub queued: u64,
}

const PLAN: &str = "plan";
const QUEUED: Option<Page> = None;

impl Frontier {
    pub fn open(directory: &Path) -> Result<Self> {
        let store = Store::open(directory)?;
        Ok(Self {
            todo: Deque::new(&store, "todo")?,
            pages: Index::new(&store, "pages")?,
            plan: Index::new(&store, "plan")?,
            known: Mutex::default(),
            store,
        })
    }

    /// A page is one transaction: its record, the links that are new to all, the end of its claim.
    pub fn record(&self, visit: Claim<Visit>, page: Page, links: Vec<Visit>) -> Result<()> {
        let links = self.unknown(links);
        self.store.transaction(|tx| {
            let (todo, pages) = (self.todo.within(tx), self.pages.within(tx));
            pages.insert(visit.url.as_str(), &Some(page))?;
            for link in &links {
                if pages.insert_if_absent(link.url.as_str(), &QUEUED)? {
                    todo.push_back(link)?;
                }
            }
            visit.complete(tx)
        })?;
        self.know(links);
        Ok(())
    }

    /// To the end of the queue, for another attempt.
    pub fn put_off(&self, visit: Claim<Visit>, delay: Duration) -> Result<()> {
        let again = visit.again(delay);
        self.store.transaction(|tx| {
            self.todo.within(tx).push_back(&again)?;
            visit.complete(tx)
        })?;
        Ok(())
    }

    /// The next URL; it is back in its place as soon as this process dies.
    pub fn next(&self, timeout: Duration) -> Result<Option<Claim<Visit>>> {
        Ok(self.todo.claim_front(timeout)?)
    }

    /// The next URL, unless `most` pages are visited or in hand already.
    pub fn next_of(&self, most: u64) -> Result<Option<Claim<Visit>>> {
        self.store.transaction(|tx| {
            let todo = self.todo.within(tx);
            let in_hand = todo.claimed()? as u64;
            if self.counts_within(tx)?.pages + in_hand >= most {
                return Ok(None);
            }
            Ok(todo.try_claim_front()?)
        })
    }

    /// True when nothing is queued and nothing in hand: nothing can be queued any more.
    pub fn wait_idle(&self, timeout: Duration) -> Result<bool> {
        Ok(self.todo.wait_idle(timeout)?)
    }

    /// As of one moment.
    pub fn counts(&self) -> Result<Counts> {
        self.store.snapshot(|now| self.counts_within(now))
    }

    fn counts_within(&self, moment: &impl Access) -> Result<Counts> {
        let (todo, pages) = (self.todo.within(moment), self.pages.within(moment));
        let queued = (todo.len()? + todo.claimed()?) as u64;
        Ok(Counts {
            pages: pages.len()? as u64 - queued,
            queued,
        })
    }

    pub fn plan(&self) -> Result<Option<Plan>> {
        Ok(self.plan.get(PLAN)?)
    }

    pub fn begin(&self, plan: &Plan) -> Result<()> {
        self.store.transaction(|tx| {
            self.plan.within(tx).insert(PLAN, plan)?;
            let (todo, pages) = (self.todo.within(tx), self.pages.within(tx));
            for start in &plan.starts {
                if pages.insert_if_absent(start.as_str(), &QUEUED)? {
                    todo.push_back(&Visit::start(start.clone()))?;
                }
            }
            Ok(())
        })
    }

    /// Forgets the crawl.
    ///
    /// # Errors
    ///
    /// It is going on.
    pub fn clear(&self) -> Result<()> {
        self.store.transaction(|tx| {
            let todo = self.todo.within(tx);
            ensure!(
                todo.claimed()? == 0,
                "another run is at work on this crawl: end it first"
            );
            todo.clear()?;
            self.pages.within(tx).clear()?;
            self.plan.within(tx).clear()?;
            Ok(())
        })
    }

    pub fn page(&self, url: &Url) -> Result<Option<Page>> {
        Ok(self.pages.get(url.as_str())?.flatten())
    }

    /// The pages visited, sorted by URL.
    pub fn pages(&self) -> impl Iterator<Item = Result<(String, Page)>> {
        let entries = self.pages.range::<str, _>(..);
        entries.filter_map(|entry| match entry {
            Ok((url, page)) => Some(Ok((url, page?))),
            Err(error) => Some(Err(error.into())),
        })
    }

    /// Writes the pages visited, a line of JSON each, sorted by URL.
    pub fn export(&self, file: impl Write) -> Result<()> {
        #[derive(Serialize)]
        struct Line {
            url: String,
            #[serde(flatten)]
            page: Page,
        }
        let mut file = BufWriter::new(file);
        for entry in self.pages() {
            let (url, page) = entry?;
            serde_json::to_writer(&mut file, &Line { url, page })?;
            file.write_all(b"\n")?;
        }
        Ok(file.flush()?)
    }

    /// A URL stays in `pages` for ever: of one that was seen there, nobody need ask again.
    fn unknown(&self, mut links: Vec<Visit>) -> Vec<Visit> {
        let known = self.known.lock();
        links.retain(|link| !known.contains(link.url.as_str()));
        links
    }

    fn know(&self, links: Vec<Visit>) {
        const MOST: usize = 500_000;
        let mut known = self.known.lock();
        if known.len() + links.len() > MOST {
            known.clear();
        }
        known.extend(links.into_iter().map(|link| link.url.into()));
    }
}
