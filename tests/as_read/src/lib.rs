//! The examples, each a module; `build.rs` finds them.
#![allow(unused, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/examples.rs"));
