//! Filters of `Describe…` actions: `Filter.N.Name` and `Filter.N.Value.M`.
//!
//! Source: Amazon EC2 User Guide, "Filter using the AWS CLI" and EC2 API Reference, `Filter`:
//! values of one filter are alternatives, filters add up, values are case-sensitive, `*` stands for
//! any characters, `?` for one, and a backslash takes away what the next character means.

use wildmatch::WildMatchPattern;

use super::error::ApiError;
use super::query::{Params, shown};

/// Filters of a request (EC2 User Guide, "Filtering considerations").
const MAX_FILTERS: usize = 50;
/// Values of a filter (the same).
const MAX_VALUES: usize = 200;
/// Characters of a value (the same).
const MAX_VALUE: usize = 255;

/// What stands for `*` and `?` in a compiled pattern, so that the characters themselves can be
/// matched. Both are noncharacters, which no text is meant to contain (Unicode 16.0, 23.7).
const ANY: char = '\u{FDD0}';
const ONE: char = '\u{FDD1}';

/// A filter of a request.
#[derive(Debug)]
pub(super) struct Filter {
    name: String,
    patterns: Vec<WildMatchPattern<ANY, ONE>>,
}

impl Filter {
    /// Takes the filters of a request.
    pub(super) fn take_all(params: &mut Params) -> Result<Vec<Self>, ApiError> {
        let filters = params.take_structures("Filter");
        let limit = |message: String| ApiError::client("FilterLimitExceeded", message);
        if filters.len() > MAX_FILTERS {
            return Err(limit(format!(
                "The maximum number of filters is {MAX_FILTERS}"
            )));
        }
        filters.into_iter().map(Self::take).collect()
    }

    fn take(mut params: Params) -> Result<Self, ApiError> {
        let name = params.take("Name").unwrap_or_default();
        let values = params.take_list("Value");
        params.finish()?;
        let invalid = |message: String| ApiError::client("InvalidParameterValue", message);
        let limit = |message: String| ApiError::client("FilterLimitExceeded", message);
        if name.is_empty() {
            return Err(invalid("The filter 'null' is invalid".to_owned()));
        }
        if values.is_empty() {
            return Err(invalid(format!(
                "The filter '{}' has no values",
                shown(&name)
            )));
        }
        if values.len() > MAX_VALUES {
            return Err(limit(format!(
                "The maximum number of values of a filter is {MAX_VALUES}"
            )));
        }
        let mut patterns = Vec::with_capacity(values.len());
        for value in &values {
            if value.chars().count() > MAX_VALUE {
                return Err(limit(format!(
                    "The maximum length for a filter value is {MAX_VALUE} characters"
                )));
            }
            let pattern = compile(value).ok_or_else(|| {
                invalid(format!(
                    "The filter '{}' has a value with noncharacters",
                    shown(&name)
                ))
            })?;
            patterns.push(WildMatchPattern::new(&pattern));
        }
        Ok(Self { name, patterns })
    }

    /// What it looks at.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether one of its values matches this text.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(text))
    }
}

/// Replaces the wildcards that no backslash stands before. `None` if there are noncharacters.
fn compile(value: &str) -> Option<String> {
    if value.contains([ANY, ONE]) {
        return None;
    }
    let mut pattern = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        pattern.push(match c {
            '*' => ANY,
            '?' => ONE,
            // A backslash at the end stands for itself.
            '\\' => characters.next().unwrap_or('\\'),
            c => c,
        });
    }
    Some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(values: &[&str]) -> Result<Vec<Filter>, ApiError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Filter.1.Name", "name");
        for (place, value) in values.iter().enumerate() {
            form.append_pair(&format!("Filter.1.Value.{}", place + 1), value);
        }
        Filter::take_all(&mut Params::parse(form.finish().as_bytes()).unwrap())
    }

    fn matches(value: &str, text: &str) -> bool {
        filter(&[value]).unwrap()[0].matches(text)
    }

    #[test]
    fn wildcards_and_their_escapes() {
        for (value, text) in [
            ("cl_*", "cl_hello"),
            ("*", ""),
            ("*", "x"),
            ("c?", "cl"),
            ("*hello*", "cl_hello_world"),
            (r"\*amazon\?\\", r"*amazon?\"),
            (r"a\b", "ab"),
            (r"a\", r"a\"),
            ("*a*b", "xaxbxb"),
        ] {
            assert!(matches(value, text), "{value} {text}");
        }
        for (value, text) in [
            ("cl_*", "CL_hello"),
            ("c?", "c"),
            ("c?", "cll"),
            ("hello", "cl_hello"),
            ("?", ""),
            (r"\*", "x"),
            (r"\?", "x"),
            (r"\*amazon\?\\", "xamazonx\\"),
            ("", "x"),
        ] {
            assert!(!matches(value, text), "{value} {text}");
        }
    }

    #[test]
    fn values_are_alternatives() {
        let filters = filter(&["a", "b*"]).unwrap();
        assert!(filters[0].matches("a") && filters[0].matches("bc"));
        assert!(!filters[0].matches("c"));
    }

    #[test]
    fn limits_are_those_of_the_api() {
        let code = |values: &[&str]| filter(values).unwrap_err().code;
        let long = "x".repeat(MAX_VALUE + 1);
        assert_eq!(code(&[&long]), "FilterLimitExceeded");
        assert_eq!(code(&["x"; MAX_VALUES + 1]), "FilterLimitExceeded");
        assert_eq!(code(&[]), "InvalidParameterValue");
        assert_eq!(code(&["\u{FDD0}"]), "InvalidParameterValue");
        assert!(filter(&["x"; MAX_VALUES]).is_ok());
        let form: String = (1..=MAX_FILTERS + 1)
            .map(|n| format!("Filter.{n}.Name=name&Filter.{n}.Value.1=x&"))
            .collect();
        let many = Filter::take_all(&mut Params::parse(form.as_bytes()).unwrap());
        assert_eq!(many.unwrap_err().code, "FilterLimitExceeded");
        let nameless = Filter::take_all(&mut Params::parse(b"Filter.1.Value.1=x").unwrap());
        assert_eq!(nameless.unwrap_err().code, "InvalidParameterValue");
        let odd = Filter::take_all(
            &mut Params::parse(b"Filter.1.Name=name&Filter.1.Values.1=x").unwrap(),
        );
        assert_eq!(odd.unwrap_err().code, "UnknownParameter");
    }

    proptest! {
        #[test]
        fn a_text_with_its_wildcards_escaped_matches_itself_only(text in r"[ab*?\\]{0,12}", other in r"[ab*?\\]{0,12}") {
            let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert!(matches(&escaped, &text));
            prop_assert_eq!(matches(&escaped, &other), text == other);
        }

        #[test]
        fn wildcards_agree_with_the_obvious_definition(value in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn obvious(value: &[u8], text: &[u8]) -> bool {
                match (value, text) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| obvious(rest, &text[skip..])),
                    ([b'?', rest @ ..], [_, left @ ..]) => obvious(rest, left),
                    ([c, rest @ ..], [d, left @ ..]) if c == d => obvious(rest, left),
                    _ => false,
                }
            }
            prop_assert_eq!(matches(&value, &text), obvious(value.as_bytes(), text.as_bytes()));
        }
    }
}
