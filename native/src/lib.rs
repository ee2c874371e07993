//! The Python face of the kernels: `plonnx._native`, typed and described in plonnx/_native.pyi.
//!
//! Arguments are checked here, the work is done by the modules with the GIL released. Bad input is a ValueError of one line.

mod affine;
mod curve;
mod field;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod ints;
mod lanes;
mod msm;
mod ntt;
mod pairing;
mod points;
mod program;
mod rows;
mod sums;
mod threads;
#[cfg(target_arch = "x86_64")]
mod vector;

use field::Fr;
use ints::Ints;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use points::Scalars;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyInt};
use rayon::prelude::*;
use std::sync::{Arc, RwLock};

fn value_error(message: impl Into<String>) -> PyErr {
    PyValueError::new_err(message.into())
}

/// A scalar argument as it comes: a Python int in [0, r).
struct Scalar(Fr);

impl<'py> FromPyObject<'_, 'py> for Scalar {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Scalar> {
        if let Ok(small) = object.extract::<u64>() {
            return Ok(Scalar(Fr::from_u64(small)));
        }
        let py = object.py();
        let integer = py.import("operator")?.call_method1("index", (object,))?;
        let refuse = || value_error(format!("scalar {integer} is not in [0, r)"));
        let bytes = integer.call_method1("to_bytes", (32, "big")).map_err(|_| refuse())?;
        let bytes: [u8; 32] = bytes.extract::<&[u8]>()?.try_into()?;
        Fr::from_bytes(&bytes).map(Scalar).ok_or_else(refuse)
    }
}

