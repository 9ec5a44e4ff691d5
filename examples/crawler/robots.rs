//! What each host asks of crawlers, by RFC 9309.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use robotxt::{AccessResult, Robots};
use url::Url;

use crate::fetch::{Failure, Fetcher};

const MOST_REDIRECTS: usize = 5;

/// The rules of all hosts met by this process: each is asked once.
pub struct Rules {
    /// The word by which `robots.txt` calls us.
    product: String,
    hosts: Mutex<HashMap<String, Arc<Mutex<Option<Robots>>>>>,
}

impl Rules {
    pub fn for_agent(user_agent: &str) -> Self {
        let product = user_agent.split(['/', ' ']).next().unwrap_or(user_agent);
        Self {
            product: product.to_owned(),
            hosts: Mutex::default(),
        }
    }

    /// Whether the host lets us fetch `url`.
    ///
    /// # Errors
    ///
    /// The host doesn't say: it can't be reached, and will be asked again.
    pub fn allow(&self, url: &Url, fetcher: &Fetcher) -> Result<bool, Failure> {
        let host = Arc::clone(
            self.hosts
                .lock()
                .entry(url.origin().ascii_serialization())
                .or_default(),
        );
        // Threads that need the same host wait for the one that asks it.
        let mut host = host.lock();
        let robots = match &mut *host {
            Some(robots) => robots,
            unknown => unknown.insert(self.ask(url, fetcher)?),
        };
        Ok(robots.is_absolute_allowed(url))
    }

    fn ask(&self, url: &Url, fetcher: &Fetcher) -> Result<Robots, Failure> {
        let nothing_said = || {
            Ok(Robots::from_access(
                AccessResult::Unavailable,
                &self.product,
            ))
        };
        let Ok(mut address) = robotxt::create_url(url) else {
            return nothing_said();
        };
        for _ in 0..=MOST_REDIRECTS {
            let answer = fetcher.get(&address).map_err(|failure| Failure {
                reason: format!("robots.txt: {}", failure.reason),
                ..failure
            })?;
            if answer.status == 200 {
                return Ok(Robots::from_bytes(&answer.body, &self.product));
            }
            match answer
                .location
                .and_then(|target| address.join(&target).ok())
            {
                Some(target) => address = target,
                None => return nothing_said(),
            }
        }
        nothing_said()
    }
}
