//! Parameters of the EC2 Query protocol: form-encoded, flat, with lists as numbered names
//! (`FpgaImageId.1`, `Filter.2.Value.1`).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::error::ApiError;

/// Parameters of a request. EC2 itself takes 50 filters of 200 values at most.
const MAX_PARAMETERS: usize = 16 * 1024;
/// Bytes of a parameter's name that come back in an error.
const MAX_SHOWN: usize = 256;

/// The parameters of a request that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: BTreeMap<String, String>,
}

impl Params {
    /// Decodes a form, or the query of a URL.
    pub(super) fn parse(form: &[u8]) -> Result<Self, ApiError> {
        let malformed = |message: String| ApiError::client("MalformedQueryString", message);
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            if values.len() == MAX_PARAMETERS {
                return Err(malformed(format!(
                    "The request has more than {MAX_PARAMETERS} parameters"
                )));
            }
            let name = name.into_owned();
            if values.contains_key(&name) {
                return Err(malformed(format!(
                    "The parameter {} is given twice",
                    shown(&name)
                )));
            }
            values.insert(name, value.into_owned());
        }
        Ok(Self { values })
    }

    /// Takes a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// Takes a parameter that is `true` or `false`.
    pub(super) fn take_bool(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(ApiError::invalid_value(
                name,
                shown(&value),
                "Expecting true or false.",
            )),
        }
    }

    /// Takes a list of texts, in the order of their numbers.
    pub(super) fn take_list(&mut self, name: &str) -> Vec<String> {
        let mut list = BTreeMap::new();
        for (number, rest, key) in self.members(name) {
            if rest.is_empty()
                && let Some(value) = self.values.remove(&key)
            {
                list.insert(number, value);
            }
        }
        list.into_values().collect()
    }

    /// Takes a list of structures, each as the parameters of its members.
    pub(super) fn take_structures(&mut self, name: &str) -> Vec<Self> {
        let mut list: BTreeMap<u32, Self> = BTreeMap::new();
        for (number, rest, key) in self.members(name) {
            if !rest.is_empty()
                && let Some(value) = self.values.remove(&key)
            {
                list.entry(number).or_default().values.insert(rest, value);
            }
        }
        list.into_values().collect()
    }

    /// Takes a parameter that is a number.
    pub(super) fn take_number(&mut self, name: &str) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = value.parse().map_err(|_| {
            ApiError::invalid_value(name, shown(&value), "Expecting a number from 0 on.")
        })?;
        Ok(Some(number))
    }

    /// Takes a parameter that has to be there and not empty.
    pub(super) fn take_required(&mut self, name: &str) -> Result<String, ApiError> {
        let value = self.take(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| ApiError::missing(name))
    }

    /// The parameters that are left, in one form that tells them from others for good.
    pub(super) fn canonical(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(&self.values);
        form.finish()
    }

    /// A number that tells the parameters that are left from others.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.values.hash(&mut hasher);
        hasher.finish()
    }

    /// Refuses the parameters that are left: a misspelt one must not be ignored.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.values.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::client(
                "UnknownParameter",
                format!("The parameter {} is not recognized", shown(&name)),
            )),
        }
    }

    /// The parameters `NAME.number` and `NAME.number.rest`, as number, rest and whole name.
    fn members(&self, name: &str) -> Vec<(u32, String, String)> {
        let prefix = format!("{name}.");
        let of_list = self.values.range(prefix.clone()..);
        of_list
            .map_while(|(key, _)| key.strip_prefix(&prefix).map(|tail| (key, tail)))
            .filter_map(|(key, tail)| {
                let (number, rest) = match tail.split_once('.') {
                    Some((_, "")) => return None,
                    Some((number, rest)) => (number, rest),
                    None => (tail, ""),
                };
                Some((list_number(number)?, rest.to_owned(), key.clone()))
            })
            .collect()
    }
}

/// 1, 2, …: without sign or leading zero, so that two names cannot mean the same place.
fn list_number(text: &str) -> Option<u32> {
    let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// As much of a text as an error repeats.
pub(super) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_SHOWN)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn params(form: &str) -> Params {
        Params::parse(form.as_bytes()).unwrap()
    }

    #[test]
    fn lists_come_in_the_order_of_their_numbers() {
        let mut params = params("Id.10=j&Id.2=b&Id.1=a%20%2B");
        assert_eq!(params.take_list("Id"), ["a +", "b", "j"]);
        params.finish().unwrap();
    }

    #[test]
    fn structures_keep_their_members_together() {
        let mut params =
            params("Filter.2.Name=state&Filter.1.Value.2=y&Filter.1.Name=name&Filter.1.Value.1=x");
        let mut filters = params.take_structures("Filter");
        assert_eq!(filters.len(), 2);
        assert_eq!(filters[0].take("Name").as_deref(), Some("name"));
        assert_eq!(filters[0].take_list("Value"), ["x", "y"]);
        assert_eq!(filters[1].take("Name").as_deref(), Some("state"));
        params.finish().unwrap();
    }

    #[test]
    fn what_nobody_took_is_refused() {
        for form in [
            "Id.x=1",
            "Id.01=1",
            "Id.0=1",
            "Id.99999999999=1",
            "Id=1",
            "Id.1.=1",
            "Id.-1=1",
        ] {
            let mut params = params(form);
            assert!(params.take_list("Id").is_empty(), "{form}");
            assert_eq!(
                params.finish().unwrap_err().code,
                "UnknownParameter",
                "{form}"
            );
        }
        let mut mixed = params("Id.1.Name=x");
        assert!(mixed.take_list("Id").is_empty());
        assert_eq!(mixed.take_structures("Id").len(), 1);
    }

    #[test]
    fn a_parameter_comes_once() {
        let error = Params::parse(b"Action=A&Action=B").unwrap_err();
        assert_eq!(error.code, "MalformedQueryString");
    }

    #[test]
    fn too_many_parameters_are_refused() {
        let form: String = (0..=MAX_PARAMETERS).map(|n| format!("p{n}=&")).collect();
        assert_eq!(
            Params::parse(form.as_bytes()).unwrap_err().code,
            "MalformedQueryString"
        );
    }

    proptest! {
        #[test]
        fn any_form_is_taken_apart_without_panic(form: Vec<u8>) {
            if let Ok(mut params) = Params::parse(&form) {
                params.take_list("Id");
                params.take_structures("Filter");
                let _ = params.finish();
            }
        }

        #[test]
        fn a_list_is_what_was_sent(values in prop::collection::vec(".*", 0..20)) {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (place, value) in values.iter().enumerate() {
                form.append_pair(&format!("Id.{}", place + 1), value);
            }
            let mut params = Params::parse(form.finish().as_bytes()).unwrap();
            prop_assert_eq!(params.take_list("Id"), values);
        }
    }
}
