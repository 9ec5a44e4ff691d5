/// Why a value or bytes were refused that the format itself would have taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("nested deeper than {} levels", super::limits::LEVELS)]
    TooDeep,
    #[error("a sequence or map claims {claimed} elements, more than the bytes can hold")]
    Claim { claimed: usize },
    #[error("{elements} elements in {bytes} bytes: too many that are written as nothing")]
    TooManyEmpty { elements: usize, bytes: usize },
    #[error("bytes are left over after the value")]
    LeftOver,
    #[error("{found} bytes where {length} were recorded")]
    Length { found: u64, length: u64 },
    #[error(
        "the field `{0}` is left out, which this format can't tell; use MessagePack or Json for skipped fields"
    )]
    SkippedField(&'static str),
    #[error(
        "`Some` of nothing would come back as `None`; use Bincode, or an enum of your own for what can be there and be nothing"
    )]
    SomeOfNothing,
    #[error("a sequence or map doesn't say how long it is; use MessagePack or Json")]
    NoLength,
    #[error("it could not be read back: {0}")]
    Unreadable(#[source] super::format::Failure),
    #[error("{0} is no number in this format; use Bincode or MessagePack for infinities and NaN")]
    NotFinite(f64),
    #[error(
        "the type asks the bytes what they are (untagged enum, flattened struct, serde_json::Value), which this \
         format doesn't record; use MessagePack or Json"
    )]
    NotSelfDescribing,
    #[cfg(feature = "zstd")]
    #[error("their first byte is neither that of plain bytes nor that of compressed ones")]
    NeitherPlainNorPacked,
    #[cfg(feature = "zstd")]
    #[error("they expand more than any value does that was compressed here")]
    Expands,
    #[cfg(feature = "zstd")]
    #[error("the compressed bytes are damaged: {0}")]
    Damaged(&'static str),
}
