use std::time::Instant;

use super::*;
use crate::fault::FaultPlan;

fn with(fault: &str) -> (CloudServer, Arc<FaultPlan>) {
    let mut config = CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1));
    let faults = Arc::new(FaultPlan::new(1, vec![fault.parse().unwrap()]));
    config.faults = Arc::clone(&faults);
    (CloudServer::start(config).unwrap(), faults)
}

#[test]
fn each_fault_has_its_status_and_code() {
    for (fault, status, code) in [
        ("api-throttled", 503, "RequestLimitExceeded"),
        ("api-5xx", 500, "InternalError"),
        ("api-denied", 403, "UnauthorizedOperation"),
        ("api-expired", 400, "RequestExpired"),
    ] {
        let (cloud, _) = with(fault);
        for _ in 0..2 {
            assert_eq!(describe(&cloud, &[]).error(), (status, code.to_owned()));
        }
        assert_eq!(cloud.requests(), 2);
    }
}

#[test]
fn a_counted_fault_goes_away() {
    let (cloud, _) = with("api-throttled=2");
    assert_eq!(describe(&cloud, &[]).status, 503);
    assert_eq!(describe(&cloud, &[]).status, 503);
    assert_eq!(describe(&cloud, &[]).status, 200);
}

#[test]
fn an_api_that_knows_no_image_says_so() {
    let (cloud, _) = with("api-empty");
    let all = describe(&cloud, &[]);
    assert_eq!((all.status, all.one("fpgaImageSet").as_str()), (200, ""));
    let one = describe(&cloud, &[("FpgaImageId.1", "afi-0ccd812687c77c5b8")]);
    assert_eq!(one.error(), (400, "InvalidFpgaImageID.NotFound".to_owned()));
}

#[test]
fn a_slow_api_answers_in_its_own_time_and_holds_up_nobody_else() {
    let (cloud, faults) = with("api-slow=1500");
    let start = Instant::now();
    let mut slow = connect(&cloud.ec2_endpoint());
    slow.write_all(b"GET / HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n")
        .unwrap();
    while cloud.requests() == 0 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    faults.set(Vec::new());
    assert_eq!(describe(&cloud, &[]).status, 200);
    assert!(
        start.elapsed() < Duration::from_millis(1500),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(receive(&mut slow).unwrap().status, 403);
    assert!(
        start.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_refused_connection_is_refused_and_the_metadata_service_is_not() {
    let (cloud, _) = with("api-refused");
    let endpoint = cloud.ec2_endpoint();
    let error = TcpStream::connect(endpoint.strip_prefix("http://").unwrap()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(
        send(&cloud.metadata_endpoint(), "GET", "/", &[], b"").status,
        401
    );
    assert_eq!(cloud.requests(), 0);
}

#[test]
fn a_running_api_can_go_down_and_come_back() {
    let (cloud, faults) = with("api-5xx=0");
    assert_eq!(describe(&cloud, &[]).status, 200);
    faults.set(vec!["api-refused".parse().unwrap()]);
    let mut stream = connect(&cloud.ec2_endpoint());
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: sim\r\n\r\n");
    let answered = asked.and_then(|()| receive(&mut stream));
    assert!(answered.is_err(), "{answered:?}");
    assert_eq!(cloud.requests(), 1);
    faults.set(Vec::new());
    assert_eq!(describe(&cloud, &[]).status, 200);
}
