//! Multi-scalar multiplication over G1: Pippenger's buckets with signed digits, summed in affine batches.
//!
//! Each window of c bits sorts the operands by the size of their digit (the sign goes to the point), sums every bucket
//! (`segment_sums`, by blocks over all cores) and weighs the buckets (`bit_sums`). Zeros cost nothing; c follows from the
//! number of nonzero scalars and their real width, so that narrow integers take one or two windows. Of full scalars equal ones are joined first,
//! where there are many (`msm_by_values`).

use crate::affine::{Arithmetic, Operand, Portable};
use crate::curve::{add_affine, double, normalize, to_affine, to_jacobian, G1};
use crate::field::{Fr, MODULUS};
use crate::fractions::{mixed, Numbered, NONE};
use crate::halves::halves;
use crate::memory::scattered;
use crate::sums::{bit_sums, segment_sums, Indexed, BLOCK};
use blst::{blst_p1, MultiPoint};
use rayon::prelude::*;

/// A scalar that can be cut into signed digits.
trait Scalar: Copy + Send + Sync {
    type Words: Words;
    /// The magnitude + offset, and the sign.
    fn raised(&self, offset: &[u64; 5]) -> Raised<Self::Words>;
}

/// A scalar ready to be cut: every window reads its bits of the same sum.
#[derive(Clone, Copy)]
struct Raised<W> {
    words: W,
    negative: bool,
}

trait Words: Copy + Send + Sync {
    /// `count` bits from `start`, count < 32.
    fn bits(&self, start: usize, count: usize) -> u32;
}

/// A field element as magnitude and sign.
#[derive(Clone, Copy)]
pub struct Wide {
    pub limbs: [u64; 4],
    pub negative: bool,
}

impl Scalar for Wide {
    type Words = [u64; 5];

    #[inline(always)]
    fn raised(&self, offset: &[u64; 5]) -> Raised<[u64; 5]> {
        let mut words = *offset;
        let mut carry = false;
        for (limb, magnitude) in words.iter_mut().zip(self.limbs.iter().chain(&[0])) {
            let (partial, first) = limb.overflowing_add(*magnitude);
            let (partial, second) = partial.overflowing_add(carry as u64);
            *limb = partial;
            carry = first || second;
        }
        Raised { words, negative: self.negative }
    }
}

impl Words for [u64; 5] {
    #[inline(always)]
    fn bits(&self, start: usize, count: usize) -> u32 {
        let (word, shift) = (start / 64, start % 64);
        let mut bits = self[word] >> shift;
        if shift + count > 64 && word < 4 {
            bits |= self[word + 1] << (64 - shift);
        }
        bits as u32 & ((1 << count) - 1)
    }
}

impl Scalar for i64 {
    type Words = u128;

    #[inline(always)]
    fn raised(&self, offset: &[u64; 5]) -> Raised<u128> {
        let words = u128::from(self.unsigned_abs()) + (u128::from(offset[1]) << 64 | u128::from(offset[0]));
        Raised { words, negative: *self < 0 }
    }
}

impl Words for u128 {
    #[inline(always)]
    fn bits(&self, start: usize, count: usize) -> u32 {
        (self >> start) as u32 & ((1 << count) - 1)
    }
}

/// How scalars below 2^bits in magnitude are cut.
#[derive(Clone, Copy)]
struct Windows {
    width: usize,
    count: usize,
}

impl Windows {
    /// The width with the fewest additions in a row: one per operand and window, two per bucket and window; the operands
    /// of a window are shared among the cores, its buckets are weighed by one.
    fn choose(operands: usize, bits: usize) -> Windows {
        let threads = rayon::current_num_threads();
        (1..=16)
            .map(|width| Windows { width, count: (bits + 1).div_ceil(width) })
            .min_by_key(|windows| {
                let buckets = windows.count.div_ceil(threads) * ((2 << (windows.width - 1)) + 64);
                windows.count * operands / threads + buckets
            })
            .expect("a range that is not empty")
    }

    /// sum_w 2^(width w + width - 1): with it added, digit w is bits(w) - 2^(width - 1), from -2^(width - 1) up to, in
    /// the last window (which takes all bits that are left), 2^(width - 1) inclusive.
    fn offset(&self) -> [u64; 5] {
        let mut limbs = [0; 5];
        for window in 0..self.count {
            let bit = self.width * window + self.width - 1;
            limbs[bit / 64] |= 1 << (bit % 64);
        }
        limbs
    }

