//! A round trip through the mailbox: a metrics request and its 600-byte response.

use std::time::Duration;

use afi_benches::Bench;
use afi_pcie::Deadline;
use afi_proto::mailbox::CommandFlags;
use criterion::{Criterion, criterion_group, criterion_main};

fn mailbox(c: &mut Criterion) {
    let bench = Bench::start().expect("a simulated instance");
    let mut group = c.benchmark_group("mailbox round trip");
    for (name, bus) in [
        ("in process", &bench.in_process),
        ("vfio-user socket", &bench.socket),
    ] {
        let mailbox = Bench::mailbox(bus.as_ref()).expect("the slot's mailbox");
        let flags = CommandFlags::GET_HW_METRICS;
        group.bench_function(name, |b| {
            b.iter(|| {
                let deadline = Deadline::after(Duration::from_secs(5));
                mailbox.describe(flags, &deadline).expect("an answer")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, mailbox);
criterion_main!(benches);
