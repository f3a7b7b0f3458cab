//! The reduction of the OR model: what is left is deadlocked.

/// The greatest set of sleepers that nobody outside it can wake.
///
/// Node `i` is asleep for good unless woken if `asleep[i]`; any one of `wakers[i]` can wake it. The result marks the
/// greatest set `S` of sleepers with `wakers[i] ⊆ S` for each `i` in it: start from all sleepers and take away whoever
/// has a waker outside, until nothing changes. That is a greatest fixed point of a monotone operator, so the order of
/// removal does not matter (Tarski). An index out of range counts as a waker outside.
///
/// Costs O(nodes + edges).
pub fn deadlocked(asleep: &[bool], wakers: &[Vec<usize>]) -> Vec<bool> {
    let mut inside = asleep.to_vec();
    inside.resize(wakers.len(), false);
    let mut sleepers_of: Vec<Vec<usize>> = vec![Vec::new(); wakers.len()];
    for (sleeper, its_wakers) in wakers.iter().enumerate() {
        for waker in its_wakers {
            match sleepers_of.get_mut(*waker) {
                Some(sleepers) => sleepers.push(sleeper),
                None => clear(&mut inside, sleeper),
            }
        }
    }
    let mut awake: Vec<usize> = (0..inside.len()).filter(|i| !is_set(&inside, *i)).collect();
    while let Some(waker) = awake.pop() {
        for sleeper in sleepers_of.get(waker).into_iter().flatten() {
            if is_set(&inside, *sleeper) {
                clear(&mut inside, *sleeper);
                awake.push(*sleeper);
            }
        }
    }
    inside
}

fn is_set(marks: &[bool], at: usize) -> bool {
    marks.get(at).copied().unwrap_or(false)
}

fn clear(marks: &mut [bool], at: usize) {
    if let Some(mark) = marks.get_mut(at) {
        *mark = false;
    }
}
