//! The statements that make tables come out of a database, and are run in another: so nothing else than that may be in them.

use crate::error::{Error, ErrorKind, Result};

const WORDS: [&str; 24] = [
    "CREATE",
    "TABLE",
    "INDEX",
    "UNIQUE",
    "IF",
    "NOT",
    "EXISTS",
    "ON",
    "WHERE",
    "IS",
    "NULL",
    "AND",
    "OR",
    "IN",
    "PRIMARY",
    "KEY",
    "AUTOINCREMENT",
    "DEFAULT",
    "INTEGER",
    "BIGINT",
    "BLOB",
    "TEXT",
    "DESC",
    "ASC",
];

/// Refuses a statement that may do more than make a table of plain columns, or an index of some of them: calls a function, say.
pub(crate) fn must_be_plain(sql: &str) -> Result<()> {
    match is_plain(sql) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "a table or an index was not made by diskette, and isn't made anew in the copy: {sql:?}; remove it, if it is another \
                 program's"
            ),
        )),
    }
}

fn is_plain(sql: &str) -> bool {
    let makes = ["CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX "];
    if !makes.iter().any(|make| sql.starts_with(make)) {
        return false;
    }
    let mut rest = sql;
    // The words before, the last one last.
    let mut before = ["", ""];
    while let Some(first) = rest.bytes().next() {
        let word = |is_part: fn(u8) -> bool| {
            let end = rest.bytes().position(|byte| !is_part(byte));
            rest.split_at(end.unwrap_or(rest.len()))
        };
        let (token, after) = match first {
            b'a'..=b'z' | b'_' => {
                word(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            }
            b'A'..=b'Z' => word(|byte| byte.is_ascii_uppercase()),
            b'0'..=b'9' => word(|byte| byte.is_ascii_digit()),
            b'\'' => match rest[1..].find('\'') {
                Some(end) => rest.split_at(end + 2),
                None => return false,
            },
            b'(' | b')' | b',' | b'=' | b' ' => rest.split_at(1),
            _ => return false,
        };
        rest = after;
        let names =
            |word: &str| word.starts_with(|char: char| char.is_ascii_lowercase() || char == '_');
        match token {
            " " => continue,
            // What a name before it would be called, unless it is that of the table.
            "(" if names(before[1]) && !["TABLE", "EXISTS", "ON"].contains(&before[0]) => {
                return false;
            }
            word if first.is_ascii_uppercase() && !WORDS.contains(&word) => return false,
            _ => {}
        }
        before = [before[1], token];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_makes_a_table_or_an_index_and_does_nothing_else() {
        for plain in [
            "CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, n2 BIGINT DEFAULT 0, PRIMARY KEY (id, n2))",
            "CREATE TABLE jobs(id INTEGER PRIMARY KEY)",
            "CREATE INDEX due ON jobs (queue, due) WHERE state = 'to be (done)' AND due IS NOT NULL OR tag IN ('a', 'b')",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "DROP TABLE jobs",
            "CREATE TABLE jobs (id BIGINT); DROP TABLE others",
            "CREATE TABLE jobs (id TEXT DEFAULT (pg_read_file('/etc/passwd')))",
            "CREATE TABLE jobs (id TEXT DEFAULT \"pg_read_file\"('/etc/passwd'))",
            "CREATE TABLE jobs (id TEXT DEFAULT pg_read_file ('/etc/passwd'))",
            "CREATE TABLE jobs AS SELECT 1",
            "CREATE INDEX due ON jobs (lower(tag))",
            "CREATE INDEX due ON jobs (tag) WHERE tag = 'x",
            "CREATE TABLE jobs (id BIGINT) -- and",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
