use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use super::*;
use crate::image::tests::image;

const ONE: &str = "agfi-0f1f1000000000001";

fn agfi(number: u32) -> String {
    format!("agfi-0f1f1{number:012x}")
}

fn place() -> Place {
    Place {
        cloud: "test".to_owned(),
        region: Some("us-east-1".to_owned()),
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn learn(cache: &ImageCache, images: &[Image]) -> Result<(), CacheError> {
    let answer = Answer {
        region: "us-east-1".to_owned(),
        images: images.to_vec(),
        without_agfi: Vec::new(),
    };
    let wanted = ImageRef::Agfi(images[0].agfi);
    cache.learn("test", &wanted, &answer, &soon())
}

fn knows(cache: &ImageCache, wanted: &str) -> bool {
    !cache.find(&place(), &wanted.parse().unwrap()).is_empty()
}

/// Names of the files in a directory, sorted.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_learnt_is_read_back_with_its_age() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("not/there/yet");
    let cache = ImageCache::in_directory(&directory);
    assert!(!knows(&cache, ONE));
    learn(&cache, &[image(ONE)]).unwrap();
    let cached = cache.find(&place(), &ONE.parse().unwrap());
    assert_eq!(cached.len(), 1);
    assert_eq!(cached[0].image, image(ONE));
    assert!(cached[0].age < Duration::from_secs(30));
    assert_eq!(files(&directory), ["images.json", "images.lock"]);
}

#[test]
fn the_form_of_the_file_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file::IMAGES);
    // As version 1 was first written. This text does not change: files like it are out there.
    let text = r#"{"schema_version":1,"entries":[{"cloud":"test","learned":1700000000,"image":{
        "agfi":"agfi-0f1f1000000000001","afi":"afi-0f1f1000000000001","name":"cl_test",
        "description":null,"owner_id":"000000000000","owner_alias":null,"region":"us-east-1",
        "state":"available","state_message":null,"shell":"0x04261818","ids":{"vendor":"0x1d0f",
        "device":"0xf000","subsystem_vendor":"0xfedd","subsystem":"0x1d51"},"family":"f1",
        "instance_types":[],"data_retention":false,"public":false,"tags":{"stage":"prod"},
        "create_time":"2025-01-02T03:04:05Z","update_time":null}}]}"#;
    fs::write(&path, text).unwrap();
    let cache = ImageCache::in_directory(directory.path());
    let cached = cache.find(&place(), &ONE.parse().unwrap());
    assert_eq!(cached[0].image, image(ONE));
    assert!(cached[0].age > Duration::from_secs(86_400));
    let mut entries = file::read(directory.path()).unwrap();
    assert_eq!(entries.pop().unwrap().learned, 1_700_000_000);
}

#[test]
fn an_age_is_never_negative() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ImageCache::in_directory(directory.path());
    learn(&cache, &[image(ONE)]).unwrap();
    file::update(directory.path(), &soon(), |entries| {
        entries[0].learned = u64::MAX;
    })
    .unwrap();
    let cached = cache.find(&place(), &ONE.parse().unwrap());
    assert_eq!(cached[0].age, Duration::ZERO);
}

#[test]
fn an_image_in_another_state_is_not_believed_even_if_it_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ImageCache::in_directory(directory.path());
    learn(&cache, &[image(ONE)]).unwrap();
    file::update(directory.path(), &soon(), |entries| {
        entries[0].image.state = ImageState::Pending;
    })
    .unwrap();
    assert!(!knows(&cache, ONE));
}

#[test]
fn places_do_not_mix() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ImageCache::in_directory(directory.path());
    learn(&cache, &[image(ONE)]).unwrap();
    let elsewhere = |cloud: &str, region: Option<&str>| {
        let place = Place {
            cloud: cloud.to_owned(),
            region: region.map(ToOwned::to_owned),
        };
        cache.find(&place, &ONE.parse().unwrap()).len()
    };
    assert_eq!(elsewhere("test", Some("us-east-1")), 1);
    assert_eq!(elsewhere("test", None), 1);
    assert_eq!(elsewhere("test", Some("us-west-2")), 0);
    assert_eq!(elsewhere("other", Some("us-east-1")), 0);
    assert_eq!(elsewhere("other", None), 0);
    // An empty answer of one region says nothing of the others.
    let nothing = Answer {
        region: "us-west-2".to_owned(),
        images: Vec::new(),
        without_agfi: Vec::new(),
    };
    let wanted = ONE.parse().unwrap();
    cache.learn("test", &wanted, &nothing, &soon()).unwrap();
    cache.learn("other", &wanted, &nothing, &soon()).unwrap();
    assert!(knows(&cache, ONE));
}

#[test]
fn the_cache_is_bounded_and_the_oldest_go_first() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ImageCache::in_directory(directory.path());
    let most = u32::try_from(MOST_IMAGES).unwrap();
    let images: Vec<Image> = (0..most).map(|number| image(&agfi(number))).collect();
    learn(&cache, &images).unwrap();
    file::update(directory.path(), &soon(), |entries| {
        for entry in entries {
            let oldest = entry.image.agfi == agfi(7).parse().unwrap();
            entry.learned -= if oldest { 1000 } else { 500 };
        }
    })
    .unwrap();
    learn(&cache, &[image(&agfi(most))]).unwrap();
    assert_eq!(file::read(directory.path()).unwrap().len(), MOST_IMAGES);
    assert!(knows(&cache, &agfi(most)));
    assert!(!knows(&cache, &agfi(7)));
    assert!(knows(&cache, &agfi(8)));
}

