//! `Vec`, a vector of field elements, and what is done with several of them.

use crate::arguments::{to_python_int, unwrap_all, value_error, IntArray, Scalar};
use crate::threads;
use kernels::field::{self, Fr};
use kernels::ints::{self, Runs};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use rayon::prelude::*;
use std::sync::{Arc, RwLock};

/// The values are shared between copies until one of them is written to.
#[pyclass(name = "Vec", module = "plonnx._native", frozen)]
pub struct FieldVec {
    values: RwLock<Arc<Vec<Fr>>>,
}

impl FieldVec {
    pub fn new(values: Vec<Fr>) -> FieldVec {
        FieldVec { values: RwLock::new(Arc::new(values)) }
    }

    pub fn values(&self) -> Arc<Vec<Fr>> {
        self.values.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn modify(&self, change: impl FnOnce(&mut Vec<Fr>)) {
        change(Arc::make_mut(&mut self.values.write().unwrap_or_else(std::sync::PoisonError::into_inner)));
    }

    /// An element-wise operation of two vectors of one length.
    fn zip(&self, py: Python<'_>, other: &FieldVec, f: impl Fn(&Fr, &Fr) -> Fr + Sync + Send) -> PyResult<FieldVec> {
        let (a, b) = (self.values(), other.values());
        same_length(&a, &b)?;
        Ok(FieldVec::new(threads::run(py, || field::map(a.len(), |i| f(&a[i], &b[i])))))
    }
}

pub fn same_length(a: &[Fr], b: &[Fr]) -> PyResult<()> {
    if a.len() != b.len() {
        return Err(value_error(format!("the vectors have lengths {} and {}", a.len(), b.len())));
    }
    Ok(())
}

#[pymethods]
impl FieldVec {
    #[staticmethod]
    fn zeros(length: usize) -> FieldVec {
        FieldVec::new(vec![Fr::ZERO; length])
    }

    #[staticmethod]
    fn from_ints(py: Python<'_>, values: IntArray<'_>) -> PyResult<FieldVec> {
        let ints = values.ints()?;
        Ok(FieldVec::new(threads::run(py, || ints.to_field())))
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: PyBackedBytes) -> PyResult<FieldVec> {
        if !data.len().is_multiple_of(32) {
            return Err(value_error(format!("{} bytes are not a whole number of scalars of 32 bytes", data.len())));
        }
        threads::run(py, || {
            let parse = |(i, bytes): (usize, &[u8])| Fr::from_bytes(bytes.try_into().expect("32 bytes")).ok_or(i);
            let parsed: Result<Vec<Fr>, usize> =
                data.par_chunks_exact(32).enumerate().with_min_len(256).map(parse).collect();
            // The parallel error is any of the bad ones: look for the first.
            parsed.map_err(|_| data.chunks_exact(32).enumerate().map(parse).find_map(Result::err).unwrap_or(0))
        })
        .map(FieldVec::new)
        .map_err(|index| value_error(format!("scalar {index} is not below r")))
    }

    #[staticmethod]
    fn from_scalars(values: Vec<Scalar>) -> FieldVec {
        FieldVec::new(unwrap_all(values))
    }

    #[staticmethod]
    fn from_wide_bytes(py: Python<'_>, data: PyBackedBytes) -> PyResult<FieldVec> {
        if !data.len().is_multiple_of(64) {
            return Err(value_error(format!("{} bytes are not a whole number of 64", data.len())));
        }
        let element = |i: usize| Fr::from_wide_bytes(data[64 * i..64 * i + 64].try_into().expect("64 bytes"));
        Ok(FieldVec::new(threads::run(py, || field::map(data.len() / 64, element))))
    }

    #[staticmethod]
    #[pyo3(signature = (base, length, first = Scalar(Fr::ONE)))]
    fn powers(py: Python<'_>, base: Scalar, length: usize, first: Scalar) -> FieldVec {
        FieldVec::new(threads::run(py, || field::powers(base.0, length, first.0)))
    }

    fn __len__(&self) -> usize {
        self.values().len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        let values = self.values();
        let position = if index < 0 { index + values.len() as isize } else { index };
        match usize::try_from(position).ok().and_then(|i| values.get(i)) {
            Some(value) => to_python_int(py, *value),
            None => Err(PyIndexError::new_err(format!("index {index} is out of range for length {}", values.len()))),
        }
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let values = self.values();
        let bytes = threads::run(py, || {
            let mut bytes = vec![0; values.len() * 32];
            bytes.par_chunks_mut(32).with_min_len(256).zip(values.par_iter()).for_each(|(out, value)| {
                out.copy_from_slice(&value.to_bytes());
            });
            bytes
        });
        PyBytes::new(py, &bytes)
    }

    fn copy(&self) -> FieldVec {
        FieldVec { values: RwLock::new(self.values()) }
    }

