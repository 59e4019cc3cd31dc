//! Classes and remedies of captures, and of what they say went wrong.

use afi_pcie::capture::{CaptureError, RecordedFailure, SCHEMA_VERSION};

use super::{Class, Problem, of_io};

impl Problem for CaptureError {
    fn class(&self) -> Class {
        match self {
            Self::Read { source } => of_io(source),
            Self::TooLarge
            | Self::Malformed { .. }
            | Self::Version { .. }
            | Self::Impossible { .. } => Class::Usage,
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => {
                "name a file that 'afi capture' wrote and that you may read: --bus capture:FILE"
                    .to_owned()
            }
            Self::Version { found } if *found > SCHEMA_VERSION.into() => {
                "a newer afi wrote it: use that version".to_owned()
            }
            _ => "have it sent again, as 'afi capture' wrote it: it was changed or cut short"
                .to_owned(),
        })
    }
}

impl Problem for RecordedFailure {
    /// The class that was recorded, where it is one.
    fn class(&self) -> Class {
        let name = self.class.as_deref();
        Class::ALL
            .into_iter()
            .find(|class| Some(class.name()) == name)
            .unwrap_or(Class::Failed)
    }

    fn remedy(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_found_again_by_the_name_that_json_gives_it() {
        for class in Class::ALL {
            assert_eq!(serde_json::json!(class), class.name());
            let failure = |class: &str| RecordedFailure {
                what: "describe slot 0".to_owned(),
                class: Some(class.to_owned()),
                message: String::new(),
            };
            assert_eq!(failure(class.name()).class(), class);
            assert_eq!(failure("unheard-of").class(), Class::Failed);
        }
    }
}
