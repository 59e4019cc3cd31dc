//! The endpoints over the wire, with a client that is nothing but a socket.

mod arbitrary;
mod ec2;
mod errors;
mod faults;
mod hostile;
mod lifecycle;
mod many;
mod metadata;
mod restart;
mod signatures;
mod stage;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use afi_proto::Family;

use super::{CloudConfig, CloudServer, InstanceIdentity};

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer: its status, its head and its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// The text of every element of this name.
    fn all(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        self.body
            .split(&open)
            .skip(1)
            .map(|rest| rest.split(&close).next().unwrap().to_owned())
            .collect()
    }

    /// The text of the only element of this name.
    fn one(&self, element: &str) -> String {
        let all = self.all(element);
        assert_eq!(all.len(), 1, "{element} in {}", self.body);
        all[0].clone()
    }

    /// Status and code of an error in the form of EC2.
    fn error(&self) -> (u16, String) {
        assert!(
            self.body.contains("<Response><Errors><Error><Code>"),
            "{}",
            self.body
        );
        assert!(
            self.body.ends_with("</RequestID></Response>"),
            "{}",
            self.body
        );
        (self.status, self.one("Code"))
    }
}

fn start() -> CloudServer {
    CloudServer::start(CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1))).unwrap()
}

fn connect(endpoint: &str) -> TcpStream {
    let stream = TcpStream::connect(endpoint.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends one request on a connection of its own.
fn send(endpoint: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = connect(endpoint);
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    receive(&mut stream).unwrap()
}

/// Reads until the server closes.
fn receive(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

fn authorization(key: &str, region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=0"
    )
}

/// Calls an action of EC2 in a region, with the key of an account.
fn call_as(cloud: &CloudServer, key: &str, region: &str, parameters: &[(&str, &str)]) -> Answer {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Version", "2016-11-15");
    form.extend_pairs(parameters);
    let headers = [
        ("Authorization", authorization(key, region, "ec2")),
        (
            "Content-Type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
    ];
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    send(
        &cloud.ec2_endpoint(),
        "POST",
        "/",
        &headers,
        form.finish().as_bytes(),
    )
}

/// Describes images, as the instance itself.
fn describe(cloud: &CloudServer, parameters: &[(&str, &str)]) -> Answer {
    let mut all = vec![("Action", "DescribeFpgaImages")];
    all.extend_from_slice(parameters);
    call_as(cloud, KEY, "us-east-1", &all)
}
