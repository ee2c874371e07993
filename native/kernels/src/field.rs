//! BLS12-381 scalars in Montgomery form (R = 2^256), laid out as blst's `blst_fr`.
//!
//! The multiplication is inlined rather than a call into blst: in the loops of this crate it is the faster of the two
//! (no call, no spills between the operations of a butterfly), and the tests hold it against Python integers.

#[cfg(target_arch = "x86_64")]
use crate::adx;
use crate::memory::filled;
use crate::rows;
use crate::words;
use rayon::prelude::*;

/// The order of the scalar field, little-endian limbs.
pub const MODULUS: [u64; 4] =
    [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];
/// -r^-1 mod 2^64.
const INV: u64 = 0xffff_fffe_ffff_ffff;

/// Elements per parallel task of an element-wise operation.
pub const CHUNK: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(transparent)]
pub struct Fr(pub [u64; 4]);

/// a + b * c + carry: the low word, and the high word into `carry`.
#[inline(always)]
pub const fn mac(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let wide = a as u128 + (b as u128) * (c as u128) + carry as u128;
    (wide as u64, (wide >> 64) as u64)
}

#[inline(always)]
const fn adc(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let wide = a as u128 + b as u128 + carry as u128;
    (wide as u64, (wide >> 64) as u64)
}

/// One Montgomery round: (t + m r) / 2^64 for the m that makes it whole; the carry goes out as the fifth word.
#[inline(always)]
pub const fn round(t: [u64; 5]) -> [u64; 5] {
    let m = t[0].wrapping_mul(INV);
    let (_, carry) = mac(t[0], m, MODULUS[0], 0);
    let (r0, carry) = mac(t[1], m, MODULUS[1], carry);
    let (r1, carry) = mac(t[2], m, MODULUS[2], carry);
    let (r2, carry) = mac(t[3], m, MODULUS[3], carry);
    let (r3, carry) = adc(t[4], carry, 0);
    [r0, r1, r2, r3, carry]
}

/// a b / 2^256 modulo r, up to r too large, for a < 2^256 - r and any b.
#[inline(always)]
pub fn product(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    #[cfg(target_arch = "x86_64")]
    if adx::available() {
        // SAFETY: `available` holds.
        return unsafe { adx::scalars(a, b) };
    }
    plain_product(a, b)
}

/// The same in plain Rust.
#[cfg_attr(target_arch = "x86_64", inline(never))]
fn plain_product(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let mut t = [0u64; 4];
    for word in b {
        let (t0, carry) = mac(t[0], a[0], *word, 0);
        let (t1, carry) = mac(t[1], a[1], *word, carry);
        let (t2, carry) = mac(t[2], a[2], *word, carry);
        let (t3, t4) = mac(t[3], a[3], *word, carry);
        let r = round([t0, t1, t2, t3, t4]);
        t = [r[0], r[1], r[2], r[3]];
    }
    t
}

/// The Montgomery product, canonical where a b < 2^256 r.
#[inline(always)]
fn montgomery(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    reduce_once(product(a, b))
}

/// a modulo r, for a < 2r.
#[inline(always)]
pub fn reduce_once(a: [u64; 4]) -> [u64; 4] {
    words::reduced(&a, &MODULUS)
}

/// 2a modulo r, for constants.
const fn double_mod(a: [u64; 4]) -> [u64; 4] {
    let doubled = [a[0] << 1, (a[1] << 1) | (a[0] >> 63), (a[2] << 1) | (a[1] >> 63), (a[3] << 1) | (a[2] >> 63)];
    let (mut out, mut borrow, mut i) = ([0; 4], false, 0);
    while i < 4 {
        let (difference, first) = doubled[i].overflowing_sub(MODULUS[i]);
        let (difference, second) = difference.overflowing_sub(borrow as u64);
        (out[i], borrow) = (difference, first | second);
        i += 1;
    }
    if borrow {
        doubled
    } else {
        out
    }
}

/// 2^bits mod r.
pub const fn power_of_two(bits: usize) -> [u64; 4] {
    let mut value = [1, 0, 0, 0];
    let mut i = 0;
    while i < bits {
        value = double_mod(value);
        i += 1;
    }
    value
}

/// R^2, R^3: factors that bring a plain value, or the high half of a wide one, to Montgomery form.
const R2: Fr = Fr(power_of_two(512));
const R3: Fr = Fr(power_of_two(768));
/// 2^320: one Montgomery round of (word * this) is word * R.
const R_ROUND: [u64; 4] = power_of_two(320);

