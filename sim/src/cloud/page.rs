//! Pages of a long answer: `MaxResults` and `NextToken`.
//!
//! A token holds the key of the last item that was shown, so that items that come or go between two
//! pages neither repeat nor hide others. It is bound to the request it came from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use super::auth::Caller;
use super::error::ApiError;
use super::query::{Params, shown};

/// Digits of the checksum that a token begins with.
const CHECKSUM: usize = 16;

/// Which page of an answer is wanted.
#[derive(Debug)]
pub(super) struct Page {
    size: usize,
    /// Key of the last item of the page before.
    after: Option<String>,
    /// Of the request without what is about pages.
    fingerprint: u64,
}

impl Page {
    /// Takes the parameters of a page, `sizes` being what `MaxResults` may be. What is left of
    /// `params` must be what tells one query from another.
    pub(super) fn take(
        params: &mut Params,
        caller: &Caller,
        sizes: RangeInclusive<usize>,
    ) -> Result<Self, ApiError> {
        let size = match params.take("MaxResults") {
            None => None,
            Some(text) => {
                let size = text.parse().ok().filter(|size| sizes.contains(size));
                let wanted = || {
                    format!(
                        "Expecting a value from {} to {}.",
                        sizes.start(),
                        sizes.end()
                    )
                };
                Some(size.ok_or_else(|| {
                    ApiError::invalid_value("maxResults", shown(&text), &wanted())
                })?)
            }
        };
        let token = params.take("NextToken");
        let mut hasher = DefaultHasher::new();
        (caller.account, &caller.region, params.fingerprint()).hash(&mut hasher);
        let fingerprint = hasher.finish();
        let after = match &token {
            None => None,
            Some(token) => {
                let message = "Unable to parse pagination token";
                let key = open(token, fingerprint);
                Some(key.ok_or_else(|| ApiError::client("InvalidParameterValue", message))?)
            }
        };
        // Without either parameter the answer is whole; a later page is never longer than allowed.
        let size = size.unwrap_or(if after.is_some() {
            *sizes.end()
        } else {
            usize::MAX
        });
        Ok(Self {
            size,
            after,
            fingerprint,
        })
    }

    /// The key of the last item of the page before.
    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Whether the whole answer was asked for.
    pub(super) fn is_everything(&self) -> bool {
        self.size == usize::MAX
    }

    /// Cuts the page out of items that are in the order of their keys. Returns it, and the token of
    /// the next one if there is more.
    pub(super) fn cut<T>(
        &self,
        items: impl Iterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let shown = |item: &T| self.after.as_ref().is_some_and(|after| key(item) <= *after);
        let mut rest = items.skip_while(shown).peekable();
        let mut page = Vec::new();
        while page.len() < self.size
            && let Some(item) = rest.next()
        {
            page.push(item);
        }
        let last = page.last().filter(|_| rest.peek().is_some());
        let token = last.map(|item| seal(&key(item), self.fingerprint));
        (page, token)
    }
}

fn checksum(key: &str, fingerprint: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, fingerprint).hash(&mut hasher);
    hasher.finish()
}

fn seal(key: &str, fingerprint: u64) -> String {
    let key_digits: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{:0width$x}{key_digits}",
        checksum(key, fingerprint),
        width = CHECKSUM
    )
}

fn open(token: &str, fingerprint: u64) -> Option<String> {
    let (sum, digits) = token.split_at_checked(CHECKSUM)?;
    let sum = u64::from_str_radix(sum, 16).ok()?;
    let bytes: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let key = String::from_utf8(bytes?).ok()?;
    (sum == checksum(&key, fingerprint)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_good_for_its_own_query_only() {
        let token = seal("afi-1", 7);
        assert_eq!(open(&token, 7).as_deref(), Some("afi-1"));
        assert_eq!(open(&token, 8), None);
        assert_eq!(open(&token[1..], 7), None);
        assert_eq!(open(&format!("{token}00"), 7), None);
        assert_eq!(open("", 7), None);
    }

    proptest! {
        #[test]
        fn a_foreign_token_is_refused_without_panic(token: String, fingerprint: u64) {
            prop_assert_eq!(open(&token, fingerprint), None);
        }

        #[test]
        fn pages_add_up_to_the_whole(count in 0usize..40, size in 1usize..12) {
            let keys: Vec<String> = (0..count).map(|n| format!("{n:03}")).collect();
            let mut page = Page { size, after: None, fingerprint: 1 };
            let mut seen = Vec::new();
            loop {
                let (items, token) = page.cut(keys.iter(), |key| (*key).clone());
                prop_assert!(items.len() <= size);
                prop_assert!(!items.is_empty() || count == 0);
                seen.extend(items.into_iter().cloned());
                let Some(token) = token else { break };
                page.after = open(&token, 1);
                prop_assert!(page.after.is_some());
            }
            prop_assert_eq!(seen, keys);
        }
    }
}
