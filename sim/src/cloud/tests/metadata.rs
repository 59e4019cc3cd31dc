use super::*;
use crate::clock::Clock;

const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "X-aws-ec2-metadata-token";

fn token(cloud: &CloudServer, seconds: &str) -> String {
    let answer = send(
        &cloud.metadata_endpoint(),
        "PUT",
        "/latest/api/token",
        &[(TTL, seconds)],
        b"",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .head
            .contains(&format!("x-aws-ec2-metadata-token-ttl-seconds: {seconds}"))
    );
    answer.body
}

fn get(cloud: &CloudServer, token: &str, path: &str) -> Answer {
    send(
        &cloud.metadata_endpoint(),
        "GET",
        path,
        &[(TOKEN, token)],
        b"",
    )
}

#[test]
fn a_token_needs_a_life_of_one_second_to_six_hours() {
    let cloud = start();
    let put = |headers: &[(&str, &str)]| {
        send(
            &cloud.metadata_endpoint(),
            "PUT",
            "/latest/api/token",
            headers,
            b"",
        )
        .status
    };
    assert_eq!(put(&[]), 400);
    for seconds in ["0", "21601", "x", "-1"] {
        assert_eq!(put(&[(TTL, seconds)]), 400, "{seconds}");
    }
    assert_eq!(put(&[(TTL, "1")]), 200);
    assert_eq!(put(&[(TTL, "21600")]), 200);
    assert_eq!(put(&[(TTL, "60"), ("X-Forwarded-For", "10.0.0.2")]), 403);
}

#[test]
fn nothing_is_told_without_a_token_that_is_still_good() {
    let mut config = CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1));
    let clock = Clock::stepped();
    config.clock = clock.clone();
    let cloud = CloudServer::start(config).unwrap();
    let path = "/latest/meta-data/instance-id";
    assert_eq!(
        send(&cloud.metadata_endpoint(), "GET", path, &[], b"").status,
        401
    );
    assert_eq!(get(&cloud, "made up", path).status, 401);
    let token = token(&cloud, "60");
    assert_eq!(get(&cloud, &token, path).status, 200);
    clock.step(Duration::from_secs(60));
    assert_eq!(get(&cloud, &token, path).status, 401);
}

#[test]
fn the_instance_is_described() {
    let mut identity = InstanceIdentity::simulated_in("eu-west-1".parse().unwrap(), Family::F2, 2);
    identity.account = "123456789012".parse().unwrap();
    let cloud = CloudServer::start(CloudConfig::new(identity.clone())).unwrap();
    let token = token(&cloud, "60");
    let text = |path: &str| {
        let answer = get(&cloud, &token, path);
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    };
    assert_eq!(text("/latest/meta-data/instance-id"), identity.instance_id);
    assert_eq!(text("/latest/meta-data/instance-type"), "f2.12xlarge");
    assert_eq!(text("/latest/meta-data/placement/region"), "eu-west-1");
    assert_eq!(
        text("/latest/meta-data/placement/availability-zone/"),
        "eu-west-1a"
    );
    assert_eq!(text("/latest/meta-data/ami-id"), identity.ami);

    let document = text("/latest/dynamic/instance-identity/document");
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["accountId"], "123456789012");
    assert_eq!(document["region"], "eu-west-1");
    assert_eq!(document["instanceType"], "f2.12xlarge");
    assert_eq!(document["version"], "2017-09-30");

    assert_eq!(
        text("/latest/meta-data/placement"),
        "availability-zone\nregion"
    );
    assert!(text("/latest/meta-data/").contains("iam/\ninstance-id\n"));
    for path in [
        "/latest/meta-data/hostname",
        "/latest/meta-data/inst",
        "/lat",
        "/latest/api/token",
    ] {
        assert_eq!(get(&cloud, &token, path).status, 404, "{path}");
    }
    assert_eq!(
        send(
            &cloud.metadata_endpoint(),
            "POST",
            "/",
            &[(TOKEN, &token)],
            b""
        )
        .status,
        405
    );
}

#[test]
fn the_credentials_of_the_role_act_as_the_instances_account() {
    let cloud = start();
    let token = token(&cloud, "60");
    let roles = get(
        &cloud,
        &token,
        "/latest/meta-data/iam/security-credentials/",
    )
    .body;
    assert_eq!(roles, "afi-sim");
    let path = format!("/latest/meta-data/iam/security-credentials/{roles}");
    let credentials: serde_json::Value =
        serde_json::from_str(&get(&cloud, &token, &path).body).unwrap();
    assert_eq!(credentials["Code"], "Success");
    let expiration = humantime::parse_rfc3339(credentials["Expiration"].as_str().unwrap()).unwrap();
    assert!(expiration > std::time::SystemTime::now() + Duration::from_secs(3600));
    let key = credentials["AccessKeyId"].as_str().unwrap();
    let own = [("Action", "DescribeFpgaImages"), ("Owner.1", "self")];
    let images = call_as(&cloud, key, "us-east-1", &own).all("name");
    assert!(images.contains(&"cl_hello_world".to_owned()));
}
