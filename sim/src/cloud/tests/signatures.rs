//! Requests that have to prove whose they are.

use std::time::SystemTime;

use super::*;
use crate::catalog::AccountId;
use crate::cloud::signature;
use crate::cloud::{access_key_of, secret_access_key_of};

const BODY: &str = "Action=DescribeFpgaImages&Version=2016-11-15";

fn strict() -> CloudServer {
    let mut config = CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1));
    config.require_signatures = true;
    CloudServer::start(config).unwrap()
}

/// Sends the body with a signature over `signed`, made at a time with a secret.
fn send_signed(cloud: &CloudServer, signed: &str, at: SystemTime, secret: &str) -> Answer {
    let rfc = humantime::format_rfc3339_seconds(at).to_string();
    let date = rfc.replace(['-', ':'], "");
    let key = access_key_of(AccountId::SIMULATED);
    let day = &date[..8];
    let claim = |signature: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/{day}/us-east-1/ec2/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        )
    };
    let request = axum::http::Request::post("/")
        .header("host", "sim")
        .header("x-amz-date", &date)
        .header("authorization", claim("0"));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let scope = [day, "us-east-1", "ec2"];
    let signature = signature::of_request(&parts, signed.as_bytes(), secret, scope);
    let authorization = claim(&signature);
    let headers = [
        ("X-Amz-Date", date.as_str()),
        ("Authorization", authorization.as_str()),
    ];
    send(
        &cloud.ec2_endpoint(),
        "POST",
        "/",
        &headers,
        BODY.as_bytes(),
    )
}

#[test]
fn a_signature_fits_its_request_its_secret_and_its_time_only() {
    let cloud = strict();
    let now = SystemTime::now();
    let secret = secret_access_key_of(AccountId::SIMULATED);
    let fits = send_signed(&cloud, BODY, now, &secret);
    assert_eq!(fits.status, 200, "{}", fits.body);
    let failure = |answer: Answer| answer.error();
    let refused = (401, "AuthFailure".to_owned());
    assert_eq!(
        failure(send_signed(&cloud, "Action=Other", now, &secret)),
        refused
    );
    assert_eq!(
        failure(send_signed(&cloud, BODY, now, "simulated")),
        refused
    );
    let quarter = Duration::from_secs(15 * 60);
    let expired = (400, "RequestExpired".to_owned());
    for at in [now - quarter * 2, now + quarter * 2] {
        assert_eq!(failure(send_signed(&cloud, BODY, at, &secret)), expired);
    }
    let almost = now - quarter / 2;
    assert_eq!(send_signed(&cloud, BODY, almost, &secret).status, 200);
}

#[test]
fn without_a_whole_signature_nothing_is_answered() {
    let cloud = strict();
    // A scope alone, which is enough where signatures are not required.
    let answer = describe(&cloud, &[]);
    assert_eq!(answer.error(), (403, "IncompleteSignature".to_owned()));
    assert_eq!(describe(&start(), &[]).status, 200);
}
