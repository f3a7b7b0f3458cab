//! One kind of question to many processes, on several processors if there are many.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread::Builder;

/// From how many questions on a second thread pays: each costs 5 to 50 µs, nearly all of it in the kernel.
pub(crate) const WORTH_A_THREAD: usize = 64;
/// The same for whole processes, of 100 to 500 µs each.
pub(crate) const PROCESSES_WORTH_A_THREAD: usize = 8;
/// More threads than this gain little: they meet in the kernel's locks.
const MOST_THREADS: usize = 2;

/// Does `work` on shares of `items`, and returns what came of each, in the order of the items.
pub(crate) fn in_shares<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    in_shares_from(WORTH_A_THREAD, items, work)
}

/// The same, where so many items are worth a thread.
pub(crate) fn in_shares_from<T: Sync, R: Send>(
    worth: usize,
    items: &[T],
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    let threads = (items.len() / worth).clamp(1, most_threads());
    let size = items.len().div_ceil(threads).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let mut shares = items.chunks(size);
        let own = shares.next();
        let others: Vec<_> = shares
            .map(|share| {
                let other = Builder::new().spawn_scoped(scope, move || work(share));
                (share, other.ok())
            })
            .collect();
        let own = own.into_iter().map(work);
        // Left undone by a thread that there is none of (RLIMIT_NPROC), or that panicked, a bug of ours.
        let others = others.into_iter().map(|(share, other)| {
            let done = other.and_then(|other| other.join().ok());
            done.unwrap_or_else(|| work(share))
        });
        // Eager: the own share is worked on while the others are.
        own.collect::<Vec<_>>().into_iter().chain(others).collect()
    })
}

/// Asked once: it reads half a dozen files of control groups.
fn most_threads() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let ask = || std::thread::available_parallelism().map_or(1, NonZero::get);
    MOST_THREADS.min(*PROCESSORS.get_or_init(ask))
}

#[cfg(test)]
mod tests {
    use super::in_shares;

    #[test]
    fn every_item_is_worked_on_once_and_in_order() {
        for count in [0, 1, 63, 64, 127, 128, 129, 1000] {
            let items: Vec<usize> = (0..count).collect();
            let done = in_shares(&items, <[usize]>::to_vec).concat();
            assert_eq!(done, items, "{count}");
        }
    }
}
