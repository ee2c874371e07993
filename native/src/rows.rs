//! Multiplication of many scalars at once: eight side by side in AVX-512 with IFMA, one after another elsewhere.
//!
//! In vectors an element is 5 limbs of 52 bits. Memory keeps R = 2^256; the vector product divides by 2^260, so one operand
//! is taken 16 times as large (its limbs are cut 4 bits lower, which costs nothing). Results are canonical, as everywhere.

use crate::field::Fr;

/// Runs the vector form of a kernel on whole eights, the plain form on the rest.
macro_rules! by_eights {
    ($length:expr, $eights:ident => $vector:expr, $i:ident => $plain:expr) => {{
        let length = $length;
        #[cfg(target_arch = "x86_64")]
        let $eights = if vector::available() { length / 8 * 8 } else { 0 };
        #[cfg(not(target_arch = "x86_64"))]
        let $eights = 0;
        #[cfg(target_arch = "x86_64")]
        if $eights > 0 {
            // SAFETY: `available` holds.
            unsafe { $vector };
        }
        for $i in $eights..length {
            $plain;
        }
    }};
}

/// out[i] = a[i] b[i]
pub fn mul(out: &mut [Fr], a: &[Fr], b: &[Fr]) {
    assert!(a.len() == out.len() && b.len() == out.len());
    by_eights!(
        out.len(),
        eights => vector::mul(&mut out[..eights], &a[..eights], &b[..eights]),
        i => out[i] = a[i].mul(&b[i])
    );
}

/// out[i] = factor a[i]
pub fn scale(out: &mut [Fr], a: &[Fr], factor: &Fr) {
    assert!(a.len() == out.len());
    by_eights!(
        out.len(),
        eights => vector::scale(&mut out[..eights], &a[..eights], factor),
        i => out[i] = a[i].mul(factor)
    );
}

/// target[i] += factor source[i]
pub fn add_scaled(target: &mut [Fr], source: &[Fr], factor: &Fr) {
    assert!(source.len() == target.len());
    by_eights!(
        target.len(),
        eights => vector::add_scaled(&mut target[..eights], &source[..eights], factor),
        i => target[i] = target[i].add(&factor.mul(&source[i]))
    );
}

/// (low[i], high[i]) = (low[i] + t, low[i] - t) with t = high[i] twiddles[i]
pub fn butterflies(low: &mut [Fr], high: &mut [Fr], twiddles: &[Fr]) {
    assert!(high.len() == low.len() && twiddles.len() == low.len());
    by_eights!(
        low.len(),
        eights => vector::butterflies(&mut low[..eights], &mut high[..eights], &twiddles[..eights]),
        i => {
            let t = high[i].mul(&twiddles[i]);
            (low[i], high[i]) = (low[i].add(&t), low[i].sub(&t));
        }
    );
}

/// `butterflies` with one twiddle for all.
pub fn butterflies_by(low: &mut [Fr], high: &mut [Fr], twiddle: &Fr) {
    assert!(high.len() == low.len());
    if *twiddle == Fr::ONE {
        for (a, b) in low.iter_mut().zip(high) {
            (*a, *b) = (a.add(b), a.sub(b));
        }
        return;
    }
    by_eights!(
        low.len(),
        eights => vector::butterflies_by(&mut low[..eights], &mut high[..eights], twiddle),
        i => {
            let t = high[i].mul(twiddle);
            (low[i], high[i]) = (low[i].add(&t), low[i].sub(&t));
        }
    );
}

#[cfg(target_arch = "x86_64")]
mod vector {
    // Limb j of several operands at once reads better by its number.
    #![allow(clippy::needless_range_loop)]

    use crate::field::{Fr, MODULUS};
    use std::arch::x86_64::*;

    type V = __m512i;
    /// Eight elements, limb by limb; lane order is that of `load`, undone by `store`.
    type F = [V; 5];

    const LIMB: u32 = 52;
    const MASK: u64 = (1 << LIMB) - 1;
    const R: [u64; 5] = [
        MODULUS[0] & MASK,
        (MODULUS[0] >> 52 | MODULUS[1] << 12) & MASK,
        (MODULUS[1] >> 40 | MODULUS[2] << 24) & MASK,
        (MODULUS[2] >> 28 | MODULUS[3] << 36) & MASK,
        MODULUS[3] >> 16,
    ];
    /// -r^-1 mod 2^52.
    const INVERSE: u64 = 0xffff_fffe_ffff_ffff & MASK;

