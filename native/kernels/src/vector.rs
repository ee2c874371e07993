//! Eight scalars side by side in AVX-512 with IFMA: what rows.rs and `Lanes` run on where the processor has it. What does not
//! depend on the field (Montgomery products, carries, transposition) serves ifma.rs too.
//!
//! An element is 5 limbs of 52 bits, one vector a limb. Memory keeps R = 2^256; the vector product divides by 2^260, so one
//! operand is taken 16 times as large (its limbs are cut 4 bits lower, which costs nothing), or all are, in programs.
//! 2^260 is above 35 r: sums and products need not be canonical, only carried (limbs below 2^52). Bounds are in multiples of r.

// Limb j of several operands at once reads better by its number.
#![allow(clippy::needless_range_loop)]

use crate::field::{power_of_two, Fr, MODULUS};
use crate::ints::Int;
use crate::lanes::{reversed, Lanes, Quarters, Side};
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::sync::OnceLock;
use std::thread::LocalKey;

/// Transforms below this are not worth vectors (and have fewer rows than lanes).
pub const SMALLEST: usize = 64;

type V = __m512i;
/// Eight elements, limb by limb; lane i is element ORDER[i] of those that `load` took.
type F = [V; 5];

const LIMB: u32 = 52;
const MASK: u64 = (1 << LIMB) - 1;
const R: [u64; 5] = limbs(MODULUS);
/// 2^260 - r.
const MINUS_R: [u64; 5] = {
    let mut out = [0; 5];
    let (mut i, mut borrow) = (0, 0);
    while i < 5 {
        let low = R[i] + borrow;
        out[i] = (MASK + 1 - low) & MASK;
        borrow = (low > 0) as u64;
        i += 1;
    }
    out
};
const SCALARS: Modulus<5> = Modulus::new(R, 0xffff_fffe_ffff_ffff & MASK);
/// 2^98 over the highest limb of r, one added: a limb times this, over 2^98, is at most one below the quotient by r.
const RECIPROCAL: u64 = ((1u128 << 98) / (R[4] as u128 + 1)) as u64;

const ORDER: [usize; 8] = [0, 2, 1, 3, 4, 6, 5, 7];
/// The lane of element rev(l), of the three bits of l.
const LANE_OF: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

const fn limbs(w: [u64; 4]) -> [u64; 5] {
    [
        w[0] & MASK,
        (w[0] >> 52 | w[1] << 12) & MASK,
        (w[1] >> 40 | w[2] << 24) & MASK,
        (w[2] >> 28 | w[3] << 36) & MASK,
        w[3] >> 16,
    ]
}

/// The Montgomery product of limbs, not carried. A limb is taken away one row of the product after it is complete: the row
/// runs while the limb is waited for. Written out over the rows `next`, because a loop of this size is not unrolled and the
/// limbs would live in memory.
macro_rules! montgomery {
    ($a:expr, $b:expr, $limbs:literal, [$($next:literal)*], $modulus:expr) => {{
        let mut t = crate::vector::row([_mm512_setzero_si512(); 2 * $limbs], $a, $b[0], 0);
        $(
            t = crate::vector::row(t, $a, $b[$next], $next);
            t = crate::vector::fold(t, $next - 1, $modulus);
        )*
        t = crate::vector::row(t, $a, $b[$limbs - 1], $limbs - 1);
        t = crate::vector::clear(t, $limbs - 2, $modulus);
        t = crate::vector::clear(t, $limbs - 1, $modulus);
        std::array::from_fn(|i| t[$limbs + i])
    }};
}
pub(crate) use montgomery;

/// An odd modulus as products are reduced by it.
pub struct Modulus<const N: usize> {
    limbs: [u64; N],
    /// -1 / modulus modulo 2^52.
    inverse: u64,
    /// 1 / 2^52 modulo the modulus: (inverse modulus + 1) / 2^52.
    pub shifted: [u64; N],
}

