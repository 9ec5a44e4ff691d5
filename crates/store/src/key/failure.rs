use std::fmt::{self, Display};

use crate::error::Error;

/// Why a key could not be written or read, on its way through serde.
#[derive(Debug)]
pub(super) struct Failure(Box<str>);

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    #[cold]
    pub(super) fn new(message: impl Into<Box<str>>) -> Self {
        Failure(message.into())
    }

    #[cold]
    pub(super) fn too_deep() -> Self {
        Failure::new(format!("nested deeper than {} levels", super::LEVELS))
    }

    /// As the user sees it: `what` is the key's part in it, `K` its type.
    #[cold]
    pub(super) fn of<K: ?Sized>(self, what: &str) -> Error {
        let Failure(reason) = self;
        Error::key(format!("{what} {}: {reason}", std::any::type_name::<K>()))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl serde::ser::Error for Failure {
    fn custom<T: Display>(message: T) -> Self {
        Failure::new(message.to_string())
    }
}

impl serde::de::Error for Failure {
    fn custom<T: Display>(message: T) -> Self {
        Failure::new(message.to_string())
    }
}
