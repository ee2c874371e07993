//! Multiplication of many scalars at once: eight side by side (vector.rs) where the processor can, one after another
//! elsewhere. What goes in and out is canonical.

use crate::field::Fr;
#[cfg(target_arch = "x86_64")]
use crate::vector;
use crate::wide;

/// How many of the elements go in eights.
#[inline(always)]
fn whole_eights(_length: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if vector::available() {
        return _length / 8 * 8;
    }
    0
}

/// Runs the vector form of a kernel on whole eights, the plain form on the rest.
macro_rules! by_eights {
    ($length:expr, $eights:ident => $vector:expr, $i:ident => $plain:expr) => {{
        let length = $length;
        let $eights = whole_eights(length);
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
    let length = out.len();
    let vectors: Vec<&[Fr]> = vectors.iter().map(|vector| &vector[..length]).collect();
    let done = whole_eights(length);
    #[cfg(target_arch = "x86_64")]
    if done > 0 {
        // SAFETY: `available` holds.
        unsafe { vector::combine(&mut out[..done], &vectors, &vector::prepare(factors)) };
    }
    if done == length {
        return;
    }
    let prepared: Vec<[u64; 4]> = factors.iter().map(wide::prepare_scalar).collect();
    for (i, slot) in out.iter_mut().enumerate().skip(done) {
        *slot = wide::dot(prepared.iter().zip(&vectors).map(|(factor, vector)| (factor, &vector[i])));
    }
}

/// sum_i a[i] b[i], in eight parts by i modulo eight.
pub fn dot_by_eight(a: &[Fr], b: &[Fr]) -> [Fr; 8] {
    assert!(a.len() == b.len());
    let done = whole_eights(a.len());
    let mut parts = [Fr::ZERO; 8];
    #[cfg(target_arch = "x86_64")]
    if done > 0 {
        // SAFETY: `available` holds.
        parts = unsafe { vector::dot(&a[..done], &b[..done]) };
    }
    for (l, part) in parts.iter_mut().enumerate().take(a.len() - done) {
        let (a, b) = (a[done + l..].iter().step_by(8), b[done + l..].iter().step_by(8));
        *part = part.add(&wide::dot_of_scalars(a.zip(b)));
    }
    parts
}

#[cfg(test)]
#[path = "tests/rows.rs"]
mod tests;
