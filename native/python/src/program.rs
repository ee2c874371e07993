//! `Program`, a straight-line program over rows.

use crate::arguments::{unwrap_all, value_error, IntArray, Scalar};
use crate::threads;
use crate::vectors::{borrow_all, FieldVec};
use kernels::field::Fr;
use kernels::program::{self, Column};
use pyo3::prelude::*;
use std::sync::Arc;

/// A column of a program: a vector, or integers.
enum AnyColumn<'py> {
    Field(Arc<Vec<Fr>>),
    Ints(IntArray<'py>),
}

impl<'py> FromPyObject<'_, 'py> for AnyColumn<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<AnyColumn<'py>> {
        match object.cast::<FieldVec>() {
            Ok(values) => Ok(AnyColumn::Field(values.get().values())),
            Err(_) => object.extract().map(AnyColumn::Ints),
        }
    }
}

impl AnyColumn<'_> {
    fn column(&self) -> PyResult<Column<'_>> {
        Ok(match self {
            AnyColumn::Field(values) => values.as_slice().into(),
            AnyColumn::Ints(ints) => ints.ints()?.into(),
        })
    }
}

#[pyclass(module = "plonnx._native", frozen)]
pub struct Program {
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

    fn run(&self, py: Python<'_>, columns: Vec<AnyColumn<'_>>, scalars: Vec<Scalar>) -> PyResult<Vec<FieldVec>> {
        let columns = columns.iter().map(AnyColumn::column).collect::<PyResult<Vec<_>>>()?;
        let read = self.program.column_count();
        if columns.is_empty() || columns.len() < read {
            return Err(value_error(format!("{} columns, the program reads {read}", columns.len())));
        }
        self.call(py, program::Program::run, &columns, scalars)
    }

    fn run_queried(
        &self,
        py: Python<'_>,
        values: Vec<PyRef<'_, FieldVec>>,
        scalars: Vec<Scalar>,
    ) -> PyResult<Vec<FieldVec>> {
        let (values, queries) = (borrow_all(&values), self.program.query_count());
        if values.is_empty() || values.len() != queries {
            return Err(value_error(format!("{} vectors for {queries} queries", values.len())));
        }
        let values: Vec<Column> = values.iter().map(|values| values.as_slice().into()).collect();
        self.call(py, program::Program::run_queried, &values, scalars)
    }
}

/// One of the ways to run a program.
type Way = fn(&program::Program, &[Column], usize, &[Fr]) -> Vec<Vec<Fr>>;

impl Program {
    /// Runs over columns, at least one.
    fn call(&self, py: Python<'_>, way: Way, columns: &[Column<'_>], scalars: Vec<Scalar>) -> PyResult<Vec<FieldVec>> {
        let scalars = unwrap_all(scalars);
        if scalars.len() != self.program.scalar_count {
            return Err(value_error(format!("{} scalars for {}", scalars.len(), self.program.scalar_count)));
        }
        let n = columns[0].len();
        if let Some(odd) = columns.iter().find(|c| c.len() != n) {
            return Err(value_error(format!("columns of lengths {n} and {}", odd.len())));
        }
        let outputs = threads::run(py, || way(&self.program, columns, n, &scalars));
        Ok(outputs.into_iter().map(FieldVec::new).collect())
    }
}
