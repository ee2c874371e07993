//! G1 and G2 points: encodings, checks, and group operations, all of them blst's.
//!
//! The uncompressed form of this project is x || y without flag bits, all zeros for infinity; blst's own form marks
//! infinity and compression in the top three bits, which therefore are refused here.

use crate::field::{omega, Fr};
use blst::{blst_p1, blst_p1_affine, blst_p2, blst_p2_affine, BLST_ERROR};
use rayon::prelude::*;

pub type G1 = blst_p1_affine;
pub type G2 = blst_p2_affine;

pub const G1_BYTES: usize = 96;
pub const G2_BYTES: usize = 192;
const FLAGS: u8 = 0xe0;
/// Points per parallel task.
const CHUNK: usize = 64;

fn explain(error: BLST_ERROR) -> &'static str {
    match error {
        BLST_ERROR::BLST_POINT_NOT_ON_CURVE => "not on the curve",
        BLST_ERROR::BLST_POINT_NOT_IN_GROUP => "not in the subgroup of order r",
        _ => "not a canonical encoding",
    }
}

macro_rules! group {
    ($name:ident, $affine:ty, $uncompressed:expr, $deserialize:ident, $uncompress:ident, $in_group:ident, $is_inf:ident,
     $serialize:ident, $compress:ident) => {
        pub mod $name {
            use super::*;

            /// One point; the curve is always checked, the subgroup with `check`.
            pub fn decode(bytes: &[u8], compressed: bool, check: bool) -> Result<$affine, &'static str> {
                let mut point = <$affine>::default();
                let expected = if compressed { $uncompressed / 2 } else { $uncompressed };
                if bytes.len() != expected {
                    return Err("of the wrong length");
                }
                if compressed {
                    if bytes[0] & 0x80 == 0 {
                        return Err("not a canonical encoding");
                    }
                    // SAFETY: blst reads exactly `expected` bytes, and writes one point.
                    match unsafe { blst::$uncompress(&mut point, bytes.as_ptr()) } {
                        BLST_ERROR::BLST_SUCCESS => {}
                        error => return Err(explain(error)),
                    }
                } else if bytes.iter().any(|byte| *byte != 0) {
                    if bytes[0] & FLAGS != 0 {
                        return Err("not a canonical encoding");
                    }
                    // SAFETY: as above.
                    match unsafe { blst::$deserialize(&mut point, bytes.as_ptr()) } {
                        BLST_ERROR::BLST_SUCCESS => {}
                        error => return Err(explain(error)),
                    }
                }
                // SAFETY: `point` is a valid affine point.
                if check && !unsafe { blst::$is_inf(&point) || blst::$in_group(&point) } {
                    return Err(explain(BLST_ERROR::BLST_POINT_NOT_IN_GROUP));
                }
                Ok(point)
            }

            /// The encoding into `out`, which has the length of the form asked for.
            pub fn encode_into(point: &$affine, compressed: bool, out: &mut [u8]) {
                assert_eq!(out.len(), if compressed { $uncompressed / 2 } else { $uncompressed });
                // SAFETY: blst writes exactly out.len() bytes.
                unsafe {
                    if compressed {
                        blst::$compress(out.as_mut_ptr(), point);
                    } else if blst::$is_inf(point) {
                        out.fill(0);
                    } else {
                        blst::$serialize(out.as_mut_ptr(), point);
                    }
                }
            }

            pub fn encode(point: &$affine) -> [u8; $uncompressed] {
                let mut out = [0; $uncompressed];
                encode_into(point, false, &mut out);
                out
            }
        }
    };
}

group!(
    g1,
    blst_p1_affine,
    G1_BYTES,
    blst_p1_deserialize,
    blst_p1_uncompress,
    blst_p1_affine_in_g1,
    blst_p1_affine_is_inf,
    blst_p1_affine_serialize,
    blst_p1_affine_compress
);
group!(
    g2,
    blst_p2_affine,
    G2_BYTES,
    blst_p2_deserialize,
    blst_p2_uncompress,
    blst_p2_affine_in_g2,
    blst_p2_affine_is_inf,
    blst_p2_affine_serialize,
    blst_p2_affine_compress
);

