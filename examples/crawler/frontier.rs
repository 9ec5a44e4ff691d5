//! What the processes share: the URLs to visit, and what became of each.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use diskette::deque::Claim;
use diskette::{Access, Cache, Deque, Index, Store, Transaction};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::hosts;
use crate::outgoing::Outgoing;
use crate::page::{Page, Visit, Visited};
use crate::plan::Plan;
use crate::robots::{self, Answers};

pub struct Frontier {
    store: Store,
    todo: Deque<Visit>,
    /// URLs that are not to be visited before a time: by that, in microseconds since 1970, and by name.
    later: Index<(u64, String), Visit>,
    /// By host, the time that the next of its URLs gets that has to wait.
    turns: Index<String, u64>,
    /// Each URL ever queued, without a page until it is visited.
    pages: Index<String, Option<Page>>,
    /// The links of each page that has some.
    outgoing: Index<String, Outgoing>,
    /// By time.
    events: Index<u64, Event>,
    /// What the crawl set out to do: one entry.
    plan: Index<String, Plan>,
    /// What each origin asks of crawlers.
    robots: Answers,
    known: Mutex<HashSet<String>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub pages: u64,
    /// Queued URLs, those in some worker's hands and those set aside among them.
    pub queued: u64,
}

/// What happened to the crawl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A run, the first or one that goes on.
    Began,
    /// A worker.
    Restarted,
}

const PLAN: &str = "plan";
const QUEUED: Option<Page> = None;

impl Frontier {
    pub fn open(directory: &Path) -> Result<Self> {
        let store = Store::open(directory)?;
        Ok(Self {
            todo: Deque::new(&store, "todo")?,
            later: Index::new(&store, "later")?,
            turns: Index::new(&store, "turns")?,
            pages: Index::new(&store, "pages")?,
            outgoing: Index::new(&store, "outgoing")?,
            events: Index::new(&store, "events")?,
            plan: Index::new(&store, "plan")?,
            robots: Cache::new(&store.with_timeout(robots::PATIENCE), "robots.txt")?,
            known: Mutex::default(),
            store,
        })
    }