fn to_python_int(py: Python<'_>, value: Fr) -> PyResult<Bound<'_, PyAny>> {
    py.get_type::<PyInt>().call_method1("from_bytes", (PyBytes::new(py, &value.to_bytes()), "big"))
}

fn unwrap_all(scalars: Vec<Scalar>) -> Vec<Fr> {
    scalars.into_iter().map(|s| s.0).collect()
}

/// A one-dimensional contiguous integer array, borrowed from numpy while the kernel runs.
enum IntArray<'py> {
    I8(PyReadonlyArray1<'py, i8>),
    I16(PyReadonlyArray1<'py, i16>),
    I32(PyReadonlyArray1<'py, i32>),
    I64(PyReadonlyArray1<'py, i64>),
}

impl<'py> FromPyObject<'_, 'py> for IntArray<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<IntArray<'py>> {
        let array = object
            .cast::<PyUntypedArray>()
            .map_err(|_| PyTypeError::new_err("a numpy array of integers is needed here"))?;
        if array.ndim() != 1 || !array.is_c_contiguous() {
            return Err(value_error("the integer array must have one dimension and be contiguous"));
        }
        if let Ok(values) = object.extract() {
            return Ok(IntArray::I64(values));
        }
        if let Ok(values) = object.extract() {
            return Ok(IntArray::I32(values));
        }
        if let Ok(values) = object.extract() {
            return Ok(IntArray::I16(values));
        }
        if let Ok(values) = object.extract() {
            return Ok(IntArray::I8(values));
        }
        Err(value_error(format!("integer arrays are int8, int16, int32 or int64, not {}", array.dtype())))
    }
}

impl IntArray<'_> {
    fn ints(&self) -> PyResult<Ints<'_>> {
        let refuse = |_| value_error("the integer array must be contiguous and aligned");
        Ok(match self {
            IntArray::I8(values) => Ints::I8(values.as_slice().map_err(refuse)?),
            IntArray::I16(values) => Ints::I16(values.as_slice().map_err(refuse)?),
            IntArray::I32(values) => Ints::I32(values.as_slice().map_err(refuse)?),
            IntArray::I64(values) => Ints::I64(values.as_slice().map_err(refuse)?),
        })
    }
}

/// The values are shared between copies until one of them is written to.
#[pyclass(name = "Vec", module = "plonnx._native", frozen)]
struct FieldVec {
    values: RwLock<Arc<Vec<Fr>>>,
}

impl FieldVec {
    fn new(values: Vec<Fr>) -> FieldVec {
        FieldVec { values: RwLock::new(Arc::new(values)) }
    }

    fn values(&self) -> Arc<Vec<Fr>> {
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

fn same_length(a: &[Fr], b: &[Fr]) -> PyResult<()> {
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
            match indices.par_iter().position_first(|i| usize::try_from(*i).map_or(true, |i| i >= values.len())) {
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
        Ok(FieldVec::new(threads::run(py, || {
            let mut out = Vec::with_capacity(length);
            out.extend_from_slice(&values);
            out.resize(length, Fr::ZERO);
            out
        })))
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
            (0..values.len() as i64).into_par_iter().filter(|i| !values[*i as usize].is_zero()).collect()
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

fn borrow_all(vectors: &[PyRef<'_, FieldVec>]) -> Vec<Arc<Vec<Fr>>> {
    vectors.iter().map(|v| v.values()).collect()
}

fn same_count(what: &str, left: usize, right: usize) -> PyResult<()> {
    if left != right {
        return Err(value_error(format!("{left} {what} for {right} factors")));
    }
    Ok(())
}

#[pyfunction]
fn evaluate_many<'py>(
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
fn linear_combination(py: Python<'_>, vectors: Vec<PyRef<'_, FieldVec>>, factors: Vec<Scalar>) -> PyResult<FieldVec> {
    same_count("vectors", vectors.len(), factors.len())?;
    let (vectors, factors) = (borrow_all(&vectors), unwrap_all(factors));
    Ok(FieldVec::new(threads::run(py, || {
        let slices: Vec<&[Fr]> = vectors.iter().map(|v| v.as_slice()).collect();
        field::linear_combination(&slices, &factors)
    })))
}

#[pyfunction]
fn combine_ints(py: Python<'_>, columns: Vec<IntArray<'_>>, factors: Vec<Scalar>) -> PyResult<FieldVec> {
    same_count("columns", columns.len(), factors.len())?;
    let factors = unwrap_all(factors);
    let columns = columns.iter().map(IntArray::ints).collect::<PyResult<Vec<Ints>>>()?;
    if let Some(odd) = columns.iter().find(|c| c.len() != columns[0].len()) {
        return Err(value_error(format!("columns of lengths {} and {}", columns[0].len(), odd.len())));
    }
    Ok(FieldVec::new(threads::run(py, || ints::combine(&columns, &factors))))
}

/// The length as a transform takes it.
fn transform_input(values: &FieldVec, shift: &Scalar) -> PyResult<Arc<Vec<Fr>>> {
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
fn ntt_forward(py: Python<'_>, coefficients: &FieldVec, shift: Scalar) -> PyResult<FieldVec> {
    let values = transform_input(coefficients, &shift)?;
    Ok(FieldVec::new(threads::run(py, || ntt::forward(&values, shift.0))))
}

/// The transform of processors without vector multiply-add: for tests.
#[pyfunction]
fn portable_ntt(py: Python<'_>, coefficients: &FieldVec, shift: Scalar) -> PyResult<FieldVec> {
    let values = transform_input(coefficients, &shift)?;
    Ok(FieldVec::new(threads::run(py, || ntt::portable_forward(&values, shift.0))))
}

#[pyfunction]
#[pyo3(signature = (polynomials, shift = Scalar(Fr::ONE)))]
fn ntt_many(py: Python<'_>, polynomials: Vec<PyRef<'_, FieldVec>>, shift: Scalar) -> PyResult<Vec<FieldVec>> {
    transform_many(py, &polynomials, shift, ntt::forward_many)
}

/// A transform of several vectors on a coset.
type Transform = fn(&[&[Fr]], Fr) -> Vec<Vec<Fr>>;

fn transform_many(
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
fn ntt_inverse(py: Python<'_>, values: &FieldVec, shift: Scalar) -> PyResult<FieldVec> {
    let values = transform_input(values, &shift)?;
    Ok(FieldVec::new(threads::run(py, || ntt::inverse(&values, shift.0))))
}

#[pyfunction]
#[pyo3(signature = (values, shift = Scalar(Fr::ONE)))]
fn intt_many(py: Python<'_>, values: Vec<PyRef<'_, FieldVec>>, shift: Scalar) -> PyResult<Vec<FieldVec>> {
    transform_many(py, &values, shift, ntt::inverse_many)
}

#[pyfunction]
fn omega(py: Python<'_>, k: u32) -> PyResult<Bound<'_, PyAny>> {
    if k > 32 {
        return Err(value_error(format!("the field has no root of unity of order 2^{k}")));
    }
    to_python_int(py, field::omega(k))
}

#[pyfunction]
fn affine_scan(py: Python<'_>, first: Scalar, factors: &FieldVec, terms: &FieldVec) -> PyResult<FieldVec> {
    let (factors, terms) = (factors.values(), terms.values());
    if factors.len() != terms.len() {
        return Err(value_error(format!("{} factors for {} terms", factors.len(), terms.len())));
    }
    Ok(FieldVec::new(threads::run(py, || field::affine_scan(first.0, &factors, &terms))))
}

#[pyclass(module = "plonnx._native", frozen)]
struct Program {
    program: program::Program,
}

#[pymethods]
impl Program {
    #[new]
    fn new(
        queries: Vec<(usize, i64)>,
        constants: Vec<Scalar>,
        scalar_count: usize,
        ops: Vec<(u8, usize, usize)>,
        outputs: Vec<usize>,
    ) -> PyResult<Program> {
        let ops = ops
            .into_iter()
            .map(|(code, left, right)| {
                let code = match code {
                    0 => program::Code::Add,
                    1 => program::Code::Sub,
                    2 => program::Code::Mul,
                    _ => return Err(value_error(format!("op code {code} is not 0 (add), 1 (sub) or 2 (mul)"))),
                };
                Ok((code, left, right))
            })
            .collect::<PyResult<Vec<_>>>()?;
        program::Program::new(queries, unwrap_all(constants), scalar_count, &ops, &outputs)
            .map(|program| Program { program })
            .map_err(value_error)
    }

    #[pyo3(signature = (columns, scalars, portable = false))]
    fn run(
        &self,
        py: Python<'_>,
        columns: Vec<PyRef<'_, FieldVec>>,
        scalars: Vec<Scalar>,
        portable: bool,
    ) -> PyResult<Vec<FieldVec>> {
        let (columns, scalars) = (borrow_all(&columns), unwrap_all(scalars));
        if scalars.len() != self.program.scalar_count {
            return Err(value_error(format!("{} scalars for {}", scalars.len(), self.program.scalar_count)));
        }
        if columns.is_empty() || columns.len() < self.program.column_count() {
            return Err(value_error(format!(
                "{} columns, the program reads {}",
                columns.len(),
                self.program.column_count()
            )));
        }
        let n = columns[0].len();
        if let Some(odd) = columns.iter().find(|c| c.len() != n) {
            return Err(value_error(format!("columns of lengths {n} and {}", odd.len())));
        }
        let outputs = threads::run(py, || {
            let slices: Vec<&[Fr]> = columns.iter().map(|c| c.as_slice()).collect();
            if portable {
                self.program.run_portable(&slices, n, &scalars)
            } else {
                self.program.run(&slices, n, &scalars)
            }
        });
        Ok(outputs.into_iter().map(FieldVec::new).collect())
    }
}

/// A range of shared points.
#[pyclass(module = "plonnx._native", frozen)]
struct Points {
    shared: Arc<points::Points>,
    start: usize,
    stop: usize,
}

impl Points {
    fn new(points: Vec<curve::G1>) -> Points {
        let stop = points.len();
        Points { shared: Arc::new(points::Points::new(points)), start: 0, stop }
    }

    fn points(&self) -> &[curve::G1] {
        &self.shared.affine[self.start..self.stop]
    }

    /// Refuses more scalars than there are points.
    fn check(&self, count: usize) -> PyResult<()> {
        if count > self.points().len() {
            return Err(value_error(format!("{count} scalars for {} points", self.points().len())));
        }
        Ok(())
    }
}

#[pymethods]
impl Points {
    #[staticmethod]
    #[pyo3(signature = (data, compressed = false, check = true))]
    fn from_bytes(py: Python<'_>, data: PyBackedBytes, compressed: bool, check: bool) -> PyResult<Points> {
        threads::run(py, || curve::decode_many(&data, compressed, check)).map(Points::new).map_err(value_error)
    }

    #[pyo3(signature = (compressed = false))]
    fn to_bytes<'py>(&self, py: Python<'py>, compressed: bool) -> Bound<'py, PyBytes> {
        let bytes = threads::run(py, || curve::encode_many(self.points(), compressed));
        PyBytes::new(py, &bytes)
    }

    fn __len__(&self) -> usize {
        self.points().len()
    }

    fn slice(&self, start: usize, stop: usize) -> PyResult<Points> {
        if start > stop || stop > self.points().len() {
            return Err(value_error(format!("slice {start}..{stop} of {} points", self.points().len())));
        }
        Ok(Points { shared: self.shared.clone(), start: self.start + start, stop: self.start + stop })
    }

    fn msm<'py>(&self, py: Python<'py>, scalars: &FieldVec) -> PyResult<Bound<'py, PyBytes>> {
        let scalars = scalars.values();
        self.check(scalars.len())?;
        let sum = threads::run(py, || self.shared.sum(self.start, Scalars::Wide(&scalars)).run());
        Ok(PyBytes::new(py, &curve::g1::encode(&sum)))
    }

    fn msm_ints<'py>(&self, py: Python<'py>, scalars: IntArray<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let scalars = scalars.ints()?;
        self.check(scalars.len())?;
        let sum = threads::run(py, || self.shared.sum(self.start, Scalars::Narrow(scalars)).run());
        Ok(PyBytes::new(py, &curve::g1::encode(&sum)))
    }

    fn lagrange(&self, py: Python<'_>, n: usize) -> PyResult<Points> {
        if !n.is_power_of_two() || n > self.points().len() {
            return Err(value_error(format!(
                "a Lagrange form of size {n}: it must be a power of two up to the {} points there are",
                self.points().len()
            )));
        }
        Ok(Points::new(threads::run(py, || curve::lagrange(&self.points()[..n]))))
    }
}

/// The scalars of one sum among many.
enum AnyScalars<'py> {
    Wide(Arc<Vec<Fr>>),
    Narrow(IntArray<'py>),
}

impl<'py> FromPyObject<'_, 'py> for AnyScalars<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<AnyScalars<'py>> {
        match object.cast::<FieldVec>() {
            Ok(values) => Ok(AnyScalars::Wide(values.get().values())),
            Err(_) => object.extract().map(AnyScalars::Narrow),
        }
    }
}

impl AnyScalars<'_> {
    fn scalars(&self) -> PyResult<Scalars<'_>> {
        Ok(match self {
            AnyScalars::Wide(values) => Scalars::Wide(values),
            AnyScalars::Narrow(values) => Scalars::Narrow(values.ints()?),
        })
    }
}

#[pyfunction]
fn msm_many<'py>(
    py: Python<'py>,
    points: Vec<PyRef<'py, Points>>,
    scalars: Vec<AnyScalars<'py>>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    if points.len() != scalars.len() {
        return Err(value_error(format!("{} lists of points for {} of scalars", points.len(), scalars.len())));
    }
    let scalars = scalars.iter().map(AnyScalars::scalars).collect::<PyResult<Vec<Scalars>>>()?;
    for (points, scalars) in points.iter().zip(&scalars) {
        points.check(scalars.len())?;
    }
    let jobs: Vec<_> = points.iter().map(|p| (p.shared.as_ref(), p.start)).zip(scalars).collect();
    let sums = threads::run(py, || points::sums(&jobs));
    Ok(sums.iter().map(|sum| PyBytes::new(py, &curve::g1::encode(sum))).collect())
}

