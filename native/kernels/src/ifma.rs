//! Batched affine additions in AVX-512 with IFMA: eight at a time.
//!
//! A field element is 8 limbs of 52 bits, one vector a limb, one addition a lane; Montgomery form with R = 2^416. There are
//! 35 bits above p, so that no product needs a final subtraction: for a, b < 8p the Montgomery product is below
//! (1 + 2^-29) p. Coordinates at rest are below (1 + 2^-11) p, not canonical.
//!
//! Coming from blst (R = 2^384) costs next to nothing: blst's number for x, read with R = 2^416, stands for x / 2^32. So points
//! live on the isomorphic curve (u^2 x, u^3 y) with u = 2^-16, on which the addition formulas are the same: x is
//! taken as it is, y divided by 2^16.

// Limb j of several operands at once reads better by its number.
#![allow(clippy::needless_range_loop)]

use crate::affine::{add_exceptional, Arithmetic, Operand, Pair};
use crate::curve::G1;
use crate::fp::P;
use crate::sums::Scratch;
use crate::vector::{carry, clear, fold, montgomery, splat, transpose, Modulus};
use blst::blst_fp;
use std::arch::x86_64::*;
use std::cell::RefCell;

/// 8 limbs of x, 8 limbs of y, each below 2^52; all zeros for infinity.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Point {
    x: [u64; 8],
    y: [u64; 8],
}

pub struct Ifma;

const LIMB: u32 = 52;
const MASK: u64 = (1 << LIMB) - 1;
/// -p^-1 mod 2^64 (so modulo 2^52 and 2^16 too).
const P_INVERSE: u64 = 0x89f3_fffc_fffc_fffd;
const FIELD: Modulus<8> = Modulus::new(to_limbs(&P), P_INVERSE & MASK);
/// 2^64 and 2^16 in blst's form.
const TWO_64: blst_fp = power_of_two(64 + 384);
const TWO_16: blst_fp = power_of_two(16 + 384);

/// Vectors of additions that share an inversion.
const BATCH: usize = 256;
/// How many vectors of additions ahead their points are asked for.
const AHEAD: usize = 2;

/// Eight field elements at rest, limb by limb.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Rows([[u64; 8]; 8]);

/// What eight additions keep from the pass forward to the pass back, so that points, which may lie anywhere, are read once.
#[derive(Clone, Copy)]
struct Step {
    /// Of the differences before theirs.
    product: Rows,
    /// x2 - x1 + 2p, or one.
    difference: Rows,
    x1: Rows,
    /// y1 with its sign, up to 2p.
    y1: Rows,
    /// y2 - y1 + 4p, each with its sign.
    rise: Rows,
}

thread_local! {
    /// Those of a batch.
    static STEPS: RefCell<Vec<Step>> = {
        let zero = Rows([[0; 8]; 8]);
        RefCell::new(vec![Step { product: zero, difference: zero, x1: zero, y1: zero, rise: zero }; BATCH])
    };
}

/// MULTIPLES[j][k] = limb j of k p.
const MULTIPLES: [[u64; 8]; 8] = {
    let mut table = [[0; 8]; 8];
    let mut k = 0;
    while k < 8 {
        let mut words = [0u64; 6];
        let (mut i, mut carry) = (0, 0u128);
        while i < 6 {
            let sum = P[i] as u128 * k as u128 + carry;
            words[i] = sum as u64;
            carry = sum >> 64;
            i += 1;
        }
        let limbs = to_limbs(&words);
        let mut j = 0;
        while j < 8 {
            table[j][k] = limbs[j];
            j += 1;
        }
        k += 1;
    }
    table
};

const fn power_of_two(bits: usize) -> blst_fp {
    let mut value = [1u64, 0, 0, 0, 0, 0];
    let mut i = 0;
    while i < bits {
        let (mut j, mut carry) = (0, 0);
        while j < 6 {
            let next = value[j] >> 63;
            value[j] = value[j] << 1 | carry;
            carry = next;
            j += 1;
        }
        value = subtract_p(value);
        i += 1;
    }
    blst_fp { l: value }
}

