//! Bytes as frames of zstd, one for each [`CHUNK`], and zeros up to a hundredth of the bytes.

use std::cell::Cell;

use ::zstd::bulk::{Compressor, Decompressor};
use ::zstd::zstd_safe::{find_frame_compressed_size, get_error_name, get_frame_content_size};

use crate::codec::refusal::Refusal;

/// How many bytes are compressed at once: as much can be believed of a frame.
pub(super) const CHUNK: usize = 1024 * 1024;

/// How many times their length bytes may have been.
pub(super) const EXPANSION: usize = 100;

const LEVEL: i32 = 1;

// To make one takes as long as to use it on some kilobytes.
thread_local! {
    static COMPRESSOR: Cell<Option<Compressor<'static>>> = const { Cell::new(None) };
    static DECOMPRESSOR: Cell<Option<Decompressor<'static>>> = const { Cell::new(None) };
}

/// The frames that `plain` becomes; `None` if that doesn't make it smaller.
pub(super) fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::new();
    for chunk in plain.chunks(CHUNK) {
        packed.extend(match packed.is_empty() {
            true => smaller(chunk)?,
            false => frame(chunk)?,
        });
    }
    let padding = padding(plain.len() as u64, packed.len() as u64);
    packed.resize(packed.len() + padding as usize, 0);
    Some(packed)
}

/// The frame of a chunk; `None` if that is no smaller.
pub(super) fn smaller(chunk: &[u8]) -> Option<Vec<u8>> {
    compress(chunk, chunk.len() - 1)
}

/// The frame of a chunk, of whatever length.
pub(super) fn frame(chunk: &[u8]) -> Option<Vec<u8>> {
    compress(chunk, ::zstd::zstd_safe::compress_bound(chunk.len()))
}

/// How many zeros go behind frames.
pub(super) fn padding(plain: u64, packed: u64) -> u64 {
    plain.div_ceil(EXPANSION as u64).saturating_sub(packed)
}

/// The bytes that were packed; allocates a frame's only when those before it were as many as they claim.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, Refusal> {
    let most = packed.len().saturating_mul(EXPANSION);
    let (mut plain, mut rest) = (Vec::new(), packed);
    while rest.first().is_some_and(|&byte| byte != 0) {
        let length = find_frame_compressed_size(rest)
            .map_err(|code| Refusal::Damaged(get_error_name(code)))?;
        let claimed = match get_frame_content_size(rest) {
            Ok(Some(claimed @ 1..)) if claimed <= CHUNK as u64 => claimed as usize,
            _ => return Err(Refusal::Damaged("a frame of a length that none has")),
        };
        let start = plain.len();
        if claimed > most - start {
            return Err(Refusal::Expands);
        }
        let (frame, after) = rest.split_at(length);
        plain.resize(start + claimed, 0);
        match decompress(frame, &mut plain[start..]) {
            Some(found) if found == claimed => rest = after,
            _ => {
                return Err(Refusal::Damaged(
                    "the compressed bytes are not what they were",
                ));
            }
        }
    }
    let frames = packed.len() - rest.len();
    if rest.len() as u64 != padding(plain.len() as u64, frames as u64)
        || rest.iter().any(|&byte| byte != 0)
    {
        return Err(Refusal::LeftOver);
    }
    Ok(plain)
}

/// In at most so many bytes.
fn compress(chunk: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut compressor = match COMPRESSOR.try_with(Cell::take) {
        Ok(Some(kept)) => kept,
        _ => Compressor::new(LEVEL).ok()?,
    };
    let mut packed = Vec::with_capacity(most);
    let done = compressor.compress_to_buffer(chunk, &mut packed);
    // Not in a thread that is about to end.
    let _ = COMPRESSOR.try_with(|kept| kept.set(Some(compressor)));
    done.ok()
        .map(|_| packed)
        .filter(|packed| packed.len() <= most)
}

fn decompress(frame: &[u8], into: &mut [u8]) -> Option<usize> {
    let mut decompressor = match DECOMPRESSOR.try_with(Cell::take) {
        Ok(Some(kept)) => kept,
        _ => Decompressor::new().ok()?,
    };
    let done = decompressor.decompress_to_buffer(frame, into);
    let _ = DECOMPRESSOR.try_with(|kept| kept.set(Some(decompressor)));
    done.ok()
}