impl<const N: usize> Modulus<N> {
    pub const fn new(limbs: [u64; N], inverse: u64) -> Modulus<N> {
        let (mut shifted, mut carry, mut i) = ([0; N], 1, 0);
        while i < N {
            carry += limbs[i] as u128 * inverse as u128;
            if i > 0 {
                shifted[i - 1] = carry as u64 & MASK;
            }
            carry >>= LIMB;
            i += 1;
        }
        shifted[N - 1] = carry as u64;
        Modulus { limbs, inverse, shifted }
    }
}

/// Whether this processor has what the module needs, and may use it: not where PLONNX_PORTABLE is 1, which is read once.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let forbidden = std::env::var_os("PLONNX_PORTABLE").is_some_and(|value| value == "1");
        !forbidden && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
    })
}

/// Eight elements at rest.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Row([[u64; 8]; 5]);

// In registers

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn splat(value: u64) -> V {
    _mm512_set1_epi64(value as i64)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn take(row: &Row) -> F {
    // SAFETY: 64 aligned bytes.
    std::array::from_fn(|j| unsafe { _mm512_load_si512(row.0[j].as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn put(row: &mut Row, t: F) {
    for j in 0..5 {
        // SAFETY: 64 aligned bytes.
        unsafe { _mm512_store_si512(row.0[j].as_mut_ptr().cast(), t[j]) };
    }
}

/// Words to limbs, of 2^UP times the value.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn cut<const UP: bool>(w: [V; 4]) -> F {
    let mask = splat(MASK);
    let middle = |low: V, high: V| _mm512_and_si512(_mm512_or_si512(low, high), mask);
    if UP {
        [
            _mm512_and_si512(_mm512_slli_epi64::<4>(w[0]), mask),
            middle(_mm512_srli_epi64::<48>(w[0]), _mm512_slli_epi64::<16>(w[1])),
            middle(_mm512_srli_epi64::<36>(w[1]), _mm512_slli_epi64::<28>(w[2])),
            middle(_mm512_srli_epi64::<24>(w[2]), _mm512_slli_epi64::<40>(w[3])),
            _mm512_srli_epi64::<12>(w[3]),
        ]
    } else {
        [
            _mm512_and_si512(w[0], mask),
            middle(_mm512_srli_epi64::<52>(w[0]), _mm512_slli_epi64::<12>(w[1])),
            middle(_mm512_srli_epi64::<40>(w[1]), _mm512_slli_epi64::<24>(w[2])),
            middle(_mm512_srli_epi64::<28>(w[2]), _mm512_slli_epi64::<36>(w[3])),
            _mm512_srli_epi64::<16>(w[3]),
        ]
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn load<const UP: bool>(values: &[Fr]) -> F {
    assert!(values.len() == 8);
    let mut r = [_mm512_setzero_si512(); 4];
    for k in 0..4 {
        // SAFETY: 64 bytes of the 256 that eight elements have.
        r[k] = unsafe { _mm512_loadu_si512(values.as_ptr().add(2 * k).cast()) };
    }
    let (a, b) = (_mm512_unpacklo_epi64(r[0], r[1]), _mm512_unpackhi_epi64(r[0], r[1]));
    let (c, d) = (_mm512_unpacklo_epi64(r[2], r[3]), _mm512_unpackhi_epi64(r[2], r[3]));
    cut::<UP>([
        _mm512_shuffle_i64x2::<0x88>(a, c),
        _mm512_shuffle_i64x2::<0x88>(b, d),
        _mm512_shuffle_i64x2::<0xdd>(a, c),
        _mm512_shuffle_i64x2::<0xdd>(b, d),
    ])
}

/// The inverse of `load` without UP, of a canonical value.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn store(out: &mut [Fr], t: F) {
    assert!(out.len() == 8);
    let w = [
        _mm512_or_si512(t[0], _mm512_slli_epi64::<52>(t[1])),
        _mm512_or_si512(_mm512_srli_epi64::<12>(t[1]), _mm512_slli_epi64::<40>(t[2])),
        _mm512_or_si512(_mm512_srli_epi64::<24>(t[2]), _mm512_slli_epi64::<28>(t[3])),
        _mm512_or_si512(_mm512_srli_epi64::<36>(t[3]), _mm512_slli_epi64::<16>(t[4])),
    ];
    // Lanes are a c b d e g f h (ORDER): a pair of words of a and c, then of b and d, makes the rows again.
    let (low01, high01) = (_mm512_unpacklo_epi64(w[0], w[1]), _mm512_unpackhi_epi64(w[0], w[1]));
    let (low23, high23) = (_mm512_unpacklo_epi64(w[2], w[3]), _mm512_unpackhi_epi64(w[2], w[3]));
    // low01 = a01 b01 e01 f01, low23 = a23 b23 e23 f23, high = the same of c d g h
    let order_first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let order_second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    let rows = [
        _mm512_permutex2var_epi64(low01, order_first, low23),
        _mm512_permutex2var_epi64(high01, order_first, high23),
        _mm512_permutex2var_epi64(low01, order_second, low23),
        _mm512_permutex2var_epi64(high01, order_second, high23),
    ];
    for k in 0..4 {
        // SAFETY: 64 bytes of the 256 that eight elements have.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(2 * k).cast(), rows[k]) };
    }
}

/// One element in every lane, 16 times as large.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn broadcast(value: &Fr) -> F {
    cut::<true>([splat(value.0[0]), splat(value.0[1]), splat(value.0[2]), splat(value.0[3])])
}

/// Limbs below 2^52, but for the highest, which keeps the sign.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn carry<const N: usize>(mut t: [V; N]) -> [V; N] {
    let mask = splat(MASK);
    for j in 0..N - 1 {
        t[j + 1] = _mm512_add_epi64(t[j + 1], _mm512_srai_epi64::<LIMB>(t[j]));
        t[j] = _mm512_and_si512(t[j], mask);
    }
    t
}

/// Canonical from below 2r: t - r, or t where that is negative. The limbs of t need not be carried.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce_once(mut t: F) -> F {
    for j in 0..5 {
        t[j] = _mm512_sub_epi64(t[j], splat(R[j]));
    }
    t = carry(t);
    let negative = _mm512_cmplt_epi64_mask(t[4], _mm512_setzero_si512());
    for j in 0..5 {
        t[j] = _mm512_mask_add_epi64(t[j], negative, t[j], splat(R[j]));
    }
    carry(t)
}

/// Canonical from any carried value.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn settle(mut t: F) -> F {
    let zero = _mm512_setzero_si512();
    // t - (q + 1) r is in -r.. r for the estimate q; it is negative where bit 259 of it, modulo 2^260, is set.
    let q = _mm512_srli_epi64::<46>(_mm512_madd52hi_epu64(zero, t[4], splat(RECIPROCAL)));
    let q = _mm512_add_epi64(q, splat(1));
    for j in 0..5 {
        t[j] = _mm512_madd52lo_epu64(t[j], q, splat(MINUS_R[j]));
    }
    for j in 0..4 {
        t[j + 1] = _mm512_madd52hi_epu64(t[j + 1], q, splat(MINUS_R[j]));
    }
    t = carry(t);
    let negative = _mm512_test_epi64_mask(t[4], splat(1 << 51));
    for j in 0..5 {
        t[j] = _mm512_mask_add_epi64(t[j], negative, t[j], splat(R[j]));
    }
    t = carry(t);
    t[4] = _mm512_and_si512(t[4], splat(MASK));
    t
}

/// a + b, carried.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add(a: &F, b: &F) -> F {
    carry(std::array::from_fn(|j| _mm512_add_epi64(a[j], b[j])))
}

