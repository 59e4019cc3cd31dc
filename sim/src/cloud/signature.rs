//! Signature Version 4, verified: signed again with the secret of the access key, and compared.
//!
//! Source: AWS IAM User Guide, "Create a signed AWS API request"; the test has the example of that
//! page's series. Requests to the query APIs have the path `/`, so its rules on paths do not matter.

use std::time::{Duration, SystemTime};

use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::auth::{SESSION_TOKEN, Service, is_temporary, secret_of};
use super::error::ApiError;

/// How far a request's date may be from the clock ("Error codes": `RequestExpired`).
const MAX_SKEW: Duration = Duration::from_secs(15 * 60);
/// The longest life of a presigned URL, in seconds: a week.
const MAX_EXPIRES: u64 = 7 * 24 * 60 * 60;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a request says about its signature, in its header or in a presigned URL.
struct Claim {
    credential: String,
    signed_headers: String,
    signature: String,
    date: String,
    token: Option<String>,
    /// Seconds that a presigned URL is good for.
    expires: Option<u64>,
}

/// Checks the signature of a request. `now` is the real time, which is what clients sign with.
pub(super) fn verify(
    service: Service,
    parts: &Parts,
    body: &[u8],
    now: SystemTime,
) -> Result<(), ApiError> {
    let claim = Claim::of(parts).ok_or_else(|| incomplete("The signature is not complete."))?;
    let scope: Vec<&str> = claim.credential.split('/').collect();
    let &[key, day, region, name, "aws4_request"] = scope.as_slice() else {
        return Err(incomplete(
            "Credential must be KEY/date/region/service/aws4_request.",
        ));
    };
    let secret = secret_of(key).ok_or_else(|| unknown_key(service))?;
    if is_temporary(key) && claim.token.as_deref() != Some(SESSION_TOKEN) {
        return Err(unknown_key(service));
    }
    check_date(&claim, day, now)?;
    let wanted = signature(parts, body, &claim, &secret, [day, region, name])?;
    // All secrets are public here, so it does not matter how long the comparison takes.
    if wanted == claim.signature {
        Ok(())
    } else {
        Err(mismatch(service))
    }
}

/// The signature of a request under a scope: day, region and service.
fn signature(
    parts: &Parts,
    body: &[u8],
    claim: &Claim,
    secret: &str,
    [day, region, service]: [&str; 3],
) -> Result<String, ApiError> {
    let hashed = hex(&Sha256::digest(canonical_request(parts, body, claim)?));
    let date = &claim.date;
    let to_sign = format!("{ALGORITHM}\n{date}\n{day}/{region}/{service}/aws4_request\n{hashed}");
    let mut key = keyed(format!("AWS4{secret}").as_bytes(), day);
    for part in [region, service, "aws4_request"] {
        key = keyed(&key, part);
    }
    Ok(hex(&keyed(&key, &to_sign)))
}

impl Claim {
    fn of(parts: &Parts) -> Option<Self> {
        let text = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            let elements = value.to_str().ok()?.strip_prefix(ALGORITHM)?;
            let element = |name: &str| {
                let mut elements = elements.split(',').map(str::trim);
                elements.find_map(|element| element.strip_prefix(name).map(str::to_owned))
            };
            return Some(Self {
                credential: element("Credential=")?,
                signed_headers: element("SignedHeaders=")?,
                signature: element("Signature=")?,
                date: text("x-amz-date")?,
                token: text("x-amz-security-token"),
                expires: None,
            });
        }
        let query = parts.uri.query()?.as_bytes();
        let parameter = |name: &str| {
            let mut pairs = form_urlencoded::parse(query);
            pairs.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
        };
        Some(Self {
            credential: parameter("X-Amz-Credential")?,
            signed_headers: parameter("X-Amz-SignedHeaders")?,
            signature: parameter("X-Amz-Signature")?,
            date: parameter("X-Amz-Date")?,
            token: parameter("X-Amz-Security-Token"),
            expires: Some(parameter("X-Amz-Expires")?.parse().ok()?),
        })
    }
}

