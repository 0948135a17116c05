//! What a partition costs a burst: reading and finishing its records, and writing its metadata.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gatekeeper::pipeline::frontier::Frontier;
use gatekeeper::pipeline::frontier::codec::{MAX_CHARS, Tag, decode};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A frontier of `width` offsets, of which one in `one_in` is unfinished.
fn scattered(width: u64, one_in: u32) -> Frontier {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut frontier = Frontier::fresh(1_000_000_000);
    let mut finished = Vec::new();
    for offset in 1_000_000_000..1_000_000_000 + width {
        frontier.read(offset);
        if !random.random_ratio(1, one_in) {
            finished.push(offset);
        }
    }
    let proposal = frontier.propose(&finished);
    frontier.confirm(&proposal);
    frontier
}

fn frontier(criterion: &mut Criterion) {
    let tag = Tag { writer: "gatekeeper-0".to_owned(), incarnation: 1_790_000_000_000, burst: 77, ledger: 3 };

    let fresh = scattered(300, 10);
    criterion.bench_function("frontier: read, propose and confirm 50 records", |bencher| {
        bencher.iter_batched_ref(
            || fresh.clone(),
            |frontier| {
                let offsets: Vec<u64> = (frontier.end()..frontier.end() + 50).collect();
                offsets.iter().for_each(|offset| assert!(frontier.read(*offset).fresh));
                let proposal = frontier.propose(&offsets);
                frontier.confirm(&proposal);
            },
            BatchSize::SmallInput,
        );
    });

    for (name, width, one_in) in
        [("32 in flight", 320, 10), ("125 in flight", 2_500, 20), ("1,500 in flight", 30_000, 20)]
    {
        let frontier = scattered(width, one_in);
        let fitted = frontier.fit(&[], &tag, MAX_CHARS).expect("fits");
        let title = format!("{name}: {} characters", fitted.metadata.len());
        criterion.bench_function(&format!("metadata: write, {title}"), |bencher| {
            bencher.iter(|| black_box(frontier.fit(&[], &tag, MAX_CHARS)));
        });
        criterion.bench_function(&format!("metadata: read, {title}"), |bencher| {
            bencher.iter(|| black_box(decode(&fitted.metadata)));
        });
        criterion.bench_function(&format!("fill, {name}"), |bencher| {
            bencher.iter(|| black_box(frontier.fill()));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = frontier
}
criterion_main!(benches);
