//! The Python face of the kernels: `plonnx._native`, typed and described in plonnx/_native.pyi.
//!
//! Arguments are checked here, the work is done by the crate `kernels` with the GIL released. Bad input is a ValueError of
//! one line.

mod arguments;
mod curve;
mod points;
mod program;
mod threads;
mod transforms;
mod vectors;

use kernels::memory::Memory;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[global_allocator]
static MEMORY: Memory = Memory::new();

#[pyfunction]
fn keccak256<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    use tiny_keccak::{Hasher, Keccak};
    let mut digest = [0; 32];
    let mut hasher = Keccak::v256();
    hasher.update(data);
    hasher.finalize(&mut digest);
    PyBytes::new(py, &digest)
}

#[pyfunction]
fn thread_count() -> usize {
    rayon::current_num_threads()
}

#[pyfunction]
fn vector_kernels() -> bool {
    kernels::vector_kernels()
}

#[pyfunction]
fn available_memory() -> usize {
    kernels::memory::available()
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::{
        available_memory,
        curve::{g1_add, g1_generator, g1_mul, g2_from_bytes, g2_generator, g2_mul, g2_to_compressed, pairing_check},
        keccak256,
        points::{blst_msm, fixed_base, g1_sum_of_products, msm_many, srs_powers, Fractions, Points},
        program::Program,
        thread_count,
        transforms::{intt_many, ntt_forward, ntt_inverse, ntt_many, omega},
        vector_kernels,
        vectors::{
            affine_scan, combine_runs, evaluate_at_eight, evaluate_many, gathered_sums, linear_combination, row_sums,
            weighted_sums, FieldVec,
        },
    };
}
