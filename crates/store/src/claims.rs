//! Claims of the dead go back to their structures.

use diskette_ipc::OwnerId;

use crate::access::Access;
use crate::db::Db;
use crate::error::Result;
use crate::kind::{Claims, Kind};
use crate::store::Store;
use crate::structure::{self, Structure};

#[doc(hidden)]
impl Store {
    /// Gives back, at once, the claims of the dead in a structure. Deaths are heard of anyway: this is
    /// for the moment at which it is opened, and for a system that doesn't tell.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn give_back_from_the_dead(&self, structure: &Structure) -> Result<()> {
        self.give_back_what_the_dead_have(structure.kind(), structure.id())
    }
}

impl Store {
    /// The same for a structure of which the kind is known, and its number.
    pub(crate) fn give_back_what_the_dead_have(&self, kind: &Kind, structure: i64) -> Result<()> {
        let Some(claims) = &kind.claims else {
            return Ok(());
        };
        if self.is_read_only() {
            return Ok(());
        }
        let of_this = [structure.into()];
        for owner in self.read_one(|db| db.query(claims.owners, &of_this, |row| row.int(0)))? {
            let owner = OwnerId::from_i64(owner);
            if !self.is_alive(owner)? {
                self.give_back(claims, owner)?;
            }
        }
        Ok(())
    }

    /// Takes on the kind of a structure: this process gives back its claims when their owners die.
    pub(crate) fn undertake(&self, structure: &Structure) -> Result<()> {
        if self.is_read_only() {
            return Ok(());
        }
        {
            let mut kinds = self.kinds().lock();
            if !kinds.iter().any(|kind| kind.name == structure.kind().name) {
                kinds.push(structure.kind());
            }
        }
        self.watch_deaths()?;
        self.give_back_from_the_dead(structure)
    }

    /// Gives back what a dead owner has of all structures whose kinds this process has taken on; harmless when done twice.
    pub(crate) fn give_back_claims_of(&self, owner: OwnerId) -> Result<()> {
        let kinds = self.kinds().lock().clone();
        let mut claims = kinds.iter().filter_map(|kind| kind.claims.as_ref());
        claims.try_for_each(|claims| self.give_back(claims, owner))
    }

    fn give_back(&self, claims: &Claims, owner: OwnerId) -> Result<()> {
        let of_owner = [owner.as_i64().into()];
        let has_claims = |db: &Db<'_>| db.query(claims.structures, &of_owner, |row| row.int(0));
        // Most who die hold nothing: that takes no turn to write.
        if self.read_one(has_claims)?.is_empty() {
            return Ok(());
        }
        self.write(|db| {
            for structure in has_claims(db)? {
                db.ring(structure::arrivals(structure));
                db.ring(structure::departures(structure));
            }
            claims.give_back.run(db, owner)
        })
    }
}
