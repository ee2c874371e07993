//! Straight-line programs over rows: what a gate polynomial becomes in the prover.
//!
//! Planned once: operations that no output needs are dropped, those on constants and scalars alone run once a call, and the
//! rest get registers that are reused after their last reader, so that a chunk of rows stays in cache.

use crate::field::Fr;
use crate::rows;
use rayon::prelude::*;

/// Rows per task: a register is 8 KB.
const ROWS: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Add,
    Sub,
    Mul,
}

/// Where a value is found while the program runs.
#[derive(Clone, Copy, Debug)]
enum Place {
    Query(usize),
    Scalar(usize),
    Register(usize),
}

struct ScalarOp {
    code: Code,
    left: usize,
    right: usize,
}

struct VectorOp {
    code: Code,
    left: Place,
    right: Place,
    register: usize,
}

pub struct Program {
    queries: Vec<(usize, i64)>,
    constants: Vec<Fr>,
    pub scalar_count: usize,
    /// Scalar slots: constants, the scalars of the run, then one per entry here.
    scalar_ops: Vec<ScalarOp>,
    vector_ops: Vec<VectorOp>,
    registers: usize,
    /// Output, and the vector op after which it is complete (None: a query or a scalar).
    outputs: Vec<(Place, Option<usize>)>,
}

impl Program {
    pub fn new(
        queries: Vec<(usize, i64)>,
        constants: Vec<Fr>,
        scalar_count: usize,
        ops: &[(Code, usize, usize)],
        outputs: &[usize],
    ) -> Result<Program, String> {
        let inputs = queries.len() + constants.len() + scalar_count;
        for (i, (_, left, right)) in ops.iter().enumerate() {
            if (*left).max(*right) >= inputs + i {
                return Err(format!("op {i} reads a value that comes after it"));
            }
        }
        if let Some(output) = outputs.iter().find(|v| **v >= inputs + ops.len()) {
            return Err(format!("output {output} is not a value of the program"));
        }

        // What the outputs need, from the last op back; the last reader of each value.
        let mut last_use = vec![None; inputs + ops.len()];
        let mut needed = vec![false; inputs + ops.len()];
        for output in outputs {
            needed[*output] = true;
        }
        for (i, (_, left, right)) in ops.iter().enumerate().rev() {
            if needed[inputs + i] {
                for operand in [*left, *right] {
                    needed[operand] = true;
                    last_use[operand].get_or_insert(i);
                }
            }
        }

        let mut places: Vec<Place> = Vec::with_capacity(inputs + ops.len());
        places.extend((0..queries.len()).map(Place::Query));
        places.extend((0..constants.len() + scalar_count).map(Place::Scalar));
        let mut program = Program {
            queries,
            constants,
            scalar_count,
            scalar_ops: Vec::new(),
            vector_ops: Vec::new(),
            registers: 0,
            outputs: Vec::new(),
        };
        let scalar_inputs = program.constants.len() + scalar_count;
        let mut free: Vec<usize> = Vec::new();
        let mut vector_index = vec![None; inputs + ops.len()];
        for (i, (code, left, right)) in ops.iter().enumerate() {
            if !needed[inputs + i] {
                places.push(Place::Scalar(0)); // never read
                continue;
            }
            if let (Place::Scalar(left), Place::Scalar(right)) = (places[*left], places[*right]) {
                places.push(Place::Scalar(scalar_inputs + program.scalar_ops.len()));
                program.scalar_ops.push(ScalarOp { code: *code, left, right });
                continue;
            }
            // The result gets a register of its own before those of its operands become free: no op works in place.
            let register = free.pop().unwrap_or_else(|| {
                program.registers += 1;
                program.registers - 1
            });
            for (operand, repeated) in [(*left, false), (*right, left == right)] {
                if let (Place::Register(done), Some(reader), false) = (places[operand], last_use[operand], repeated) {
                    if reader == i {
                        free.push(done);
                    }
                }
            }
            vector_index[inputs + i] = Some(program.vector_ops.len());
            if last_use[inputs + i].is_none() {
                free.push(register); // an output alone: copied out as soon as it is computed
            }
            program.vector_ops.push(VectorOp { code: *code, left: places[*left], right: places[*right], register });
            places.push(Place::Register(register));
        }
        program.outputs = outputs.iter().map(|v| (places[*v], vector_index[*v])).collect();
        Ok(program)
    }

    /// The number of columns that the queries reach into.
    pub fn column_count(&self) -> usize {
        self.queries.iter().map(|(column, _)| column + 1).max().unwrap_or(0)
    }

