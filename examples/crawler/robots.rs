//! What each host asks of crawlers, by RFC 9309.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use diskette::Index;
use parking_lot::Mutex;
use robotxt::Robots;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::fetch::{Failure, Fetcher, Setback};
use crate::hosts::Host;

const MOST_REDIRECTS: usize = 5;
/// RFC 9309 wants no less to be read of it, and nobody writes more.
const MOST_BYTES: usize = 500 << 10;
/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// Until a thread of ours has asked.
const A_MOMENT: Duration = Duration::from_millis(100);

/// By origin, for all workers.
pub type Answers = Index<String, Answer>;

/// A `robots.txt`; empty where there is none.
#[derive(Clone, Serialize, Deserialize)]
pub struct Answer {
    text: Vec<u8>,
    asked: SystemTime,
}

/// The rules of all hosts met.
pub struct Rules {
    product: String,
    answers: Answers,
    origins: Mutex<HashMap<String, Arc<Origin>>>,
}

#[derive(Default)]
struct Origin {
    rules: OnceLock<Robots>,
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
        if let Some(rules) = origin.rules.get() {
            return Ok(rules.is_absolute_allowed(url));
        }
        let Some(_asking) = origin.asking.try_lock() else {
            return Err(Setback::NotYet(A_MOMENT));
        };
        let answer = match self.answers.get(&name)?.filter(Answer::is_fresh) {
            Some(answer) => answer,
            None => {
                let _turn = host.turn()?;
                let answer = Answer::of(url, fetcher)?;
                self.answers.insert(&name, &answer)?;
                answer
            }
        };
        let rules = Robots::from_bytes(&answer.text, &self.product);
        if let Some(delay) = rules.crawl_delay() {
            host.keep_interval(delay)?;
        }
        Ok(origin.rules.get_or_init(|| rules).is_absolute_allowed(url))
    }
}

impl Answer {
    fn of(url: &Url, fetcher: &Fetcher) -> Result<Self, Failure> {
        let mut text = ask(url, fetcher)?;
        text.truncate(MOST_BYTES);
        Ok(Self {
            text,
            asked: SystemTime::now(),
        })
    }

    fn is_fresh(&self) -> bool {
        self.asked.elapsed().is_ok_and(|age| age < FRESH)
    }
}

fn ask(url: &Url, fetcher: &Fetcher) -> Result<Vec<u8>, Failure> {
    let nothing_said = Ok(Vec::new());
    let Ok(mut address) = robotxt::create_url(url) else {
        return nothing_said;
    };
    for _ in 0..=MOST_REDIRECTS {
        let answer = fetcher.get(&address).map_err(|failure| Failure {
            reason: format!("robots.txt: {}", failure.reason),
            ..failure
        })?;
        if answer.status == 200 {
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