impl Fr {
    pub const ZERO: Fr = Fr([0; 4]);
    pub const ONE: Fr = Fr(power_of_two(256));

    #[inline(always)]
    pub fn is_zero(&self) -> bool {
        (self.0[0] | self.0[1] | self.0[2] | self.0[3]) == 0
    }

    #[inline(always)]
    pub fn add(&self, other: &Fr) -> Fr {
        Fr(reduce_once(words::add(&self.0, &other.0)))
    }

    #[inline(always)]
    pub fn sub(&self, other: &Fr) -> Fr {
        Fr(words::sub_modulo(&self.0, &other.0, &MODULUS))
    }

    #[inline(always)]
    pub fn neg(&self) -> Fr {
        Fr::ZERO.sub(self)
    }

    #[inline(always)]
    pub fn mul(&self, other: &Fr) -> Fr {
        Fr(montgomery(&self.0, &other.0))
    }

    #[inline(always)]
    pub fn square(&self) -> Fr {
        self.mul(self)
    }

    pub fn pow(&self, mut exponent: u64) -> Fr {
        let (mut base, mut result) = (*self, Fr::ONE);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result.mul(&base);
            }
            base = base.square();
            exponent >>= 1;
        }
        result
    }

    /// 1 / self; zero gives zero.
    pub fn inverse(&self) -> Fr {
        let input = blst::blst_fr { l: self.0 };
        let mut output = blst::blst_fr::default();
        // SAFETY: both are valid blst_fr values of this frame.
        unsafe { blst::blst_fr_eucl_inverse(&mut output, &input) };
        Fr(output.l)
    }

    #[inline(always)]
    pub fn from_u64(value: u64) -> Fr {
        // value * 2^320 mod r is below 2^319: one round leaves less than 2^256, below 2r after the addition of m r / 2^64.
        let (t0, carry) = mac(0, value, R_ROUND[0], 0);
        let (t1, carry) = mac(0, value, R_ROUND[1], carry);
        let (t2, carry) = mac(0, value, R_ROUND[2], carry);
        let (t3, t4) = mac(0, value, R_ROUND[3], carry);
        let r = round([t0, t1, t2, t3, t4]);
        Fr(reduce_once([r[0], r[1], r[2], r[3]]))
    }

    #[inline(always)]
    pub fn from_i64(value: i64) -> Fr {
        let magnitude = Fr::from_u64(value.unsigned_abs());
        if value < 0 {
            magnitude.neg()
        } else {
            magnitude
        }
    }

    /// The canonical integer, little-endian limbs.
    #[inline(always)]
    pub fn to_limbs(self) -> [u64; 4] {
        montgomery(&self.0, &[1, 0, 0, 0])
    }

    /// From a canonical integer, little-endian limbs; None where it is not below r.
    pub fn from_limbs(limbs: [u64; 4]) -> Option<Fr> {
        let canonical = reduce_once_from_any(limbs) == limbs;
        canonical.then(|| Fr(montgomery(&limbs, &R2.0)))
    }

    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Fr> {
        Fr::from_limbs(limbs_of(bytes))
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let limbs = self.to_limbs();
        let mut bytes = [0; 32];
        for (word, limb) in bytes.chunks_exact_mut(8).zip(limbs.iter().rev()) {
            word.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }

    /// 64 big-endian bytes modulo r.
    pub fn from_wide_bytes(bytes: &[u8; 64]) -> Fr {
        let half = |range: std::ops::Range<usize>, factor: &Fr| {
            let part: &[u8; 32] = bytes[range].try_into().expect("32 bytes");
            Fr(montgomery(&reduce_once_from_any(limbs_of(part)), &factor.0))
        };
        half(0..32, &R3).add(&half(32..64, &R2))
    }
}

fn limbs_of(bytes: &[u8; 32]) -> [u64; 4] {
    let word = |i: usize| u64::from_be_bytes(bytes[8 * i..8 * i + 8].try_into().expect("8 bytes"));
    [word(3), word(2), word(1), word(0)]
}

/// Any value below 2^256 (which is less than 3r) modulo r.
fn reduce_once_from_any(limbs: [u64; 4]) -> [u64; 4] {
    reduce_once(reduce_once(limbs))
}