    /// A page is one transaction: its record, its links, those that are new to all, the end of its claim.
    pub fn record(&self, visit: Claim<Visit>, visited: Visited) -> Result<()> {
        let Visited {
            page,
            outgoing,
            next,
        } = visited;
        let links = self.unknown(next);
        self.store.transaction(|tx| {
            let (todo, pages) = (self.todo.within(tx), self.pages.within(tx));
            pages.insert(visit.url.as_str(), &Some(page))?;
            let links_of = self.outgoing.within(tx);
            if !outgoing.is_empty() {
                links_of.insert(visit.url.as_str(), &outgoing)?;
            } else if visit.seen.is_some() {
                links_of.delete(visit.url.as_str())?;
            }
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

    /// What was seen there before is what there is.
    pub fn keep(&self, visit: Claim<Visit>) -> Result<()> {
        self.store.transaction(|tx| {
            let pages = self.pages.within(tx);
            if let Some(Some(page)) = pages.get(visit.url.as_str())? {
                let kept = Page {
                    at: now(),
                    due: false,
                    ..page
                };
                pages.insert(visit.url.as_str(), &Some(kept))?;
            }
            visit.complete(tx)
        })?;
        Ok(())
    }

    /// Queues those pages again that were visited longer ago; each once, whoever else does so too.
    pub fn revisit(&self, age: Duration) -> Result<()> {
        const AT_ONCE: usize = 500;
        let before = now().saturating_sub(micros(age));
        let mut pages = self.pages().peekable();
        while pages.peek().is_some() {
            let some = pages.by_ref().take(AT_ONCE).collect::<Result<Vec<_>>>()?;
            self.store.transaction(|tx| {
                let (todo, pages) = (self.todo.within(tx), self.pages.within(tx));
                for (url, _) in some {
                    let Some(Some(mut page)) = pages.get(&url)? else {
                        continue;
                    };
                    if page.due || page.at > before {
                        continue;
                    }
                    todo.push_back(&Visit::anew(Url::parse(&url)?, &page))?;
                    page.due = true;
                    pages.insert(&url, &Some(page))?;
                }
                anyhow::Ok(())
            })?;
        }
        Ok(())
    }

    /// Aside, for another attempt.
    pub fn put_off(&self, visit: Claim<Visit>, delay: Duration) -> Result<()> {
        let due = now() + micros(delay);
        self.store.transaction(|tx| {
            let later = self.later.within(tx);
            later.insert(&(due, visit.url.as_str()), &visit.again())?;
            visit.complete(tx)
        })?;
        Ok(())
    }

    /// Aside until its host has time for it, so that it is in nobody's way: in `wait` at the earliest, and
    /// each URL of a host an `interval` after the one before, so that they don't come back all at once.
    pub fn set_aside(&self, visit: Claim<Visit>, wait: Duration, interval: Duration) -> Result<()> {
        let host = hosts::name(&visit.url);
        let earliest = now() + micros(wait);
        self.store.transaction(|tx| {
            let (later, turns) = (self.later.within(tx), self.turns.within(tx));
            let due = turns
                .get(&host)?
                .map_or(earliest, |turn| turn.max(earliest));
            turns.insert(&host, &(due + micros(interval)))?;
            later.insert(&(due, visit.url.as_str()), &*visit)?;
            visit.complete(tx)
        })?;
        Ok(())
    }

    /// The next URL; it is back in its place as soon as this process dies.
    pub fn next(&self, timeout: Duration) -> Result<Option<Claim<Visit>>> {
        let aside = self.later.first_key_value()?.map(|((due, _), _)| due);
        let wait = aside.map_or(timeout, |due| {
            Duration::from_micros(due.saturating_sub(now()))
        });
        if wait.is_zero() {
            return self.store.transaction(|tx| self.claim(tx));
        }
        // Whoever sets another one aside looks here next.
        Ok(self.todo.claim_front(wait.min(timeout))?)
    }

    /// The next URL, unless `most` pages are visited or in hand already.
    pub fn next_of(&self, most: u64) -> Result<Option<Claim<Visit>>> {
        self.store.transaction(|tx| {
            let in_hand = self.todo.within(tx).claimed()? as u64;
            if self.counts_within(tx)?.pages + in_hand >= most {
                return Ok(None);
            }
            self.claim(tx)
        })
    }

    fn claim(&self, tx: &Transaction<'_>) -> Result<Option<Claim<Visit>>> {
        let (todo, later) = (self.todo.within(tx), self.later.within(tx));
        let aside = later.first_key_value()?;
        if let Some(((due, url), visit)) = aside
            && due <= now()
        {
            later.delete(&(due, url))?;
            todo.push_front(&visit)?;
        }
        Ok(todo.try_claim_front()?)
    }

    /// True when nothing is queued and nothing in hand: nothing can be queued any more.
    pub fn wait_idle(&self, timeout: Duration) -> Result<bool> {
        if !self.todo.wait_idle(timeout)? {
            return Ok(false);
        }
        let idle = self.counts()?.queued == 0;
        if !idle {
            // What is set aside rings no bell when its time comes.
            thread::sleep(timeout);
        }
        Ok(idle)
    }

    /// As of one moment.
    pub fn counts(&self) -> Result<Counts> {
        self.store.snapshot(|now| self.counts_within(now))
    }

    fn counts_within(&self, moment: &impl Access) -> Result<Counts> {
        let (todo, pages) = (self.todo.within(moment), self.pages.within(moment));
        let aside = self.later.within(moment).len()?;
        let queued = (todo.len()? + todo.claimed()? + aside) as u64;
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
            self.later.within(tx).clear()?;
            self.turns.within(tx).clear()?;
            self.robots.within(tx).clear()?;
            self.pages.within(tx).clear()?;
            self.outgoing.within(tx).clear()?;
            self.events.within(tx).clear()?;
            self.plan.within(tx).clear()?;
            Ok(())
        })
    }

    /// Another run may go at another pace: what was set aside is queued again.
    pub fn recall(&self) -> Result<()> {
        const AT_ONCE: usize = 1000;
        let some = |tx: &Transaction<'_>| -> Result<bool> {
            let (todo, later) = (self.todo.within(tx), self.later.within(tx));
            for _ in 0..AT_ONCE {
                let Some((_, visit)) = later.pop_first()? else {
                    self.turns.within(tx).clear()?;
                    return Ok(false);
                };
                todo.push_back(&visit)?;
            }
            Ok(true)
        };
        while self.store.transaction(some)? {}
        Ok(())
    }

