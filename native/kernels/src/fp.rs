//! Coordinates: numbers modulo p in Montgomery form (R = 2^384), laid out as blst's `blst_fp`.
//!
//! 2^384 is above 9 p: what a product reads need not be below p, and what it gives is not.

#[cfg(target_arch = "x86_64")]
use crate::adx;
use crate::words::{add, reduced, select, sub};

pub type Fp = [u64; 6];

/// The order of the field of coordinates.
pub const P: Fp = [
    0xb9fe_ffff_ffff_aaab,
    0x1eab_fffe_b153_ffff,
    0x6730_d2a0_f6b0_f624,
    0x6477_4b84_f385_12bf,
    0x4b1b_a7b6_434b_acd7,
    0x1a01_11ea_397f_e69a,
];
const TWO_P: Fp = {
    let (mut out, mut i) = ([0; 6], 0);
    while i < 6 {
        out[i] = P[i] << 1 | if i > 0 { P[i - 1] >> 63 } else { 0 };
        i += 1;
    }
    out
};

/// 2^384 mod p: one.
pub const ONE: Fp = [
    0x7609_0000_0002_fffd,
    0xebf4_000b_c40c_0002,
    0x5f48_9857_53c7_58ba,
    0x77ce_5853_7052_5745,
    0x5c07_1a97_a256_ec6d,
    0x15f6_5ec3_fa80_e493,
];

/// a b, below a b / 2^384 + p: below 2p for factors of less than 9 p^2 together, each below 4p.
#[inline(always)]
pub fn mul(a: &Fp, b: &Fp) -> Fp {
    #[cfg(target_arch = "x86_64")]
    if adx::available() {
        // SAFETY: `available` holds.
        return unsafe { adx::coordinates(a, b) };
    }
    by_blst(a, b)
}

/// The same by blst, whose product has the same rows and one subtraction at the end.
#[cfg_attr(target_arch = "x86_64", inline(never))]
fn by_blst(a: &Fp, b: &Fp) -> Fp {
    let mut out = blst::blst_fp::default();
    // SAFETY: field elements of this frame.
    unsafe { blst::blst_fp_mul(&mut out, &blst::blst_fp { l: *a }, &blst::blst_fp { l: *b }) };
    out.l
}

/// a - b, raised to be positive: below a + p, for b up to p.
#[inline(always)]
pub fn raised_sub(a: &Fp, b: &Fp) -> Fp {
    add(&sub(a, b), &P)
}

/// a - b - c modulo p, for a below 2p and the others below p.
#[inline(always)]
pub fn sub_two(a: &Fp, b: &Fp, c: &Fp) -> Fp {
    canonical(&reduced(&sub(&sub(&add(a, &TWO_P), b), c), &TWO_P))
}

/// a modulo p, for a below 2p.
#[inline(always)]
pub fn canonical(a: &Fp) -> Fp {
    reduced(a, &P)
}

/// a, or p - a.
#[inline(always)]
pub fn signed(a: &Fp, negative: bool) -> Fp {
    select(negative, &sub(&P, a), a)
}

/// 1 / a, for a below 2p; of what is no multiple of p.
pub fn inverse(a: &Fp) -> Fp {
    let mut out = blst::blst_fp::default();
    // SAFETY: field elements of this frame.
    unsafe { blst::blst_fp_eucl_inverse(&mut out, &blst::blst_fp { l: canonical(a) }) };
    out.l
}

#[cfg(test)]
#[path = "tests/fp.rs"]
mod tests;
