//! `Points`, lists of G1 points that stay in Rust, and their sums of products.

use crate::arguments::{unwrap_all, value_error, IntArray, Scalar};
use crate::threads;
use crate::vectors::{borrow_all, same_count, FieldVec};
use kernels::field::{self, Fr};
use kernels::fractions::Numbered;
use kernels::points::{self, Scalars};
use kernels::{curve, msm};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// A range of shared points.
#[pyclass(module = "plonnx._native", frozen)]
pub struct Points {
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

/// A column's fractions, of which each value stands once.
#[pyclass(module = "plonnx._native", frozen)]
pub struct Fractions {
    numbered: Numbered,
}

#[pymethods]
impl Fractions {
    #[new]
    fn new(
        py: Python<'_>,
        numerators: Vec<PyRef<'_, FieldVec>>,
        denominators: Vec<PyRef<'_, FieldVec>>,
        rows: usize,
    ) -> PyResult<Fractions> {
        same_count("numerators", numerators.len(), "denominators", denominators.len())?;
        let (numerators, denominators) = (borrow_all(&numerators), borrow_all(&denominators));
        if let Some(short) = numerators.iter().chain(&denominators).find(|part| part.len() < rows) {
            return Err(value_error(format!("{rows} rows of a vector of length {}", short.len())));
        }
        let pairs: Vec<_> = numerators.iter().zip(&denominators).map(|(n, d)| (&n[..rows], &d[..rows])).collect();
        Ok(Fractions { numbered: threads::run(py, || Numbered::fractions(&pairs)) })
    }

    fn sum(&self, py: Python<'_>) -> FieldVec {
        FieldVec::new(threads::run(py, || self.numbered.sum()))
    }
}

/// The scalars of one sum among many.
pub enum AnyScalars<'py> {
    Wide(Arc<Vec<Fr>>),
    Narrow(IntArray<'py>),
    Sums(Arc<Vec<Fr>>, PyRef<'py, Fractions>),
}

impl<'py> FromPyObject<'_, 'py> for AnyScalars<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<AnyScalars<'py>> {
        if let Ok(values) = object.cast::<FieldVec>() {
            return Ok(AnyScalars::Wide(values.get().values()));
        }
        match object.extract::<(PyRef<FieldVec>, PyRef<Fractions>)>() {
            Ok((values, fractions)) => Ok(AnyScalars::Sums(values.values(), fractions)),
            Err(_) => object.extract().map(AnyScalars::Narrow),
        }
    }
}

impl AnyScalars<'_> {
    fn scalars(&self) -> PyResult<Scalars<'_>> {
        Ok(match self {
            AnyScalars::Wide(values) => Scalars::Wide(values),
            AnyScalars::Narrow(values) => Scalars::Narrow(values.ints()?),
            AnyScalars::Sums(values, fractions) => {
                let (rows, numbered) = (values.len(), &fractions.numbered);
                if numbered.rows() > rows {
                    return Err(value_error(format!("{rows} scalars for {} rows of fractions", numbered.rows())));
                }
                Scalars::Sums(values, numbered)
            }
        })
    }
}

#[pyfunction]
pub fn msm_many<'py>(
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

#[pyfunction]
pub fn g1_sum_of_products<'py>(
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
pub fn srs_powers(py: Python<'_>, tau: Scalar, length: usize) -> Points {
    Points::new(threads::run(py, || points::fixed_base(&field::powers(tau.0, length, Fr::ONE))))
}

#[pyfunction]
pub fn fixed_base(py: Python<'_>, scalars: &FieldVec) -> Points {
    let scalars = scalars.values();
    Points::new(threads::run(py, || points::fixed_base(&scalars)))
}

/// `msm` by blst's own Pippenger over the low `bits` bits of the scalars, for comparison.
#[pyfunction]
#[pyo3(signature = (points, scalars, bits = 255))]
pub fn blst_msm<'py>(
    py: Python<'py>,
    points: &Points,
    scalars: &FieldVec,
    bits: usize,
) -> PyResult<Bound<'py, PyBytes>> {
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