    /// One vector of n values per output. Every column has n rows; `scalars` has scalar_count values.
    pub fn run(&self, columns: &[&[Fr]], n: usize, scalars: &[Fr]) -> Vec<Vec<Fr>> {
        let mut values: Vec<Fr> = self.constants.iter().chain(scalars).copied().collect();
        for op in &self.scalar_ops {
            let result = apply(op.code, &values[op.left], &values[op.right]);
            values.push(result);
        }
        let mut outputs = vec![vec![Fr::ZERO; n]; self.outputs.len()];
        // Task t owns rows t * ROWS.. of every output.
        let mut tasks: Vec<Vec<&mut [Fr]>> = (0..n.div_ceil(ROWS)).map(|_| Vec::new()).collect();
        for output in &mut outputs {
            for (task, part) in tasks.iter_mut().zip(output.chunks_mut(ROWS)) {
                task.push(part);
            }
        }
        tasks.into_par_iter().enumerate().for_each_init(
            || Scratch::new(self.registers),
            |scratch, (task, mut parts)| self.run_chunk(columns, &values, task * ROWS, &mut parts, scratch),
        );
        outputs
    }

    fn run_chunk(
        &self,
        columns: &[&[Fr]],
        scalars: &[Fr],
        start: usize,
        parts: &mut [&mut [Fr]],
        scratch: &mut Scratch,
    ) {
        let rows = match parts.first() {
            Some(part) => part.len(),
            None => return,
        };
        let Scratch { registers, staged } = scratch;
        for (index, op) in self.vector_ops.iter().enumerate() {
            let mut target = std::mem::take(&mut registers[op.register]);
            let [stage_left, stage_right] = staged;
            let left = self.operand(op.left, columns, scalars, start, rows, registers, stage_left);
            let right = self.operand(op.right, columns, scalars, start, rows, registers, stage_right);
            run_op(op.code, &left, &right, &mut target[..rows]);
            for (output, part) in self.outputs.iter().zip(parts.iter_mut()) {
                if output.1 == Some(index) {
                    part.copy_from_slice(&target[..rows]);
                }
            }
            registers[op.register] = target;
        }
        for ((place, complete), part) in self.outputs.iter().zip(parts.iter_mut()) {
            if complete.is_none() {
                match self.operand(*place, columns, scalars, start, rows, registers, &mut staged[0]) {
                    Operand::Scalar(value) => part.fill(value),
                    Operand::Rows(values) => part.copy_from_slice(values),
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    #[inline]
    fn operand<'a>(
        &self,
        place: Place,
        columns: &[&'a [Fr]],
        scalars: &[Fr],
        start: usize,
        rows: usize,
        registers: &'a [Vec<Fr>],
        stage: &'a mut [Fr],
    ) -> Operand<'a> {
        match place {
            Place::Scalar(index) => Operand::Scalar(scalars[index]),
            Place::Register(index) => Operand::Rows(&registers[index][..rows]),
            Place::Query(index) => {
                let (column, rotation) = self.queries[index];
                let column = columns[column];
                let first = (start as i64 + rotation).rem_euclid(column.len() as i64) as usize;
                if first + rows <= column.len() {
                    return Operand::Rows(&column[first..first + rows]);
                }
                for (i, slot) in stage[..rows].iter_mut().enumerate() {
                    *slot = column[(first + i) % column.len()];
                }
                Operand::Rows(&stage[..rows])
            }
        }
    }
}

/// The working memory of one task at a time.
struct Scratch {
    registers: Vec<Vec<Fr>>,
    staged: [Vec<Fr>; 2],
}

impl Scratch {
    fn new(registers: usize) -> Scratch {
        let rows = || vec![Fr::ZERO; ROWS];
        Scratch { registers: (0..registers).map(|_| rows()).collect(), staged: [rows(), rows()] }
    }
}

enum Operand<'a> {
    Scalar(Fr),
    Rows(&'a [Fr]),
}

#[inline(always)]
fn apply(code: Code, left: &Fr, right: &Fr) -> Fr {
    match code {
        Code::Add => left.add(right),
        Code::Sub => left.sub(right),
        Code::Mul => left.mul(right),
    }
}

#[inline]
fn run_op(code: Code, left: &Operand, right: &Operand, out: &mut [Fr]) {
    match code {
        Code::Add => rows_of(left, right, out, Fr::add),
        Code::Sub => rows_of(left, right, out, Fr::sub),
        Code::Mul => match (left, right) {
            (Operand::Rows(a), Operand::Rows(b)) => rows::mul(out, a, b),
            (Operand::Rows(a), Operand::Scalar(b)) | (Operand::Scalar(b), Operand::Rows(a)) => rows::scale(out, a, b),
            (Operand::Scalar(a), Operand::Scalar(b)) => out.fill(a.mul(b)),
        },
    }
}

#[inline(always)]
fn rows_of(left: &Operand, right: &Operand, out: &mut [Fr], f: impl Fn(&Fr, &Fr) -> Fr) {
    match (left, right) {
        (Operand::Rows(a), Operand::Rows(b)) => {
            for ((slot, a), b) in out.iter_mut().zip(*a).zip(*b) {
                *slot = f(a, b);
            }
        }
        (Operand::Rows(a), Operand::Scalar(b)) => {
            for (slot, a) in out.iter_mut().zip(*a) {
                *slot = f(a, b);
            }
        }
        (Operand::Scalar(a), Operand::Rows(b)) => {
            for (slot, b) in out.iter_mut().zip(*b) {
                *slot = f(a, b);
            }
        }
        (Operand::Scalar(a), Operand::Scalar(b)) => out.fill(f(a, b)),
    }
}