fn g1_point(bytes: &[u8]) -> PyResult<curve::G1> {
    curve::g1::decode(bytes, false, true).map_err(|reason| value_error(format!("a G1 point is {reason}")))
}

fn g2_point(bytes: &[u8], compressed: bool) -> PyResult<curve::G2> {
    curve::g2::decode(bytes, compressed, true).map_err(|reason| value_error(format!("a G2 point is {reason}")))
}

#[pyfunction]
fn g1_generator(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &curve::g1::encode(&curve::g1_generator()))
}

#[pyfunction]
fn g2_generator(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &curve::g2::encode(&curve::g2_generator()))
}

#[pyfunction]
fn g1_add<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let point = |bytes: &[u8]| curve::g1::decode(bytes, false, false);
    let (a, b) =
        point(a).and_then(|a| Ok((a, point(b)?))).map_err(|reason| value_error(format!("a G1 point is {reason}")))?;
    let sum = curve::add_affine(&curve::to_jacobian(&a), &b);
    Ok(PyBytes::new(py, &curve::g1::encode(&curve::to_affine(&sum))))
}

#[pyfunction]
fn g1_mul<'py>(py: Python<'py>, point: &[u8], scalar: Scalar) -> PyResult<Bound<'py, PyBytes>> {
    let product = curve::mul(&curve::to_jacobian(&g1_point(point)?), scalar.0);
    Ok(PyBytes::new(py, &curve::g1::encode(&curve::to_affine(&product))))
}

