//! Session tokens of the metadata service (EC2 User Guide, "Use IMDSv2").
//!
//! A token carries the moment it expires at, and a checksum over it that only this server can make.
//! So there is nothing to remember, however many are asked for.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::clock::Clock;

/// The longest life of a token, in seconds: six hours.
const MAX_TTL: u64 = 21_600;

/// Makes and checks tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    key: RandomState,
    clock: Clock,
}

impl Tokens {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            key: RandomState::new(),
            clock,
        }
    }

    /// The seconds that a header asks for; `None` if it is none of 1 to 21600.
    pub(super) fn parse_ttl(text: &str) -> Option<Duration> {
        let seconds = text
            .parse()
            .ok()
            .filter(|ttl| (1..=MAX_TTL).contains(ttl))?;
        Some(Duration::from_secs(seconds))
    }

    /// A token that is good for so long.
    pub(super) fn issue(&self, ttl: Duration) -> String {
        let expiry = self.clock.now().saturating_add(ttl);
        let expiry = u64::try_from(expiry.as_nanos()).unwrap_or(u64::MAX);
        format!("{expiry:016x}{:016x}", self.checksum(expiry))
    }

    /// Whether a token is ours and still good.
    pub(super) fn accepts(&self, token: &str) -> bool {
        let parse = || {
            let (expiry, checksum) = token.split_at_checked(16)?;
            let number = |digits| u64::from_str_radix(digits, 16).ok();
            Some((number(expiry)?, number(checksum)?))
        };
        parse().is_some_and(|(expiry, checksum)| {
            checksum == self.checksum(expiry) && self.clock.now() < Duration::from_nanos(expiry)
        })
    }

    fn checksum(&self, expiry: u64) -> u64 {
        self.key.hash_one(expiry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_good_until_its_time_is_over() {
        let clock = Clock::stepped();
        let tokens = Tokens::new(clock.clone());
        let token = tokens.issue(Duration::from_secs(60));
        assert!(tokens.accepts(&token));
        clock.step(Duration::from_millis(59_999));
        assert!(tokens.accepts(&token));
        clock.step(Duration::from_millis(1));
        assert!(!tokens.accepts(&token));
    }

    #[test]
    fn a_token_cannot_be_prolonged_or_taken_from_elsewhere() {
        let tokens = Tokens::new(Clock::stepped());
        let token = tokens.issue(Duration::from_secs(60));
        assert!(!tokens.accepts(&format!("f{}", &token[1..])));
        assert!(!Tokens::new(Clock::stepped()).accepts(&token));
    }

    #[test]
    fn lives_are_one_second_to_six_hours() {
        for text in ["", "0", "21601", "-1", "1.5", " 60", "99999999999999999999"] {
            assert_eq!(Tokens::parse_ttl(text), None, "{text}");
        }
        assert_eq!(
            Tokens::parse_ttl("21600"),
            Some(Duration::from_secs(21_600))
        );
    }

    proptest! {
        #[test]
        fn any_other_text_is_refused_without_panic(token: String) {
            prop_assert!(!Tokens::new(Clock::stepped()).accepts(&token));
        }
    }
}