/// a - b + surplus, carried; `surplus` is a multiple of r, as limbs that have not been carried, at least b.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn sub(a: &F, b: &F, surplus: &F) -> F {
    carry(std::array::from_fn(|j| _mm512_sub_epi64(_mm512_add_epi64(a[j], surplus[j]), b[j])))
}

/// `count` r, as limbs that have not been carried.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn multiple_of_r(count: usize) -> F {
    std::array::from_fn(|j| splat(R[j] * count as u64))
}

/// Sums of products of limbs: low halves, and high halves one place higher. A place gets up to 10 of 2^52 a term: some 400
/// terms fit.
#[derive(Clone, Copy)]
struct Sum {
    low: [V; 9],
    high: [V; 9],
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn zero() -> Sum {
        Sum { low: [_mm512_setzero_si512(); 9], high: [_mm512_setzero_si512(); 9] }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn accumulate(&mut self, a: &F, b: &F) {
        for i in 0..5 {
            for j in 0..5 {
                self.low[i + j] = _mm512_madd52lo_epu64(self.low[i + j], a[j], b[i]);
                self.high[i + j] = _mm512_madd52hi_epu64(self.high[i + j], a[j], b[i]);
            }
        }
    }

    /// The sum over 2^260, carried: below (sum / 2^260) + r.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce(&self) -> F {
        let zero = _mm512_setzero_si512();
        let mut t = [zero; 10];
        t[0] = self.low[0];
        for i in 1..9 {
            t[i] = _mm512_add_epi64(self.low[i], self.high[i - 1]);
        }
        t[9] = self.high[8];
        for i in 0..3 {
            t = fold(t, i, &SCALARS);
        }
        t = clear(clear(t, 3, &SCALARS), 4, &SCALARS);
        carry([t[5], t[6], t[7], t[8], t[9]])
    }
}