    /// Digit `window` of a scalar, raised by `offset`, with its sign: at most 2^(width - 1) in magnitude.
    #[inline(always)]
    fn digit<W: Words>(&self, scalar: &Raised<W>, window: usize) -> i32 {
        let taken = self.width + usize::from(window + 1 == self.count);
        let digit = scalar.words.bits(window * self.width, taken) as i32 - (1 << (self.width - 1));
        if scalar.negative {
            -digit
        } else {
            digit
        }
    }
}

/// sum scalars_i * P_i over (i, scalar) terms whose scalars are not zero.
///
/// What a step has read is dropped: two sums of many terms run at a time, and a proof may take its most memory there.
fn sum_of_products<A: Arithmetic, S: Scalar>(source: &[A::Point], terms: Vec<(u32, S)>, bits: usize) -> G1 {
    if few(terms.len(), bits) {
        return to_affine(&straus::<A, S>(source, &terms, bits));
    }
    let windows = Windows::choose(terms.len(), bits);
    let offset = windows.offset();
    let raised: Vec<(u32, Raised<S::Words>)> =
        terms.par_iter().with_min_len(BLOCK).map(|(index, scalar)| (*index, scalar.raised(&offset))).collect();
    drop(terms);
    let sorted: Vec<Sorted> =
        (0..windows.count).into_par_iter().map(|window| sort_window(&raised, windows, window)).collect();
    drop(raised);
    let buckets = bucket_sums::<A>(source, sorted);
    let group = windows.count.div_ceil(rayon::current_num_threads());
    let sums: Vec<Vec<A::Point>> =
        buckets.par_chunks(group).flat_map_iter(|group| bit_sums::<A>(group, windows.width)).collect();
    // Horner over the bits, of which bit b of window w weighs 2^(width w + b).
    let total =
        sums.iter().flatten().rev().fold(blst_p1::default(), |sum, bit| add_affine(&double(&sum), &A::lower(bit)));
    to_affine(&total)
}

/// Whether the doublings that all terms share, and a table for each, cost less than buckets: measured, up to some 12 terms
/// of full width and 6 of 8 bits.
fn few(terms: usize, bits: usize) -> bool {
    terms * (80 + bits) < 420 + 14 * bits
}

/// The same for a few terms, by a table of each point's multiples and doublings in common.
fn straus<A: Arithmetic, S: Scalar>(source: &[A::Point], terms: &[(u32, S)], bits: usize) -> blst_p1 {
    let windows = Windows { width: 5, count: (bits + 1).div_ceil(5) };
    let (half, offset) = (1 << (windows.width - 1), windows.offset());
    let raised: Vec<Raised<S::Words>> = terms.iter().map(|(_, scalar)| scalar.raised(&offset)).collect();
    let multiples: Vec<blst_p1> = terms
        .iter()
        .flat_map(|(index, _)| {
            let point = A::lower(&source[*index as usize]);
            std::iter::successors(Some(to_jacobian(&point)), move |sum| Some(add_affine(sum, &point))).take(half)
        })
        .collect();
    let table = normalize(&multiples);
    let mut total = blst_p1::default();
    for window in (0..windows.count).rev() {
        if window + 1 < windows.count {
            total = (0..windows.width).fold(total, |sum, _| double(&sum));
        }
        for (scalar, multiples) in raised.iter().zip(table.chunks_exact(half)) {
            let digit = windows.digit(scalar, window);
            if digit != 0 {
                let multiple = multiples[digit.unsigned_abs() as usize - 1];
                total = add_affine(&total, &if digit < 0 { Portable::negate(&multiple) } else { multiple });
            }
        }
    }
    total
}

/// The operands of one window by the magnitude of their digit: bucket b (from 1) has `counts[b - 1]` of them.
struct Sorted {
    operands: Vec<Operand>,
    counts: Vec<usize>,
}

fn sort_window<W: Words>(terms: &[(u32, Raised<W>)], windows: Windows, window: usize) -> Sorted {
    let digits: Vec<i32> =
        terms.par_iter().with_min_len(BLOCK).map(|(_, scalar)| windows.digit(scalar, window)).collect();
    let mut counts = vec![0; (1 << (windows.width - 1)) + 1];
    for digit in &digits {
        counts[digit.unsigned_abs() as usize] += 1;
    }
    let zeros = counts.remove(0);
    let mut next = starts(&counts);
    let mut operands = vec![Operand::new(0, false); terms.len() - zeros];
    for ((index, _), digit) in terms.iter().zip(&digits).filter(|(_, digit)| **digit != 0) {
        let slot = &mut next[digit.unsigned_abs() as usize - 1];
        operands[*slot] = Operand::new(*index as usize, *digit < 0);
        *slot += 1;
    }
    Sorted { operands, counts }
}

