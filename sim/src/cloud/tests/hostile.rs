use std::time::Instant;

use super::*;

/// The server still answers after whatever was done to it.
fn assert_alive(cloud: &CloudServer) {
    assert_eq!(describe(cloud, &[]).status, 200);
}

/// Sends bytes and reads what comes until the server closes; errors of the connection are fine.
fn throw(endpoint: &str, bytes: &[u8]) -> String {
    let mut stream = connect(endpoint);
    let sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    let received = sent.and_then(|()| stream.read_to_end(&mut answer));
    if let Err(error) = received {
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "the server hangs");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn nonsense_ends_its_connection_only() {
    let cloud = start();
    for endpoint in [cloud.ec2_endpoint(), cloud.metadata_endpoint()] {
        for bytes in [
            &b"\0\0\0\0\r\n\r\n"[..],
            b"GET\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ] {
            let mut bytes = bytes.to_vec();
            bytes.extend_from_slice(&[b'\n'; 4]);
            let answer = throw(&endpoint, &bytes);
            assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
    assert_alive(&cloud);
}

#[test]
fn heads_and_bodies_are_bounded() {
    let cloud = start();
    let endpoint = cloud.ec2_endpoint();
    let mut many = "GET / HTTP/1.1\r\nHost: x\r\n".to_owned();
    for n in 0..200 {
        many.push_str(&format!("X-{n}: y\r\n"));
    }
    many.push_str("\r\n");
    let answer = throw(&endpoint, many.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "y".repeat(200 * 1024)
    );
    let answer = throw(&endpoint, long.as_bytes());
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Told to be large, and refused before it is sent.
    let large =
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n";
    let mut stream = connect(&endpoint);
    stream.write_all(large.as_bytes()).unwrap();
    stream.write_all(&vec![b'a'; (1 << 20) + 1]).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_alive(&cloud);
}

#[test]
fn odd_parameters_come_back_as_sound_xml() {
    let cloud = start();
    for value in [
        "</Message><x>",
        "\u{0}\u{1b}[31m",
        "\u{FFFF}",
        "%zz",
        &"ä".repeat(10_000),
    ] {
        let answer = describe(&cloud, &[("FpgaImageId.1", value)]);
        assert_eq!(
            answer.error(),
            (400, "InvalidFpgaImageID.Malformed".to_owned())
        );
        assert!(answer.body.len() < 2048);
        let mut reader = quick_xml::Reader::from_str(&answer.body);
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => break,
                _ => assert!(!answer.body.contains(['\0', '\u{1b}', '\u{FFFF}'])),
            }
        }
    }
}

#[test]
fn clients_that_say_nothing_do_not_keep_others_out() {
    let cloud = start();
    let silent: Vec<TcpStream> = (0..100).map(|_| connect(&cloud.ec2_endpoint())).collect();
    assert_alive(&cloud);
    drop(silent);
}

#[test]
fn dropping_it_ends_it_with_clients_connected_and_requests_under_way() {
    let mut config = CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1));
    let slow = vec!["api-slow=600000".parse().unwrap()];
    config.faults = Arc::new(crate::fault::FaultPlan::new(0, slow));
    let cloud = CloudServer::start(config).unwrap();
    let endpoint = cloud.ec2_endpoint();
    let mut waiting = connect(&endpoint);
    waiting
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let start = Instant::now();
    while cloud.requests() == 0 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    let start = Instant::now();
    drop(cloud);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert!(receive(&mut waiting).is_err());
    let again = TcpStream::connect(endpoint.strip_prefix("http://").unwrap());
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}