/// a b / 2^260 modulo r, carried, below a b / 2^260 + (1 + 2^-51) r.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn product(a: &F, b: &F) -> F {
    carry(montgomery!(a, b, 5, [1 2 3], &SCALARS))
}

/// t + a b 2^(52 i) for one limb b.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn row<const N: usize, const T: usize>(mut t: [V; T], a: &[V; N], b: V, i: usize) -> [V; T] {
    for j in 0..N {
        t[i + j] = _mm512_madd52lo_epu64(t[i + j], a[j], b);
    }
    for j in 0..N {
        t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a[j], b);
    }
    t
}

/// t without limb i, which goes N limbs on as so many times 2^-52: what is left is below t / 2^52 + 2^52 modulus, if the limbs
/// below i are taken for none. Unlike `clear` it has no factor to wait for; but the last two limbs need that, so
/// that the product stays below the modulus and what a b / 2^(52 N) adds.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn fold<const N: usize, const T: usize>(mut t: [V; T], i: usize, modulus: &Modulus<N>) -> [V; T] {
    t[i + 1] = _mm512_add_epi64(t[i + 1], _mm512_srli_epi64::<LIMB>(t[i]));
    for j in 0..N {
        t[i + j + 1] = _mm512_madd52lo_epu64(t[i + j + 1], t[i], splat(modulus.shifted[j]));
    }
    for j in 0..N {
        t[i + j + 2] = _mm512_madd52hi_epu64(t[i + j + 2], t[i], splat(modulus.shifted[j]));
    }
    t
}

/// t + m modulus 2^(52 i) with the m that clears limb i; what that limb carries goes to the next.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn clear<const N: usize, const T: usize>(mut t: [V; T], i: usize, modulus: &Modulus<N>) -> [V; T] {
    let m = _mm512_madd52lo_epu64(_mm512_setzero_si512(), t[i], splat(modulus.inverse));
    for j in 0..N {
        t[i + j] = _mm512_madd52lo_epu64(t[i + j], m, splat(modulus.limbs[j]));
    }
    t[i + 1] = _mm512_add_epi64(t[i + 1], _mm512_srli_epi64::<LIMB>(t[i]));
    for j in 0..N {
        t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], m, splat(modulus.limbs[j]));
    }
    t
}