/// Where each bucket starts in a list of as many operands.
fn starts(counts: &[usize]) -> Vec<usize> {
    let start = |end: &mut usize, count: &usize| Some(std::mem::replace(end, *end + count));
    counts.iter().scan(0, start).collect()
}

/// What one task sums: segments of operands, each with its window and bucket.
#[derive(Default)]
struct Block {
    operands: Vec<Operand>,
    lengths: Vec<usize>,
    keys: Vec<(usize, usize)>,
}

/// The sums of the nonempty buckets of each window.
fn bucket_sums<A: Arithmetic>(source: &[A::Point], sorted: Vec<Sorted>) -> Vec<Indexed<A::Point>> {
    // Blocks of whole buckets, over several windows where these are small; a bucket larger than a block is cut.
    let total: usize = sorted.iter().map(|window| window.operands.len()).sum();
    let size = (total / (2 * rayon::current_num_threads())).clamp(BLOCK / 8, BLOCK);
    let mut blocks = vec![Block::default()];
    let windows = sorted.len();
    for (window, Sorted { operands, counts }) in sorted.into_iter().enumerate() {
        let mut start = 0;
        for (bucket, count) in counts.iter().enumerate() {
            let mut left = *count;
            while left > 0 {
                let filled = blocks.last().map_or(0, |block| block.operands.len());
                if filled >= size || (filled + left > size && left <= size) {
                    blocks.push(Block::default());
                }
                let block = blocks.last_mut().expect("there is always one");
                let part = left.min(size - block.operands.len());
                block.operands.extend(&operands[start..start + part]);
                block.lengths.push(part);
                block.keys.push((window, bucket + 1));
                start += part;
                left -= part;
            }
        }
    }
    let sums: Vec<Vec<A::Point>> = blocks
        .par_iter()
        .with_max_len(1)
        .map(|block| segment_sums::<A>(source, &block.operands, &block.lengths))
        .collect();
    let mut buckets: Vec<Indexed<A::Point>> = Vec::with_capacity(windows);
    buckets.resize_with(windows, || Indexed { indices: Vec::new(), points: Vec::new() });
    for (block, sums) in blocks.iter().zip(&sums) {
        for ((window, bucket), sum) in block.keys.iter().zip(sums) {
            let list = &mut buckets[*window];
            if list.indices.last() == Some(bucket) {
                // The parts of a bucket that was cut are put together.
                let last = list.points.len() - 1;
                let parts = [list.points[last], *sum];
                let pair = [(Operand::new(0, false), Operand::new(1, false))];
                A::add_pairs(&parts, &pair, &mut list.points[last..]);
            } else {
                list.indices.push(*bucket);
                list.points.push(*sum);
            }
        }
    }
    buckets
}

/// min(s, r - s), with its sign.
fn signed(scalar: &Fr) -> Wide {
    let limbs = scalar.to_limbs();
    let mut opposite = [0; 4];
    let mut borrow = false;
    for j in 0..4 {
        let (difference, first) = MODULUS[j].overflowing_sub(limbs[j]);
        let (difference, second) = difference.overflowing_sub(borrow as u64);
        opposite[j] = difference;
        borrow = first || second;
    }
    if opposite.iter().rev().lt(limbs.iter().rev()) {
        Wide { limbs: opposite, negative: true }
    } else {
        Wide { limbs, negative: false }
    }
}

fn all_signed(terms: &[(u32, Fr)]) -> Vec<(u32, Wide)> {
    terms.par_iter().with_min_len(BLOCK).map(|(index, scalar)| (*index, signed(scalar))).collect()
}

/// The width of the widest.
fn bits_of(terms: &[(u32, Wide)]) -> usize {
    let union = terms.iter().fold([0; 4], |acc: [u64; 4], (_, wide)| std::array::from_fn(|j| acc[j] | wide.limbs[j]));
    (0..4).rev().find(|j| union[*j] != 0).map_or(0, |j| 64 * j + 64 - union[j].leading_zeros() as usize)
}

/// sum scalars_i * P_i over (i, scalar) terms whose scalars are not zero.
pub fn msm<A: Arithmetic>(source: &[A::Point], terms: Vec<(u32, Fr)>) -> G1 {
    let wide = all_signed(&terms);
    drop(terms);
    let bits = bits_of(&wide);
    sum_of_products::<A, Wide>(source, wide, bits)
}

/// The same by halves of the scalars: the twin of point i is point i + `twins`.
pub fn msm_by_halves<A: Arithmetic>(source: &[A::Point], terms: Vec<(u32, Fr)>, twins: usize) -> G1 {
    let halves: Vec<(u32, Wide)> = terms
        .par_iter()
        .with_min_len(BLOCK / 4)
        .flat_map_iter(|(index, scalar)| [*index, index + twins as u32].into_iter().zip(halves(scalar)))
        .filter(|(_, half)| half.limbs != [0; 4])
        .collect();
    drop(terms);
    let bits = bits_of(&halves);
    sum_of_products::<A, Wide>(source, halves, bits)
}

