//! A peer that keeps values by their keys, and has transactions.

use std::hint::black_box;
use std::rc::Rc;

use crate::subject::Subject;

/// Each call is one transaction.
pub(crate) trait Keyed: 'static {
    /// Gives each key its value, or deletes it where that is `None`.
    fn write<'i>(&self, changes: impl ExactSizeIterator<Item = (&'i str, Option<&'i str>)>);

    /// Shows the value of each key to `found`.
    fn read<'i>(&self, keys: impl Iterator<Item = &'i str>, found: impl Fn(&[u8]));
}

pub(crate) fn subject(peer: impl Keyed) -> Subject {
    let set = Rc::new(peer);
    let [get, delete] = [Rc::clone(&set), Rc::clone(&set)];
    Subject::default()
        .with("set", move |items| {
            let changes = items.iter().map(|item| (&*item.key, Some(&*item.value)));
            set.write(changes);
            items.len()
        })
        .with("get", move |items| {
            let keys = items.iter().map(|item| &*item.key);
            get.read(keys, |value| drop(black_box(value.to_vec())));
            items.len()
        })
        .with("delete", move |items| {
            delete.write(items.iter().map(|item| (&*item.key, None)));
            items.len()
        })
}
