//! Who is asked, and who answers, under each policy.

mod choose;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::cloud::{Call, CloudError, RegionalImage};
use crate::image::tests::image;
use crate::problem::{Class, Problem as _};

const ONE: &str = "agfi-0f1f1000000000001";
const TWO: &str = "agfi-0f1f1000000000002";
const AFI: &str = "afi-0f1f1000000000001";

/// A cloud that gives the answers that a test prepared, in their order, and counts the questions.
#[derive(Debug)]
struct Prepared {
    region: Option<&'static str>,
    answers: Mutex<VecDeque<Result<Answer, CloudError>>>,
    asked: AtomicUsize,
    allowed: Mutex<Duration>,
}

impl Cloud for Prepared {
    fn place(&self) -> Place {
        Place {
            cloud: "test".to_owned(),
            region: self.region.map(ToOwned::to_owned),
        }
    }

    fn find(&self, wanted: &ImageRef, deadline: &Deadline) -> Result<Answer, CloudError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        *self.allowed.lock().unwrap() = deadline.allowed();
        let next = self.answers.lock().unwrap().pop_front();
        next.unwrap_or_else(|| panic!("an unexpected question: {wanted}"))
    }
}

/// A resolver with its cloud and its cache's directory.
struct Rig {
    cloud: Arc<Prepared>,
    resolver: Resolver,
    directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        Self::in_region(Some("us-east-1"), tempfile::tempdir().unwrap())
    }

    fn in_region(region: Option<&'static str>, directory: tempfile::TempDir) -> Self {
        let cloud = Arc::new(Prepared {
            region,
            answers: Mutex::default(),
            asked: AtomicUsize::new(0),
            allowed: Mutex::default(),
        });
        let shared: Arc<dyn Cloud> = Arc::clone(&cloud) as _;
        Self {
            resolver: Resolver::new(shared, ImageCache::in_directory(directory.path())),
            cloud,
            directory,
        }
    }

    /// The same cache in another run of the program.
    fn restarted(self, region: Option<&'static str>) -> Self {
        Self::in_region(region, self.directory)
    }

    fn will(&self, answer: Result<Answer, CloudError>) {
        self.cloud.answers.lock().unwrap().push_back(answer);
    }

    fn asked(&self) -> usize {
        self.cloud.asked.load(Ordering::SeqCst)
    }

    fn resolve(&self, wanted: &str, policy: Policy) -> Result<Resolved, ResolveError> {
        let deadline = Deadline::after(Duration::from_secs(10));
        let resolved = self
            .resolver
            .resolve(&wanted.parse().unwrap(), policy, &deadline);
        let left = self.cloud.answers.lock().unwrap().len();
        assert_eq!(left, 0, "a question was not asked");
        resolved
    }

    /// Resolves with nothing special, from the API, and so fills the cache.
    fn learn(&self, wanted: &str, images: Vec<Image>) -> Image {
        self.will(told(images));
        let resolved = self.resolve(wanted, NORMAL).unwrap();
        assert_eq!(resolved.from, Source::Api);
        resolved.image
    }
}

const NORMAL: Policy = Policy {
    refresh: false,
    offline: false,
};
const REFRESH: Policy = Policy {
    refresh: true,
    offline: false,
};
const OFFLINE: Policy = Policy {
    refresh: false,
    offline: true,
};

fn told(images: Vec<Image>) -> Result<Answer, CloudError> {
    Ok(Answer {
        region: "us-east-1".to_owned(),
        images,
        without_agfi: Vec::new(),
    })
}

fn call() -> Call {
    Call {
        action: "test:Find",
        region: "us-east-1".to_owned(),
    }
}

fn away() -> Result<Answer, CloudError> {
    Err(CloudError::Unreachable {
        call: call(),
        endpoint: "http://test".to_owned(),
        source: "connection refused".into(),
    })
}

fn denied() -> Result<Answer, CloudError> {
    Err(CloudError::Denied {
        call: call(),
        code: "UnauthorizedOperation".to_owned(),
        message: "because".to_owned(),
    })
}

fn named(agfi: &str, name: &str) -> Image {
    Image {
        name: Some(name.to_owned()),
        ..image(agfi)
    }
}

fn in_state(agfi: &str, state: ImageState) -> Image {
    Image {
        state,
        ..image(agfi)
    }
}

fn reason(resolved: &Resolved) -> &CacheReason {
    match &resolved.from {
        Source::Cache { reason, .. } => reason,
        Source::Api => panic!("not from the cache: {resolved:?}"),
    }
}

