//! The real client against a canned server.
//!
//! The client takes its settings from the environment of the process. So each test runs itself
//! again, in a process with an environment of its own choice.

mod answers;
mod settings;

use std::process::Command;

use super::canned::{Canned, Reply};
use super::*;
use crate::problem::{Class, Problem as _};

/// An image of the canned answers.
const AGFI: &str = "agfi-0f1f1000000000001";
/// Credentials, as the environment gives them.
const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIATEST"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];
/// Set in the process that a test starts.
const CHILD: &str = "AFI_TEST_CHILD";

/// Runs `body` in a process of its own that has credentials and nothing else. `name` is the
/// test's, with its module in here.
fn isolated(name: &str, body: impl FnOnce()) {
    if is_child() {
        body();
    } else {
        run_child(name, &KEYS);
    }
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs a test again in a process with this environment and no other.
fn run_child(name: &str, environment: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("cloud::aws::tests::{name}"),
            "--nocapture",
        ])
        .env_clear()
        // Nothing of this machine is read or asked, unless the test says otherwise.
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env(CHILD, "1")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(
        text.contains("1 passed"),
        "no test of this name ran: {text}"
    );
}

/// A client of this server.
fn cloud(server: &str) -> AwsCloud {
    AwsCloud::connect(CloudOptions {
        region: Some("us-east-1".to_owned()),
        endpoint: Some(server.to_owned()),
        ..CloudOptions::default()
    })
}

fn find(cloud: &AwsCloud, wanted: &str) -> Result<Answer, CloudError> {
    let deadline = Deadline::after(Duration::from_secs(30));
    cloud.find(&wanted.parse().unwrap(), &deadline)
}

/// A page of an answer.
fn page(elements: &str, next_token: Option<&str>) -> Reply {
    let token = next_token.map_or(String::new(), |t| format!("<nextToken>{t}</nextToken>"));
    Reply::Answer(
        200,
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeFpgaImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>1</requestId><fpgaImageSet>{elements}</fpgaImageSet>{token}
</DescribeFpgaImagesResponse>"#
        ),
    )
}

/// An image whose ids end with this number.
fn element(number: u8) -> String {
    format!(
        "<item><fpgaImageId>afi-0f1f10000000000{number:02}</fpgaImageId>\
         <fpgaImageGlobalId>agfi-0f1f10000000000{number:02}</fpgaImageGlobalId>\
         <name>cl_test</name><shellVersion>0x04261818</shellVersion>\
         <pciId><DeviceId>0xf000</DeviceId><VendorId>0x1d0f</VendorId>\
         <SubsystemId>0x1d51</SubsystemId><SubsystemVendorId>0xfedd</SubsystemVendorId></pciId>\
         <state><code>available</code></state>\
         <tags><item><key>stage</key><value>prod</value></item></tags></item>"
    )
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::Answer(
        status,
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>because</Message></Error>\
             </Errors><RequestID>1</RequestID></Response>"
        ),
    )
}
