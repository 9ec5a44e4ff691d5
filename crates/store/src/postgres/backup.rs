//! A store of this engine, taken home into a directory.

use std::path::Path;

use diskette_ipc::Deadline;

use crate::error::{Result, timed_out};
use crate::moving::{Meter, Progress, Rounds};
use crate::postgres::Postgres;
use crate::postgres::moving::Tables;
use crate::sqlite::directory::Directory;
use crate::sqlite::{NewFiles, Shard};
use crate::tenancy::Tenancy;

const ONE_STATE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

impl Postgres {
    /// The store itself comes last, so that what a killed process leaves is none.
    pub(crate) fn backup(&self, to: &Path) -> Result<()> {
        let directory = Directory::prepare_for_copy(to)?;
        let _tenancies = self.stay_with_all_shards()?;
        let connection = self.open_another()?;
        connection.batch(ONE_STATE)?;
        let mut tell = |_: &Progress| {};
        let mut meter = Meter::new(&mut tell);
        for (set, number, schema) in self.schemas_of_shards(&connection)? {
            let shard = Shard::of(set, number).prepare(&directory)?;
            let mut copy = NewFiles::begin(shard)?;
            let here = Tables::of(&connection, &schema);
            Rounds::default().finish(&here, &mut copy, &mut meter)?;
            copy.end()?;
        }
        let mut copy = NewFiles::begin(directory)?;
        let here = Tables::of(&connection, &self.shared.address.schema);
        Rounds::default().finish(&here, &mut copy, &mut meter)?;
        copy.end()?;
        connection.batch("COMMIT")
    }

    /// Keeps the structures that are spread over shards from being spread over others.
    fn stay_with_all_shards(&self) -> Result<Vec<Tenancy>> {
        let mut structures: Vec<_> = self.sets_of_shards()?;
        structures.dedup_by_key(|set| set.structure);
        let stay = |structure| {
            let tenancy = self.tenancy(structure)?;
            match tenancy.stay(Deadline::after(self.ways.timeout))? {
                true => Ok(tenancy),
                false => Err(timed_out(
                    "a structure to be spread over other shards",
                    self.ways.timeout,
                )),
            }
        };
        structures
            .into_iter()
            .map(|set| stay(set.structure))
            .collect()
    }
}
