//! Client tokens: the same request, sent again, gets the first answer (Amazon EC2 Developer Guide,
//! "Ensuring idempotency").

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Change, text};
use crate::catalog::{AccountId, Region, Timestamp};
use crate::cloud::auth::Caller;
use crate::cloud::error::ApiError;

/// How long a token is remembered. The guide: a retry is safe for 24 hours.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A token that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    account: AccountId,
    region: Region,
    action: String,
    token: String,
    /// The parameters it came with, in a form that tells them from others.
    parameters: String,
    /// The ids that were answered.
    answer: Vec<String>,
    #[serde(with = "text")]
    used: Timestamp,
}

/// The client token of a request.
#[derive(Debug)]
pub(in crate::cloud) struct Replay<'a> {
    pub(in crate::cloud) caller: &'a Caller,
    pub(in crate::cloud) action: &'static str,
    pub(in crate::cloud) token: Option<String>,
    pub(in crate::cloud) parameters: String,
}

impl Replay<'_> {
    /// The answer that this token has had already. Fails when it came with other parameters.
    pub(in crate::cloud) fn answered(
        &self,
        change: &Change<'_>,
    ) -> Result<Option<Vec<String>>, ApiError> {
        let Some(token) = &self.token else {
            return Ok(None);
        };
        let known = change.state.tokens.iter().find(|known| {
            known.token == *token
                && known.action == self.action
                && known.account == self.caller.account
                && known.region == self.caller.region
                && change.now.since(known.used) < LIFE
        });
        match known {
            None => Ok(None),
            Some(known) if known.parameters == self.parameters => Ok(Some(known.answer.clone())),
            Some(_) => Err(ApiError::client(
                "IdempotentParameterMismatch",
                "The client token that you provided was used with other parameters; \
                 use another token for another request.",
            )),
        }
    }

    /// Remembers the answer.
    pub(in crate::cloud) fn remember(self, change: &mut Change<'_>, answer: Vec<String>) {
        let Some(token) = self.token else { return };
        let now = change.now;
        let tokens = &mut change.state.tokens;
        tokens.retain(|known| now.since(known.used) < LIFE);
        tokens.push(Token {
            account: self.caller.account,
            region: self.caller.region.clone(),
            action: self.action.to_owned(),
            token,
            parameters: self.parameters,
            answer,
            used: now,
        });
    }
}
