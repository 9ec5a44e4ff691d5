//! What each host asks of crawlers, by RFC 9309.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diskette::Cache;
use parking_lot::Mutex;
use robotxt::Robots;
use url::Url;

use crate::fetch::{Failure, Fetcher, Setback};
use crate::hosts::Host;

const MOST_REDIRECTS: usize = 5;
/// RFC 9309 wants no less to be read of it, and nobody writes more.
const MOST_BYTES: usize = 500 << 10;
/// How long an answer holds; RFC 9309 wants it to be no longer.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a thread waits for another process that is asking; then it has other hosts to see to.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Until another thread of ours has asked.
const A_MOMENT: Duration = Duration::from_millis(100);

/// The text by origin, for all workers; empty where there is none.
pub type Answers = Cache<String, Vec<u8>>;

/// The rules of all hosts met.
pub struct Rules {
    product: String,
    answers: Answers,
    origins: Mutex<HashMap<String, Arc<Origin>>>,
}

#[derive(Default)]
struct Origin {
    /// As this process has read them, and when.
    rules: Mutex<Option<(Instant, Arc<Robots>)>>,
    asking: Mutex<()>,
}

/// The word by which sites call a crawler.
pub fn product(user_agent: &str) -> &str {
    user_agent.split(['/', ' ']).next().unwrap_or(user_agent)
}

impl Rules {
    pub fn for_agent(user_agent: &str, answers: Answers) -> Self {
        Self {
            product: product(user_agent).to_owned(),
            answers,
            origins: Mutex::default(),
        }
    }

    /// Whether the host lets us fetch `url`.
    ///
    /// # Errors
    ///
    /// The host doesn't say: it can't be reached, and will be asked again. Or it is being asked.
    pub fn allow(&self, url: &Url, host: &Host, fetcher: &Fetcher) -> Result<bool, Setback> {
        let name = url.origin().ascii_serialization();
        let origin = Arc::clone(self.origins.lock().entry(name.clone()).or_default());
        if let Some(rules) = origin.rules() {
            return Ok(rules.is_absolute_allowed(url));
        }
        let Some(_asking) = origin.asking.try_lock() else {
            return Err(Setback::NotYet(A_MOMENT));
        };
        // Of all workers one asks; if it is killed, another.
        let answer = self.answers.try_memoize(&name, FRESH, || {
            let _turn = host.turn()?;
            Ok(ask(url, fetcher)?)
        });
        let text = answer.map_err(|setback| match setback {
            Setback::Broken(error) if error.is_timeout() => Setback::NotYet(PATIENCE),
            setback => setback,
        })?;
        let rules = Robots::from_bytes(&text, &self.product);
        if let Some(delay) = rules.crawl_delay() {
            host.keep_interval(delay)?;
        }
        let allowed = rules.is_absolute_allowed(url);
        *origin.rules.lock() = Some((Instant::now(), Arc::new(rules)));
        Ok(allowed)
    }
}

impl Origin {
    fn rules(&self) -> Option<Arc<Robots>> {
        let known = self.rules.lock();
        let fresh = known.as_ref().filter(|(read, _)| read.elapsed() < FRESH);
        fresh.map(|(_, rules)| Arc::clone(rules))
    }
}

fn ask(url: &Url, fetcher: &Fetcher) -> Result<Vec<u8>, Failure> {
    let nothing_said = Ok(Vec::new());
    let Ok(mut address) = robotxt::create_url(url) else {
        return nothing_said;
    };
    for _ in 0..=MOST_REDIRECTS {
        let mut answer = fetcher.get(&address, None).map_err(|failure| Failure {
            reason: format!("robots.txt: {}", failure.reason),
            ..failure
        })?;
        if answer.status == 200 {
            answer.body.truncate(MOST_BYTES);
            return Ok(answer.body);
        }
        match answer
            .location
            .and_then(|target| address.join(&target).ok())
        {
            Some(target) => address = target,
            None => return nothing_said,
        }
    }
    nothing_said
}