/// value - p where that is not negative.
const fn subtract_p(value: [u64; 6]) -> [u64; 6] {
    let mut out = [0; 6];
    let (mut j, mut borrow) = (0, false);
    while j < 6 {
        let (difference, first) = value[j].overflowing_sub(P[j]);
        let (difference, second) = difference.overflowing_sub(borrow as u64);
        out[j] = difference;
        borrow = first || second;
        j += 1;
    }
    if borrow {
        value
    } else {
        out
    }
}

const fn to_limbs(words: &[u64; 6]) -> [u64; 8] {
    let mut limbs = [0; 8];
    let mut j = 0;
    while j < 8 {
        let (word, bit) = (j * 52 / 64, j * 52 % 64);
        let mut limb = words[word] >> bit;
        if bit > 12 && word < 5 {
            limb |= words[word + 1] << (64 - bit);
        }
        limbs[j] = limb & MASK;
        j += 1;
    }
    limbs
}

/// The canonical words of limbs below 2p.
fn to_words(limbs: &[u64; 8]) -> [u64; 6] {
    let mut words = [0; 6];
    for (j, limb) in limbs.iter().enumerate() {
        let (word, bit) = (j * 52 / 64, j * 52 % 64);
        words[word] |= limb << bit;
        if bit > 12 && word < 5 {
            words[word + 1] |= limb >> (64 - bit);
        }
    }
    subtract_p(words)
}

/// y / 2^16 mod p, below (1 + 2^-16) p: (y + m p) / 2^16 for the m that makes it whole.
fn divide_by_two_16(y: &[u64; 6]) -> [u64; 6] {
    let m = (y[0].wrapping_mul(P_INVERSE)) & 0xffff;
    let mut sum = [0u64; 7];
    let mut carry = 0u128;
    for j in 0..6 {
        let term = y[j] as u128 + m as u128 * P[j] as u128 + carry;
        sum[j] = term as u64;
        carry = term >> 64;
    }
    sum[6] = carry as u64;
    std::array::from_fn(|j| sum[j] >> 16 | sum[j + 1] << 48)
}

impl Arithmetic for Ifma {
    type Point = Point;
    const INFINITY: Point = Point { x: [0; 8], y: [0; 8] };

    fn lift(point: &G1) -> Point {
        Point { x: to_limbs(&point.x.l), y: to_limbs(&divide_by_two_16(&point.y.l)) }
    }

    fn lower(point: &Point) -> G1 {
        let mut y = blst_fp { l: to_words(&point.y) };
        // SAFETY: field elements of this frame.
        unsafe { blst::blst_fp_mul(&mut y, &y, &TWO_16) };
        G1 { x: blst_fp { l: to_words(&point.x) }, y }
    }

    fn negate(point: &Point) -> Point {
        if point.y.iter().all(|limb| *limb == 0) {
            return *point; // infinity stays all zeros
        }
        let mut borrow = 0i64;
        let y = std::array::from_fn(|j| {
            // 2p - y is below 2p; brought below p again by `to_words` to keep the bound on coordinates at rest.
            let limb = MULTIPLES[j][2] as i64 - point.y[j] as i64 + borrow;
            borrow = limb >> LIMB;
            limb as u64 & MASK
        });
        Point { x: point.x, y: to_limbs(&to_words(&y)) }
    }

    fn ask(point: &Point) {
        // SAFETY: a processor that this arithmetic is chosen on has the instruction, which reads nothing.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(point.x.as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(point.y.as_ptr().cast());
        }
    }

    fn with_scratch<R>(run: impl FnOnce(&mut Scratch<Point>) -> R) -> R {
        thread_local!(static SCRATCH: RefCell<Scratch<Point>> = const { RefCell::new(Scratch::new()) });
        SCRATCH.with_borrow_mut(run)
    }

    fn add_pairs(source: &[Point], pairs: &[Pair], out: &mut [Point]) {
        assert_eq!(pairs.len(), out.len());
        STEPS.with_borrow_mut(|steps| {
            for (pairs, out) in pairs.chunks(8 * BATCH).zip(out.chunks_mut(8 * BATCH)) {
                // SAFETY: this arithmetic is chosen only where `vector::available` holds.
                unsafe { add_batch(source, pairs, out, steps) };
            }
        });
    }
}

