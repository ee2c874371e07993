//! Single points of G1 and G2, as bytes, and the pairing.

use crate::arguments::{value_error, Scalar};
use crate::threads;
use kernels::{curve, pairing};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use rayon::prelude::*;

pub fn g1_point(bytes: &[u8]) -> PyResult<curve::G1> {
    curve::g1::decode(bytes, false, true).map_err(|reason| value_error(format!("a G1 point is {reason}")))
}

pub fn g2_point(bytes: &[u8], compressed: bool) -> PyResult<curve::G2> {
    curve::g2::decode(bytes, compressed, true).map_err(|reason| value_error(format!("a G2 point is {reason}")))
}

#[pyfunction]
pub fn g1_generator(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &curve::g1::encode(&curve::g1_generator()))
}

#[pyfunction]
pub fn g2_generator(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &curve::g2::encode(&curve::g2_generator()))
}

#[pyfunction]
pub fn g1_add<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let point = |bytes: &[u8]| curve::g1::decode(bytes, false, false);
    let (a, b) =
        point(a).and_then(|a| Ok((a, point(b)?))).map_err(|reason| value_error(format!("a G1 point is {reason}")))?;
    let sum = curve::add_affine(&curve::to_jacobian(&a), &b);
    Ok(PyBytes::new(py, &curve::g1::encode(&curve::to_affine(&sum))))
}

#[pyfunction]
pub fn g1_mul<'py>(py: Python<'py>, point: &[u8], scalar: Scalar) -> PyResult<Bound<'py, PyBytes>> {
    let product = curve::mul(&curve::to_jacobian(&g1_point(point)?), scalar.0);
    Ok(PyBytes::new(py, &curve::g1::encode(&curve::to_affine(&product))))
}

#[pyfunction]
pub fn g2_mul<'py>(py: Python<'py>, point: &[u8], scalar: Scalar) -> PyResult<Bound<'py, PyBytes>> {
    let product = curve::g2_mul(&g2_point(point, false)?, scalar.0);
    Ok(PyBytes::new(py, &curve::g2::encode(&product)))
}

#[pyfunction]
#[pyo3(signature = (data, compressed = false))]
pub fn g2_from_bytes<'py>(py: Python<'py>, data: &[u8], compressed: bool) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &curve::g2::encode(&g2_point(data, compressed)?)))
}

#[pyfunction]
pub fn g2_to_compressed<'py>(py: Python<'py>, point: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut bytes = [0; curve::G2_BYTES / 2];
    curve::g2::encode_into(&g2_point(point, false)?, true, &mut bytes);
    Ok(PyBytes::new(py, &bytes))
}

#[pyfunction]
pub fn pairing_check(py: Python<'_>, pairs: Vec<(PyBackedBytes, PyBackedBytes)>) -> PyResult<bool> {
    threads::run(py, || {
        let pairs: Vec<_> = pairs
            .par_iter()
            .enumerate()
            .map(|(i, (p, q))| {
                let p = curve::g1::decode(p, false, true).map_err(|reason| format!("G1 point {i} is {reason}"))?;
                let q = curve::g2::decode(q, false, true).map_err(|reason| format!("G2 point {i} is {reason}"))?;
                Ok((p, q))
            })
            .collect::<Result<_, String>>()?;
        Ok(pairing::product_is_one(&pairs))
    })
    .map_err(|reason: String| value_error(reason))
}
