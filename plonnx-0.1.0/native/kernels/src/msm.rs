//! Multi-scalar multiplication over G1: Pippenger's buckets with signed digits, summed in affine batches.
//!
//! Each window of c bits sorts the operands by the size of their digit (the sign goes to the point), sums every bucket
//! (`segment_sums`, by blocks over all cores) and weighs the buckets (`bit_sums`). Zeros cost nothing; c follows from the
//! number of nonzero scalars and their real width, so that narrow integers take one or two windows.

use crate::affine::{Arithmetic, Operand, Portable};
use crate::curve::{add_affine, double, normalize, to_affine, to_jacobian, G1};
use crate::field::{Fr, MODULUS};
use crate::sums::{bit_sums, segment_sums, Indexed, BLOCK};
use blst::{blst_p1, MultiPoint};
use rayon::prelude::*;

/// A scalar that can be cut into signed digits.
trait Scalar: Copy + Send + Sync {
    /// `count` bits from `start` of magnitude + offset, count < 32.
    fn bits(&self, offset: &[u64; 5], start: usize, count: usize) -> u32;
    fn negative(&self) -> bool;
}

/// A field element as magnitude and sign.
#[derive(Clone, Copy)]
struct Wide {
    limbs: [u64; 4],
    negative: bool,
}

impl Scalar for Wide {
    #[inline(always)]
    fn bits(&self, offset: &[u64; 5], start: usize, count: usize) -> u32 {
        let mut sum = *offset;
        let mut carry = false;
        for (limb, magnitude) in sum.iter_mut().zip(self.limbs.iter().chain(&[0])) {
            let (partial, first) = limb.overflowing_add(*magnitude);
            let (partial, second) = partial.overflowing_add(carry as u64);
            *limb = partial;
            carry = first || second;
        }
        let (word, shift) = (start / 64, start % 64);
        let mut bits = sum[word] >> shift;
        if shift + count > 64 && word < 4 {
            bits |= sum[word + 1] << (64 - shift);
        }
        bits as u32 & ((1 << count) - 1)
    }

    #[inline(always)]
    fn negative(&self) -> bool {
        self.negative
    }
}

impl Scalar for i64 {
    #[inline(always)]
    fn bits(&self, offset: &[u64; 5], start: usize, count: usize) -> u32 {
        let sum = u128::from(self.unsigned_abs()) + (u128::from(offset[1]) << 64 | u128::from(offset[0]));
        (sum >> start) as u32 & ((1 << count) - 1)
    }

    #[inline(always)]
    fn negative(&self) -> bool {
        *self < 0
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

    /// Digit `window` of a scalar with its sign, at most 2^(width - 1) in magnitude.
    #[inline(always)]
    fn digit<S: Scalar>(&self, scalar: &S, offset: &[u64; 5], window: usize) -> i32 {
        let taken = self.width + usize::from(window + 1 == self.count);
        let digit = scalar.bits(offset, window * self.width, taken) as i32 - (1 << (self.width - 1));
        if scalar.negative() {
            -digit
        } else {
            digit
        }
    }
}

/// sum scalars_i * P_i over (i, scalar) terms whose scalars are not zero.
fn sum_of_products<A: Arithmetic, S: Scalar>(source: &[A::Point], terms: &[(u32, S)], bits: usize) -> G1 {
    if few(terms.len(), bits) {
        return to_affine(&straus::<A, S>(source, terms, bits));
    }
    let windows = Windows::choose(terms.len(), bits);
    let sorted: Vec<Sorted> =
        (0..windows.count).into_par_iter().map(|window| sort_window(terms, windows, window)).collect();
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
        for ((_, scalar), multiples) in terms.iter().zip(table.chunks_exact(half)) {
            let digit = windows.digit(scalar, &offset, window);
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

fn sort_window<S: Scalar>(terms: &[(u32, S)], windows: Windows, window: usize) -> Sorted {
    let offset = windows.offset();
    let digits: Vec<i32> =
        terms.par_iter().with_min_len(BLOCK).map(|(_, scalar)| windows.digit(scalar, &offset, window)).collect();
    let mut counts = vec![0; (1 << (windows.width - 1)) + 1];
    for digit in &digits {
        counts[digit.unsigned_abs() as usize] += 1;
    }
    let zeros = counts.remove(0);
    let mut next: Vec<usize> = counts
        .iter()
        .scan(0, |end, count| {
            let start = *end;
            *end += count;
            Some(start)
        })
        .collect();
    let mut operands = vec![Operand::new(0, false); terms.len() - zeros];
    for ((index, _), digit) in terms.iter().zip(&digits).filter(|(_, digit)| **digit != 0) {
        let slot = &mut next[digit.unsigned_abs() as usize - 1];
        operands[*slot] = Operand::new(*index as usize, *digit < 0);
        *slot += 1;
    }
    Sorted { operands, counts }
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
    for (window, Sorted { operands, counts }) in sorted.iter().enumerate() {
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
    let mut buckets: Vec<Indexed<A::Point>> = Vec::with_capacity(sorted.len());
    buckets.resize_with(sorted.len(), || Indexed { indices: Vec::new(), points: Vec::new() });
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

/// sum scalars_i * P_i over (i, scalar) terms whose scalars are not zero.
pub fn msm<A: Arithmetic>(source: &[A::Point], terms: &[(u32, Fr)]) -> G1 {
    let wide: Vec<(u32, Wide)> =
        terms.par_iter().with_min_len(BLOCK).map(|(index, scalar)| (*index, signed(scalar))).collect();
    let union = wide.iter().fold([0; 4], |acc: [u64; 4], (_, wide)| std::array::from_fn(|j| acc[j] | wide.limbs[j]));
    let bits = (0..4).rev().find(|j| union[*j] != 0).map_or(0, |j| 64 * j + 64 - union[j].leading_zeros() as usize);
    sum_of_products::<A, Wide>(source, &wide, bits)
}

/// The same for signed integers.
pub fn msm_ints<A: Arithmetic>(source: &[A::Point], terms: &[(u32, i64)]) -> G1 {
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