/// The sum over rows i of (sum of what the lists have there) * P_i, and of the scalars on the rows behind them: the points
/// of a value are added up first, so that it goes through the windows once.
pub fn msm_by_values<A: Arithmetic>(source: &[A::Point], numbered: &Numbered, behind: &[Fr]) -> G1 {
    let (values, rows) = (&numbered.values, numbered.rows());
    let mut counts = vec![0; values.len()];
    for number in numbered.lists.iter().flatten().filter(|number| **number != NONE) {
        counts[*number as usize] += 1;
    }
    let mut next = starts(&counts);
    let mut operands = vec![Operand::new(0, false); counts.iter().sum()];
    for (row, number) in numbered.lists.iter().flat_map(|list| list.iter().enumerate()) {
        if let Some(slot) = next.get_mut(*number as usize) {
            operands[*slot] = Operand::new(row, false);
            *slot += 1;
        }
    }
    drop(next);
    operands.extend((0..behind.len()).map(|i| Operand::new(rows + i, false)));
    counts.resize(values.len() + behind.len(), 1);
    let sums = bucket_sums::<A>(source, vec![Sorted { operands, counts }]).pop().expect("that of the one window");
    let scalar = |bucket: &usize| values.get(bucket - 1).unwrap_or_else(|| &behind[bucket - 1 - values.len()]);
    let mut joined: Vec<(u32, Wide)> =
        sums.indices.iter().zip(0..).map(|(bucket, place)| (place, signed(scalar(bucket)))).collect();
    joined.retain(|(_, scalar)| scalar.limbs != [0; 4]);
    let mut points = scattered(sums.points.len());
    points.extend_from_slice(&sums.points);
    drop(sums);
    let bits = bits_of(&joined);
    sum_of_products::<A, Wide>(&points, joined, bits)
}

/// The same for signed integers.
pub fn msm_ints<A: Arithmetic>(source: &[A::Point], terms: Vec<(u32, i64)>) -> G1 {
    let union = terms.iter().fold(0, |union, (_, value)| union | value.unsigned_abs());
    sum_of_products::<A, i64>(source, terms, 64 - union.leading_zeros() as usize)
}

/// What a column of scalars is, to the eyes of a sum: how many are nonzero, and how many differ from the one before (the
/// first from zero, and zero from the last).
pub struct Shape {
    pub nonzero: usize,
    pub changes: usize,
}

pub fn shape<T: Copy + PartialEq + Sync>(scalars: &[T], zero: T) -> Shape {
    let changed = |i: usize| usize::from(scalars[i] != if i > 0 { scalars[i - 1] } else { zero });
    let (nonzero, changes) = (0..scalars.len())
        .into_par_iter()
        .with_min_len(BLOCK)
        .map(|i| (usize::from(scalars[i] != zero), changed(i)))
        .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    Shape { nonzero, changes: changes + usize::from(scalars.last().is_some_and(|last| *last != zero)) }
}

/// About how many values there are among the scalars, from the share of a bitmap that they leave empty.
pub fn distinct(scalars: &[Fr]) -> usize {
    let bits = (8 * scalars.len()).next_power_of_two().max(64);
    let mut seen = vec![0u64; bits / 64];
    for scalar in scalars {
        let at = mixed(scalar) as usize % bits;
        seen[at / 64] |= 1 << (at % 64);
    }
    let full = seen.iter().map(|word| word.count_ones() as usize).sum::<usize>();
    let share = full as f64 / bits as f64;
    (-(bits as f64) * (-share).ln_1p()).round() as usize
}

/// The terms (i, f(i)) with f(i) not zero.
pub fn terms<T: PartialEq + Send + Sync + Copy>(count: usize, zero: T, f: impl Fn(usize) -> T + Sync) -> Vec<(u32, T)> {
    (0..count)
        .into_par_iter()
        .with_min_len(BLOCK)
        .map(|i| (i as u32, f(i)))
        .filter(|(_, value)| *value != zero)
        .collect()
}

/// blst's own Pippenger over the first `bits` bits of each little-endian scalar: what the benchmarks compare with.
pub fn blst_pippenger(points: &[G1], scalars: &[u8], bits: usize) -> G1 {
    if points.is_empty() || bits == 0 {
        return G1::default();
    }
    to_affine(&points.mult(scalars, bits))
}

#[cfg(test)]
#[path = "tests/msm.rs"]
mod tests;