/// The root of unity of order 2^k: 7^((r-1)/2^k).
pub fn omega(k: u32) -> Fr {
    // 7^((r-1)/2^32), squared down to the order asked for.
    const TWO_ADIC_ROOT: [u64; 4] =
        [0x3829_971f_439f_0d2b, 0xb636_8350_8c22_80b9, 0xd09b_6819_22c8_13b4, 0x16a2_a19e_dfe8_1f20];
    let mut root = Fr::from_limbs(TWO_ADIC_ROOT).expect("a canonical constant");
    for _ in k..32 {
        root = root.square();
    }
    root
}

/// first * base^i for i < length.
pub fn powers(base: Fr, length: usize, first: Fr) -> Vec<Fr> {
    filled(length, CHUNK, Fr::ZERO, |chunk, part| {
        part[0] = first.mul(&base.pow((chunk * CHUNK) as u64));
        let (mut known, mut step) = (1, base);
        while known < part.len() {
            let (done, rest) = part.split_at_mut(known);
            let more = known.min(rest.len());
            rows::scale(&mut rest[..more], &done[..more], &step);
            (known, step) = (known + more, step.square());
        }
    })
}

/// out[i] = f(i) in parallel.
pub fn map(length: usize, f: impl Fn(usize) -> Fr + Sync) -> Vec<Fr> {
    filled(length, CHUNK, Fr::ZERO, |chunk, part| {
        for (i, slot) in part.iter_mut().enumerate() {
            *slot = f(chunk * CHUNK + i);
        }
    })
}

/// What chunk `chunk` of an operation reads.
fn part(values: &[Fr], chunk: usize) -> &[Fr] {
    &values[chunk * CHUNK..values.len().min((chunk + 1) * CHUNK)]
}

/// a[i] * b[i].
pub fn mul(a: &[Fr], b: &[Fr]) -> Vec<Fr> {
    assert!(a.len() == b.len());
    filled(a.len(), CHUNK, Fr::ZERO, |chunk, out| rows::mul(out, part(a, chunk), part(b, chunk)))
}

/// factor * a[i].
pub fn scale(a: &[Fr], factor: &Fr) -> Vec<Fr> {
    filled(a.len(), CHUNK, Fr::ZERO, |chunk, out| rows::scale(out, part(a, chunk), factor))
}

/// target[i] += factor * source[i], of one length.
pub fn add_scaled(target: &mut [Fr], factor: Fr, source: &[Fr]) {
    target.par_chunks_mut(CHUNK).zip(source.par_chunks(CHUNK)).for_each(|(target, source)| {
        rows::add_scaled(target, source, &factor);
    });
}

/// sum factors[i] * vectors[i], as long as the longest.
pub fn linear_combination(vectors: &[&[Fr]], factors: &[Fr]) -> Vec<Fr> {
    let length = vectors.iter().map(|v| v.len()).max().unwrap_or(0);
    filled(length, CHUNK, Fr::ZERO, |chunk, part| {
        let start = chunk * CHUNK;
        let stop = start + part.len();
        let (mut whole, mut whole_factors) = (Vec::new(), Vec::new());
        for (vector, factor) in vectors.iter().zip(factors).filter(|(vector, _)| vector.len() >= stop) {
            whole.push(&vector[start..stop]);
            whole_factors.push(*factor);
        }
        rows::combine(part, &whole, &whole_factors);
        for (vector, factor) in vectors.iter().zip(factors).filter(|(vector, _)| (start..stop).contains(&vector.len()))
        {
            rows::add_scaled(&mut part[..vector.len() - start], &vector[start..], factor);
        }
    })
}

/// Each element inverted by Montgomery's trick, chunk by chunk, in chains side by side; zero stays zero.
pub fn batch_inverse(values: &[Fr]) -> Vec<Fr> {
    const CHAINS: usize = 32;
    filled(values.len(), CHUNK, Fr::ZERO, |chunk, out| {
        let values = part(values, chunk);
        let factors: Vec<Fr> = values.iter().map(|value| if value.is_zero() { Fr::ONE } else { *value }).collect();
        // Forward: of each chain the product of the factors before.
        let mut products = [Fr::ONE; CHAINS];
        for (out, factors) in out.chunks_mut(CHAINS).zip(factors.chunks(CHAINS)) {
            out.copy_from_slice(&products[..out.len()]);
            rows::mul(&mut products[..factors.len()], out, factors);
        }
        // One inversion for all chains, then backward.
        let mut before = [Fr::ONE; CHAINS];
        for i in 1..CHAINS {
            before[i] = before[i - 1].mul(&products[i - 1]);
        }
        let mut inverse = before[CHAINS - 1].mul(&products[CHAINS - 1]).inverse();
        let mut inverses = [Fr::ONE; CHAINS];
        for i in (0..CHAINS).rev() {
            inverses[i] = inverse.mul(&before[i]);
            inverse = inverse.mul(&products[i]);
        }
        let mut last = [Fr::ONE; CHAINS];
        for (out, factors) in out.chunks_mut(CHAINS).zip(factors.chunks(CHAINS)).rev() {
            let length = out.len();
            last[..length].copy_from_slice(out);
            rows::mul(out, &last[..length], &inverses[..length]);
            last[..length].copy_from_slice(&inverses[..length]);
            rows::mul(&mut inverses[..length], &last[..length], factors);
        }
        for (slot, _) in out.iter_mut().zip(values).filter(|(_, value)| value.is_zero()) {
            *slot = Fr::ZERO;
        }
    })
}

