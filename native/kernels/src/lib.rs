//! The kernels of plonnx over BLS12-381. They know no protocol and no Python; all cores are used.
//!
//! To read them: `field` has the scalars and `fp` the coordinates of points, over `words` and, where the processor has them, the
//! products of `adx`; `lanes` says what many of them side by side can do, `vector` does it in AVX-512;
//! `ntt`, `program`, `rows`, `fractions` and `ints` are written over that. `curve` has the points; `affine` says how many are added at
//! once, `ifma` does it in AVX-512; `sums`, `halves`, `msm` and `points` are written over that. `pairing` is blst's.
//! `memory` keeps the blocks that columns come and go in.

#![allow(clippy::len_without_is_empty)] // a kernel asks how many there are, never whether

#[cfg(target_arch = "x86_64")]
mod adx;
mod affine;
pub mod curve;
pub mod field;
mod fp;
pub mod fractions;
mod halves;
#[cfg(target_arch = "x86_64")]
mod ifma;
pub mod ints;
mod lanes;
pub mod memory;
pub mod msm;
#[cfg(test)]
mod naive;
pub mod ntt;
pub mod pairing;
pub mod points;
pub mod program;
mod rows;
mod sums;
#[cfg(target_arch = "x86_64")]
mod vector;
mod wide;
mod words;

/// Whether the kernels run in AVX-512: where the processor has it, unless PLONNX_PORTABLE is 1.
pub fn vector_kernels() -> bool {
    #[cfg(target_arch = "x86_64")]
    return vector::available();
    #[cfg(not(target_arch = "x86_64"))]
    false
}