#[test]
fn a_known_id_asks_nobody_even_in_another_run() {
    let rig = Rig::new();
    rig.learn(ONE, vec![image(ONE)]);
    let rig = rig.restarted(Some("us-east-1"));
    for wanted in [ONE, AFI] {
        let resolved = rig.resolve(wanted, NORMAL).unwrap();
        assert_eq!(resolved.image, image(ONE));
        assert_eq!(*reason(&resolved), CacheReason::Known);
    }
    assert_eq!(rig.asked(), 0);
}

#[test]
fn an_afi_leads_to_its_agfi() {
    let rig = Rig::new();
    assert_eq!(rig.learn(AFI, vec![image(ONE)]).agfi.to_string(), ONE);
    let resolved = rig.resolve(ONE, NORMAL).unwrap();
    assert_eq!(*reason(&resolved), CacheReason::Known);
}

#[test]
fn refresh_asks_for_a_known_id_and_does_not_fall_back() {
    let rig = Rig::new();
    rig.learn(ONE, vec![image(ONE)]);
    rig.will(told(vec![named(ONE, "renamed")]));
    let resolved = rig.resolve(ONE, REFRESH).unwrap();
    assert_eq!(resolved.from, Source::Api);
    rig.will(away());
    let error = rig.resolve(ONE, REFRESH).unwrap_err();
    assert_eq!(error.class(), Class::Failed);
    assert!(error.remedy().unwrap().contains("--offline"), "{error:?}");
    // The cache has what the refresh told.
    let resolved = rig.resolve(ONE, NORMAL).unwrap();
    assert_eq!(resolved.image.name.as_deref(), Some("renamed"));
}

#[test]
fn a_name_is_asked_for_each_time_as_it_can_move() {
    let rig = Rig::new();
    assert_eq!(rig.learn("cl_test", vec![image(ONE)]).agfi.to_string(), ONE);
    assert_eq!(rig.learn("cl_test", vec![image(TWO)]).agfi.to_string(), TWO);
    // The cache has followed: the name means the new one only, and the old one is still known.
    let resolved = rig.resolve("cl_test", OFFLINE).unwrap();
    assert_eq!(resolved.image.agfi.to_string(), TWO);
    assert_eq!(rig.resolve(ONE, NORMAL).unwrap().image.name, None);
    assert_eq!(rig.asked(), 2);
}

#[test]
fn a_tag_that_moved_is_forgotten_on_the_image_that_had_it() {
    let rig = Rig::new();
    rig.learn("tag:stage=prod", vec![image(ONE)]);
    rig.learn("tag:stage=prod", vec![image(TWO)]);
    let resolved = rig.resolve("tag:stage=prod", OFFLINE).unwrap();
    assert_eq!(resolved.image.agfi.to_string(), TWO);
    assert!(rig.resolve(ONE, NORMAL).unwrap().image.tags.is_empty());
}

#[test]
fn the_cache_stands_in_for_a_name_while_the_api_is_away() {
    let rig = Rig::new();
    rig.learn("cl_test", vec![image(ONE)]);
    let ended = |source| CloudError::Ended {
        what: "asking".to_owned(),
        source,
    };
    let after = Duration::from_secs(1);
    for outage in [away(), Err(ended(afi_pcie::Ended::TimedOut { after }))] {
        rig.will(outage);
        let resolved = rig.resolve("cl_test", NORMAL).unwrap();
        assert_eq!(resolved.image.agfi.to_string(), ONE);
        assert!(matches!(reason(&resolved), CacheReason::ApiAway { .. }));
    }
    rig.will(away());
    let text = rig.resolve("cl_test", NORMAL).unwrap().from.to_string();
    assert!(
        text.starts_with("the cache, from 0 seconds ago: the API is away"),
        "{text}"
    );
    assert!(text.contains("http://test: connection refused"), "{text}");
    // Half of the time was the API's.
    let allowed = *rig.cloud.allowed.lock().unwrap();
    assert!(allowed <= Duration::from_secs(5), "{allowed:?}");
    // Interrupted is not away.
    rig.will(Err(ended(afi_pcie::Ended::Cancelled)));
    let error = rig.resolve("cl_test", NORMAL).unwrap_err();
    assert_eq!(error.class(), Class::Interrupted);
}

#[test]
fn a_no_is_not_an_outage() {
    let rig = Rig::new();
    rig.learn("cl_test", vec![image(ONE)]);
    rig.will(denied());
    let error = rig.resolve("cl_test", NORMAL).unwrap_err();
    assert_eq!(error.class(), Class::NotPermitted);
    let remedy = error.remedy().unwrap();
    assert!(
        remedy.contains("test:Find") && remedy.contains("--offline"),
        "{remedy}"
    );
    // Nor is an image that is gone.
    rig.will(told(vec![]));
    let error = rig.resolve("cl_test", NORMAL).unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
}

