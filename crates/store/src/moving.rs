//! Copying a store of one engine into an empty one of the other.
//!
//! Both have the same tables: those of the catalog, and those that the catalog names. So rows are copied with their numbers and bytes as
//! they are, and no kind of structure is known by its name. Either engine keeps the statements that made the tables of a kind, as
//! SQLite takes them; they make them in the copy. Large values are streamed.
//!
//! It is done in rounds: of a table that others write to meanwhile, what is copied needn't ever have been there at one moment. After each round
//! the sums of ranges of its rows are known as they were read in the copy, and the next round copies those ranges that have another sum by then.
//! In the last one nobody writes, and afterwards all are the same.
//!
//! What is about living processes stays behind: who they are, what they hold and wait for. Rows that name an owner, such as claims, are
//! copied like all others. As the copy knows nobody of that number, he is dead there: whoever opens such a structure first
//! gives back what he had, as its kind says, so that the process that copies need not know the kind.

mod checksum;
mod progress;
mod ranges;
mod schema;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::row::Value;

pub(crate) use checksum::Checksum;
use checksum::{Content, Summer};
pub(crate) use progress::Meter;
pub use progress::{Progress, Step};
pub(crate) use ranges::{ALL, Span};
use ranges::{Ranges, joined};
pub(crate) use table::{Datum, Table};

/// So many spans are named in one statement, and compared at a time.
const SPANS: usize = 1000;

/// What a row takes besides its values, about.
pub(crate) const ROW: usize = 16;

/// One of the databases of a store, its own or that of a shard.
pub(crate) trait Original {
    fn columns(&self, table: &str) -> Result<Vec<String>>;

    /// The statements that made these tables of a kind, as SQLite takes them.
    fn schema(&self, kind: &str, tables: &[String]) -> Result<Vec<String>>;

    /// How many rows a table has, and what their values take in bytes.
    fn size(&self, table: &Table) -> Result<[i64; 2]>;