/// Words 8 x 8, transposed.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn transpose(r: [V; 8]) -> [V; 8] {
    // Pairs of rows, then quadruples, then all: p[0] = r0[0] r1[0] r0[2] r1[2] .., p[1] the odd columns.
    let p: [V; 8] = std::array::from_fn(|i| {
        let (a, b) = (r[i & !1], r[i | 1]);
        if i & 1 == 0 {
            _mm512_unpacklo_epi64(a, b)
        } else {
            _mm512_unpackhi_epi64(a, b)
        }
    });
    // q[parity + 2 half + 4 group]: columns parity + 2 half and 4 more, of the rows 4 group .. 4 group + 3
    let q: [V; 8] = std::array::from_fn(|i| {
        let (a, b) = (p[i & 5], p[i & 5 | 2]);
        if i & 2 == 0 {
            _mm512_shuffle_i64x2::<0x88>(a, b)
        } else {
            _mm512_shuffle_i64x2::<0xdd>(a, b)
        }
    });
    std::array::from_fn(|column| {
        let (a, b) = (q[column & 3], q[column & 3 | 4]);
        if column & 4 == 0 {
            _mm512_shuffle_i64x2::<0x88>(a, b)
        } else {
            _mm512_shuffle_i64x2::<0xdd>(a, b)
        }
    })
}

// Rows of memory, for rows.rs: lengths are multiples of eight

