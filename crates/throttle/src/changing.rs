//! Changing the limit for all who use it.

use std::time::Duration;

use diskette_store::{Access, Db, Result};

use crate::links;
use crate::rate::{self, DECADE, Rate, invalid};
use crate::state::{State, nanos};
use crate::throttle::Throttle;

impl<A: Access> Throttle<A> {
    /// Lets nobody through before `delay` from now, such as a server's `Retry-After`. Those who wait
    /// already are let through that much later than the first of them would have been, in their order
    /// and as far apart as before. It never brings anything forward.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](diskette_store::Error::is_invalid_input) for a delay of more than ten years; those of the
    /// database.
    ///
    /// # Cost
    ///
    /// One transaction of two statements; each of those who wait takes one more when it wakes.
    pub fn postpone(&self, delay: Duration) -> Result<()> {
        let by = nanos(delay);
        let postponed = if by > DECADE {
            Err(invalid(format!(
                "{delay:?} are more than ten years: choose a shorter delay"
            )))
        } else {
            self.change(|state, now| state.meter.postpone(now.saturating_add(by)))
        };
        self.doing("postpone", postponed)
    }

    /// The rates that hold.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn rates(&self) -> Result<Vec<Rate>> {
        self.doing("rates", self.recorded())
    }

    /// Changes the rates, for all processes and at once. What has been let through counts under the
    /// new rates, up to one burst of each. Those who wait keep their slots, or get later ones where the new
    /// rates demand it; none gets an earlier one.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](diskette_store::Error::is_invalid_input) for rates that let nobody through; those of the
    /// database.
    pub fn set_rates(&self, rates: impl IntoIterator<Item = Rate>) -> Result<()> {
        let rates: Vec<_> = rates.into_iter().collect();
        let set = rate::check(&rates).and_then(|()| self.set(&rates));
        self.doing("set_rates", set)
    }

    pub(crate) fn set(&self, rates: &[Rate]) -> Result<()> {
        self.change(|state, now| state.change_rates(rates, now))
    }

    pub(crate) fn recorded(&self) -> Result<Vec<Rate>> {
        let structure = &self.link().structure;
        structure.must_be_in(self.store())?;
        let load = |db: &Db<'_>| State::load(db, structure);
        let state = links::read(&self.chain.links, &self.chain.access, load)?;
        Ok(state.rates)
    }

    fn change(&self, change: impl FnOnce(&mut State, u64) + Send) -> Result<()> {
        let links = &self.chain.links;
        links::must_be_in(links, self.store())?;
        links::write(links, &self.chain.access, |db| {
            let (mut states, now) = links::load(db, links)?;
            let state = &mut states[0];
            change(state, now);
            state.save_with_rates(db, &links[0].structure)
        })
    }
}
