//! What a user writes to say which image is meant.

use std::fmt;
use std::str::FromStr;

use afi_proto::image::ParseImageIdError;
use afi_proto::{AfiId, AgfiId};

/// Characters of the key of a tag, at most (EC2 API Reference, data type `Tag`).
const LONGEST_KEY: usize = 127;
/// Characters of the value of a tag, at most (the same).
const LONGEST_VALUE: usize = 256;
/// Characters of a name, at most: a bound on what is sent, above what the API gives any image.
const LONGEST_NAME: usize = 1024;

/// A reference to an image: one of its two ids, its name, or one of its tags.
///
/// ```
/// use afi_agent::image::ImageRef;
///
/// let by_id: ImageRef = "agfi-0fedcba9876543210".parse()?;
/// let by_tag: ImageRef = "tag:stage=prod".parse()?;
/// assert!(by_id.is_id() && !by_tag.is_id());
/// // An id that lost a digit is not taken for a name.
/// assert!("agfi-0fedcba987654321".parse::<ImageRef>().is_err());
/// # Ok::<(), afi_agent::image::ParseImageRefError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageRef {
    /// The global id, the same in every region.
    Agfi(AgfiId),
    /// The id in one region.
    Afi(AfiId),
    /// A tag and its value: `tag:KEY=VALUE`.
    Tag {
        /// The key.
        key: String,
        /// The value; may be empty, as a tag's may.
        value: String,
    },
    /// The name, exactly: `*` and `?` stand for themselves.
    Name(String),
}

impl ImageRef {
    /// Whether it is an id, which always means the same image. A name or a tag can move.
    pub const fn is_id(&self) -> bool {
        matches!(self, Self::Agfi(_) | Self::Afi(_))
    }
}

impl fmt::Display for ImageRef {
    /// As the user writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agfi(id) => id.fmt(f),
            Self::Afi(id) => id.fmt(f),
            Self::Tag { key, value } => write!(f, "tag:{key}={value}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for ImageRef {
    type Err = ParseImageRefError;

    /// Text that begins like an id is an id or an error, never a name: a slip in an id should not
    /// end as "no image of this name". The case of an id does not matter. A tag's key ends at the
    /// first `=`.
    fn from_str(text: &str) -> Result<Self, ParseImageRefError> {
        if text.is_empty() {
            return Err(ParseImageRefError::Empty);
        }
        if let Some(character) = text.chars().find(|c| c.is_control()) {
            let text = text.escape_debug().to_string();
            return Err(ParseImageRefError::Control { text, character });
        }
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("agfi-") {
            return Ok(Self::Agfi(lower.parse()?));
        }
        if lower.starts_with("afi-") {
            return Ok(Self::Afi(lower.parse()?));
        }
        match text.strip_prefix("tag:") {
            Some(tag) => parse_tag(tag),
            None => Ok(Self::Name(short("name", text, LONGEST_NAME)?)),
        }
    }
}

fn parse_tag(tag: &str) -> Result<ImageRef, ParseImageRefError> {
    let not_a_tag = || ParseImageRefError::Tag {
        text: format!("tag:{tag}"),
    };
    let (key, value) = tag.split_once('=').ok_or_else(not_a_tag)?;
    if key.is_empty() {
        return Err(not_a_tag());
    }
    Ok(ImageRef::Tag {
        key: short("tag key", key, LONGEST_KEY)?,
        value: short("tag value", value, LONGEST_VALUE)?,
    })
}

fn short(what: &'static str, text: &str, most: usize) -> Result<String, ParseImageRefError> {
    let characters = text.chars().count();
    if characters > most {
        return Err(ParseImageRefError::TooLong {
            what,
            characters,
            most,
        });
    }
    Ok(text.to_owned())
}

/// A text that refers to no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseImageRefError {
    /// Nothing was written.
    #[error(
        "the image is empty; wanted an AGFI id, an AFI id, 'tag:KEY=VALUE' or the name of an image"
    )]
    Empty,
    /// A character that no id, name or tag has, such as a line break from a copied text.
    #[error("'{text}' is no image: it has the control character {character:?}")]
    Control {
        /// The text, with such characters escaped.
        text: String,
        /// The first of them.
        character: char,
    },
    /// It begins like an id and is none.
    #[error(transparent)]
    Id(#[from] ParseImageIdError),
    /// It begins with `tag:` and is no tag.
    #[error("'{text}' is not a tag; wanted 'tag:KEY=VALUE', such as tag:stage=prod")]
    Tag {
        /// The text.
        text: String,
    },
    /// Longer than the cloud allows.
    #[error("the {what} has {characters} characters; at most {most} are possible")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// Its characters.
        characters: usize,
        /// The limit.
        most: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<ImageRef, ParseImageRefError> {
        text.parse()
    }

    #[test]
    fn each_kind_is_recognised() {
        let agfi = "agfi-0fedcba9876543210";
        assert_eq!(parse(agfi), Ok(ImageRef::Agfi(agfi.parse().unwrap())));
        let afi = "afi-0fedcba9876543210";
        assert_eq!(parse(afi), Ok(ImageRef::Afi(afi.parse().unwrap())));
        assert_eq!(parse("AGFI-0FEDCBA9876543210"), parse(agfi));
        let tag = |key: &str, value: &str| ImageRef::Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(parse("tag:stage=prod"), Ok(tag("stage", "prod")));
        assert_eq!(parse("tag:a:b=c=d e"), Ok(tag("a:b", "c=d e")));
        assert_eq!(parse("tag:stage="), Ok(tag("stage", "")));
        for name in ["cl_hello_world", "tags", "agfi", "a*b?", "größe 1"] {
            assert_eq!(parse(name), Ok(ImageRef::Name(name.to_owned())));
        }
    }

    #[test]
    fn a_slip_in_an_id_is_an_error_that_names_it() {
        let text = |text: &str| parse(text).unwrap_err().to_string();
        assert!(text("agfi-0fedcba987654321").contains("it has 16 digits"));
        assert!(text("afi-0fedcba98765432x0").contains("it has 'x'"));
        assert!(text("agfi-").contains("wanted 'agfi-' and 17"));
        assert!(text("agfi-0fedcba9876543210 ").contains("it has ' '"));
        assert!(text("agfi-0fedcba9876543210\n").contains(r"'\n'"));
    }

    #[test]
    fn what_is_no_tag_and_no_name_is_refused() {
        let text = |text: &str| parse(text).unwrap_err().to_string();
        assert!(text("").contains("wanted an AGFI id, an AFI id"));
        for tag in ["tag:", "tag:stage", "tag:=prod"] {
            assert!(text(tag).contains("wanted 'tag:KEY=VALUE'"), "{tag}");
        }
        assert!(text(&format!("tag:{}=", "k".repeat(128))).contains("at most 127"));
        assert!(text(&format!("tag:k={}", "v".repeat(257))).contains("at most 256"));
        assert!(text(&"n".repeat(1025)).contains("1025 characters"));
    }

    proptest! {
        #[test]
        fn what_was_read_is_written_back(text in "\\PC{1,40}|tag:[a-z=]{0,9}|a?g?fi-[0-9a-f]{15,18}") {
            if let Ok(wanted) = parse(&text) {
                prop_assert_eq!(parse(&wanted.to_string()), Ok(wanted));
            }
        }
    }
}