#[target_feature(enable = "avx512f,avx512ifma")]
pub fn mul(out: &mut [Fr], a: &[Fr], b: &[Fr]) {
    for ((out, a), b) in out.chunks_exact_mut(8).zip(a.chunks_exact(8)).zip(b.chunks_exact(8)) {
        store(out, reduce_once(product(&load::<false>(a), &load::<true>(b))));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
pub fn scale(out: &mut [Fr], a: &[Fr], factor: &Fr) {
    let factor = broadcast(factor);
    for (out, a) in out.chunks_exact_mut(8).zip(a.chunks_exact(8)) {
        store(out, reduce_once(product(&load::<false>(a), &factor)));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
pub fn add_scaled(target: &mut [Fr], source: &[Fr], factor: &Fr) {
    let factor = broadcast(factor);
    for (target, source) in target.chunks_exact_mut(8).zip(source.chunks_exact(8)) {
        let term = product(&load::<false>(source), &factor);
        let sum = add(&load::<false>(target), &term);
        store(target, settle(sum));
    }
}

/// Products that a `Sum` takes before it is reduced: 64 of them are below 64 * 16 r * r, 29 r after the division by 2^260, 31 r
/// with what the reduction adds and the total so far.
const TERMS: usize = 64;

/// The factors of `combine`, ready.
pub fn prepare(factors: &[Fr]) -> Vec<Row> {
    let mut rows = vec![Ifma::ZERO; factors.len()];
    for (row, factor) in rows.iter_mut().zip(factors) {
        // SAFETY: `available` holds where vectors are prepared.
        unsafe { put_broadcast(row, factor) };
    }
    rows
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn put_broadcast(row: &mut Row, value: &Fr) {
    put(row, broadcast(value));
}

/// out[i] = sum_j factors[j] vectors[j][i], of prepared factors.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn combine(out: &mut [Fr], vectors: &[&[Fr]], factors: &[Row]) {
    for (i, out) in out.chunks_exact_mut(8).enumerate() {
        let mut total = [_mm512_setzero_si512(); 5];
        for (vectors, factors) in vectors.chunks(TERMS).zip(factors.chunks(TERMS)) {
            let mut sum = Sum::zero();
            for (vector, factor) in vectors.iter().zip(factors) {
                // More vectors than the processor would foresee are read side by side.
                let next = vector.as_ptr().wrapping_add(8 * (i + 1));
                for line in 0..4 {
                    _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(2 * line).cast());
                }
                sum.accumulate(&load::<false>(&vector[8 * i..8 * i + 8]), &take(factor));
            }
            total = settle(add(&total, &sum.reduce()));
        }
        store(out, total);
    }
}

/// sum_i a[i] b[i], in eight parts by i modulo eight.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn dot(a: &[Fr], b: &[Fr]) -> [Fr; 8] {
    let mut total = [_mm512_setzero_si512(); 5];
    for (a, b) in a.chunks(8 * TERMS).zip(b.chunks(8 * TERMS)) {
        let mut sum = Sum::zero();
        for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
            sum.accumulate(&load::<false>(a), &load::<true>(b));
        }
        total = settle(add(&total, &sum.reduce()));
    }
    let mut parts = [Fr::ZERO; 8];
    store(&mut parts, total);
    parts
}

/// Eight scalars at a time.
pub struct Ifma;

/// Calls a function of this module: `Ifma` is used where `available` holds.
macro_rules! vectors {
    ($call:expr) => {
        // SAFETY: the processor has what the function needs.
        unsafe { $call }
    };
}

impl Lanes for Ifma {
    const BITS: usize = 3;
    type Row = Row;
    /// Canonical, 16 times as large.
    type Factor = [u64; 5];
    const ZERO: Row = Row([[0; 8]; 5]);

    fn spare() -> &'static LocalKey<RefCell<Vec<Row>>> {
        thread_local!(static SPARE: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) });
        &SPARE
    }

    fn load(out: &mut [Row], values: &[Fr]) {
        vectors!(load_rows(out, values))
    }

    fn load_ints<T: Int>(out: &mut [Row], values: &[T]) {
        vectors!(load_ints(out, values))
    }

    fn store(out: &mut [Fr], rows: &[Row]) {
        vectors!(store_rows(out, rows))
    }

    fn constant(value: &Fr) -> Row {
        let mut row = Self::ZERO;
        for (j, limb) in factor(value).into_iter().enumerate() {
            row.0[j] = [limb; 8];
        }
        row
    }

    fn add(out: &mut [Row], a: Side<Row>, b: Side<Row>) {
        vectors!(add_rows(out, a, b))
    }

    fn sub(out: &mut [Row], a: Side<Row>, b: Side<Row>, bound: usize) {
        vectors!(sub_rows(out, a, b, bound))
    }

    fn mul(out: &mut [Row], a: Side<Row>, b: Side<Row>) {
        vectors!(mul_rows(out, a, b))
    }

    fn factors(values: &[Fr]) -> Vec<[u64; 5]> {
        values.iter().map(factor).collect()
    }

    fn factor_rows(values: &[Fr]) -> Vec<Row> {
        vectors!(factor_rows(values))
    }

    fn gather(out: &mut [Row], coefficients: &[Fr], first: usize, bits: usize) {
        vectors!(gather(out, coefficients, first, bits))
    }

    fn butterflies(low: &mut [Row], high: &mut [Row], factors: &[[u64; 5]], settled: bool) {
        vectors!(if settled {
            butterflies::<true>(low, high, factors)
        } else {
            butterflies::<false>(low, high, factors)
        })
    }

    fn quarters(rows: Quarters<Ifma>, settled: bool) {
        vectors!(if settled { quarters::<true>(rows) } else { quarters::<false>(rows) })
    }

    fn finish(parts: &mut [&mut [Fr]], rows: &[Row], factors: &[Vec<Row>], first: usize, scale: Option<&Fr>) {
        vectors!(finish(parts, rows, factors, first, scale))
    }
}

