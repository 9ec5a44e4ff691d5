//! Copying a store of one engine into an empty one of the other.
//!
//! Both have the same tables: those of the catalog, and those that the catalog names. So rows are copied with their numbers and bytes as
//! they are, and no kind of structure is known by its name. Either engine keeps the statements that made the tables of a kind, as
//! SQLite takes them; they make them in the copy. Large values are streamed.
//!
//! What is about living processes stays behind: who they are, what they hold and wait for. Rows that name an owner, such as claims, are
//! copied like all others. As the copy knows nobody of that number, he is dead there: whoever opens such a structure first
//! gives back what he had, as its kind says, so that the process that copies need not know the kind.

mod checksum;
mod progress;
mod schema;
mod table;

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind, Result};
use crate::row::Value;

use checksum::Checksum;
pub(crate) use progress::Meter;
pub use progress::{Progress, Step};
pub(crate) use table::{Datum, Table};

/// One of the databases of a store, its own or that of a shard, in a state that stays as it is meanwhile.
pub(crate) trait Original {
    fn columns(&self, table: &str) -> Result<Vec<String>>;

    /// The statements that made these tables of a kind, as SQLite takes them.
    fn schema(&self, kind: &str, tables: &[String]) -> Result<Vec<String>>;

    /// How many rows a table has, and what their values take in bytes.
    fn size(&self, table: &Table) -> Result<[i64; 2]>;

