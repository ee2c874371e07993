//! Sums of many points at once: segments of operands to one point each, halving every segment a round.
//!
//! In a round all additions are independent, whatever segment they belong to, so that they go to `add_pairs` together: few
//! segments or many, long or short, the batches are full.

use crate::affine::{Arithmetic, Operand, Pair};

/// Operands that one task takes: its points stay in one core's cache.
pub const BLOCK: usize = 4096;
/// How many points ahead of a copy the next ones are asked for.
const AHEAD: usize = 8;

/// The working memory of a thread, kept from task to task (fresh memory costs page faults).
pub struct Scratch<P> {
    /// Results, of which a task uses as many as it needs.
    points: Vec<P>,
    operands: Vec<Operand>,
    /// The first round's operands that have no partner.
    singles: Vec<Operand>,
    lengths: Vec<usize>,
    pairs: Vec<Pair>,
}

impl<P> Scratch<P> {
    pub const fn new() -> Scratch<P> {
        Scratch {
            points: Vec::new(),
            operands: Vec::new(),
            singles: Vec::new(),
            lengths: Vec::new(),
            pairs: Vec::new(),
        }
    }
}

/// Puts the sums of the pairs of points[..known] behind them; the number of points then.
///
/// How many sums a call of `bit_sums` makes depends on where the lists are dense: the memory grows with them.
fn append_sums<A: Arithmetic>(points: &mut Vec<A::Point>, known: usize, pairs: &[Pair]) -> usize {
    grow::<A>(points, known + pairs.len());
    let (source, out) = points.split_at_mut(known);
    A::add_pairs(source, pairs, &mut out[..pairs.len()]);
    known + pairs.len()
}

fn grow<A: Arithmetic>(points: &mut Vec<A::Point>, length: usize) {
    if points.len() < length {
        points.resize(length, A::INFINITY);
    }
}

/// One point per segment: the sum of its operands, which lie one segment after another. No segment is empty.
pub fn segment_sums<A: Arithmetic>(source: &[A::Point], operands: &[Operand], lengths: &[usize]) -> Vec<A::Point> {
    A::with_scratch(|scratch| segment_sums_in::<A>(source, operands, lengths, scratch))
}

fn segment_sums_in<A: Arithmetic>(
    source: &[A::Point],
    operands: &[Operand],
    lengths: &[usize],
    scratch: &mut Scratch<A::Point>,
) -> Vec<A::Point> {
    let Scratch { points, operands: pending, singles, lengths: counts, pairs } = scratch;
    grow::<A>(points, operands.len());
    singles.clear();
    pairs.clear();
    pending.clear();
    counts.clear();
    // First round, from the source: a segment's last operand, where it has no partner, comes along as it is, with its sign.
    let mut known: usize = lengths.iter().map(|length| length / 2).sum();
    let mut start = 0;
    for length in lengths {
        let segment = &operands[start..start + length];
        for pair in segment.chunks_exact(2) {
            pending.push(Operand::new(pairs.len(), false));
            pairs.push((pair[0], pair[1]));
        }
        if length % 2 == 1 {
            let operand = segment[length - 1];
            singles.push(operand);
            pending.push(Operand::new(known, operand.negative()));
            known += 1;
        }
        counts.push(length.div_ceil(2));
        start += length;
    }
    A::add_pairs(source, pairs, &mut points[..pairs.len()]);
    for (i, single) in singles.iter().enumerate() {
        if let Some(next) = singles.get(i + AHEAD) {
            A::ask(&source[next.index()]);
        }
        points[pairs.len() + i] = source[single.index()];
    }
    // Further rounds, among the results.
    while pending.len() > counts.len() {
        pairs.clear();
        let (mut read, mut write) = (0, 0);
        for count in counts.iter_mut() {
            for _ in 0..*count / 2 {
                pairs.push((pending[read], pending[read + 1]));
                pending[write] = Operand::new(known + pairs.len() - 1, false);
                read += 2;
                write += 1;
            }
            if *count % 2 == 1 {
                pending[write] = pending[read];
                read += 1;
                write += 1;
            }
            *count = count.div_ceil(2);
        }
        pending.truncate(write);
        known = append_sums::<A>(points, known, pairs);
    }
    let signed = |operand: &Operand| {
        let point = &points[operand.index()];
        if operand.negative() {
            A::negate(point)
        } else {
            *point
        }
    };
    pending.iter().map(signed).collect()
}

/// Points with distinct indices.
pub struct Indexed<P> {
    pub indices: Vec<usize>,
    pub points: Vec<P>,
}

/// The weighted sums sum_i i X_i of several lists X at once, as one point per list and bit b: the sum of the X_i whose index
/// has bit b, to be weighted by 2^b. Indices are in 1..2^bits.
///
/// The list is folded at its highest bit: sum i X_i = sum_{i < m} i (X_i + X_{i+m}) + m sum_{i >= m} X_i; the second sum is
/// halved along with the folds that follow. About two additions per entry, in some `bits` rounds shared by all lists.
pub fn bit_sums<A: Arithmetic>(lists: &[Indexed<A::Point>], bits: usize) -> Vec<Vec<A::Point>> {
    A::with_scratch(|scratch| bit_sums_in::<A>(lists, bits, scratch))
}

fn bit_sums_in<A: Arithmetic>(
    lists: &[Indexed<A::Point>],
    bits: usize,
    scratch: &mut Scratch<A::Point>,
) -> Vec<Vec<A::Point>> {
    let Scratch { points, pairs, .. } = scratch;
    let total: usize = lists.iter().map(|list| list.points.len()).sum();
    grow::<A>(points, total);
    let mut known = 0;
    let mut folded: Vec<Vec<Option<Operand>>> = Vec::with_capacity(lists.len());
    for list in lists {
        let mut slots = vec![None; 1 << bits];
        for (index, point) in list.indices.iter().zip(&list.points) {
            slots[*index] = Some(Operand::new(known, false));
            points[known] = *point;
            known += 1;
        }
        folded.push(slots);
    }
    // upper[list][b]: what is left of the sum for bit b.
    let mut upper: Vec<Vec<Vec<Operand>>> = vec![vec![Vec::new(); bits]; lists.len()];
    let mut level = bits;
    loop {
        pairs.clear();
        let mut add = |left: Operand, right: Operand| {
            pairs.push((left, right));
            Operand::new(known + pairs.len() - 1, false)
        };
        for (slots, upper) in folded.iter_mut().zip(&mut upper) {
            for sum in upper.iter_mut() {
                let mut write = 0;
                for read in (0..sum.len()).step_by(2) {
                    sum[write] = if read + 1 < sum.len() { add(sum[read], sum[read + 1]) } else { sum[read] };
                    write += 1;
                }
                sum.truncate(write);
            }
            if level > 0 {
                let m = 1 << (level - 1);
                upper[level - 1].extend(slots[m..].iter().flatten());
                for i in 1..m {
                    slots[i] = match (slots[i], slots[i + m]) {
                        (Some(low), Some(high)) => Some(add(low, high)),
                        (low, high) => low.or(high),
                    };
                }
                slots.truncate(m);
            }
        }
        if level == 0 && pairs.is_empty() {
            break;
        }
        level = level.saturating_sub(1);
        known = append_sums::<A>(points, known, pairs);
    }
    let point_of = |sum: &Vec<Operand>| sum.first().map_or(A::INFINITY, |operand| points[operand.index()]);
    upper.iter().map(|sums| sums.iter().map(point_of).collect()).collect()
}

#[cfg(test)]
#[path = "tests/sums.rs"]
mod tests;
