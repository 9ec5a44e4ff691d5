//! `Zstd` makes values smaller where that pays, the same in memory and in a stream, and never so small that reading them would cost
//! much more than they are.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use diskette_store::{Bincode, Codec, Json, MessagePack, Zstd};
use serde_bytes::ByteBuf;

const MIB: usize = 1024 * 1024;

fn encode<C: Codec>(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    C::encode(value, &mut bytes).unwrap();
    bytes
}

/// Bytes that nothing makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[7]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn a_codec_in_it_gives_it_its_name() {
    assert_eq!(<Zstd>::NAME, "zstd+message-pack");
    assert_eq!(Zstd::<Json>::NAME, "zstd+json");
    assert_eq!(Zstd::<Bincode>::NAME, "zstd+bincode");
}

#[test]
fn only_what_gets_smaller_is_compressed() {
    let small = "tea".repeat(50);
    let plain = [&[0][..], &encode::<Json>(&small)].concat();
    assert_eq!(encode::<Zstd<Json>>(&small), plain);

    let noise = ByteBuf::from(noise(3 * MIB));
    let plain = [&[0][..], &encode::<MessagePack>(&noise)].concat();
    assert!(encode::<Zstd>(&noise) == plain);

    let pages: BTreeMap<u32, String> = (0..100)
        .map(|n| (n, format!("https://example.org/pages/{n}")))
        .collect();
    let (packed, plain) = (encode::<Zstd<Json>>(&pages), encode::<Json>(&pages));
    assert_eq!(packed[0], 1);
    assert!(
        packed.len() * 4 < plain.len(),
        "{} of {}",
        packed.len(),
        plain.len()
    );
}

/// One MiB is compressed at a time, and the first decides.
#[test]
fn large_values_come_back_and_streams_are_the_same_bytes() {
    let mut noisy_start = noise(MIB + 50);
    noisy_start.resize(4 * MIB, 7);
    let mut noisy_end = vec![7; 2 * MIB];
    noisy_end.extend(noise(MIB));
    for length in [
        0,
        250,
        251,
        252,
        300,
        MIB - 6,
        MIB - 5,
        MIB - 4,
        3 * MIB - 5,
        3 * MIB,
    ] {
        comes_back(vec![7; length]);
    }
    comes_back(noisy_start);
    comes_back(noisy_end);

    fn comes_back(bytes: Vec<u8>) {
        let value = ByteBuf::from(bytes);
        let packed = encode::<Zstd>(&value);
        assert!(Zstd::<MessagePack>::decode::<ByteBuf>(&packed).unwrap() == value);
        let mut stream = Vec::new();
        Zstd::<MessagePack>::encode_to(&value, &mut stream).unwrap();
        assert!(stream == packed, "{} bytes", value.len());
    }
}

/// Zstd packs some kilobytes into each byte. What could be read at such a rate, anyone could have written.
#[test]
fn nothing_expands_more_than_a_hundred_times() {
    let zeros = ByteBuf::from(vec![0; 10 * MIB]);
    let packed = encode::<Zstd>(&zeros);
    assert!(packed.len() >= zeros.len() / 100 && packed.len() < zeros.len() / 99);
    assert!(Zstd::<MessagePack>::decode::<ByteBuf>(&packed).unwrap() == zeros);

    let padding = packed.iter().rev().take_while(|&&byte| byte == 0).count();
    assert!(padding > packed.len() / 2, "{padding}");
    for bytes in [
        &packed[..packed.len() - padding],
        &packed[..packed.len() - 1],
        &[&packed[..], &[0]].concat(),
        &[&packed[..packed.len() - 1], &[1]].concat(),
    ] {
        let error = Zstd::<MessagePack>::decode::<ByteBuf>(bytes).unwrap_err();
        assert!(error.is_codec(), "{error}");
    }
}