/// Magnitudes of one limb times 2^(260 + 52), over 2^52: below 2r. Negative ones are taken from 2r.
#[target_feature(enable = "avx512f,avx512ifma")]
fn load_ints<T: Int>(out: &mut [Row], values: &[T]) {
    const UNIT: [u64; 5] = limbs(power_of_two(260 + LIMB as usize));
    let (unit, zero, surplus): (F, V, F) = (UNIT.map(|limb| splat(limb)), _mm512_setzero_si512(), multiple_of_r(2));
    for (row, values) in out.iter_mut().zip(values.chunks(8)) {
        let wide: [i64; 8] = match <&[T; 8]>::try_from(values) {
            Ok(values) => ORDER.map(|i| values[i].wide()),
            Err(_) => ORDER.map(|i| values.get(i).map_or(0, |value| value.wide())),
        };
        // SAFETY: 64 bytes.
        let v = unsafe { _mm512_loadu_si512(wide.as_ptr().cast()) };
        let t = clear(crate::vector::row([zero; 6], &unit, _mm512_abs_epi64(v), 0), 0, &SCALARS);
        let t: F = carry([t[1], t[2], t[3], t[4], t[5]]);
        let (negative, minus) = (_mm512_cmplt_epi64_mask(v, zero), sub(&[zero; 5], &t, &surplus));
        put(row, std::array::from_fn(|j| _mm512_mask_blend_epi64(negative, t[j], minus[j])));
    }
}

