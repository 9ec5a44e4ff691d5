//! What is refused, and how it is said.

use diskette_deque::Deque;
use diskette_store::{Json, Kind, Structure, Zstd};

use crate::{LONG, numbers, store};

#[test]
fn another_codec_and_another_kind_are_refused() {
    static STACK: Kind = Kind {
        name: "stack",
        format: 1,
        schema: &[],
        tables: &[],
        bring_over: &[],
        claims: None,
    };
    let (_dir, store) = store();
    numbers(&store, 1);
    let json = Deque::<u32>::options()
        .codec::<Json>()
        .new(&store, "numbers");
    let error = json.unwrap_err();
    assert!(error.is_wrong_kind());
    assert!(error.to_string().contains("message-pack"), "{error}");

    Structure::open(&store, &STACK, "stack", "json", |_, _| Ok(())).unwrap();
    let error = Deque::<u32>::new(&store, "stack").unwrap_err();
    assert!(error.is_wrong_kind());
    assert!(error.to_string().contains("kind stack"), "{error}");
}

#[test]
fn a_codec_that_compresses_takes_less_room_and_is_asked_for_by_name() {
    let (_dir, store) = store();
    let options = || Deque::<String>::options().codec::<Zstd<Json>>();
    let packed = options().new(&store, "packed").unwrap();
    let plain = Deque::<String>::new(&store, "plain").unwrap();
    let page = "<li>tea</li>\n".repeat(100);
    let items = [page.clone(), "tea".into()];
    packed.extend(&items).unwrap();
    plain.extend(&items).unwrap();
    let [packed, plain] = [0, 1].map(|at| store.stats().unwrap().structures[at].bytes);
    assert!(packed * 4 < plain, "{packed} and {plain}");

    let packed = options().new(&store, "packed").unwrap();
    let claim = packed.claim_front(LONG).unwrap().unwrap();
    assert_eq!(*claim, page);
    claim.release().unwrap();
    assert_eq!(packed.iter().collect::<Result<Vec<_>, _>>().unwrap(), items);

    let error = Deque::<String>::new(&store, "packed").unwrap_err();
    assert!(error.is_wrong_kind());
    assert!(
        error.to_string().contains("`codec::<Zstd<Json>>()`"),
        "{error}"
    );
    let error = options().new(&store, "plain").unwrap_err();
    assert!(
        error.to_string().contains("`codec::<MessagePack>()`"),
        "{error}"
    );
}

#[test]
fn a_transaction_of_another_store_is_refused() {
    let (_dir, store) = store();
    let (_other_dir, other) = crate::store();
    let deque = numbers(&store, 1);
    numbers(&other, 1);
    let result = other.transaction(|tx| deque.within(tx).pop_front());
    assert!(result.unwrap_err().is_misuse());
    let stranger = Deque::<u32>::new(&other, "numbers").unwrap();
    assert!(deque.append(&stranger).unwrap_err().is_misuse());
    assert_eq!((deque.len().unwrap(), stranger.len().unwrap()), (1, 1));
}

#[test]
fn an_error_says_what_was_done_to_which_deque_of_which_store() {
    let (_dir, store) = store();
    let error = numbers(&store, 3).set(3, &0).unwrap_err().to_string();
    let place = format!(
        "set on the deque \"numbers\" in {}: ",
        store.path().display()
    );
    assert!(error.starts_with(&place), "{error}");
    assert!(
        error.ends_with("index 3 is beyond the end: the deque has 3 items"),
        "{error}"
    );
}