fn check_date(claim: &Claim, day: &str, now: SystemTime) -> Result<(), ApiError> {
    let date = parse_date(&claim.date)
        .filter(|_| claim.date.starts_with(day))
        .ok_or_else(|| {
            incomplete("The date must be YYYYMMDD'T'HHMMSS'Z', of the day that the scope names.")
        })?;
    let life = match claim.expires {
        None => MAX_SKEW,
        Some(seconds) if seconds <= MAX_EXPIRES => Duration::from_secs(seconds),
        Some(_) => return Err(incomplete("X-Amz-Expires must be less than a week.")),
    };
    let too_old = now.duration_since(date).is_ok_and(|age| age > life);
    let too_new = date.duration_since(now).is_ok_and(|ahead| ahead > MAX_SKEW);
    if too_old || too_new {
        return Err(ApiError::expired());
    }
    Ok(())
}

/// `20260101T000000Z`.
fn parse_date(text: &str) -> Option<SystemTime> {
    let digits = text.len() == 16 && text.is_ascii();
    if !digits || &text[8..9] != "T" || &text[15..] != "Z" {
        return None;
    }
    let (day, time) = (&text[..8], &text[9..15]);
    let spread = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &day[..4],
        &day[4..6],
        &day[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    humantime::parse_rfc3339(&spread).ok()
}

fn canonical_request(parts: &Parts, body: &[u8], claim: &Claim) -> Result<String, ApiError> {
    let mut text = format!(
        "{}\n{}\n{}\n",
        parts.method,
        parts.uri.path(),
        canonical_query(parts.uri.query().unwrap_or_default())
    );
    let names: Vec<&str> = claim.signed_headers.split(';').collect();
    if !names.contains(&"host") {
        return Err(incomplete("The header 'host' must be signed."));
    }
    for name in names {
        let value = canonical_value(&parts.headers, name)
            .ok_or_else(|| incomplete("A signed header is not in the request."))?;
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&format!(
        "\n{}\n{}",
        claim.signed_headers,
        hex(&Sha256::digest(body))
    ));
    Ok(text)
}

/// The pairs of a query in their order, encoded the one canonical way, without the signature.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The values of a header, trimmed, with single spaces, joined by commas.
fn canonical_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = Vec::new();
    for value in headers.get_all(name) {
        let words: Vec<&str> = value.to_str().ok()?.split_ascii_whitespace().collect();
        values.push(words.join(" "));
    }
    (!values.is_empty()).then(|| values.join(","))
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn incomplete(message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "IncompleteSignature", message)
}

/// EC2 does not tell an unknown key from a wrong secret; STS does.
fn unknown_key(service: Service) -> ApiError {
    match service {
        Service::Ec2 => not_validated(),
        Service::Sts => {
            let message = "The security token included in the request is invalid.";
            ApiError::new(StatusCode::FORBIDDEN, "InvalidClientTokenId", message)
        }
    }
}

fn mismatch(service: Service) -> ApiError {
    match service {
        Service::Ec2 => not_validated(),
        Service::Sts => {
            let message = "The request signature we calculated does not match the signature you \
                           provided. Check your AWS Secret Access Key and signing method.";
            ApiError::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message)
        }
    }
}

fn not_validated() -> ApiError {
    let message = "AWS was not able to validate the provided access credentials";
    ApiError::new(StatusCode::UNAUTHORIZED, "AuthFailure", message)
}

/// The signature that a request in a test has to have, whatever it claims.
#[cfg(test)]
pub(super) fn of_request(parts: &Parts, body: &[u8], secret: &str, scope: [&str; 3]) -> String {
    let claim = Claim::of(parts).unwrap();
    signature(parts, body, &claim, secret, scope).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the guide's series on signing: ListUsers of IAM.
    #[test]
    fn the_example_of_the_guide_gives_its_hashes() {
        let request = axum::http::Request::builder()
            .method("GET")
            .uri("https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers")
            .header(
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            )
            .header("host", "iam.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, Signature=0",
            )
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let claim = Claim::of(&parts).unwrap();
        let canonical = canonical_request(&parts, b"", &claim).unwrap();
        assert_eq!(
            hex(&Sha256::digest(&canonical)),
            "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        );
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let scope = ["20150830", "us-east-1", "iam"];
        assert_eq!(
            signature(&parts, b"", &claim, secret, scope).unwrap(),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn dates_are_read_and_others_are_not() {
        let date = parse_date("20150830T123600Z").unwrap();
        assert_eq!(
            humantime::format_rfc3339_seconds(date).to_string(),
            "2015-08-30T12:36:00Z"
        );
        for text in [
            "",
            "20150830",
            "20150830T123600",
            "20151330T123600Z",
            "2015-08-30T12:36",
            "ä0150830T12360Z",
        ] {
            assert!(parse_date(text).is_none(), "{text}");
        }
    }
}