type V = __m512i;
/// Eight field elements.
type Fe = [V; 8];

/// Montgomery product a b / 2^416 for normalized a, b < 8p: normalized, below (1 + 2^-29) p.
///
/// A function of its own, not inlined: it fills the 32 registers.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
fn mul(a: &Fe, b: &Fe) -> Fe {
    carry(montgomery!(a, b, 8, [1 2 3 4 5 6], &FIELD))
}

/// `mul` for `reduce`, which carries: limbs are below 2^57.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
fn mul_uncarried(a: &Fe, b: &Fe) -> Fe {
    montgomery!(a, b, 8, [1 2 3 4 5 6], &FIELD)
}

/// `mul_uncarried` of a and itself: what two limbs have in common is multiplied once and doubled.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_uncarried(a: &Fe) -> Fe {
    let mut t = [_mm512_setzero_si512(); 16];
    for i in 0..7 {
        for j in i + 1..8 {
            t[i + j] = _mm512_madd52lo_epu64(t[i + j], a[j], a[i]);
        }
        for j in i + 1..8 {
            t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a[j], a[i]);
        }
    }
    for limb in &mut t[1..15] {
        *limb = _mm512_add_epi64(*limb, *limb);
    }
    for i in 0..8 {
        t[2 * i] = _mm512_madd52lo_epu64(t[2 * i], a[i], a[i]);
        t[2 * i + 1] = _mm512_madd52hi_epu64(t[2 * i + 1], a[i], a[i]);
    }
    // Written out, as in `montgomery`.
    t = fold(t, 0, &FIELD);
    t = fold(t, 1, &FIELD);
    t = fold(t, 2, &FIELD);
    t = fold(t, 3, &FIELD);
    t = fold(t, 4, &FIELD);
    t = fold(t, 5, &FIELD);
    t = clear(t, 6, &FIELD);
    t = clear(t, 7, &FIELD);
    std::array::from_fn(|i| t[8 + i])
}

/// a - b + 2p, normalized, for b < 2p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn sub(a: &Fe, b: &Fe) -> Fe {
    let mut t = *a;
    for j in 0..8 {
        t[j] = _mm512_sub_epi64(_mm512_add_epi64(a[j], splat(MULTIPLES[j][2])), b[j]);
    }
    carry(t)
}

/// t mod p up to (1 + 2^-11) p, normalized, for 0 <= t < 7p whose limbs have not been carried (each from -2^55 to 2^57).
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce(mut t: Fe) -> Fe {
    // p is below 0x1a012 * 2^364: the quotient by the top limb alone is never too large; without the carries of the
    // limbs below it is at most some 2^-11 too small (of 0x1a012, 8 and the 32 that limb 6 may carry).
    const RECIPROCAL: u64 = (1 << LIMB) / 0x1a012;
    let zero = _mm512_setzero_si512();
    let top = _mm512_max_epi64(_mm512_sub_epi64(t[7], splat(8)), zero);
    let quotient = _mm512_madd52hi_epu64(zero, top, splat(RECIPROCAL));
    for j in 0..8 {
        // SAFETY: 64 bytes of a constant.
        let multiples = unsafe { _mm512_loadu_si512(MULTIPLES[j].as_ptr().cast()) };
        t[j] = _mm512_sub_epi64(t[j], _mm512_permutexvar_epi64(quotient, multiples));
    }
    carry(t)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn load(rows: &Rows) -> Fe {
    let mut values = [_mm512_setzero_si512(); 8];
    for (value, limbs) in values.iter_mut().zip(&rows.0) {
        // SAFETY: 64 readable bytes.
        *value = unsafe { _mm512_load_si512(limbs.as_ptr().cast()) };
    }
    values
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn store(rows: &mut Rows, values: Fe) {
    for j in 0..8 {
        // SAFETY: 64 writable bytes each.
        unsafe { _mm512_store_si512(rows.0[j].as_mut_ptr().cast(), values[j]) };
    }
}

/// Where the difference of the x coordinates is not known to be invertible, or an operand may be infinity: judged by the
/// lowest limb, so that a rare lane is sent to the complete addition without need, and never the other way round.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn exceptional(x1: &Fe, x2: &Fe, difference: &Fe) -> __mmask8 {
    let zero = _mm512_setzero_si512();
    let mut mask = _mm512_cmpeq_epi64_mask(x1[0], zero) | _mm512_cmpeq_epi64_mask(x2[0], zero);
    for k in 1..4 {
        mask |= _mm512_cmpeq_epi64_mask(difference[0], splat(MULTIPLES[0][k]));
    }
    mask
}

/// Lanes of the mask set to one.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn set_one(mut values: Fe, mask: __mmask8) -> Fe {
    values[0] = _mm512_mask_mov_epi64(values[0], mask, splat(1));
    for limb in &mut values[1..] {
        *limb = _mm512_mask_mov_epi64(*limb, mask, _mm512_setzero_si512());
    }
    values
}

