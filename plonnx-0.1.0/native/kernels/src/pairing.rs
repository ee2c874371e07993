//! The product of pairings, by blst.

use crate::curve::{is_infinity, G1, G2};
use blst::blst_fp12;
use rayon::prelude::*;

/// prod e(P_i, Q_i) == 1. The points are in their subgroups.
pub fn product_is_one(pairs: &[(G1, G2)]) -> bool {
    let product = pairs
        .par_iter()
        // SAFETY: valid affine points; a pair with infinity contributes one.
        .filter(|(p, q)| !is_infinity(p) && unsafe { !blst::blst_p2_affine_is_inf(q) })
        .map(|(p, q)| blst_fp12::miller_loop(q, p))
        .reduce(blst_fp12::default, |a, b| a * b);
    product.final_exp() == blst_fp12::default()
}

#[cfg(test)]
#[path = "tests/pairing.rs"]
mod tests;
