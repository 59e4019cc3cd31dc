//! `GetCallerIdentity` of STS: which account the credentials are (AWS STS API Reference).

use super::Call;
use crate::cloud::error::ApiError;
use crate::cloud::query::Params;
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    params.finish()?;
    let account = call.caller.account;
    xml.text("Arn", &format!("arn:aws:iam::{account}:user/afi-sim"));
    xml.text("UserId", &format!("AIDASIM0{account}"));
    xml.text("Account", &account.to_string());
    Ok(())
}
