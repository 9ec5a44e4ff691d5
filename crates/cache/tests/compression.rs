//! A cache by a codec that compresses: its limit is one of what is stored.
#![allow(clippy::unwrap_used)]

use diskette_cache::Cache;
use diskette_store::{Json, Store, Zstd};
use diskette_testkit::Place;

#[test]
fn a_limit_in_bytes_holds_more_that_is_compressed() {
    let place = Place::new();
    let store = Store::open(place.path()).unwrap();
    let packed = Cache::<u32, String>::options()
        .max_bytes(10_000)
        .codec::<Zstd<Json>>()
        .new(&store, "packed")
        .unwrap();
    let plain = Cache::<u32, String>::options()
        .max_bytes(10_000)
        .codec::<Json>()
        .new(&store, "plain")
        .unwrap();
    let page = "<li>tea</li>\n".repeat(100);
    for n in 0..20 {
        packed.insert(&n, &page).unwrap();
        plain.insert(&n, &page).unwrap();
    }
    assert_eq!(packed.len().unwrap(), 20);
    assert!(plain.len().unwrap() < 10);
    assert_eq!(packed.get(&0).unwrap(), Some(page));

    let refused = Cache::<u32, String>::options()
        .codec::<Json>()
        .new(&store, "packed");
    let error = refused.unwrap_err();
    assert!(
        error.is_wrong_kind() && error.to_string().contains("`codec::<Zstd<Json>>()`"),
        "{error}"
    );
}