    fn slice(&self, start: usize, stop: usize) -> PyResult<FieldVec> {
        let values = self.values();
        let part = values
            .get(start..stop)
            .ok_or_else(|| value_error(format!("slice {start}..{stop} of a vector of length {}", values.len())))?;
        Ok(FieldVec::new(part.to_vec()))
    }

    fn take(&self, py: Python<'_>, indices: PyReadonlyArray1<'_, i64>) -> PyResult<FieldVec> {
        let values = self.values();
        let indices = indices.as_slice().map_err(|_| value_error("the index array must be contiguous"))?;
        threads::run(py, || {
            let outside = |i: &i64| usize::try_from(*i).map_or(true, |i| i >= values.len());
            match indices.par_iter().with_min_len(field::CHUNK).position_first(outside) {
                Some(bad) => {
                    Err(value_error(format!("index {} is out of range for length {}", indices[bad], values.len())))
                }
                None => Ok(FieldVec::new(field::map(indices.len(), |i| values[indices[i] as usize]))),
            }
        })
    }

    fn write_(&self, py: Python<'_>, start: usize, values: &FieldVec) -> PyResult<()> {
        let source = values.values();
        let length = self.values().len();
        if start.checked_add(source.len()).is_none_or(|stop| stop > length) {
            return Err(value_error(format!("{} values do not fit at {start} of {length}", source.len())));
        }
        threads::run(py, || self.modify(|target| target[start..start + source.len()].copy_from_slice(&source)));
        Ok(())
    }

    fn padded(&self, py: Python<'_>, length: usize) -> PyResult<FieldVec> {
        let values = self.values();
        if length < values.len() {
            return Err(value_error(format!("a vector of length {} cannot be padded to {length}", values.len())));
        }
        if length == values.len() {
            return Ok(self.copy());
        }
        let at = |i: usize| values.get(i).copied().unwrap_or(Fr::ZERO);
        Ok(FieldVec::new(threads::run(py, || field::map(length, at))))
    }

    fn add(&self, py: Python<'_>, other: &FieldVec) -> PyResult<FieldVec> {
        self.zip(py, other, Fr::add)
    }

    fn sub(&self, py: Python<'_>, other: &FieldVec) -> PyResult<FieldVec> {
        self.zip(py, other, Fr::sub)
    }

    fn mul(&self, py: Python<'_>, other: &FieldVec) -> PyResult<FieldVec> {
        let (a, b) = (self.values(), other.values());
        same_length(&a, &b)?;
        Ok(FieldVec::new(threads::run(py, || field::mul(&a, &b))))
    }

    fn scale(&self, py: Python<'_>, factor: Scalar) -> FieldVec {
        let values = self.values();
        FieldVec::new(threads::run(py, || field::scale(&values, &factor.0)))
    }

    fn add_scaled_(&self, py: Python<'_>, factor: Scalar, other: &FieldVec) -> PyResult<()> {
        let source = other.values();
        let length = self.values().len();
        if source.len() > length {
            return Err(value_error(format!("a vector of length {} added to one of length {length}", source.len())));
        }
        threads::run(py, || self.modify(|target| field::add_scaled(&mut target[..source.len()], factor.0, &source)));
        Ok(())
    }

    fn inverse(&self, py: Python<'_>) -> FieldVec {
        let values = self.values();
        FieldVec::new(threads::run(py, || field::batch_inverse(&values)))
    }

    fn nonzero<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        let values = self.values();
        let indices: Vec<i64> = threads::run(py, || {
            let rows = (0..values.len()).into_par_iter().with_min_len(field::CHUNK);
            rows.filter(|i| !values[*i].is_zero()).map(|i| i as i64).collect()
        });
        indices.into_pyarray(py)
    }

    fn evaluate<'py>(&self, py: Python<'py>, x: Scalar) -> PyResult<Bound<'py, PyAny>> {
        let values = self.values();
        let result = threads::run(py, || field::evaluate_many(&[&values], x.0));
        to_python_int(py, result[0])
    }

    fn divide_by_root(&self, py: Python<'_>, root: Scalar) -> FieldVec {
        let values = self.values();
        FieldVec::new(threads::run(py, || field::divide_by_root(&values, root.0)))
    }
}

pub fn borrow_all(vectors: &[PyRef<'_, FieldVec>]) -> Vec<Arc<Vec<Fr>>> {
    vectors.iter().map(|v| v.values()).collect()
}

pub fn same_count(what: &str, left: usize, others: &str, right: usize) -> PyResult<()> {
    if left != right {
        return Err(value_error(format!("{left} {what} for {right} {others}")));
    }
    Ok(())
}

#[pyfunction]
pub fn evaluate_many<'py>(
    py: Python<'py>,
    polynomials: Vec<PyRef<'_, FieldVec>>,
    x: Scalar,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let polynomials = borrow_all(&polynomials);
    let values = threads::run(py, || {
        let slices: Vec<&[Fr]> = polynomials.iter().map(|f| f.as_slice()).collect();
        field::evaluate_many(&slices, x.0)
    });
    values.into_iter().map(|value| to_python_int(py, value)).collect()
}

