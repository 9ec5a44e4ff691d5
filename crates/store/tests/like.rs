//! What may stand for a type is written as that type is, by each codec and as a key.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::path::{Path, PathBuf};

use diskette_store::{Bincode, Codec, Json, Like, MessagePack, key};
use serde::Serialize;

fn encode<C: Codec>(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut bytes = Vec::new();
    C::encode(value, &mut bytes).unwrap();
    bytes
}

fn encode_key(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut bytes = Vec::new();
    key::encode(value, &mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_like_a_type_is_written_as_it() {
    fn same<T: Serialize + ?Sized, Q: Like<T> + ?Sized>(value: &T, like: &Q) {
        assert_eq!(encode::<Bincode>(value), encode::<Bincode>(like));
        assert_eq!(encode::<MessagePack>(value), encode::<MessagePack>(like));
        assert_eq!(encode::<Json>(value), encode::<Json>(like));
        assert_eq!(encode_key(value), encode_key(like));
    }
    let text = "tea\0pot";
    same::<String, str>(&text.into(), text);
    same::<Box<str>, str>(&text.into(), text);
    same::<Cow<str>, str>(&text.into(), text);
    same::<Option<String>, Option<&str>>(&Some(text.into()), &Some(text));
    same::<String, Cow<str>>(&text.into(), &text.into());
    same::<String, &str>(&text.into(), &text);
    same::<u8, &u8>(&7, &&7);

    same::<(String,), (&str,)>(&(text.into(),), &(text,));
    same::<(String, u8), (&str, u8)>(&(text.into(), 7), &(text, 7));
    same::<(u8, String), (u8, &str)>(&(7, text.into()), &(7, text));
    same::<(String, String), (&str, &str)>(&(text.into(), text.into()), &(text, text));
    same::<(u8, String, u8), (u8, &str, u8)>(&(7, text.into(), 8), &(7, text, 8));
    same::<(String, u8, bool, String), (&str, u8, bool, &str)>(
        &(text.into(), 7, true, "b".into()),
        &(text, 7, true, "b"),
    );

    let list = [300, 0, 7];
    same::<Vec<i32>, [i32]>(&list.to_vec(), &list);
    same::<Box<[i32]>, [i32]>(&list.to_vec().into(), &list);
    same::<Cow<[i32]>, [i32]>(&list.to_vec().into(), &list);
    same::<Vec<i32>, &[i32]>(&list.to_vec(), &list.as_slice());
    same::<[i32; 3], [i32; 3]>(&list, &list);

    same::<PathBuf, Path>(&text.into(), Path::new(text));
    same::<Box<Path>, Path>(&Path::new(text).into(), Path::new(text));
    same::<OsString, OsStr>(&text.into(), OsStr::new(text));
    same::<CString, CStr>(&c"tea".into(), c"tea");
}