    /// A URL on each host that was asked for its `robots.txt`.
    pub fn origins(&self) -> Result<Vec<Url>> {
        let origins = self.robots.keys().collect::<diskette::Result<Vec<_>>>()?;
        Ok(origins.iter().flat_map(|url| Url::parse(url)).collect())
    }

    pub fn robots(&self) -> &Answers {
        &self.robots
    }

    pub fn store(&self) -> &Store {
        &self.store
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

    /// The links of the pages that have some.
    pub fn outgoing(&self) -> impl Iterator<Item = Result<(String, Outgoing)>> {
        self.outgoing.range::<str, _>(..).map(|entry| Ok(entry?))
    }

    pub fn note(&self, event: Event) -> Result<()> {
        Ok(self.events.insert(&now(), &event)?)
    }

    /// In their order.
    pub fn events(&self) -> Result<Vec<(u64, Event)>> {
        Ok(self
            .events
            .range::<u64, _>(..)
            .collect::<diskette::Result<_>>()?)
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

/// In microseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    micros(since.unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn frontier(paths: &[&str]) -> (tempfile::TempDir, Frontier) {
        let dir = tempfile::tempdir().unwrap();
        let frontier = Frontier::open(&dir.path().join("crawl")).unwrap();
        for path in paths {
            let url = Url::parse(&format!("http://example.org/{path}")).unwrap();
            frontier.pages.insert(url.as_str(), &QUEUED).unwrap();
            frontier.todo.push_back(&Visit::start(url)).unwrap();
        }
        (dir, frontier)
    }

    fn next(frontier: &Frontier) -> Option<Claim<Visit>> {
        frontier.next(Duration::ZERO).unwrap()
    }

    #[test]
    fn what_is_set_aside_is_in_nobody_s_way_and_comes_back_bit_by_bit() {
        let (_dir, frontier) = frontier(&["a", "b", "c"]);
        let visits = [next(&frontier).unwrap(), next(&frontier).unwrap()];
        for visit in visits {
            frontier.set_aside(visit, Duration::ZERO, HOUR).unwrap();
        }
        let again = next(&frontier).unwrap();
        assert_eq!((again.url.path(), again.attempt), ("/a", 1));
        assert_eq!(next(&frontier).unwrap().url.path(), "/c");
        again.release().unwrap();
        assert_eq!(frontier.counts().unwrap().queued, 3);
        assert!(!frontier.wait_idle(Duration::ZERO).unwrap());
    }

    #[test]
    fn a_run_that_goes_on_does_not_wait_for_what_an_earlier_one_set_aside() {
        let (_dir, frontier) = frontier(&["a", "b"]);
        let visit = next(&frontier).unwrap();
        frontier.put_off(visit, HOUR).unwrap();
        let visit = next(&frontier).unwrap();
        frontier.set_aside(visit, HOUR, HOUR).unwrap();
        assert!(next(&frontier).is_none());
        assert!(!frontier.wait_idle(Duration::ZERO).unwrap());

        frontier.recall().unwrap();
        let visits = [next(&frontier).unwrap(), next(&frontier).unwrap()];
        let visits = visits
            .each_ref()
            .map(|visit| (visit.url.path(), visit.attempt));
        assert_eq!(visits, [("/a", 2), ("/b", 1)]);
    }
}