/// The inverse of each lane, by one inversion in blst's field.
#[target_feature(enable = "avx512f,avx512ifma")]
fn invert(values: Fe) -> Fe {
    let mut rows = Rows([[0; 8]; 8]);
    store(&mut rows, transpose(values));
    let mut lanes = rows.0.map(|limbs| blst_fp { l: to_words(&limbs) });
    let mut prefixes = lanes;
    let multiply = |a: &blst_fp, b: &blst_fp| {
        let mut out = blst_fp::default();
        // SAFETY: field elements of this frame.
        unsafe { blst::blst_fp_mul(&mut out, a, b) };
        out
    };
    for i in 1..8 {
        prefixes[i] = multiply(&prefixes[i - 1], &lanes[i]);
    }
    let mut inverse = blst_fp::default();
    // SAFETY: as above.
    unsafe { blst::blst_fp_eucl_inverse(&mut inverse, &prefixes[7]) };
    // a 2^416 is a 2^32 to blst; the inverse of that is wanted as a^-1 2^416: 2^64 times as much.
    inverse = multiply(&inverse, &TWO_64);
    for i in (0..8).rev() {
        let value = lanes[i];
        lanes[i] = if i == 0 { inverse } else { multiply(&inverse, &prefixes[i - 1]) };
        inverse = multiply(&inverse, &value);
    }
    let rows = Rows(lanes.map(|lane| to_limbs(&lane.l)));
    transpose(load(&rows))
}

/// The operands of eight additions, the last repeated where there are fewer.
#[inline(always)]
fn lanes_of<'a>(source: &'a [Point], pairs: &[Pair]) -> ([&'a Point; 8], [&'a Point; 8]) {
    let last = pairs.len() - 1;
    let (mut left, mut right) = ([&source[0]; 8], [&source[0]; 8]);
    for lane in 0..8 {
        let pair = &pairs[lane.min(last)];
        left[lane] = &source[pair.0.index()];
        right[lane] = &source[pair.1.index()];
    }
    (left, right)
}

/// Eight coordinates side by side: x of the points, or y.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn gather<const Y: bool>(points: &[&Point; 8]) -> Fe {
    let mut rows = [_mm512_setzero_si512(); 8];
    for (row, point) in rows.iter_mut().zip(points) {
        let limbs = if Y { &point.y } else { &point.x };
        // SAFETY: 64 readable, aligned bytes.
        *row = unsafe { _mm512_load_si512(limbs.as_ptr().cast()) };
    }
    transpose(rows)
}