/// Of each polynomial the sums of f_i x^i over i = l modulo eight, l = 0 .. 7.
fn terms_by_eight(polynomials: &[&[Fr]], x: Fr) -> Vec<[Fr; 8]> {
    const STEP: usize = 512;
    let powers = powers(x, STEP, Fr::ONE);
    let step = powers[STEP - 1].mul(&x);
    let evaluate = |(chunk, part): (usize, &[Fr])| {
        let sums = part.chunks(STEP).rev().fold([Fr::ZERO; 8], |sums, coefficients| {
            let mut parts = rows::dot_by_eight(coefficients, &powers[..coefficients.len()]);
            rows::add_scaled(&mut parts, &sums, &step);
            parts
        });
        let mut scaled = [Fr::ZERO; 8];
        rows::scale(&mut scaled, &sums, &x.pow((chunk * 8 * CHUNK) as u64));
        scaled
    };
    let add = |a: [Fr; 8], b: [Fr; 8]| std::array::from_fn(|l| a[l].add(&b[l]));
    polynomials
        .par_iter()
        .map(|f| f.par_chunks(8 * CHUNK).enumerate().map(evaluate).reduce(|| [Fr::ZERO; 8], add))
        .collect()
}

/// The polynomials with these coefficients at x.
pub fn evaluate_many(polynomials: &[&[Fr]], x: Fr) -> Vec<Fr> {
    terms_by_eight(polynomials, x).iter().map(|terms| terms.iter().fold(Fr::ZERO, |sum, term| sum.add(term))).collect()
}

/// The polynomials with these coefficients at the eight points x omega_8^k: hardly dearer than at x alone, since omega_8^(k i)
/// depends on i modulo eight.
pub fn evaluate_at_eight(polynomials: &[&[Fr]], x: Fr) -> Vec<Vec<Fr>> {
    let roots = powers(omega(3), 8, Fr::ONE);
    let at = |terms: &[Fr; 8], k: usize| (0..8).fold(Fr::ZERO, |sum, l| sum.add(&roots[k * l % 8].mul(&terms[l])));
    terms_by_eight(polynomials, x).iter().map(|terms| (0..8).map(|k| at(terms, k)).collect()).collect()
}

/// (f(X) - f(root)) / (X - root) by synthetic division; the last coefficient of the result is zero.
pub fn divide_by_root(coefficients: &[Fr], root: Fr) -> Vec<Fr> {
    // What a chunk starts with: all that is above it, at the root, divided by its power where the chunk ends.
    let chunks: Vec<&[Fr]> = coefficients.chunks(CHUNK).collect();
    let (values, step) = (evaluate_many(&chunks, root), root.pow(CHUNK as u64));
    let mut above = vec![Fr::ZERO; chunks.len()];
    for chunk in (1..chunks.len()).rev() {
        above[chunk - 1] = above[chunk].mul(&step).add(&values[chunk]);
    }
    filled(coefficients.len(), CHUNK, Fr::ZERO, |chunk, out| {
        let mut carry = above[chunk];
        for (slot, coefficient) in out.iter_mut().zip(chunks[chunk]).rev() {
            *slot = carry;
            carry = carry.mul(&root).add(coefficient);
        }
    })
}

/// x_0 = first, x_{i+1} = factors[i] x_i + terms[i].
pub fn affine_scan(first: Fr, factors: &[Fr], terms: &[Fr]) -> Vec<Fr> {
    let mut out = Vec::with_capacity(factors.len() + 1);
    let mut x = first;
    out.push(x);
    for (factor, term) in factors.iter().zip(terms) {
        x = if *factor == Fr::ONE { x.add(term) } else { factor.mul(&x).add(term) };
        out.push(x);
    }
    out
}

#[cfg(test)]
#[path = "tests/field.rs"]
mod tests;