    /// The rows of some spans. An original that may change meanwhile gives them in the order of their keys, each as it was at some time.
    fn each_row(
        &self,
        table: &Table,
        spans: &[Span],
        visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()>;

    /// The bytes of a large value's file, in order.
    fn each_chunk(&self, value: i64, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

    /// What was given last, of what is never given again.
    fn reached(&self) -> Result<Reached>;

    /// Refuses if there is something that a copy would lack.
    fn must_be_known(&self, tables: &BTreeSet<String>) -> Result<()>;
}

/// One that is being made.
pub(crate) trait Copy: Original {
    fn make_kind(&mut self, kind: &str, format: i64, schema: &[String]) -> Result<()>;

    /// One that is in the way of a row that was put before, since the original has changed meanwhile, may be left out.
    fn put_row(&mut self, table: &Table, row: &[Value<'_>]) -> Result<()>;

    /// All rows of this table were put, for now.
    fn end_rows(&mut self, table: &Table) -> Result<()>;

    fn remove_rows(&mut self, table: &Table, spans: &[Span]) -> Result<()>;

    /// Makes what it takes to find rows, in tables that have most of theirs.
    fn make_indexes(&mut self) -> Result<()>;

    /// Takes what `stream` gives for the file of a large value of so many bytes.
    fn put_value(&mut self, id: i64, bytes: i64, stream: &mut Stream<'_>) -> Result<()>;

    fn remove_value(&mut self, id: i64) -> Result<()>;

    /// Makes it ready to be used: it goes on behind what was given last.
    fn finish(&mut self, reached: Reached) -> Result<()>;
}

/// Calls what it is given for each chunk.
pub(crate) type Stream<'s> = dyn FnMut(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> + 's;

#[derive(Clone, std::marker::Copy, Debug)]
pub(crate) struct Reached {
    /// The number of a structure.
    pub(crate) structure: i64,
    /// A fencing token.
    pub(crate) token: i64,
}

/// How much there is to be copied.
pub(crate) fn measure(from: &dyn Original, meter: &mut Meter<'_>) -> Result<()> {
    for (_, tables) in kinds(from)? {
        for table in tables_of(from, &tables)? {
            let [rows, bytes] = from.size(&table)?;
            meter.expect(rows, bytes);
        }
    }
    for (_, bytes) in value_files(from)? {
        meter.expect(1, bytes);
    }
    Ok(())
}

/// A copy that is made in rounds, which bring over what has changed since the one before. What is compared with the original is
/// what was read in the copy.
#[derive(Default)]
pub(crate) struct Rounds {
    /// With format and schema.
    kinds: BTreeMap<String, (i64, Vec<String>)>,
    tables: BTreeMap<String, Ranges>,
    values: BTreeMap<i64, Checksum>,
    summer: Summer,
}

impl Rounds {
    /// While the original changes. Says how many bytes it has copied, about.
    pub(crate) fn go(
        &mut self,
        from: &dyn Original,
        to: &mut dyn Copy,
        meter: &mut Meter<'_>,
    ) -> Result<u64> {
        self.bring_over(from, to, meter, false)
    }

    /// While it stays as it is: then the copy is the same.
    pub(crate) fn finish(
        &mut self,
        from: &dyn Original,
        to: &mut dyn Copy,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        self.bring_over(from, to, meter, true)?;
        for table in Table::of_the_catalog() {
            self.copy_whole(&table, from, to)?;
        }
        to.finish(from.reached()?)
    }

    /// How many rows and large values there are in the copy, and what they take.
    pub(crate) fn sum(&self) -> Checksum {
        let mut all = Checksum::default();
        self.tables.values().for_each(|ranges| all += ranges.sum());
        self.values.values().for_each(|value| all += *value);
        all
    }

    fn bring_over(
        &mut self,
        from: &dyn Original,
        to: &mut dyn Copy,
        meter: &mut Meter<'_>,
        is_last: bool,
    ) -> Result<u64> {
        let mut copied = 0;
        let kinds = kinds(from)?;
        let named = kinds.iter().flat_map(|(_, tables)| tables.iter().cloned());
        from.must_be_known(&named.collect())?;
        for ((kind, format), tables) in kinds {
            meter.doing(&kind);
            let schema = from.schema(&kind, &tables)?;
            self.make_kind(kind, (format, schema), to)?;
            for table in tables_of(from, &tables)? {
                let rows = self.bring_over_rows(&table, from, to, meter, is_last)?;
                copied += rows.rows * ROW as u64 + rows.bytes;
            }
        }
        to.make_indexes()?;
        meter.doing(Table::VALUE_FILES);
        Ok(copied + self.bring_over_values(from, to, meter)?)
    }

    fn make_kind(
        &mut self,
        kind: String,
        made: (i64, Vec<String>),
        to: &mut dyn Copy,
    ) -> Result<()> {
        match self.kinds.get(&kind) {
            None => {
                made.1
                    .iter()
                    .try_for_each(|sql| schema::must_be_plain(sql))?;
                to.make_kind(&kind, made.0, &made.1)?;
                self.kinds.insert(kind, made);
                Ok(())
            }
            Some(known) if *known == made => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::Misuse,
                format!(
                    "another program has brought the structures of the kind {kind} over to its format meanwhile: try again"
                ),
            )),
        }
    }

    /// What of a table is otherwise than in the copy; what of it was copied.
    fn bring_over_rows(
        &mut self,
        table: &Table,
        from: &dyn Original,
        to: &mut dyn Copy,
        meter: &mut Meter<'_>,
        is_last: bool,
    ) -> Result<Checksum> {
        let summer = &mut self.summer;
        let ranges = self.tables.entry(table.name.clone()).or_default();
        let mut changed = vec![vec![ALL]];
        if !ranges.is_empty() {
            let found = ranges.take_changed(table, from, summer)?;
            meter.again(found.there, found.here);
            changed = found.spans.chunks(SPANS).map(joined).collect();
            // All of them first: a row may have gone from one to another.
            for spans in &changed {
                to.remove_rows(table, spans)?;
            }
        }
        let (mut here, mut there) = (Checksum::default(), Checksum::default());
        for spans in &changed {
            let mut copied = Ranges::of(spans);
            from.each_row(table, spans, &mut |row| {
                if !is_last {
                    copied.cut(row)?;
                }
                here += summer.of(table, row);
                to.put_row(table, row)?;
                meter.done(table.bytes_of(row));
                Ok(())
            })?;
            to.end_rows(table)?;
            to.each_row(table, spans, &mut |row| {
                copied.add(row, summer.of(table, row))
            })?;
            there += copied.sum();
            ranges.put(copied);
        }
        ranges.sort();
        if is_last {
            must_be_same(&table.name, here, there)?;
        }
        Ok(there)
    }

    /// A file stays as it is once it is named. Says how many bytes were copied.
    fn bring_over_values(
        &mut self,
        from: &dyn Original,
        to: &mut dyn Copy,
        meter: &mut Meter<'_>,
    ) -> Result<u64> {
        let named: BTreeMap<_, _> = value_files(from)?.into_iter().collect();
        let values = self.values.iter();
        let gone = values.filter(|(id, _)| !named.contains_key(id));
        for (id, sum) in gone.map(|(&id, &sum)| (id, sum)).collect::<Vec<_>>() {
            to.remove_value(id)?;
            meter.again(sum, Checksum::default());
            self.values.remove(&id);
        }
        let mut copied = 0;
        for (id, bytes) in named {
            if self.values.contains_key(&id) {
                continue;
            }
            let (mut here, mut there) = (Content::default(), Content::default());
            to.put_value(id, bytes, &mut |visit| {
                from.each_chunk(id, &mut |chunk| {
                    here.add(chunk);
                    visit(chunk)
                })
            })?;
            meter.done(bytes);
            to.each_chunk(id, &mut |chunk| {
                there.add(chunk);
                Ok(())
            })?;
            must_be_same(Table::VALUE_FILES, here.sum(), there.sum())?;
            self.values.insert(id, there.sum());
            copied += there.sum().bytes;
        }
        Ok(copied)
    }

    /// A small table, of which nothing is there yet, unless it came with what it is about.
    fn copy_whole(&mut self, table: &Table, from: &dyn Original, to: &mut dyn Copy) -> Result<()> {
        let is_put = ![Table::KINDS, Table::VALUE_FILES].contains(&table.name.as_str());
        let (mut here, mut there) = (Checksum::default(), Checksum::default());
        let summer = &mut self.summer;
        from.each_row(table, &[ALL], &mut |row| {
            here += summer.of(table, row);
            match is_put {
                true => to.put_row(table, row),
                false => Ok(()),
            }
        })?;
        to.end_rows(table)?;
        to.each_row(table, &[ALL], &mut |row| {
            there += summer.of(table, row);
            Ok(())
        })?;
        must_be_same(&table.name, here, there)
    }
}

fn must_be_same(table: &str, here: Checksum, there: Checksum) -> Result<()> {
    match here == there {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the copy of the table {table} has {there}, the store has {here}: the copy is not used, the store stays as it is"
            ),
        )),
    }
}

