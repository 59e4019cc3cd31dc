//! The load pipeline, and the resolving of an image that is known, in process: what is ours of a
//! load, on a shell that takes no time.

use std::sync::Arc;
use std::time::Duration;

use afi_agent::cloud::{Answer, Cloud, CloudError, Place};
use afi_agent::image::{Image, ImageRef, ImageState};
use afi_agent::pipeline::{self, Context, LoadPlan, Unobserved};
use afi_agent::resolve::cache::ImageCache;
use afi_agent::resolve::{Policy, Resolver};
use afi_benches::Bench;
use afi_pcie::{Deadline, slots};
use afi_proto::{Family, PciIds, ShellVersion};
use criterion::{Criterion, criterion_group, criterion_main};

/// Two images with different ids, so that every load needs a rescan.
const IMAGES: [(&str, u16, u16); 2] = [
    ("agfi-0f1f1000000000001", 0xF000, 0xFEDD),
    ("agfi-0f1f1000000000002", 0xF001, 0xFEDC),
];

/// A cloud that is not asked.
#[derive(Debug)]
struct Away;

impl Cloud for Away {
    fn place(&self) -> Place {
        Place {
            cloud: "aws".to_owned(),
            region: Some("us-east-1".to_owned()),
        }
    }

    fn find(&self, _: &ImageRef, _: &Deadline) -> Result<Answer, CloudError> {
        unreachable!("every image is known")
    }
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn image((agfi, device, vendor): (&str, u16, u16)) -> Image {
    Image {
        agfi: agfi.parse().expect("an id"),
        afi: None,
        name: None,
        description: None,
        owner_id: None,
        owner_alias: None,
        region: "us-east-1".to_owned(),
        state: ImageState::Available,
        state_message: None,
        shell: Some(ShellVersion(0x0426_1818)),
        ids: Some(PciIds::new(0x1D0F, device, vendor, 0x1D51)),
        family: Some(Family::F1),
        instance_types: Vec::new(),
        data_retention: None,
        public: false,
        tags: [].into(),
        create_time: None,
        update_time: None,
    }
}

fn loads(c: &mut Criterion) {
    let bench = Bench::start().expect("a simulated instance");
    let directory = tempfile::tempdir().expect("a directory");
    let cache = ImageCache::in_directory(directory.path());
    let wanted = IMAGES.map(|(agfi, ..)| agfi.parse::<ImageRef>().expect("an id"));
    for (known, wanted) in IMAGES.into_iter().zip(&wanted) {
        let answer = Answer {
            region: "us-east-1".to_owned(),
            images: vec![image(known)],
            without_agfi: Vec::new(),
        };
        let learned = cache.learn("aws", wanted, &answer, &deadline());
        learned.expect("a cache that can be written");
    }
    let resolver = Resolver::new(Arc::new(Away), cache);

    c.bench_function("resolve from the cache", |b| {
        b.iter(|| {
            let resolved = resolver.resolve(&wanted[0], Policy::default(), &deadline());
            resolved.expect("it is known")
        });
    });

    let mut group = c.benchmark_group("load that changes ids");
    group.sample_size(20);
    for (name, bus) in [
        ("in process", bench.in_process.as_ref()),
        ("vfio-user socket", bench.socket.as_ref()),
    ] {
        let context = Context {
            bus,
            resolver: &resolver,
            command: "benchmark",
        };
        let mut next = wanted.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let slots = slots::discover(bus).expect("slots");
                let image = next.next().expect("they repeat").clone();
                let plan = LoadPlan::new(image);
                let loaded =
                    pipeline::load(&context, &slots[0], &plan, &mut Unobserved, &deadline());
                loaded.expect("a load")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, loads);
criterion_main!(benches);
