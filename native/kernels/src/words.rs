//! Numbers of N 64-bit words, little-endian: sums and differences, and what brings them below a modulus.
//!
//! On x86-64 a carry goes through the processor's own instructions. Written in 128 bits, or with overflowing operations, it
//! is compiled to shifts or to jumps, and an addition modulo r takes half as long again.

/// a + b + carry, and the carry out of it.
#[inline(always)]
fn add_carry(a: u64, b: u64, carry: u8) -> (u64, u8) {
    #[cfg(target_arch = "x86_64")]
    {
        let mut sum = 0;
        let carry = std::arch::x86_64::_addcarry_u64(carry, a, b, &mut sum);
        (sum, carry)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let (sum, first) = a.overflowing_add(b);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (sum, u8::from(first | second))
    }
}

/// a - b - borrow, and the borrow out of it.
#[inline(always)]
fn sub_borrow(a: u64, b: u64, borrow: u8) -> (u64, u8) {
    #[cfg(target_arch = "x86_64")]
    {
        let mut difference = 0;
        let borrow = std::arch::x86_64::_subborrow_u64(borrow, a, b, &mut difference);
        (difference, borrow)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let (difference, first) = a.overflowing_sub(b);
        let (difference, second) = difference.overflowing_sub(u64::from(borrow));
        (difference, u8::from(first | second))
    }
}

/// a + b modulo 2^(64 N).
#[inline(always)]
pub fn add<const N: usize>(a: &[u64; N], b: &[u64; N]) -> [u64; N] {
    let (mut out, mut carry) = ([0; N], 0);
    for i in 0..N {
        (out[i], carry) = add_carry(a[i], b[i], carry);
    }
    out
}

#[inline(always)]
fn sub_with_borrow<const N: usize>(a: &[u64; N], b: &[u64; N]) -> ([u64; N], u8) {
    let (mut out, mut borrow) = ([0; N], 0);
    for i in 0..N {
        (out[i], borrow) = sub_borrow(a[i], b[i], borrow);
    }
    (out, borrow)
}

/// a - b modulo 2^(64 N).
#[inline(always)]
pub fn sub<const N: usize>(a: &[u64; N], b: &[u64; N]) -> [u64; N] {
    sub_with_borrow(a, b).0
}

/// a - b, and `modulus` more where that is negative.
#[inline(always)]
pub fn sub_modulo<const N: usize>(a: &[u64; N], b: &[u64; N], modulus: &[u64; N]) -> [u64; N] {
    let (difference, borrow) = sub_with_borrow(a, b);
    let mask = u64::from(borrow).wrapping_neg();
    add(&difference, &modulus.map(|word| word & mask))
}

/// a - modulus where that is not negative, else a.
#[inline(always)]
pub fn reduced<const N: usize>(a: &[u64; N], modulus: &[u64; N]) -> [u64; N] {
    let (difference, borrow) = sub_with_borrow(a, modulus);
    select(borrow == 1, a, &difference)
}

/// a where the condition holds, else b, without a jump.
#[inline(always)]
pub fn select<const N: usize>(condition: bool, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
    let mask = u64::from(condition).wrapping_neg();
    std::array::from_fn(|i| b[i] ^ ((a[i] ^ b[i]) & mask))
}

#[inline(always)]
pub fn is_zero<const N: usize>(a: &[u64; N]) -> bool {
    a.iter().fold(0, |union, word| union | word) == 0
}

#[cfg(test)]
#[path = "tests/words.rs"]
mod tests;