    fn each_row(
        &self,
        table: &Table,
        visit: &mut dyn FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()>;

    /// The bytes of a large value's file, in order.
    fn each_chunk(&self, value: i64, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

    /// What was given last, of what is never given again.
    fn reached(&self) -> Result<Reached>;

    /// Refuses if there is something that a copy would lack.
    fn must_be_known(&self, tables: &BTreeSet<String>) -> Result<()>;
}

/// One that is being made, in which there is nothing yet.
pub(crate) trait Copy: Original {
    fn make_kind(&mut self, kind: &str, format: i64, schema: &[String]) -> Result<()>;

    fn put_row(&mut self, table: &Table, row: &[Value<'_>]) -> Result<()>;

    /// All rows of a table were put.
    fn end_table(&mut self, table: &Table) -> Result<()>;

    /// Takes what `stream` gives for the file of a large value of so many bytes.
    fn put_value(&mut self, id: i64, bytes: i64, stream: &mut Stream<'_>) -> Result<()>;

    /// Makes it ready to be used: it goes on behind what was given last.
    fn finish(&mut self, reached: Reached) -> Result<()>;
}

/// Calls what it is given for each chunk.
pub(crate) type Stream<'s> = dyn FnMut(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> + 's;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    /// The number of a structure.
    pub(crate) structure: i64,
    /// A fencing token.
    pub(crate) token: i64,
}

/// What was read of the original, to be compared with the copy.
struct Sums {
    tables: Vec<(Table, Checksum)>,
    values: Checksum,
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

/// Copies all, and compares it with what was read.
pub(crate) fn copy(from: &dyn Original, to: &mut dyn Copy, meter: &mut Meter<'_>) -> Result<()> {
    let sums = transfer(from, to, meter)?;
    verify(to, &sums)
}

fn transfer(from: &dyn Original, to: &mut dyn Copy, meter: &mut Meter<'_>) -> Result<Sums> {
    let mut sums = Vec::new();
    for table in Table::of_the_catalog() {
        // A kind is made with its tables.
        let is_put = table.name != Table::KINDS;
        let mut sum = Checksum::default();
        from.each_row(&table, &mut |row| {
            sum.add(row);
            match is_put {
                true => to.put_row(&table, row),
                false => Ok(()),
            }
        })?;
        to.end_table(&table)?;
        sums.push((table, sum));
    }
    let kinds = kinds(from)?;
    let named = kinds.iter().flat_map(|(_, tables)| tables.iter().cloned());
    from.must_be_known(&named.collect())?;
    for ((kind, format), tables) in &kinds {
        meter.doing(kind);
        let schema = from.schema(kind, tables)?;
        schema
            .iter()
            .try_for_each(|sql| schema::must_be_plain(sql))?;
        to.make_kind(kind, *format, &schema)?;
        for table in tables_of(from, tables)? {
            let mut sum = Checksum::default();
            from.each_row(&table, &mut |row| {
                sum.add(row);
                to.put_row(&table, row)?;
                meter.done(table.bytes_of(row));
                Ok(())
            })?;
            to.end_table(&table)?;
            sums.push((table, sum));
        }
    }
    meter.doing(Table::VALUE_FILES);
    let mut values = Checksum::default();
    for (id, bytes) in value_files(from)? {
        let mut stream = |visit: &mut dyn FnMut(&[u8]) -> Result<()>| {
            let mut content = checksum::Content::default();
            from.each_chunk(id, &mut |chunk| {
                content.add(chunk);
                visit(chunk)
            })?;
            values.add(&content.row(id));
            Ok(())
        };
        to.put_value(id, bytes, &mut stream)?;
        meter.done(bytes);
    }
    to.end_table(&Table::value_files())?;
    to.finish(from.reached()?)?;
    Ok(Sums {
        tables: sums,
        values,
    })
}

/// Reads the copy.
fn verify(copy: &dyn Original, sums: &Sums) -> Result<()> {
    let compare = |table: &str, here: &Checksum, there: &Checksum| match here == there {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the copy of the table {table} has {there}, the store has {here}: the copy is not used, the store stays as it is"
            ),
        )),
    };
    for (table, sum) in &sums.tables {
        let mut there = Checksum::default();
        copy.each_row(table, &mut |row| {
            there.add(row);
            Ok(())
        })?;
        compare(&table.name, sum, &there)?;
    }
    let mut there = Checksum::default();
    for (id, _) in value_files(copy)? {
        let mut content = checksum::Content::default();
        copy.each_chunk(id, &mut |chunk| {
            content.add(chunk);
            Ok(())
        })?;
        there.add(&content.row(id));
    }
    compare(Table::VALUE_FILES, &sums.values, &there)
}

type Kind = ((String, i64), Vec<String>);

/// The kinds that there are tables of, with their formats and tables.
fn kinds(from: &dyn Original) -> Result<Vec<Kind>> {
    let mut kinds: Vec<Kind> = Vec::new();
    from.each_row(&Table::kinds(), &mut |row| {
        kinds.push(((table::text(row, 0)?, table::int(row, 1)?), Vec::new()));
        Ok(())
    })?;
    from.each_row(&Table::tables(), &mut |row| {
        let (name, kind) = (table::name(row, 0)?, table::text(row, 1)?);
        let of_this = kinds.iter_mut().find(|((it, _), _)| *it == kind);
        of_this.ok_or_else(table::damaged)?.1.push(name);
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
    from.each_row(&Table::value_files(), &mut |row| {
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
    use crate::sqlite::{Files, NewFiles, connect_to};
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
            "INSERT INTO value_files (id, bytes) VALUES (7, 1); INSERT INTO fences (structure, slot, token) VALUES (1, 0, 5);",
        )?;
        let from = Files {
            connection: &connection,
            directory: &directory,
        };
        let copied_to = room.path().join("copy");
        let mut copy = NewFiles::begin(Directory::prepare(&copied_to, &Options::default())?)?;
        let mut tell = |_: &Progress| {};
        let sums = transfer(&from, &mut copy, &mut Meter::new(&mut tell))?;
        verify(&copy, &sums)?;

        let value = Directory::prepare(&copied_to, &Options::default())?.value(7);
        fs::write(&value, "a large vAlue")?;
        assert!(verify(&copy, &sums).unwrap_err().is_corrupt());
        fs::write(&value, "a large value")?;
        verify(&copy, &sums)?;
        let fences = &Table::of_the_catalog()[4];
        copy.put_row(fences, &[1, 1, 5].map(Value::Int))?;
        let error = verify(&copy, &sums).unwrap_err();
        assert!(error.to_string().contains("fences has 2 rows"), "{error}");
        Ok(())
    }
}