#[test]
fn an_unknown_image_without_the_api_is_the_apis_error_with_all_the_time() {
    let rig = Rig::new();
    rig.will(away());
    let error = rig.resolve(ONE, NORMAL).unwrap_err();
    assert!(error.to_string().contains(ONE));
    assert!(!error.remedy().unwrap().contains("--offline"));
    let allowed = *rig.cloud.allowed.lock().unwrap();
    assert!(allowed > Duration::from_secs(9), "{allowed:?}");
}

#[test]
fn offline_asks_nobody() {
    let rig = Rig::new();
    let error = rig.resolve(ONE, OFFLINE).unwrap_err();
    assert!(error.is_not_cached());
    assert_eq!(error.class(), Class::NotFound);
    rig.learn("cl_test", vec![image(ONE)]);
    for wanted in [ONE, AFI, "cl_test", "tag:stage=prod"] {
        let resolved = rig.resolve(wanted, OFFLINE).unwrap();
        assert_eq!(*reason(&resolved), CacheReason::Offline);
    }
    assert_eq!(rig.asked(), 1);
    let both = Policy {
        refresh: true,
        offline: true,
    };
    assert_eq!(rig.resolve(ONE, both).unwrap_err().class(), Class::Usage);
}

#[test]
fn what_is_not_available_is_told_and_never_kept() {
    for state in ["pending", "failed", "unavailable", "archived"] {
        let rig = Rig::new();
        let state = ImageState::from(state.to_owned());
        let told = rig.learn(ONE, vec![in_state(ONE, state.clone())]);
        assert_eq!(told.state, state);
        // Asked again, and found ready.
        let told = rig.learn(ONE, vec![image(ONE)]);
        assert_eq!(told.state, ImageState::Available);
        rig.resolve(ONE, NORMAL).unwrap();
        assert_eq!(rig.asked(), 2);
        // Withdrawn since: the cache must not go on saying that it is there.
        rig.will(self::told(vec![in_state(ONE, ImageState::Unavailable)]));
        rig.resolve(ONE, REFRESH).unwrap();
        assert!(rig.resolve(ONE, OFFLINE).unwrap_err().is_not_cached());
    }
}

#[test]
fn an_image_that_is_gone_is_forgotten() {
    let rig = Rig::new();
    rig.learn(ONE, vec![image(ONE)]);
    rig.will(told(vec![]));
    let error = rig.resolve(ONE, REFRESH).unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    let text = error.to_string();
    assert!(text.contains(ONE) && text.contains("us-east-1"), "{text}");
    let remedy = error.remedy().unwrap();
    for part in ["id is right", "shares", "us-east-1", "AWS_REGION"] {
        assert!(remedy.contains(part), "{remedy}");
    }
    assert!(rig.resolve(ONE, OFFLINE).unwrap_err().is_not_cached());
}

#[test]
fn what_is_known_of_another_region_counts_only_where_the_region_is_not_known() {
    let rig = Rig::new();
    rig.learn(ONE, vec![image(ONE)]);
    let rig = rig.restarted(Some("us-west-2"));
    let error = rig.resolve(ONE, OFFLINE).unwrap_err();
    assert!(
        error.to_string().contains("in the cache of us-west-2"),
        "{error}"
    );
    // An instance that has its region from its metadata service: no question, not even that one.
    let rig = rig.restarted(None);
    let resolved = rig.resolve(ONE, NORMAL).unwrap();
    assert_eq!(resolved.image.region, "us-east-1");
    assert_eq!(rig.asked(), 0);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = Arc::new(Prepared {
        region: Some("us-east-1"),
        answers: Mutex::new(VecDeque::from([told(vec![image(ONE)])])),
        asked: AtomicUsize::new(0),
        allowed: Mutex::default(),
    });
    // A directory below a file cannot be made, whoever runs this.
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let resolver = Resolver::new(cloud, ImageCache::in_directory(&file.join("cache")));
    let deadline = Deadline::after(Duration::from_secs(10));
    let resolved = resolver.resolve(&ONE.parse().unwrap(), NORMAL, &deadline);
    assert_eq!(resolved.unwrap().image, image(ONE));
}

#[test]
fn who_told_it_is_told_in_json() {
    assert_eq!(
        serde_json::to_value(Source::Api).unwrap(),
        serde_json::json!({"from": "api"})
    );
    let source = Source::Cache {
        age: Duration::from_millis(61_500),
        reason: CacheReason::ApiAway {
            error: "refused".to_owned(),
        },
    };
    assert_eq!(
        serde_json::to_value(&source).unwrap(),
        serde_json::json!(
            {"from": "cache", "age_seconds": 61, "reason": "api-away", "error": "refused"}
        )
    );
    assert_eq!(
        source.to_string(),
        "the cache, from 1 minute ago: the API is away (refused)"
    );
}