/// Many points one after another; the error names the first bad index.
pub fn decode_many(bytes: &[u8], compressed: bool, check: bool) -> Result<Vec<G1>, String> {
    let size = if compressed { G1_BYTES / 2 } else { G1_BYTES };
    if !bytes.len().is_multiple_of(size) {
        return Err(format!("{} bytes are not a whole number of points of {size} bytes", bytes.len()));
    }
    let mut points = vec![G1::default(); bytes.len() / size];
    let bad = points
        .par_chunks_mut(CHUNK)
        .zip(bytes.par_chunks(CHUNK * size))
        .enumerate()
        .filter_map(|(chunk, (points, bytes))| {
            for (i, (slot, bytes)) in points.iter_mut().zip(bytes.chunks_exact(size)).enumerate() {
                match g1::decode(bytes, compressed, check) {
                    Ok(point) => *slot = point,
                    Err(reason) => return Some((chunk * CHUNK + i, reason)),
                }
            }
            None
        })
        .min();
    match bad {
        Some((index, reason)) => Err(format!("G1 point {index} is {reason}")),
        None => Ok(points),
    }
}

pub fn encode_many(points: &[G1], compressed: bool) -> Vec<u8> {
    let size = if compressed { G1_BYTES / 2 } else { G1_BYTES };
    let mut bytes = vec![0; points.len() * size];
    bytes.par_chunks_mut(CHUNK * size).zip(points.par_chunks(CHUNK)).for_each(|(bytes, points)| {
        for (out, point) in bytes.chunks_exact_mut(size).zip(points) {
            g1::encode_into(point, compressed, out);
        }
    });
    bytes
}

pub fn is_infinity(point: &G1) -> bool {
    // SAFETY: a valid affine point.
    unsafe { blst::blst_p1_affine_is_inf(point) }
}

pub fn to_jacobian(point: &G1) -> blst_p1 {
    let mut out = blst_p1::default();
    // SAFETY: valid points of this frame; blst maps (0, 0) to infinity.
    unsafe { blst::blst_p1_from_affine(&mut out, point) };
    out
}

pub fn to_affine(point: &blst_p1) -> G1 {
    let mut out = G1::default();
    // SAFETY: valid points of this frame.
    unsafe { blst::blst_p1_to_affine(&mut out, point) };
    out
}

pub fn add(a: &blst_p1, b: &blst_p1) -> blst_p1 {
    let mut out = blst_p1::default();
    // SAFETY: valid points of this frame.
    unsafe { blst::blst_p1_add_or_double(&mut out, a, b) };
    out
}

pub fn add_affine(a: &blst_p1, b: &G1) -> blst_p1 {
    let mut out = blst_p1::default();
    // SAFETY: valid points of this frame.
    unsafe { blst::blst_p1_add_or_double_affine(&mut out, a, b) };
    out
}

pub fn double(a: &blst_p1) -> blst_p1 {
    let mut out = blst_p1::default();
    // SAFETY: valid points of this frame.
    unsafe { blst::blst_p1_double(&mut out, a) };
    out
}

pub fn neg(a: &blst_p1) -> blst_p1 {
    let mut out = *a;
    // SAFETY: a valid point of this frame.
    unsafe { blst::blst_p1_cneg(&mut out, true) };
    out
}

fn little_endian(scalar: Fr) -> [u8; 32] {
    let mut bytes = scalar.to_bytes();
    bytes.reverse();
    bytes
}

pub fn mul(point: &blst_p1, scalar: Fr) -> blst_p1 {
    let mut out = blst_p1::default();
    // SAFETY: valid points of this frame, 255 bits of a 32-byte scalar.
    unsafe { blst::blst_p1_mult(&mut out, point, little_endian(scalar).as_ptr(), 255) };
    out
}

pub fn g2_mul(point: &G2, scalar: Fr) -> G2 {
    let (mut jacobian, mut product, mut out) = (blst_p2::default(), blst_p2::default(), G2::default());
    // SAFETY: valid points of this frame, 255 bits of a 32-byte scalar.
    unsafe {
        blst::blst_p2_from_affine(&mut jacobian, point);
        blst::blst_p2_mult(&mut product, &jacobian, little_endian(scalar).as_ptr(), 255);
        blst::blst_p2_to_affine(&mut out, &product);
    }
    out
}