    pub fn available() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn splat(value: u64) -> V {
        _mm512_set1_epi64(value as i64)
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
        // Lanes are a c b d e g f h (see `load`): a pair of words of a and c, then of b and d, makes the rows again.
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
        let w = [splat(value.0[0]), splat(value.0[1]), splat(value.0[2]), splat(value.0[3])];
        cut::<true>(w)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn carry(mut t: F) -> F {
        let mask = splat(MASK);
        for j in 0..4 {
            t[j + 1] = _mm512_add_epi64(t[j + 1], _mm512_srai_epi64::<LIMB>(t[j]));
            t[j] = _mm512_and_si512(t[j], mask);
        }
        t
    }

    /// t, or t + r where t is negative; the limbs of t have not been carried.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn lift_negative(t: F) -> F {
        let mut t = carry(t);
        let negative = _mm512_cmplt_epi64_mask(t[4], _mm512_setzero_si512());
        for j in 0..5 {
            t[j] = _mm512_mask_add_epi64(t[j], negative, t[j], splat(R[j]));
        }
        carry(t)
    }

    /// a + b, canonical
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(a: &F, b: &F) -> F {
        let mut t = *a;
        for j in 0..5 {
            t[j] = _mm512_sub_epi64(_mm512_add_epi64(a[j], b[j]), splat(R[j]));
        }
        lift_negative(t)
    }

    /// a - b, canonical
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn sub(a: &F, b: &F) -> F {
        let mut t = *a;
        for j in 0..5 {
            t[j] = _mm512_sub_epi64(a[j], b[j]);
        }
        lift_negative(t)
    }

    /// a b / 2^260 mod r, canonical, for a b < 16 r^2 (below 2r before the last subtraction).
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn product(a: &F, b: &F) -> F {
        let zero = _mm512_setzero_si512();
        let inverse = splat(INVERSE);
        let mut t = [zero; 5];
        macro_rules! limb {
            ($i:literal) => {
                for j in 0..5 {
                    t[j] = _mm512_madd52lo_epu64(t[j], a[j], b[$i]);
                }
                let m = _mm512_madd52lo_epu64(zero, t[0], inverse);
                for j in 0..5 {
                    t[j] = _mm512_madd52lo_epu64(t[j], m, splat(R[j]));
                }
                let above = _mm512_srli_epi64::<LIMB>(t[0]);
                t = [_mm512_add_epi64(t[1], above), t[2], t[3], t[4], zero];
                for j in 0..5 {
                    t[j] = _mm512_madd52hi_epu64(t[j], a[j], b[$i]);
                }
                for j in 0..5 {
                    t[j] = _mm512_madd52hi_epu64(t[j], m, splat(R[j]));
                }
            };
        }
        limb!(0);
        limb!(1);
        limb!(2);
        limb!(3);
        limb!(4);
        for j in 0..5 {
            t[j] = _mm512_sub_epi64(t[j], splat(R[j]));
        }
        lift_negative(t)
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn mul(out: &mut [Fr], a: &[Fr], b: &[Fr]) {
        for ((out, a), b) in out.chunks_exact_mut(8).zip(a.chunks_exact(8)).zip(b.chunks_exact(8)) {
            store(out, product(&load::<false>(a), &load::<true>(b)));
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn scale(out: &mut [Fr], a: &[Fr], factor: &Fr) {
        let factor = broadcast(factor);
        for (out, a) in out.chunks_exact_mut(8).zip(a.chunks_exact(8)) {
            store(out, product(&load::<false>(a), &factor));
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn add_scaled(target: &mut [Fr], source: &[Fr], factor: &Fr) {
        let factor = broadcast(factor);
        for (target, source) in target.chunks_exact_mut(8).zip(source.chunks_exact(8)) {
            let term = product(&load::<false>(source), &factor);
            let sum = add(&load::<false>(target), &term);
            store(target, sum);
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn butterflies(low: &mut [Fr], high: &mut [Fr], twiddles: &[Fr]) {
        for ((low, high), twiddles) in
            low.chunks_exact_mut(8).zip(high.chunks_exact_mut(8)).zip(twiddles.chunks_exact(8))
        {
            let t = product(&load::<false>(high), &load::<true>(twiddles));
            let a = load::<false>(low);
            store(low, add(&a, &t));
            store(high, sub(&a, &t));
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn butterflies_by(low: &mut [Fr], high: &mut [Fr], twiddle: &Fr) {
        let twiddle = broadcast(twiddle);
        for (low, high) in low.chunks_exact_mut(8).zip(high.chunks_exact_mut(8)) {
            let t = product(&load::<false>(high), &twiddle);
            let a = load::<false>(low);
            store(low, add(&a, &t));
            store(high, sub(&a, &t));
        }
    }
}
