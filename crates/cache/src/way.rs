use std::sync::Arc;

use diskette_ipc::Clock;

/// How a cache is opened, wherever its parts are.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) codec: &'static str,
    /// Unless it is the store's.
    pub(crate) clock: Option<Arc<dyn Clock>>,
}