pub fn g1_generator() -> G1 {
    // SAFETY: blst's constant.
    unsafe { *blst::blst_p1_affine_generator() }
}

pub fn g2_generator() -> G2 {
    // SAFETY: blst's constant.
    unsafe { *blst::blst_p2_affine_generator() }
}

/// Affine forms with one inversion per block.
pub fn normalize(points: &[blst_p1]) -> Vec<G1> {
    let mut out = vec![G1::default(); points.len()];
    out.par_chunks_mut(CHUNK * 8).zip(points.par_chunks(CHUNK * 8)).for_each(|(out, points)| {
        // blst's batch conversion does not take infinity: those stay (0, 0) and the rest go through together.
        // SAFETY: valid points.
        let finite: Vec<usize> = (0..points.len()).filter(|i| unsafe { !blst::blst_p1_is_inf(&points[*i]) }).collect();
        if finite.is_empty() {
            return;
        }
        let selected: Vec<blst_p1> = finite.iter().map(|i| points[*i]).collect();
        let mut affine = vec![G1::default(); selected.len()];
        let list = [selected.as_ptr(), std::ptr::null()];
        // SAFETY: blst reads selected.len() contiguous points and writes as many.
        unsafe { blst::blst_p1s_to_affine(affine.as_mut_ptr(), list.as_ptr(), selected.len()) };
        for (index, point) in finite.into_iter().zip(affine) {
            out[index] = point;
        }
    });
    out
}

/// The multiples digit * 2^(bits window) * base at index (window << bits) + digit, for 256 / bits windows.
pub fn digit_multiples(base: &G1, bits: usize) -> Vec<G1> {
    let mut bases = vec![to_jacobian(base)];
    for _ in 1..256 / bits {
        let last = bases[bases.len() - 1];
        bases.push((0..bits).fold(last, |point, _| double(&point)));
    }
    let multiples = |base: &G1| {
        let base = *base;
        std::iter::successors(Some(blst_p1::default()), move |point| Some(add_affine(point, &base))).take(1 << bits)
    };
    normalize(&normalize(&bases).par_iter().flat_map_iter(multiples).collect::<Vec<blst_p1>>())
}

/// The Lagrange form of the first n monomial points: the inverse Fourier transform over the group.
/// out[i] = 1/n sum_j omega^(-ij) P_j.
pub fn lagrange(points: &[G1]) -> Vec<G1> {
    let n = points.len();
    let k = n.trailing_zeros() as usize;
    let scale = Fr::from_u64(n as u64).inverse();
    let mut values: Vec<blst_p1> = (0..n)
        .into_par_iter()
        .with_min_len(CHUNK)
        .map(|i| {
            let source = if k == 0 { 0 } else { i.reverse_bits() >> (usize::BITS as usize - k) };
            to_jacobian(&points[source])
        })
        .collect();
    for s in 0..k {
        let m = 1 << s;
        // The last layer carries 1/n: scaled twiddles for the odd half, one multiplication more for the even half.
        let root = omega(s as u32 + 1).inverse();
        let butterflies = |index: usize, low: &mut blst_p1, high: &mut blst_p1, step: usize| {
            let twiddle = root.pow((index % step) as u64);
            let t = if twiddle == Fr::ONE { *high } else { mul(high, twiddle) };
            *high = add(low, &neg(&t));
            *low = add(low, &t);
        };
        values.par_chunks_exact_mut(2 * m).for_each(|group| {
            let (low, high) = group.split_at_mut(m);
            low.par_iter_mut()
                .zip(high.par_iter_mut())
                .enumerate()
                .for_each(|(j, (low, high))| butterflies(j, low, high, m));
        });
    }
    let scaled: Vec<blst_p1> = values.par_iter().with_min_len(16).map(|point| mul(point, scale)).collect();
    normalize(&scaled)
}

#[cfg(test)]
#[path = "tests/curve.rs"]
mod tests;
