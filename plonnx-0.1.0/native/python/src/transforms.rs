//! Number-theoretic transforms of vectors.

use crate::arguments::{to_python_int, value_error, Scalar};
use crate::threads;
use crate::vectors::FieldVec;
use kernels::field::{self, Fr};
use kernels::ntt;
use pyo3::prelude::*;
use std::sync::Arc;

/// The length as a transform takes it.
pub fn transform_input(values: &FieldVec, shift: &Scalar) -> PyResult<Arc<Vec<Fr>>> {
    let values = values.values();
    if !values.len().is_power_of_two() || values.len() > 1 << 32 {
        return Err(value_error(format!(
            "a transform of length {}: it must be a power of two up to 2^32",
            values.len()
        )));
    }
    if shift.0.is_zero() {
        return Err(value_error("the shift of a coset is not zero"));
    }
    Ok(values)
}

#[pyfunction(name = "ntt", signature = (coefficients, shift = Scalar(Fr::ONE)))]
pub fn ntt_forward(py: Python<'_>, coefficients: &FieldVec, shift: Scalar) -> PyResult<FieldVec> {
    let values = transform_input(coefficients, &shift)?;
    Ok(FieldVec::new(threads::run(py, || ntt::forward(&values, shift.0))))
}

#[pyfunction]
#[pyo3(signature = (polynomials, shift = Scalar(Fr::ONE)))]
pub fn ntt_many(py: Python<'_>, polynomials: Vec<PyRef<'_, FieldVec>>, shift: Scalar) -> PyResult<Vec<FieldVec>> {
    transform_many(py, &polynomials, shift, ntt::forward_many)
}

/// A transform of several vectors on a coset.
pub type Transform = fn(&[&[Fr]], Fr) -> Vec<Vec<Fr>>;

pub fn transform_many(
    py: Python<'_>,
    vectors: &[PyRef<'_, FieldVec>],
    shift: Scalar,
    transform: Transform,
) -> PyResult<Vec<FieldVec>> {
    let inputs = vectors.iter().map(|p| transform_input(p, &shift)).collect::<PyResult<Vec<_>>>()?;
    let outputs = threads::run(py, || {
        let slices: Vec<&[Fr]> = inputs.iter().map(|p| p.as_slice()).collect();
        transform(&slices, shift.0)
    });
    Ok(outputs.into_iter().map(FieldVec::new).collect())
}

#[pyfunction(name = "intt", signature = (values, shift = Scalar(Fr::ONE)))]
pub fn ntt_inverse(py: Python<'_>, values: &FieldVec, shift: Scalar) -> PyResult<FieldVec> {
    let values = transform_input(values, &shift)?;
    Ok(FieldVec::new(threads::run(py, || ntt::inverse(&values, shift.0))))
}

#[pyfunction]
#[pyo3(signature = (values, shift = Scalar(Fr::ONE)))]
pub fn intt_many(py: Python<'_>, values: Vec<PyRef<'_, FieldVec>>, shift: Scalar) -> PyResult<Vec<FieldVec>> {
    transform_many(py, &values, shift, ntt::inverse_many)
}

#[pyfunction]
pub fn omega(py: Python<'_>, k: u32) -> PyResult<Bound<'_, PyAny>> {
    if k > 32 {
        return Err(value_error(format!("the field has no root of unity of order 2^{k}")));
    }
    to_python_int(py, field::omega(k))
}