#[pyfunction]
pub fn evaluate_at_eight(py: Python<'_>, polynomials: Vec<PyRef<'_, FieldVec>>, x: Scalar) -> Vec<FieldVec> {
    let polynomials = borrow_all(&polynomials);
    let values = threads::run(py, || {
        let slices: Vec<&[Fr]> = polynomials.iter().map(|f| f.as_slice()).collect();
        field::evaluate_at_eight(&slices, x.0)
    });
    values.into_iter().map(FieldVec::new).collect()
}

#[pyfunction]
pub fn linear_combination(
    py: Python<'_>,
    vectors: Vec<PyRef<'_, FieldVec>>,
    factors: Vec<Scalar>,
) -> PyResult<FieldVec> {
    same_count("vectors", vectors.len(), "factors", factors.len())?;
    let (vectors, factors) = (borrow_all(&vectors), unwrap_all(factors));
    Ok(FieldVec::new(threads::run(py, || {
        let slices: Vec<&[Fr]> = vectors.iter().map(|v| v.as_slice()).collect();
        field::linear_combination(&slices, &factors)
    })))
}

#[pyfunction]
pub fn row_sums(py: Python<'_>, integers: IntArray<'_>, powers: &FieldVec) -> PyResult<FieldVec> {
    let (integers, powers) = (integers.ints()?, powers.values());
    parts("integers", integers.len(), powers.len())?;
    Ok(FieldVec::new(threads::run(py, || ints::row_sums(integers, &powers))))
}

#[pyfunction]
pub fn weighted_sums<'py>(
    py: Python<'py>,
    columns: Vec<IntArray<'_>>,
    weights: &FieldVec,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let (columns, weights) = (columns.iter().map(IntArray::ints).collect::<PyResult<Vec<_>>>()?, weights.values());
    if let Some(odd) = columns.iter().find(|column| column.len() != weights.len()) {
        return Err(value_error(format!("{} weights for a column of length {}", weights.len(), odd.len())));
    }
    let sums = threads::run(py, || ints::weighted_sums(&columns, &weights));
    sums.into_iter().map(|sum| to_python_int(py, sum)).collect()
}

#[pyfunction]
pub fn gathered_sums(
    py: Python<'_>,
    integers: IntArray<'_>,
    channels: usize,
    factors: &FieldVec,
    index: PyReadonlyArray1<'_, i64>,
) -> PyResult<FieldVec> {
    let (integers, factors) = (integers.ints()?, factors.values());
    let index = index.as_slice().map_err(|_| value_error("the index must be contiguous"))?;
    parts("integers", integers.len(), channels)?;
    let taps = parts("factors", factors.len(), channels)?;
    parts("indices", index.len(), taps)?;
    if let Some(negative) = index.iter().find(|&&at| at < 0) {
        return Err(value_error(format!("index {negative} is out of range")));
    }
    Ok(FieldVec::new(threads::run(py, || ints::gathered_sums(integers, channels, &factors, index))))
}

/// The size of each of `parts` equal parts of `count`.
fn parts(what: &str, count: usize, parts: usize) -> PyResult<usize> {
    if parts == 0 || !count.is_multiple_of(parts) {
        return Err(value_error(format!("{count} {what} are no {parts} parts of one size")));
    }
    Ok(count / parts)
}

/// Runs of integers of one width, as Python hands them over: starts, lengths, values.
type RunArrays<'py> = (PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i32>, IntArray<'py>);

#[pyfunction]
pub fn combine_runs(
    py: Python<'_>,
    columns: Vec<RunArrays<'_>>,
    factors: Vec<Scalar>,
    length: usize,
) -> PyResult<FieldVec> {
    same_count("columns", columns.len(), "factors", factors.len())?;
    let factors = unwrap_all(factors);
    let refuse = |_| value_error("the integer array must be contiguous and aligned");
    let columns = columns
        .iter()
        .map(|(starts, lengths, values)| {
            let (starts, lengths) = (starts.as_slice().map_err(refuse)?, lengths.as_slice().map_err(refuse)?);
            Ok(Runs { starts, lengths, values: values.ints()? })
        })
        .collect::<PyResult<Vec<Runs>>>()?;
    if !columns.iter().all(|column| column.are_sound(length)) {
        return Err(value_error(format!("runs that overlap, lack values or lie outside of {length} rows")));
    }
    Ok(FieldVec::new(threads::run(py, || ints::combine_runs(&columns, &factors, length))))
}

#[pyfunction]
pub fn affine_scan(py: Python<'_>, first: Scalar, factors: &FieldVec, terms: &FieldVec) -> PyResult<FieldVec> {
    let (factors, terms) = (factors.values(), terms.values());
    if factors.len() != terms.len() {
        return Err(value_error(format!("{} factors for {} terms", factors.len(), terms.len())));
    }
    Ok(FieldVec::new(threads::run(py, || field::affine_scan(first.0, &factors, &terms))))
}
