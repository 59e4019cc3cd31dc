//! Where region, credentials and endpoint come from.

use std::time::Instant;

use super::*;

/// A client with nothing set.
fn standard() -> AwsCloud {
    AwsCloud::connect(CloudOptions::default())
}

#[test]
fn the_environment_is_enough() {
    let name = "settings::the_environment_is_enough";
    if is_child() {
        let cloud = standard();
        let place = cloud.place();
        assert_eq!(place.cloud, "aws@127.0.0.1");
        assert_eq!(place.region.as_deref(), Some("eu-west-1"));
        assert_eq!(find(&cloud, AGFI).unwrap().region, "eu-west-1");
        return;
    }
    let server = Canned::start(|_, _| page(&element(1), None));
    let url = server.url();
    let settings = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_EC2", &url),
        // Only for services that have no endpoint of their own.
        ("AWS_ENDPOINT_URL", "http://127.0.0.2:1"),
    ];
    run_child(name, &[&KEYS[..], &settings].concat());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_profile_is_enough() {
    let name = "settings::a_profile_is_enough";
    if is_child() {
        let cloud = standard();
        let place = cloud.place();
        assert_eq!(place.cloud, "aws@127.0.0.1");
        assert_eq!(place.region.as_deref(), Some("eu-west-1"));
        assert_eq!(find(&cloud, AGFI).unwrap().images.len(), 1);
        // The one that the options name goes first.
        let other = AwsCloud::connect(CloudOptions {
            profile: Some("other".to_owned()),
            ..CloudOptions::default()
        });
        assert_eq!(other.place().cloud, "aws");
        assert_eq!(other.place().region.as_deref(), Some("us-west-2"));
        return;
    }
    let server = Canned::start(|_, _| page(&element(1), None));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    let text = format!(
        "[profile lab]\nregion = eu-west-1\nendpoint_url = {}\n\
         aws_access_key_id = AKIATEST\naws_secret_access_key = secret\n\
         [profile other]\nregion = us-west-2\n",
        server.url()
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    // An empty region counts as none.
    let settings = [
        ("AWS_CONFIG_FILE", file),
        ("AWS_PROFILE", "lab"),
        ("AWS_REGION", ""),
    ];
    run_child(name, &settings);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_instance_needs_no_settings() {
    let name = "settings::an_instance_needs_no_settings";
    if is_child() {
        let cloud = standard();
        assert_eq!(cloud.place().region, None);
        assert_eq!(find(&cloud, AGFI).unwrap().region, "ap-south-1");
        // Told once, known from then on.
        find(&cloud, AGFI).unwrap();
        return;
    }
    let metadata = Canned::start(|_, request| {
        let credentials = "/latest/meta-data/iam/security-credentials";
        let path = request.line.split(' ').nth(1).unwrap();
        let body = match path.trim_end_matches('/') {
            "/latest/api/token" => "token",
            "/latest/meta-data/placement/region" => "ap-south-1",
            path if path == credentials => "role",
            path if path == format!("{credentials}/role") => {
                r#"{"Code": "Success", "LastUpdated": "2025-01-01T00:00:00Z",
                    "Type": "AWS-HMAC", "AccessKeyId": "ASIATEST", "SecretAccessKey": "secret",
                    "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}"#
            }
            _ => return Reply::Answer(404, String::new()),
        };
        Reply::Answer(200, body.to_owned())
    });
    let server = Canned::start(|_, _| page(&element(1), None));
    let settings = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url()),
        ("AWS_ENDPOINT_URL_EC2", &server.url()),
    ];
    run_child(name, &settings);
    let regions = metadata.requests();
    let regions = regions.iter().filter(|r| r.line.contains("region"));
    assert_eq!(regions.count(), 1);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        requests[0].headers.contains("ASIATEST"),
        "{}",
        requests[0].headers
    );
}

#[test]
fn telling_the_place_asks_nobody() {
    let name = "settings::telling_the_place_asks_nobody";
    if is_child() {
        assert_eq!(standard().place().region, None);
        return;
    }
    let metadata = Canned::start(|_, _| Reply::Silence);
    let settings = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url()),
    ];
    run_child(name, &settings);
    assert_eq!(metadata.requests().len(), 0);
}

#[test]
fn without_a_region_nothing_is_asked() {
    isolated("settings::without_a_region_nothing_is_asked", || {
        let error = find(&standard(), AGFI).unwrap_err();
        assert!(matches!(error, CloudError::NoRegion), "{error:?}");
        assert!(error.remedy().unwrap().contains("AWS_REGION"));
        assert!(!error.is_outage());
    });
}

#[test]
fn a_silent_metadata_service_is_not_waited_for_long() {
    let name = "settings::a_silent_metadata_service_is_not_waited_for_long";
    if is_child() {
        let start = Instant::now();
        let error = find(&standard(), AGFI).unwrap_err();
        assert!(matches!(error, CloudError::NoRegion), "{error:?}");
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        return;
    }
    let metadata = Canned::start(|_, _| Reply::Silence);
    let settings = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url()),
    ];
    run_child(name, &settings);
}

#[test]
fn without_credentials_nothing_is_sent() {
    let name = "settings::without_credentials_nothing_is_sent";
    if is_child() {
        let error = find(&standard(), AGFI).unwrap_err();
        assert!(
            matches!(error, CloudError::NoCredentials { .. }),
            "{error:?}"
        );
        assert_eq!(error.class(), Class::NotPermitted);
        assert!(error.remedy().unwrap().contains("AWS_PROFILE"));
        return;
    }
    let server = Canned::start(|_, _| page(&element(1), None));
    let settings = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL_EC2", &server.url()),
    ];
    run_child(name, &settings);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_proxy_is_used_for_https_only() {
    let name = "settings::a_proxy_is_used_for_https_only";
    if is_child() {
        let plain = cloud(&std::env::var("TEST_SERVER").unwrap());
        assert_eq!(find(&plain, AGFI).unwrap().images.len(), 1);
        let secure = cloud("https://ec2.test");
        find(&secure, AGFI).unwrap_err();
        return;
    }
    let proxy = Canned::start(|_, _| Reply::Answer(403, String::new()));
    let server = Canned::start(|_, _| page(&element(1), None));
    let (proxy_url, server_url) = (proxy.url(), server.url());
    let settings = [
        ("HTTPS_PROXY", proxy_url.as_str()),
        ("HTTP_PROXY", "http://127.0.0.2:1"),
        ("TEST_SERVER", &server_url),
    ];
    run_child(name, &[&KEYS[..], &settings].concat());
    assert_eq!(server.requests().len(), 1);
    assert!(
        proxy.requests()[0]
            .line
            .starts_with("CONNECT ec2.test:443 ")
    );
}
