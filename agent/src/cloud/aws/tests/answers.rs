//! What is asked, and what becomes of each kind of answer.

use std::net::TcpListener;
use std::time::Instant;

use afi_pcie::Cancel;

use super::*;

#[test]
fn each_reference_asks_its_own_question() {
    isolated("answers::each_reference_asks_its_own_question", || {
        let server = Canned::start(|_, _| page(&element(1), None));
        let cloud = cloud(&server.url());
        for wanted in [AGFI, "afi-0f1f1000000000001", "cl*test", "tag:stage=a?b"] {
            let answer = find(&cloud, wanted).unwrap();
            assert_eq!(answer.images[0].agfi.to_string(), AGFI);
            assert_eq!(answer.region, "us-east-1");
        }
        let requests = server.requests();
        let filter = |number: usize| {
            let field = |name: &str| requests[number].field(name);
            assert_eq!(field("Action").as_deref(), Some("DescribeFpgaImages"));
            assert_eq!(field("Version").as_deref(), Some("2016-11-15"));
            (field("Filter.1.Name"), field("Filter.1.Value.1"))
        };
        let of = |name: &str, value: &str| (Some(name.to_owned()), Some(value.to_owned()));
        assert_eq!(filter(0), of("fpga-image-global-id", AGFI));
        assert_eq!(filter(1), (None, None));
        let id = requests[1].field("FpgaImageId.1");
        assert_eq!(id.as_deref(), Some("afi-0f1f1000000000001"));
        assert_eq!(requests[1].field("MaxResults"), None);
        assert_eq!(filter(2), of("name", r"cl\*test"));
        assert_eq!(filter(3), of("tag:stage", r"a\?b"));
        assert!(requests[0].line.starts_with("POST / "));
        let signed = "/us-east-1/ec2/aws4_request";
        assert!(
            requests[0].headers.contains(signed),
            "{}",
            requests[0].headers
        );
    });
}

#[test]
fn every_page_is_read() {
    isolated("answers::every_page_is_read", || {
        let server = Canned::start(|number, request| {
            let expected = [None, Some("one"), Some("two")][number];
            assert_eq!(request.field("NextToken").as_deref(), expected);
            // A page may be empty and still have a successor.
            match number {
                0 => page(&element(1), Some("one")),
                1 => page("", Some("two")),
                _ => page(&(element(2) + &element(3)), None),
            }
        });
        let answer = find(&cloud(&server.url()), "cl_test").unwrap();
        assert_eq!(answer.images.len(), 3);
    });
}

#[test]
fn pages_without_an_end_are_an_error() {
    isolated("answers::pages_without_an_end_are_an_error", || {
        let server = Canned::start(|_, _| page("", Some("again")));
        let error = find(&cloud(&server.url()), "cl_test").unwrap_err();
        assert!(error.to_string().contains("names itself"), "{error}");
        assert_eq!(server.requests().len(), 2);
        let server = Canned::start(|number, _| page("", Some(&number.to_string())));
        let error = find(&cloud(&server.url()), "cl_test").unwrap_err();
        assert!(error.to_string().contains("more than 100 pages"), "{error}");
        assert_eq!(server.requests().len(), 100);
    });
}

#[test]
fn an_unknown_id_is_an_empty_answer() {
    isolated("answers::an_unknown_id_is_an_empty_answer", || {
        let server = Canned::start(|_, _| refusal(400, "InvalidFpgaImageID.NotFound"));
        let answer = find(&cloud(&server.url()), "afi-0f1f1000000000001").unwrap();
        assert_eq!((answer.images, answer.without_agfi), (vec![], vec![]));
        assert_eq!(server.requests().len(), 1);
    });
}

#[test]
fn a_throttled_call_is_tried_again_within_bounds() {
    isolated(
        "answers::a_throttled_call_is_tried_again_within_bounds",
        || {
            let server = Canned::start(|number, _| match number {
                0 | 1 => refusal(503, "RequestLimitExceeded"),
                _ => page(&element(1), None),
            });
            assert_eq!(find(&cloud(&server.url()), AGFI).unwrap().images.len(), 1);
            let server = Canned::start(|_, _| refusal(503, "RequestLimitExceeded"));
            let error = find(&cloud(&server.url()), AGFI).unwrap_err();
            assert!(matches!(error, CloudError::Throttled { .. }), "{error:?}");
            assert!(error.is_outage());
            assert_eq!(server.requests().len(), 3);
        },
    );
}