/// An element as `Factor`.
fn factor(value: &Fr) -> [u64; 5] {
    const SIXTEEN: Fr = Fr(power_of_two(256 + 4));
    limbs(value.mul(&SIXTEEN).0)
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn load_rows(out: &mut [Row], values: &[Fr]) {
    let whole = values.chunks_exact(8);
    let rest = whole.remainder();
    for (row, eight) in out.iter_mut().zip(whole) {
        put(row, load::<true>(eight));
    }
    if !rest.is_empty() {
        let mut eight = [Fr::ZERO; 8];
        eight[..rest.len()].copy_from_slice(rest);
        put(&mut out[values.len() / 8], load::<true>(&eight));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn store_rows(out: &mut [Fr], rows: &[Row]) {
    // A product with 2^256 takes the 16 away.
    let one: F = limbs(Fr::ONE.0).map(|limb| splat(limb));
    for (eight, row) in out.chunks_mut(8).zip(rows) {
        let value = reduce_once(product(&take(row), &one));
        if eight.len() == 8 {
            store(eight, value);
        } else {
            let mut padded = [Fr::ZERO; 8];
            store(&mut padded, value);
            eight.copy_from_slice(&padded[..eight.len()]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_rows(out: &mut [Row], a: Side<Row>, b: Side<Row>) {
    for (i, slot) in out.iter_mut().enumerate() {
        put(slot, add(&take(a.at(i)), &take(b.at(i))));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn sub_rows(out: &mut [Row], a: Side<Row>, b: Side<Row>, bound: usize) {
    let surplus = multiple_of_r(bound);
    for (i, slot) in out.iter_mut().enumerate() {
        put(slot, sub(&take(a.at(i)), &take(b.at(i)), &surplus));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn mul_rows(out: &mut [Row], a: Side<Row>, b: Side<Row>) {
    for (i, slot) in out.iter_mut().enumerate() {
        put(slot, product(&take(a.at(i)), &take(b.at(i))));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn factor_rows(values: &[Fr]) -> Vec<Row> {
    let mut rows = vec![Ifma::ZERO; values.len() / 8];
    for (row, eight) in rows.iter_mut().zip(values.chunks_exact(8)) {
        put(row, settle(load::<true>(eight)));
    }
    rows
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn gather(out: &mut [Row], coefficients: &[Fr], first: usize, bits: usize) {
    for (i, row) in out.iter_mut().enumerate() {
        let start = 8 * reversed(first + i, bits);
        put(row, load::<false>(&coefficients[start..start + 8]));
    }
}

/// (low + t, low - t) with t = high factor. A macro, since what needs a target feature cannot ask to be inlined, and operands
/// of a call would go through memory.
///
/// Limbs are carried where a product reads them, and in `settle`: a layer adds less than 2^57 to a limb, and there are some 20
/// layers at most from one settling to the next, so that words hold them, with their sign.
macro_rules! butterfly {
    ($low:expr, $high:expr, $factor:expr, $two:expr) => {{
        let (low, high, factor, two) = ($low, carry(*$high), $factor, $two);
        let t: F = montgomery!(&high, factor, 5, [1 2 3], &SCALARS);
        let sum: F = std::array::from_fn(|j| _mm512_add_epi64(low[j], t[j]));
        let difference: F = std::array::from_fn(|j| _mm512_sub_epi64(_mm512_add_epi64(low[j], two[j]), t[j]));
        (sum, difference)
    }};
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn put_maybe_settled<const SETTLE: bool>(row: &mut Row, t: F) {
    put(row, if SETTLE { settle(carry(t)) } else { t });
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn butterflies<const SETTLE: bool>(low: &mut [Row], high: &mut [Row], factors: &[[u64; 5]]) {
    let two = multiple_of_r(2);
    for ((low, high), factor) in low.iter_mut().zip(high).zip(factors) {
        let (sum, difference) = butterfly!(&take(low), &take(high), &factor.map(|limb| splat(limb)), &two);
        put_maybe_settled::<SETTLE>(low, sum);
        put_maybe_settled::<SETTLE>(high, difference);
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn quarters<const SETTLE: bool>(rows: Quarters<Ifma>) {
    let two = multiple_of_r(2);
    let Quarters { parts: [a, b, c, d], first, second: [even, odd] } = rows;
    let length = a.len();
    assert!([b.len(), c.len(), d.len(), first.len(), even.len(), odd.len()] == [length; 6]);
    for j in 0..length {
        let factor = first[j].map(|limb| splat(limb));
        let (low, high) = butterfly!(&take(&a[j]), &take(&b[j]), &factor, &two);
        let (low_odd, high_odd) = butterfly!(&take(&c[j]), &take(&d[j]), &factor, &two);
        let (sum, difference) = butterfly!(&low, &low_odd, &even[j].map(|limb| splat(limb)), &two);
        put_maybe_settled::<SETTLE>(&mut a[j], sum);
        put_maybe_settled::<SETTLE>(&mut c[j], difference);
        let (sum, difference) = butterfly!(&high, &high_odd, &odd[j].map(|limb| splat(limb)), &two);
        put_maybe_settled::<SETTLE>(&mut b[j], sum);
        put_maybe_settled::<SETTLE>(&mut d[j], difference);
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn finish(parts: &mut [&mut [Fr]], rows: &[Row], factors: &[Vec<Row>], first: usize, scale: Option<&Fr>) {
    let scale = scale.map(|scale| broadcast(scale));
    let two = multiple_of_r(2);
    let zero = _mm512_setzero_si512();
    let [one, pairs, quadruples] = factors else { panic!("three layers join eight lanes") };
    for (group, eight) in rows.chunks_exact(8).enumerate() {
        let mut x = [[zero; 5]; 8]; // x[l]: eight values of part l
        for j in 0..5 {
            let lanes = transpose(std::array::from_fn(|i| {
                // SAFETY: 64 aligned bytes.
                unsafe { _mm512_load_si512(eight[ORDER[i]].0[j].as_ptr().cast()) }
            }));
            for l in 0..8 {
                x[l][j] = lanes[LANE_OF[l]];
            }
        }
        let at = first / 8 + group;
        for (layer, m) in [(one, 1), (pairs, 2), (quadruples, 4)] {
            let step = layer.len() / m;
            for l in (0..8).filter(|l| l & m == 0) {
                let factor = take(&layer[(l & (m - 1)) * step + at]);
                (x[l], x[l + m]) = butterfly!(&x[l], &x[l + m], &factor, &two);
            }
        }
        for l in 0..8 {
            let out = &mut parts[l][8 * group..8 * group + 8];
            match &scale {
                Some(scale) => store(out, settle(product(&carry(x[l]), scale))),
                None => store(out, settle(carry(x[l]))),
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/vector.rs"]
mod tests;