#[pyfunction]
fn g2_mul<'py>(py: Python<'py>, point: &[u8], scalar: Scalar) -> PyResult<Bound<'py, PyBytes>> {
    let product = curve::g2_mul(&g2_point(point, false)?, scalar.0);
    Ok(PyBytes::new(py, &curve::g2::encode(&product)))
}

#[pyfunction]
fn g1_sum_of_products<'py>(
    py: Python<'py>,
    points: PyBackedBytes,
    scalars: Vec<Scalar>,
) -> PyResult<Bound<'py, PyBytes>> {
    let scalars = unwrap_all(scalars);
    let sum = threads::run(py, || {
        let points = curve::decode_many(&points, false, true)?;
        if points.len() != scalars.len() {
            return Err(format!("{} scalars for {} points", scalars.len(), points.len()));
        }
        Ok(points::Points::new(points).sum(0, Scalars::Wide(&scalars)).run())
    })
    .map_err(value_error)?;
    Ok(PyBytes::new(py, &curve::g1::encode(&sum)))
}

#[pyfunction]
#[pyo3(signature = (data, compressed = false))]
fn g2_from_bytes<'py>(py: Python<'py>, data: &[u8], compressed: bool) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &curve::g2::encode(&g2_point(data, compressed)?)))
}

#[pyfunction]
fn g2_to_compressed<'py>(py: Python<'py>, point: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut bytes = [0; curve::G2_BYTES / 2];
    curve::g2::encode_into(&g2_point(point, false)?, true, &mut bytes);
    Ok(PyBytes::new(py, &bytes))
}