#[test]
fn a_damaged_file_is_empty_and_set_aside_at_the_next_write() {
    let good = {
        let directory = tempfile::tempdir().unwrap();
        learn(&ImageCache::in_directory(directory.path()), &[image(ONE)]).unwrap();
        fs::read(directory.path().join(file::IMAGES)).unwrap()
    };
    let cut = good[..good.len() - 3].to_vec();
    let not_an_id = String::from_utf8(good.clone())
        .unwrap()
        .replace(ONE, "agfi-x");
    let damaged: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("cut", cut),
        ("zeros", vec![0; 4096]),
        ("no version", b"{\"entries\":[]}".to_vec()),
        (
            "version 0",
            b"{\"schema_version\":0,\"entries\":[]}".to_vec(),
        ),
        ("no entries", b"{\"schema_version\":1}".to_vec()),
        ("wrong id", not_an_id.into_bytes()),
    ];
    for (what, bytes) in damaged {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file::IMAGES);
        fs::write(&path, &bytes).unwrap();
        let cache = ImageCache::in_directory(directory.path());
        assert!(!knows(&cache, ONE), "{what}");
        // A reader leaves the file: another process may just be replacing it.
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}");
        learn(&cache, &[image(ONE)]).unwrap();
        assert!(knows(&cache, ONE), "{what}");
        let files = files(directory.path());
        let aside = files
            .iter()
            .find(|name| name.starts_with("images.json.damaged-"));
        let aside = directory.path().join(aside.unwrap());
        assert_eq!(fs::read(aside).unwrap(), bytes, "{what}");
    }
}

#[test]
fn a_file_of_a_newer_program_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file::IMAGES);
    let text = r#"{"schema_version":2,"pictures":{}}"#;
    fs::write(&path, text).unwrap();
    let cache = ImageCache::in_directory(directory.path());
    assert!(!knows(&cache, ONE));
    let error = learn(&cache, &[image(ONE)]).unwrap_err();
    assert!(
        matches!(error, CacheError::Newer { found: 2, .. }),
        "{error:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn an_endless_file_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = fs::File::create(directory.path().join(file::IMAGES)).unwrap();
    // Sparse: it takes no space.
    file.set_len(1 << 40).unwrap();
    let error = file::read(directory.path()).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn a_write_replaces_the_file_and_others_may_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ImageCache::in_directory(directory.path());
    learn(&cache, &[image(ONE)]).unwrap();
    let path = directory.path().join(file::IMAGES);
    let before = fs::metadata(&path).unwrap();
    let mut reader = fs::File::open(&path).unwrap();
    learn(&cache, &[image(&agfi(2))]).unwrap();
    // Who has the old one open reads all of the old one.
    assert_ne!(fs::metadata(&path).unwrap().ino(), before.ino());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(text.len() as u64, before.len());
    assert_eq!(
        before.permissions().mode() & 0o644,
        0o644 & !umask(directory.path())
    );
}

/// The umask of this process, seen at a new file.
fn umask(directory: &Path) -> u32 {
    let probe = directory.join("probe");
    fs::write(&probe, "").unwrap();
    0o666 & !fs::metadata(&probe).unwrap().permissions().mode()
}

#[test]
fn a_writer_waits_for_the_other_until_its_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ImageCache::in_directory(directory.path());
    learn(&cache, &[image(ONE)]).unwrap();
    let other = fs::File::open(directory.path().join("images.lock")).unwrap();
    other.lock().unwrap();
    let answer = Answer {
        region: "us-east-1".to_owned(),
        images: vec![image(&agfi(2))],
        without_agfi: Vec::new(),
    };
    let wanted = ImageRef::Agfi(answer.images[0].agfi);
    const TIME: Duration = Duration::from_millis(100);
    let start = Instant::now();
    let error = cache
        .learn("test", &wanted, &answer, &Deadline::after(TIME))
        .unwrap_err();
    assert!((TIME..TIME * 20).contains(&start.elapsed()));
    assert!(matches!(error, CacheError::Locked { .. }), "{error:?}");
    // Readers do not wait.
    assert!(knows(&cache, ONE) && !knows(&cache, &agfi(2)));
    drop(other);
    cache.learn("test", &wanted, &answer, &soon()).unwrap();
    assert!(knows(&cache, &agfi(2)));
}

/// Images that each of the two writers below learns, one write each.
const EACH: u32 = 40;

/// Run by the next test in processes of their own.
#[test]
#[ignore = "a part of two_processes_lose_nothing"]
fn write_many() {
    let Some(directory) = env::var_os("AFI_TEST_CACHE") else {
        return;
    };
    let first: u32 = env::var("AFI_TEST_FIRST").unwrap().parse().unwrap();
    let cache = ImageCache::in_directory(Path::new(&directory));
    for number in first..first + EACH {
        learn(&cache, &[image(&agfi(number))]).unwrap();
    }
}

#[test]
fn two_processes_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let writers = [0, EACH].map(|first| {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "resolve::cache::tests::write_many", "--ignored"])
            .env("AFI_TEST_CACHE", directory.path())
            .env("AFI_TEST_FIRST", first.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    });
    // A reader never sees a part of a file, whenever it looks.
    let mut running = Vec::from(writers);
    let started = Instant::now();
    while !running.is_empty() {
        file::read(directory.path()).unwrap();
        running.retain_mut(|writer| match writer.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success());
                false
            }
            None => true,
        });
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    let cache = ImageCache::in_directory(directory.path());
    for number in 0..2 * EACH {
        assert!(knows(&cache, &agfi(number)), "{number}");
    }
    assert_eq!(files(directory.path()), ["images.json", "images.lock"]);
}
