//! Multiplication of many scalars at once: eight side by side (vector.rs) where the processor can, one after another
//! elsewhere. What goes in and out is canonical.

use crate::field::Fr;
#[cfg(target_arch = "x86_64")]
use crate::vector;

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

/// out[i] = sum_j factors[j] vectors[j][i], of vectors that are at least as long.
pub fn combine(out: &mut [Fr], vectors: &[&[Fr]], factors: &[Fr]) {
    by_eights!(
        out.len(),
        eights => vector::combine(&mut out[..eights], vectors, &vector::prepare(factors)),
        i => {
            let terms = vectors.iter().zip(factors).map(|(vector, factor)| vector[i].mul(factor));
            out[i] = terms.fold(Fr::ZERO, |sum, term| sum.add(&term));
        }
    );
}

/// sum_i a[i] b[i], in eight parts by i modulo eight.
pub fn dot_by_eight(a: &[Fr], b: &[Fr]) -> [Fr; 8] {
    assert!(a.len() == b.len());
    let mut parts = [Fr::ZERO; 8];
    by_eights!(
        a.len(),
        eights => parts = vector::dot(&a[..eights], &b[..eights]),
        i => parts[i % 8] = parts[i % 8].add(&a[i].mul(&b[i]))
    );
    parts
}

#[cfg(test)]
#[path = "tests/rows.rs"]
mod tests;
