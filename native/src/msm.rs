//! Multi-scalar multiplication over G1.

use crate::curve::{to_affine, G1};
use crate::field::Fr;
use crate::ints::{each_width, Int, Ints};
use blst::{blst_p1_affine, MultiPoint};

/// blst's own Pippenger over the first `nbits` bits of each little-endian scalar.
fn blst_pippenger(points: &[G1], scalars: &[u8], nbits: usize) -> G1 {
    if points.is_empty() || nbits == 0 {
        return G1::default();
    }
    to_affine(&points.mult(scalars, nbits))
}

/// sum scalars_i * P_i over the first scalars.len() points.
pub fn msm(points: &[G1], scalars: &[Fr]) -> G1 {
    let bytes: Vec<u8> = scalars.iter().flat_map(|s| s.to_limbs()).flat_map(u64::to_le_bytes).collect();
    blst_pippenger(&points[..scalars.len()], &bytes, 255)
}

/// The same for signed integers.
pub fn msm_ints(points: &[G1], scalars: Ints) -> G1 {
    let signed: Vec<(usize, i64)> = each_width!(scalars, values => {
        values.iter().enumerate().filter(|(_, v)| **v != 0).map(|(i, v)| (i, v.wide())).collect()
    });
    let bits = signed.iter().map(|(_, v)| 64 - v.unsigned_abs().leading_zeros() as usize).max().unwrap_or(0);
    let width = bits.div_ceil(8);
    let bytes: Vec<u8> =
        signed.iter().flat_map(|(_, v)| v.unsigned_abs().to_le_bytes().into_iter().take(width)).collect();
    let selected: Vec<blst_p1_affine> = signed
        .iter()
        .map(|(i, v)| {
            let mut point = points[*i];
            if *v < 0 {
                // SAFETY: a valid field element of this frame.
                unsafe { blst::blst_fp_cneg(&mut point.y, &point.y, true) };
            }
            point
        })
        .collect();
    blst_pippenger(&selected, &bytes, bits)
}
