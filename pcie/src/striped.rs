//! Work in pieces, shared by several workers.

use std::sync::{Mutex, PoisonError};

/// Where a worker gets its next piece from.
pub(crate) type Next<'a, P> = &'a (dyn Fn() -> Option<P> + Sync);

/// Does all pieces of work: each worker one at a time; otherwise as [`share`].
pub(crate) fn each<W: Sync, I, E: Send>(
    workers: &[W],
    pieces: I,
    work: impl Fn(&W, I::Item) -> Result<(), E> + Sync,
) -> Result<(), E>
where
    I: ExactSizeIterator<Item: Send> + Send,
{
    share(workers, pieces, |worker, next| {
        while let Some(piece) = next() {
            work(worker, piece)?;
        }
        Ok(())
    })
}

/// Lets workers take pieces of work until there are no more, each on a thread of its own but the
/// first, which works on this one; no more of them than there are pieces. After a failure no more
/// pieces are given out. The first failure, in the order of the workers, is returned once all of
/// them are done.
pub(crate) fn share<W: Sync, I, E: Send>(
    workers: &[W],
    pieces: I,
    run: impl Fn(&W, Next<'_, I::Item>) -> Result<(), E> + Sync,
) -> Result<(), E>
where
    I: ExactSizeIterator<Item: Send> + Send,
{
    let helpers = pieces.len().saturating_sub(1);
    let pieces = Mutex::new(Some(pieces));
    let next = || {
        let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.as_mut().and_then(Iterator::next)
    };
    let stop = || *pieces.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let run = |worker: &W| run(worker, &next).inspect_err(|_| stop());
    let Some((first, others)) = workers.split_first() else {
        return Ok(());
    };
    std::thread::scope(|scope| {
        let others = others.iter().take(helpers);
        let threads: Vec<_> = others.map(|other| scope.spawn(|| run(other))).collect();
        let mut result = run(first);
        for thread in threads {
            let ended = thread.join();
            result = result.and(ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_piece_is_done_once_however_many_workers_there_are() {
        for workers in [1, 2, 7] {
            for count in [0, 1, 2, 50] {
                let done = Mutex::new(BTreeSet::new());
                let names: Vec<_> = (0..workers).collect();
                let result: Result<(), ()> = each(&names, 0..count, |_, piece| {
                    assert!(done.lock().unwrap().insert(piece));
                    Ok(())
                });
                assert_eq!(result, Ok(()));
                assert_eq!(done.into_inner().unwrap().len(), count);
            }
        }
    }

    #[test]
    fn after_a_failure_no_more_pieces_are_begun() {
        let begun = AtomicUsize::new(0);
        let result = each(&[0, 1, 2], 0..1000, |_, piece: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if piece < 2 { Ok(()) } else { Err(piece) }
        });
        assert!(result.is_err());
        let begun = begun.into_inner();
        assert!(
            begun <= 2 + 3,
            "{begun}: each worker at most one that fails"
        );
    }
}