/// The lanes whose left, and whose right operand is negated.
#[inline(always)]
fn signs(pairs: &[Pair]) -> (__mmask8, __mmask8) {
    let (mut left, mut right) = (0, 0);
    for (lane, pair) in pairs.iter().enumerate() {
        left |= (pair.0.negative() as u8) << lane;
        right |= (pair.1.negative() as u8) << lane;
    }
    (left, right)
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_batch(source: &[Point], pairs: &[Pair], out: &mut [Point], steps: &mut [Step]) {
    let mut exceptions = [0u8; BATCH];
    // Forward: the running product of the differences x2 - x1.
    let mut product = set_one([_mm512_setzero_si512(); 8], 0xff);
    for (i, (eight, step)) in pairs.chunks(8).zip(steps.iter_mut()).enumerate() {
        prefetch(source, pairs, i + AHEAD);
        let (left, right) = lanes_of(source, eight);
        let (x1, x2) = (gather::<false>(&left), gather::<false>(&right));
        let difference = sub(&x2, &x1);
        exceptions[i] = exceptional(&x1, &x2, &difference);
        let difference = set_one(difference, exceptions[i]);
        store(&mut step.product, product);
        store(&mut step.difference, difference);
        store(&mut step.x1, x1);
        product = mul(&product, &difference);

        let (mut y1, mut y2) = (gather::<true>(&left), gather::<true>(&right));
        let (minus1, minus2) = signs(eight);
        for j in 0..8 {
            y1[j] = _mm512_mask_sub_epi64(y1[j], minus1, splat(MULTIPLES[j][2]), y1[j]);
            let sum = _mm512_add_epi64(splat(MULTIPLES[j][4]), y2[j]);
            let sum = _mm512_mask_sub_epi64(sum, minus2, splat(MULTIPLES[j][4]), y2[j]);
            y2[j] = _mm512_sub_epi64(sum, y1[j]);
        }
        store(&mut step.y1, y1);
        store(&mut step.rise, carry(y2));
    }
    // Backward: the inverse of each difference, and the addition with it.
    let mut inverse = invert(product);
    for (i, (eight, out)) in pairs.chunks(8).zip(out.chunks_mut(8)).enumerate().rev() {
        let step = &steps[i];
        let (difference, x1, y1) = (load(&step.difference), load(&step.x1), load(&step.y1));
        let difference_inverse = mul(&inverse, &load(&step.product));
        inverse = mul(&inverse, &difference);
        let slope = mul(&load(&step.rise), &difference_inverse);
        // x3 = slope^2 - x1 - x2 (+ 4p), where x2 = x1 + the difference - 2p
        let mut x3 = square_uncarried(&slope);
        for j in 0..8 {
            let sum = _mm512_add_epi64(x3[j], splat(MULTIPLES[j][6]));
            x3[j] = _mm512_sub_epi64(sum, _mm512_add_epi64(_mm512_add_epi64(x1[j], x1[j]), difference[j]));
        }
        let x3 = reduce(x3);
        // y3 = slope (x1 - x3) - y1 (+ 2p)
        let mut y3 = mul_uncarried(&slope, &sub(&x1, &x3));
        for j in 0..8 {
            y3[j] = _mm512_sub_epi64(_mm512_add_epi64(y3[j], splat(MULTIPLES[j][2])), y1[j]);
        }
        let (rows_x, rows_y) = (transpose(x3), transpose(reduce(y3)));
        let put = |slot: &mut Point, lane: usize| {
            // SAFETY: 64 writable, aligned bytes each.
            unsafe {
                _mm512_store_si512(slot.x.as_mut_ptr().cast(), rows_x[lane]);
                _mm512_store_si512(slot.y.as_mut_ptr().cast(), rows_y[lane]);
            }
        };
        // Nearly always all eight: lanes by constant numbers stay in registers.
        if let (0, Ok(out)) = (exceptions[i], <&mut [Point; 8]>::try_from(&mut *out)) {
            for lane in 0..8 {
                put(&mut out[lane], lane);
            }
            continue;
        }
        for (lane, slot) in out.iter_mut().enumerate() {
            if exceptions[i] >> lane & 1 == 1 {
                *slot = add_one(source, &eight[lane]);
            } else {
                put(slot, lane);
            }
        }
    }
}

/// Asks for the operands of the i-th eight additions ahead of their use.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn prefetch(source: &[Point], pairs: &[Pair], i: usize) {
    for (left, right) in pairs.chunks(8).nth(i).unwrap_or(&[]) {
        Ifma::ask(&source[left.index()]);
        Ifma::ask(&source[right.index()]);
    }
}

#[cold]
fn add_one(source: &[Point], pair: &Pair) -> Point {
    let operand = |operand: Operand| {
        let point = &source[operand.index()];
        Ifma::lower(&if operand.negative() { Ifma::negate(point) } else { *point })
    };
    Ifma::lift(&add_exceptional(&operand(pair.0), &operand(pair.1)))
}

#[cfg(test)]
#[path = "tests/ifma.rs"]
mod tests;