#[pyfunction]
fn pairing_check(py: Python<'_>, pairs: Vec<(PyBackedBytes, PyBackedBytes)>) -> PyResult<bool> {
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

#[pyfunction]
fn srs_powers(py: Python<'_>, tau: Scalar, length: usize) -> Points {
    Points::new(threads::run(py, || points::fixed_base(&field::powers(tau.0, length, Fr::ONE))))
}

#[pyfunction]
fn fixed_base(py: Python<'_>, scalars: &FieldVec) -> Points {
    let scalars = scalars.values();
    Points::new(threads::run(py, || points::fixed_base(&scalars)))
}

/// `msm` by blst's own Pippenger over the low `bits` bits of the scalars, for comparison.
#[pyfunction]
#[pyo3(signature = (points, scalars, bits = 255))]
fn blst_msm<'py>(py: Python<'py>, points: &Points, scalars: &FieldVec, bits: usize) -> PyResult<Bound<'py, PyBytes>> {
    let scalars = scalars.values();
    points.check(scalars.len())?;
    let points = &points.points()[..scalars.len()];
    let width = bits.min(255).div_ceil(8);
    let sum = threads::run(py, || {
        let little_endian = |scalar: &Fr| scalar.to_limbs().into_iter().flat_map(u64::to_le_bytes).take(width);
        let bytes: Vec<u8> = scalars.iter().flat_map(little_endian).collect();
        msm::blst_pippenger(points, &bytes, bits.min(255))
    });
    Ok(PyBytes::new(py, &curve::g1::encode(&sum)))
}

/// `msm` by the arithmetic for processors without vector multiplication, for tests on those that have it.
#[pyfunction]
fn portable_msm<'py>(py: Python<'py>, points: &Points, scalars: &FieldVec) -> PyResult<Bound<'py, PyBytes>> {
    let scalars = scalars.values();
    points.check(scalars.len())?;
    let points = &points.points()[..scalars.len()];
    let sum = threads::run(py, || {
        let terms = msm::terms(scalars.len(), Fr::ZERO, |i| scalars[i]);
        msm::msm::<affine::Portable>(points, &terms)
    });
    Ok(PyBytes::new(py, &curve::g1::encode(&sum)))
}

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

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FieldVec>()?;
    module.add_class::<Program>()?;
    module.add_class::<Points>()?;
    macro_rules! functions {
        ($($name:ident),* $(,)?) => { $( module.add_function(wrap_pyfunction!($name, module)?)?; )* };
    }
    functions!(
        keccak256,
        thread_count,
        evaluate_many,
        linear_combination,
        combine_ints,
        ntt_forward,
        ntt_many,
        portable_ntt,
        ntt_inverse,
        intt_many,
        omega,
        affine_scan,
        g1_generator,
        g2_generator,
        msm_many,
        g1_add,
        g1_mul,
        g2_mul,
        g1_sum_of_products,
        g2_from_bytes,
        g2_to_compressed,
        pairing_check,
        srs_powers,
        fixed_base,
        blst_msm,
        portable_msm,
    );
    Ok(())
}