#[test]
fn a_denied_call_is_not_tried_again_and_names_its_action() {
    isolated(
        "answers::a_denied_call_is_not_tried_again_and_names_its_action",
        || {
            let server = Canned::start(|_, _| refusal(403, "UnauthorizedOperation"));
            let error = find(&cloud(&server.url()), AGFI).unwrap_err();
            assert_eq!(error.class(), Class::NotPermitted);
            assert!(
                error
                    .to_string()
                    .contains("(UnauthorizedOperation: because)")
            );
            assert!(error.remedy().unwrap().contains("ec2:DescribeFpgaImages"));
            assert!(!error.is_outage());
            assert_eq!(server.requests().len(), 1);
        },
    );
}

#[test]
fn a_server_that_fails_is_told_by_its_status_whatever_it_writes() {
    isolated(
        "answers::a_server_that_fails_is_told_by_its_status_whatever_it_writes",
        || {
            for body in ["<html><body>Bad gateway", "", "<Response/>"] {
                let server = Canned::start(|_, _| Reply::Answer(502, body.to_owned()));
                let error = find(&cloud(&server.url()), AGFI).unwrap_err();
                let status = matches!(error, CloudError::Server { status: 502, .. });
                assert!(status && error.is_outage(), "{error:?}");
            }
        },
    );
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    isolated("answers::an_answer_that_is_none_is_an_error", || {
        let image_without_state = "<item><fpgaImageId>afi-0f1f1000000000001</fpgaImageId></item>";
        let Reply::Answer(_, incomplete) = page(image_without_state, None) else {
            unreachable!("a page is an answer");
        };
        for body in [
            "<html>Welcome to the hotel</html>",
            "<Descr",
            "{}",
            "",
            &incomplete,
        ] {
            let server = Canned::start({
                let body = body.to_owned();
                move |_, _| Reply::Answer(200, body.clone())
            });
            let error = find(&cloud(&server.url()), AGFI).unwrap_err();
            assert!(
                matches!(error, CloudError::Answer { .. }),
                "{body}: {error:?}"
            );
            assert!(!error.is_outage());
        }
    });
}

#[test]
fn an_endpoint_that_refuses_is_named() {
    isolated("answers::an_endpoint_that_refuses_is_named", || {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let error = find(&cloud(&url), AGFI).unwrap_err();
        assert!(matches!(error, CloudError::Unreachable { .. }), "{error:?}");
        assert!(error.is_outage());
        assert!(error.to_string().contains(&url), "{error}");
        let causes = std::iter::successors(std::error::Error::source(&error), |e| e.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        assert!(causes.last().unwrap().contains("refused"), "{causes:?}");
        assert!(!causes.contains(&"io error".to_owned()), "{causes:?}");
    });
}

#[test]
fn a_silent_endpoint_ends_with_the_deadline_or_the_token() {
    isolated(
        "answers::a_silent_endpoint_ends_with_the_deadline_or_the_token",
        || {
            const TIME: Duration = Duration::from_millis(300);
            let server = Canned::start(|_, _| Reply::Silence);
            let cloud = cloud(&server.url());
            let wanted = AGFI.parse().unwrap();
            let start = Instant::now();
            let error = cloud.find(&wanted, &Deadline::after(TIME)).unwrap_err();
            assert!(
                (TIME..TIME * 5).contains(&start.elapsed()),
                "{:?}",
                start.elapsed()
            );
            assert_eq!(error.class(), Class::TimedOut);
            assert!(error.to_string().contains(AGFI), "{error}");
            assert_eq!(server.requests().len(), 1);

            let cancel = Cancel::default();
            let deadline = Deadline::after(Duration::from_secs(60)).with_cancel(&cancel);
            let error = std::thread::scope(|scope| {
                let asking = scope.spawn(|| cloud.find(&wanted, &deadline).unwrap_err());
                std::thread::sleep(TIME);
                cancel.cancel();
                asking.join().unwrap()
            });
            assert_eq!(error.class(), Class::Interrupted);
            assert!(!error.is_outage());

            // A deadline that has passed asks nothing.
            let asked = server.requests().len();
            cloud
                .find(&wanted, &Deadline::after(Duration::ZERO))
                .unwrap_err();
            assert_eq!(server.requests().len(), asked);
        },
    );
}

#[test]
fn threads_share_a_client() {
    isolated("answers::threads_share_a_client", || {
        let server = Canned::start(|_, _| page(&element(1), None));
        let cloud = cloud(&server.url());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(find(&cloud, AGFI).unwrap().images.len(), 1));
            }
        });
    });
}
