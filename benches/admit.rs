//! What one decision of admission costs. Each must stay below a microsecond with a hundred tenants.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gatekeeper::domain::tenant::Limits;
use gatekeeper::pipeline::admit::{Admission, Next};
use gatekeeper::pipeline::quota::token_bucket::TokenBucket;
use tokio::time::Instant;

fn bucket(criterion: &mut Criterion) {
    let mut now = Instant::now();
    let mut bucket = TokenBucket::full(now, 60_000, 60_000);
    criterion.bench_function("token bucket: take", |bencher| {
        bencher.iter(|| {
            now += Duration::from_micros(7);
            black_box(bucket.take(now, 5))
        });
    });
}

/// One offer, one decision and one settlement among so many tenants who all wait.
fn admission(criterion: &mut Criterion) {
    let limits = Limits { requests_per_minute: Some(1 << 30), tokens_per_minute: Some(1 << 31), ..Limits::NONE };
    for tenants in [100, 10_000] {
        let ids: Vec<Arc<str>> = (0..tenants).map(|tenant| Arc::from(format!("tenant-{tenant}"))).collect();
        let mut now = Instant::now();
        let mut admission = Admission::new(64);
        for id in ids.iter().cycle().take(2 * tenants) {
            admission.offer(now, id, limits, 0u64, 500).expect("room");
        }
        criterion.bench_function(&format!("admission: next, settle, offer among {tenants}"), |bencher| {
            bencher.iter(|| {
                now += Duration::from_micros(7);
                let Next::Go { item, tenant, reserved_tokens } = admission.next(now, |_| true) else {
                    panic!("all may go")
                };
                admission.settle(now, &tenant, 1, reserved_tokens, 400);
                admission.offer(now, &tenant, limits, item + 1, 500).expect("it has just left");
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = bucket, admission
}
criterion_main!(benches);
