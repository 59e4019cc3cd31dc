//! What types that are written as text share.

/// `serde` through `Display` and `FromStr`, for types whose text is their one external form.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Parses 1 to `max_digits` hexadecimal digits, nothing else (no sign, no prefix, no space).
pub(crate) fn hex(text: &str, max_digits: usize) -> Option<u128> {
    let fits = (1..=max_digits).contains(&text.len());
    (fits && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}