type Kind = ((String, i64), Vec<String>);

/// The kinds that there are tables of, with their formats and tables.
fn kinds(from: &dyn Original) -> Result<Vec<Kind>> {
    let mut kinds: Vec<Kind> = Vec::new();
    from.each_row(&Table::of_kinds(), &[ALL], &mut |row| {
        let kind = (table::text(row, 0)?, table::int(row, 1)?);
        let tables = match row.get(2) {
            Some(Value::Null) => None,
            _ => Some(table::name(row, 2)?),
        };
        match kinds.iter_mut().find(|(it, _)| *it == kind) {
            Some((_, others)) => others.extend(tables),
            None => kinds.push((kind, tables.into_iter().collect())),
        }
        Ok(())
    })?;
    Ok(kinds)
}

fn tables_of(from: &dyn Original, names: &[String]) -> Result<Vec<Table>> {
    let with_columns = |name: &String| Table::new(name.clone(), from.columns(name)?);
    names.iter().map(with_columns).collect()
}

/// The large values, and how long each is.
fn value_files(from: &dyn Original) -> Result<Vec<(i64, i64)>> {
    let mut files = Vec::new();
    from.each_row(&Table::value_files(), &[ALL], &mut |row| {
        files.push((table::int(row, 0)?, table::int(row, 1)?));
        Ok(())
    })?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::options::Options;
    use crate::sqlite::directory::Directory;
    use crate::sqlite::{Files, NewFiles, Reach, connect_to};
    use crate::store::Store;

    #[test]
    fn a_copy_that_differs_is_not_taken() -> Result<(), Box<dyn std::error::Error>> {
        let room = tempfile::tempdir()?;
        let path = room.path().join("store");
        drop(Store::open(&path)?);
        let directory = Directory::prepare(&path, &Options::default())?;
        let connection = connect_to(&directory.database())?;
        fs::create_dir(directory.parent_of_value(7))?;
        fs::write(directory.value(7), "a large value")?;
        connection.execute_batch(
            "INSERT INTO value_files (id, bytes) VALUES (7, 1048576); INSERT INTO fences (structure, slot, token) VALUES (1, 0, 5);",
        )?;
        let from = Files {
            connection: Reach::Kept(&connection),
            directory: &directory,
        };
        let mut copies = (0..).map(|n| {
            let copy = Directory::prepare(&room.path().join(n.to_string()), &Options::default());
            copy.and_then(|copy| Ok((NewFiles::begin(copy.clone())?, copy.value(7))))
        });
        let mut copy = || copies.next().unwrap();
        let finish = |to: &mut NewFiles, tell: &mut dyn FnMut(&Progress)| {
            Rounds::default().finish(&from, to, &mut Meter::new(tell))
        };
        finish(&mut copy()?.0, &mut |_| {})?;

        let (mut to, value) = copy()?;
        let error = finish(&mut to, &mut |_| {
            fs::write(&value, "a large vAlue").unwrap()
        });
        assert!(error.unwrap_err().is_corrupt());
        let (mut to, _) = copy()?;
        let fences = &Table::of_the_catalog()[5];
        to.put_row(fences, &[1, 1, 5].map(Value::Int))?;
        let error = finish(&mut to, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("fences has 2 rows"), "{error}");
        Ok(())
    }
}
