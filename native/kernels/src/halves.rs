//! The curve's endomorphism (x, y) -> (beta x, y), which is the multiplication by LAMBDA on points of order r: a scalar is
//! s + q LAMBDA for two numbers of half its width, of which one goes to the point and the other to its twin.
//!
//! The additions of operands stay as many, half the windows are left, and buckets may be twice as many for the same: 8 % of
//! a sum of 2^12 scalars. Twins take memory as points do, so that they are for small sums.

use crate::curve::G1;
use crate::field::Fr;
use crate::fp::{canonical, mul, Fp};
use crate::msm::Wide;

/// z^2 - 1 for the curve's z; r is LAMBDA^2 + LAMBDA + 1.
const LAMBDA: u128 = 0xac45_a401_0001_a402_0000_0000_ffff_ffff;
/// 2^256 / LAMBDA, rounded down, without its highest bit, 2^128.
const RECIPROCAL: u128 = 0x7c6b_ecf1_e01f_aadd_63f6_e522_f6cf_ee30;
/// The cube root of one that belongs to LAMBDA, in Montgomery form.
const BETA: Fp = [
    0xcd03_c9e4_8671_f071,
    0x5dab_2246_1fcd_a5d2,
    0x5870_42af_d385_1b95,
    0x8eb6_0ebe_01ba_cb9e,
    0x03f9_7d6e_83d0_50d2,
    0x18f0_2065_5463_8741,
];

/// LAMBDA times the point.
pub fn twin(point: &G1) -> G1 {
    let mut twin = *point;
    twin.x.l = canonical(&mul(&BETA, &point.x.l));
    twin
}

/// The high and the low half of a product.
fn wide_product(a: u128, b: u128) -> (u128, u128) {
    let (a1, a0, b1, b0) = (a >> 64, a & u128::from(u64::MAX), b >> 64, b & u128::from(u64::MAX));
    let (low, high) = (a0 * b0, a1 * b1);
    let (middle, carry) = (a0 * b1).overflowing_add(a1 * b0);
    let (low, more) = low.overflowing_add(middle << 64);
    (high + (middle >> 64) + (u128::from(carry) << 64) + u128::from(more), low)
}

/// s and q of scalar = s + q LAMBDA, each up to LAMBDA / 2 + 1 in magnitude.
pub fn halves(scalar: &Fr) -> [Wide; 2] {
    let limbs = scalar.to_limbs().map(u128::from);
    let (high, low) = (limbs[3] << 64 | limbs[2], limbs[1] << 64 | limbs[0]);
    // The quotient from below, by three at most, and what is left.
    let mut q = high + wide_product(high, RECIPROCAL).0;
    let (taken_high, taken) = wide_product(q, LAMBDA);
    let (mut s, borrow) = low.overflowing_sub(taken);
    let mut s_high = high - taken_high - u128::from(borrow);
    while s_high > 0 || s >= LAMBDA {
        let (less, borrow) = s.overflowing_sub(LAMBDA);
        (s, s_high, q) = (less, s_high - u128::from(borrow), q + 1);
    }
    // Around zero: LAMBDA less of s is one more of q; LAMBDA + 1 less of q is one less of s, since (LAMBDA + 1) LAMBDA is -1.
    if s > LAMBDA / 2 {
        (s, q) = (s.wrapping_sub(LAMBDA), q + 1);
    }
    if q > LAMBDA / 2 {
        (s, q) = (s.wrapping_sub(1), q.wrapping_sub(LAMBDA + 1));
    }
    [s as i128, q as i128].map(|half| {
        let magnitude = half.unsigned_abs();
        Wide { limbs: [magnitude as u64, (magnitude >> 64) as u64, 0, 0], negative: half < 0 }
    })
}

#[cfg(test)]
#[path = "tests/halves.rs"]
mod tests;
