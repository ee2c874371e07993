//! Multi-scalar multiplication over G1: Pippenger's buckets with signed digits, summed in affine batches.
//!
//! Each window of c bits sorts the operands by the size of their digit (the sign goes to the point), sums every bucket
//! (`segment_sums`, by blocks over all cores) and weighs the buckets (`bit_sums`). Zeros cost nothing; c follows from the
//! number of nonzero scalars and their real width, so that narrow integers take one or two windows.

use crate::affine::{Arithmetic, Operand};
use crate::curve::{add_affine, double, to_affine, G1};
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

/// Magnitude plus offset, and the sign.
#[derive(Clone, Copy)]
struct Wide {
    limbs: [u64; 5],
    negative: bool,
}

impl Scalar for Wide {
    #[inline(always)]
    fn bits(&self, _: &[u64; 5], start: usize, count: usize) -> u32 {
        let (word, shift) = (start / 64, start % 64);
        let mut bits = self.limbs[word] >> shift;
        if shift + count > 64 && word < 4 {
            bits |= self.limbs[word + 1] << (64 - shift);
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
}

/// sum scalars_i * P_i. The scalars, each with its operand index, are those that are not zero.
fn pippenger<A: Arithmetic, S: Scalar>(source: &[A::Point], scalars: &[(u32, S)], windows: Windows) -> G1 {
    if scalars.is_empty() {
        return G1::default();
    }
    let buckets: Vec<Indexed<A::Point>> = (0..windows.count)
        .into_par_iter()
        .map(|window| window_buckets::<A, S>(source, scalars, windows, window))
        .collect();
    // The buckets run up to 2^(width - 1) inclusive.
    let group = windows.count.div_ceil(rayon::current_num_threads());
    let sums: Vec<Vec<A::Point>> =
        buckets.par_chunks(group).flat_map_iter(|group| bit_sums::<A>(group, windows.width)).collect();
    // Horner over the bits, of which bit b of window w weighs 2^(width w + b).
    let total =
        sums.iter().flatten().rev().fold(blst_p1::default(), |sum, bit| add_affine(&double(&sum), &A::lower(bit)));
    to_affine(&total)
}

/// The nonempty buckets of one window: (digit, sum of the operands that have it).
fn window_buckets<A: Arithmetic, S: Scalar>(
    source: &[A::Point],
    scalars: &[(u32, S)],
    windows: Windows,
    window: usize,
) -> Indexed<A::Point> {
    // Counting sort by the magnitude of the digit.
    let half = 1i32 << (windows.width - 1);
    let offset = windows.offset();
    let start = window * windows.width;
    let taken = windows.width + usize::from(window + 1 == windows.count);
    let digits: Vec<i32> = scalars
        .par_iter()
        .with_min_len(BLOCK)
        .map(|(_, scalar)| {
            let digit = scalar.bits(&offset, start, taken) as i32 - half;
            if scalar.negative() {
                -digit
            } else {
                digit
            }
        })
        .collect();
    let mut ends = vec![0u32; half as usize + 1];
    for digit in &digits {
        ends[digit.unsigned_abs() as usize] += 1;
    }
    let counts = ends.clone();
    let mut end = 0;
    ends[0] = 0;
    for count in &mut ends[1..] {
        end += *count;
        *count = end - *count;
    }
    let mut operands = vec![Operand::new(0, false); end as usize];
    for ((index, _), digit) in scalars.iter().zip(&digits) {
        let bucket = digit.unsigned_abs() as usize;
        if bucket != 0 {
            operands[ends[bucket] as usize] = Operand::new(*index as usize, *digit < 0);
            ends[bucket] += 1;
        }
    }
    // Blocks of whole buckets, save that a bucket larger than a block is cut.
    // Where windows are few, blocks are smaller, so that there is one for each core.
    let block = (operands.len() * windows.count / (2 * rayon::current_num_threads())).clamp(BLOCK / 8, BLOCK);
    let mut blocks: Vec<(usize, Vec<usize>, Vec<usize>)> = Vec::new(); // first operand, buckets, lengths
    let (mut first, mut filled) = (0, block);
    for (bucket, count) in counts.iter().enumerate().skip(1) {
        let mut left = *count as usize;
        while left > 0 {
            if filled >= block || (filled + left > block && left <= block) {
                blocks.push((first, Vec::new(), Vec::new()));
                filled = 0;
            }
            let part = left.min(block - filled);
            let (_, buckets, lengths) = blocks.last_mut().expect("one was just pushed");
            buckets.push(bucket);
            lengths.push(part);
            filled += part;
            first += part;
            left -= part;
        }
    }
    let sums: Vec<Vec<A::Point>> = blocks
        .par_iter()
        .map(|(first, _, lengths)| {
            let length: usize = lengths.iter().sum();
            segment_sums::<A>(source, &operands[*first..first + length], lengths)
        })
        .collect();
    // The parts of a bucket that was cut are put together.
    let mut merged = Indexed { indices: Vec::with_capacity(counts.len()), points: Vec::with_capacity(counts.len()) };
    for ((_, buckets, _), sums) in blocks.iter().zip(&sums) {
        let repeated = merged.indices.last() == buckets.first();
        if repeated {
            let last = merged.points.len() - 1;
            let parts = [merged.points[last], sums[0]];
            let pair = [(Operand::new(0, false), Operand::new(1, false))];
            A::add_pairs(&parts, &pair, &mut merged.points[last..]);
        }
        merged.indices.extend(&buckets[usize::from(repeated)..]);
        merged.points.extend(&sums[usize::from(repeated)..]);
    }
    merged
}

/// The magnitude of min(s, r - s), and whether it stands for -s.
fn signed_limbs(scalar: &Fr) -> ([u64; 4], bool) {
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
        (opposite, true)
    } else {
        (limbs, false)
    }
}

/// sum scalars_i * P_i over (i, scalar) terms whose scalars are not zero.
pub fn msm<A: Arithmetic>(source: &[A::Point], terms: &[(u32, Fr)]) -> G1 {
    let signed: Vec<(u32, [u64; 4], bool)> = terms
        .par_iter()
        .with_min_len(BLOCK)
        .map(|(index, scalar)| {
            let (limbs, negative) = signed_limbs(scalar);
            (*index, limbs, negative)
        })
        .collect();
    let union = signed.iter().fold([0; 4], |acc: [u64; 4], (_, limbs, _)| std::array::from_fn(|j| acc[j] | limbs[j]));
    let bits = (0..4).rev().find(|j| union[*j] != 0).map_or(0, |j| 64 * j + 64 - union[j].leading_zeros() as usize);
    let windows = Windows::choose(signed.len(), bits);
    let offset = windows.offset();
    let wide: Vec<(u32, Wide)> = signed
        .par_iter()
        .with_min_len(BLOCK)
        .map(|(index, limbs, negative)| {
            let mut sum = offset;
            let mut carry = false;
            for j in 0..5 {
                let (partial, first) = sum[j].overflowing_add(if j < 4 { limbs[j] } else { 0 });
                let (partial, second) = partial.overflowing_add(carry as u64);
                sum[j] = partial;
                carry = first || second;
            }
            (*index, Wide { limbs: sum, negative: *negative })
        })
        .collect();
    pippenger::<A, Wide>(source, &wide, windows)
}

/// The same for signed integers.
pub fn msm_ints<A: Arithmetic>(source: &[A::Point], terms: &[(u32, i64)]) -> G1 {
    let union = terms.iter().fold(0, |union, (_, value)| union | value.unsigned_abs());
    let windows = Windows::choose(terms.len(), 64 - union.leading_zeros() as usize);
    pippenger::<A, i64>(source, terms, windows)
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
