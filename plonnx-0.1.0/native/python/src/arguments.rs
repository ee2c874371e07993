//! What Python hands over: scalars, integer arrays; and what it gets where that is wrong, a ValueError of one line.

use kernels::field::Fr;
use kernels::ints::Ints;
use numpy::{PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};

pub fn value_error(message: impl Into<String>) -> PyErr {
    PyValueError::new_err(message.into())
}

/// A scalar argument as it comes: a Python int in [0, r).
pub struct Scalar(pub Fr);

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

pub fn to_python_int(py: Python<'_>, value: Fr) -> PyResult<Bound<'_, PyAny>> {
    py.get_type::<PyInt>().call_method1("from_bytes", (PyBytes::new(py, &value.to_bytes()), "big"))
}

pub fn unwrap_all(scalars: Vec<Scalar>) -> Vec<Fr> {
    scalars.into_iter().map(|s| s.0).collect()
}

/// A one-dimensional contiguous integer array, borrowed from numpy while the kernel runs.
pub enum IntArray<'py> {
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
    pub fn ints(&self) -> PyResult<Ints<'_>> {
        let refuse = |_| value_error("the integer array must be contiguous and aligned");
        Ok(match self {
            IntArray::I8(values) => Ints::I8(values.as_slice().map_err(refuse)?),
            IntArray::I16(values) => Ints::I16(values.as_slice().map_err(refuse)?),
            IntArray::I32(values) => Ints::I32(values.as_slice().map_err(refuse)?),
            IntArray::I64(values) => Ints::I64(values.as_slice().map_err(refuse)?),
        })
    }
}
