/// Declares the statements of a kind of structure: each a template in which `{t}` stands for the
/// structure's table and `{id}` for its number, filled in once for each open structure.
///
/// Parameters are `$1`, `$2`, … in the order in which they first appear; SQL that both SQLite and
/// PostgreSQL accept.
///
/// # Example
///
/// ```
/// diskette_store::statements! {
///     /// A stack of numbers.
///     pub struct Sql {
///         /// Puts `$1` on top.
///         push = "INSERT INTO {t} (number) VALUES ($1)",
///     }
/// }
///
/// assert_eq!(Sql::new("stack_7", 7).push, "INSERT INTO stack_7 (number) VALUES ($1)");
/// ```
#[macro_export]
macro_rules! statements {
    ($(#[$about:meta])* $vis:vis struct $name:ident {
        $($(#[$what:meta])* $statement:ident = $template:literal,)+
    }) => {
        $(#[$about])*
        #[derive(Debug)]
        $vis struct $name {
            $($(#[$what])* $vis $statement: String,)+
        }

        impl $name {
            /// The statements for the structure with this table and number.
            $vis fn new(table: &str, id: i64) -> Self {
                Self {
                    $($statement: $crate::fill($template, table, id),)+
                }
            }
        }
    };
}

/// Fills a statement's template in.
#[doc(hidden)]
pub fn fill(template: &str, table: &str, id: i64) -> String {
    template
        .replace("{t}", table)
        .replace("{id}", &id.to_string())
}
