//! Sums of products, kept as wide numbers and reduced once: of factors with integers, and of scalars with scalars.

#[cfg(target_arch = "x86_64")]
use crate::adx;
use crate::field::{mac, power_of_two, product, reduce_once, round, Fr};

/// A sum of products factor * word, each below 2^(255 + 64), with room for 2^64 of them.
pub type Sum = [u64; 6];

/// 2^64 and 2^128: one and two Montgomery rounds take them away again.
const ONE_ROUND: [u64; 4] = power_of_two(64 + 256);
const TWO_ROUNDS: [u64; 4] = power_of_two(128 + 256);

/// The factor as `accumulate` wants it.
pub fn prepare(factor: &Fr) -> [u64; 4] {
    reduce_once(product(&factor.0, &TWO_ROUNDS))
}

#[inline(always)]
pub fn accumulate(sum: &mut Sum, factor: &[u64; 4], word: u64) {
    #[cfg(target_arch = "x86_64")]
    if adx::available() {
        // SAFETY: `available` holds.
        return unsafe { adx::accumulate(sum, factor, word) };
    }
    plain_accumulate(sum, factor, word);
}

/// The same in plain Rust.
#[inline(always)]
fn plain_accumulate(sum: &mut Sum, factor: &[u64; 4], word: u64) {
    let (s0, carry) = mac(sum[0], factor[0], word, 0);
    let (s1, carry) = mac(sum[1], factor[1], word, carry);
    let (s2, carry) = mac(sum[2], factor[2], word, carry);
    let (s3, carry) = mac(sum[3], factor[3], word, carry);
    let (s4, overflow) = sum[4].overflowing_add(carry);
    *sum = [s0, s1, s2, s3, s4, sum[5] + overflow as u64];
}

/// (sum + m r) / 2^64 for the m that makes it whole.
#[inline(always)]
fn shifted(sum: &Sum) -> Sum {
    let r = round([sum[0], sum[1], sum[2], sum[3], sum[4]]);
    [r[0], r[1], r[2], r[3], sum[5] + r[4], 0]
}

/// The sum modulo r, in Montgomery form, for fewer than 2^32 terms.
#[inline(always)]
pub fn reduce(sum: &Sum) -> Fr {
    let [r0, r1, r2, r3, ..] = shifted(&shifted(sum));
    Fr(reduce_once([r0, r1, r2, r3]))
}

/// The factor as `dot` wants it.
pub fn prepare_scalar(factor: &Fr) -> [u64; 4] {
    reduce_once(product(&factor.0, &ONE_ROUND))
}

/// sum factor * scalar over prepared factors, fewer than 2^32: products share their Montgomery rounds, word by word of the
/// scalars. After four rounds the sum is below r for each term and one r more; a fifth makes it less than 2r.
#[inline(always)]
pub fn dot<'a>(terms: impl Iterator<Item = (&'a [u64; 4], &'a Fr)> + Clone) -> Fr {
    let mut sum: Sum = [0; 6];
    for word in 0..4 {
        for (factor, scalar) in terms.clone() {
            accumulate(&mut sum, factor, scalar.0[word]);
        }
        sum = shifted(&sum);
    }
    let [r0, r1, r2, r3, ..] = shifted(&sum);
    Fr(reduce_once([r0, r1, r2, r3]))
}

/// The same over factors as they are.
#[inline(always)]
pub fn dot_of_scalars<'a>(terms: impl Iterator<Item = (&'a Fr, &'a Fr)> + Clone) -> Fr {
    Fr(prepare_scalar(&dot(terms.map(|(factor, scalar)| (&factor.0, scalar)))))
}

#[cfg(test)]
#[path = "tests/wide.rs"]
mod tests;
