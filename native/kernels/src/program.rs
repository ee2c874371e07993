//! Straight-line programs over rows: what a gate polynomial becomes in the prover.
//!
//! Planned once: operations that no output needs are dropped, those on constants and scalars alone run once a call, and the
//! rest get registers that are reused after their last reader, so that a chunk of rows stays in cache. A register holds
//! lanes (lanes.rs), whose values may grow: the plan knows the bound of each, and settles what would outgrow a register.

use crate::field::Fr;
use crate::ints::{each_width, Int, Ints};
#[cfg(test)]
use crate::lanes::Portable;
use crate::lanes::{fastest_lanes, product_bound, Lanes, Side, LIMIT, LOADED};
use crate::memory::zeroed;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Rows per task: a register is 5 KB.
const ROWS: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Add,
    Sub,
    Mul,
}

/// What a program reads: field elements, or integers that stand for some and become such a chunk at a time.
#[derive(Clone, Copy)]
pub enum Column<'a> {
    Field(&'a [Fr]),
    Ints(Ints<'a>),
}

impl<'a> From<&'a [Fr]> for Column<'a> {
    fn from(values: &'a [Fr]) -> Self {
        Column::Field(values)
    }
}

impl<'a> From<Ints<'a>> for Column<'a> {
    fn from(values: Ints<'a>) -> Self {
        Column::Ints(values)
    }
}

impl Column<'_> {
    pub fn len(&self) -> usize {
        match self {
            Column::Field(values) => values.len(),
            Column::Ints(values) => values.len(),
        }
    }
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

enum Work {
    /// A query comes into its register.
    Load(usize),
    Add(Place, Place),
    /// With the bound of the right one.
    Sub(Place, Place, usize),
    Mul(Place, Place),
}

struct Step {
    work: Work,
    register: usize,
    /// The outputs that are complete with it.
    outputs: Vec<usize>,
}

pub struct Program {
    queries: Vec<(usize, i64)>,
    constants: Vec<Fr>,
    pub scalar_count: usize,
    /// Scalar slots: constants, the scalars of the run, one, then one per entry here.
    scalar_ops: Vec<ScalarOp>,
    steps: Vec<Step>,
    registers: usize,
    output_count: usize,
    /// Outputs that no step makes: queries and scalars.
    given: Vec<(usize, Place)>,
}

/// A program in the making: where each value is and its bound, and which registers are free.
struct Plan {
    places: Vec<Place>,
    bounds: Vec<usize>,
    steps: Vec<Step>,
    registers: usize,
    free: Vec<usize>,
    one: Place,
}

impl Plan {
    /// A step with a register for its result, which is none of the operands': no step works in place.
    fn push(&mut self, work: Work) -> Place {
        let register = self.free.pop().unwrap_or_else(|| {
            self.registers += 1;
            self.registers - 1
        });
        self.steps.push(Step { work, register, outputs: Vec::new() });
        Place::Register(register)
    }

    /// A value that steps can read.
    fn bring(&mut self, value: usize) {
        if let Place::Query(query) = self.places[value] {
            self.places[value] = self.push(Work::Load(query));
        }
    }

    /// The same value, below 2r.
    fn settle(&mut self, value: usize) {
        let place = self.places[value];
        self.places[value] = self.push(Work::Mul(place, self.one));
        self.bounds[value] = product_bound(self.bounds[value], 1);
        self.release(place);
    }

    fn release(&mut self, place: Place) {
        if let Place::Register(register) = place {
            self.free.push(register);
        }
    }

    /// The step of an op on two values, which are settled first where the result could outgrow a row.
    fn op(&mut self, code: Code, left: usize, right: usize) -> (Place, usize) {
        self.bring(left);
        self.bring(right);
        let bound = loop {
            let (a, b) = (self.bounds[left], self.bounds[right]);
            let bound = if code == Code::Mul { product_bound(a, b) } else { a + b };
            if bound <= LIMIT {
                break bound;
            }
            self.settle(if a > b { left } else { right });
        };
        let (a, b) = (self.places[left], self.places[right]);
        let work = match code {
            Code::Add => Work::Add(a, b),
            Code::Sub => Work::Sub(a, b, self.bounds[right]),
            Code::Mul => Work::Mul(a, b),
        };
        (self.push(work), bound)
    }
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

        let slots = constants.len() + scalar_count;
        let mut plan = Plan {
            places: (0..queries.len()).map(Place::Query).chain((0..slots).map(Place::Scalar)).collect(),
            bounds: std::iter::repeat_n(LOADED, queries.len()).chain(std::iter::repeat_n(1, slots)).collect(),
            steps: Vec::new(),
            registers: 0,
            free: Vec::new(),
            one: Place::Scalar(slots),
        };
        let mut scalar_ops = Vec::new();
        let mut given = Vec::new();
        let outputs_of = |value: usize| (0..outputs.len()).filter(move |output| outputs[*output] == value);
        for value in 0..inputs {
            given.extend(outputs_of(value).map(|output| (output, plan.places[value])));
        }
        for (i, (code, left, right)) in ops.iter().enumerate() {
            let (place, bound) = if !needed[inputs + i] {
                (plan.one, 1) // never read
            } else if let (Place::Scalar(left), Place::Scalar(right)) = (plan.places[*left], plan.places[*right]) {
                scalar_ops.push(ScalarOp { code: *code, left, right });
                let place = Place::Scalar(slots + scalar_ops.len());
                given.extend(outputs_of(inputs + i).map(|output| (output, place)));
                (place, 1)
            } else {
                let (place, bound) = plan.op(*code, *left, *right);
                plan.steps.last_mut().expect("the op's").outputs = outputs_of(inputs + i).collect();
                for (operand, repeated) in [(*left, false), (*right, left == right)] {
                    if last_use[operand] == Some(i) && !repeated {
                        plan.release(plan.places[operand]);
                    }
                }
                if last_use[inputs + i].is_none() {
                    plan.release(place); // an output alone: copied out as soon as it is computed
                }
                (place, bound)
            };
            plan.places.push(place);
            plan.bounds.push(bound);
        }
        let Plan { steps, registers, .. } = plan;
        let output_count = outputs.len();
        Ok(Program { queries, constants, scalar_count, scalar_ops, steps, registers, output_count, given })
    }

    /// The number of columns that the queries reach into.
    pub fn column_count(&self) -> usize {
        self.queries.iter().map(|(column, _)| column + 1).max().unwrap_or(0)
    }

    /// One vector of n values per output. Every column has n rows; `scalars` has scalar_count values.
    pub fn run(&self, columns: &[Column], n: usize, scalars: &[Fr]) -> Vec<Vec<Fr>> {
        fastest_lanes!(n, A => self.run_over::<A>(&self.queries, columns, n, scalars))
    }

    /// The same with a vector for each query, of what it reads: nothing is rotated.
    pub fn run_queried(&self, values: &[Column], n: usize, scalars: &[Fr]) -> Vec<Vec<Fr>> {
        let own: Vec<(usize, i64)> = (0..self.queries.len()).map(|query| (query, 0)).collect();
        fastest_lanes!(n, A => self.run_over::<A>(&own, values, n, scalars))
    }

    pub fn query_count(&self) -> usize {
        self.queries.len()
    }

    /// The same, an element at a time.
    #[cfg(test)]
    fn run_portable(&self, columns: &[Column], n: usize, scalars: &[Fr]) -> Vec<Vec<Fr>> {
        self.run_over::<Portable>(&self.queries, columns, n, scalars)
    }

    /// The queries are the program's own, or as many others.
    fn run_over<A: Lanes>(
        &self,
        queries: &[(usize, i64)],
        columns: &[Column],
        n: usize,
        scalars: &[Fr],
    ) -> Vec<Vec<Fr>> {
        let mut values: Vec<Fr> = self.constants.iter().chain(scalars).chain([&Fr::ONE]).copied().collect();
        for op in &self.scalar_ops {
            let (left, right) = (&values[op.left], &values[op.right]);
            values.push(match op.code {
                Code::Add => left.add(right),
                Code::Sub => left.sub(right),
                Code::Mul => left.mul(right),
            });
        }
        let wide: Vec<A::Row> = values.iter().map(A::constant).collect();
        let mut outputs: Vec<Vec<Fr>> = (0..self.output_count).map(|_| Vec::with_capacity(n)).collect();
        // Task t owns rows t * ROWS.. of every output.
        let mut tasks: Vec<Vec<&mut [MaybeUninit<Fr>]>> = (0..n.div_ceil(ROWS)).map(|_| Vec::new()).collect();
        for output in &mut outputs {
            for (task, part) in tasks.iter_mut().zip(output.spare_capacity_mut()[..n].chunks_mut(ROWS)) {
                task.push(part);
            }
        }
        tasks.into_par_iter().enumerate().for_each_init(
            || Scratch {
                registers: vec![vec![A::ZERO; ROWS >> A::BITS]; self.registers],
                staged: vec![Fr::ZERO; ROWS],
            },
            |scratch, (task, parts)| {
                let mut parts: Vec<&mut [Fr]> = parts.into_iter().map(|part| zeroed(part, Fr::ZERO)).collect();
                self.run_chunk::<A>(queries, columns, &wide, task * ROWS, &mut parts, scratch);
                for (output, place) in &self.given {
                    match place {
                        Place::Scalar(slot) => parts[*output].fill(values[*slot]),
                        Place::Query(query) => {
                            let rows = parts[*output].len();
                            let column = queried(queries[*query], columns, task * ROWS, rows, &mut scratch.staged);
                            parts[*output].copy_from_slice(column);
                        }
                        Place::Register(_) => unreachable!("a step completes it"),
                    }
                }
            },
        );
        for output in &mut outputs {
            // SAFETY: every row is in a task's parts.
            unsafe { output.set_len(n) };
        }
        outputs
    }

    fn run_chunk<A: Lanes>(
        &self,
        queries: &[(usize, i64)],
        columns: &[Column],
        scalars: &[A::Row],
        start: usize,
        parts: &mut [&mut [Fr]],
        scratch: &mut Scratch<A>,
    ) {
        let Some(rows) = parts.first().map(|part| part.len()) else { return };
        let lanes = rows.div_ceil(1 << A::BITS);
        let Scratch { registers, staged } = scratch;
        for Step { work, register, outputs } in &self.steps {
            let mut target = std::mem::take(&mut registers[*register]);
            let out = &mut target[..lanes];
            let side = |place: &Place| match place {
                Place::Scalar(slot) => Side::same(&scalars[*slot]),
                Place::Register(register) => Side::rows(&registers[*register]),
                Place::Query(_) => unreachable!("queries are loaded first"),
            };
            match work {
                Work::Load(query) => load::<A>(out, queries[*query], columns, start, rows, staged),
                Work::Add(left, right) => A::add(out, side(left), side(right)),
                Work::Sub(left, right, bound) => A::sub(out, side(left), side(right), *bound),
                Work::Mul(left, right) => A::mul(out, side(left), side(right)),
            }
            for output in outputs {
                A::store(parts[*output], out);
            }
            registers[*register] = target;
        }
    }
}

/// What a query reads on some rows, into a register: integers go there without a stop.
fn load<A: Lanes>(
    out: &mut [A::Row],
    query: (usize, i64),
    columns: &[Column],
    start: usize,
    rows: usize,
    staged: &mut [Fr],
) {
    if let Column::Ints(ints) = columns[query.0] {
        let first = (start as i64 + query.1).rem_euclid(ints.len() as i64) as usize;
        let read = first..first + rows;
        match ints {
            _ if read.end > ints.len() => {}
            Ints::I8(values) => return A::load_ints(out, &values[read]),
            Ints::I16(values) => return A::load_ints(out, &values[read]),
            Ints::I32(values) => return A::load_ints(out, &values[read]),
            Ints::I64(_) => {}
        }
    }
    A::load(out, queried(query, columns, start, rows, staged));
}

/// What a query reads on some rows.
fn queried<'a>(
    (column, rotation): (usize, i64),
    columns: &[Column<'a>],
    start: usize,
    rows: usize,
    staged: &'a mut [Fr],
) -> &'a [Fr] {
    let column = columns[column];
    let (n, staged) = (column.len(), &mut staged[..rows]);
    let first = (start as i64 + rotation).rem_euclid(n as i64) as usize;
    match column {
        Column::Field(values) if first + rows <= n => return &values[first..first + rows],
        Column::Field(values) => gathered(staged, first, values, |value| value),
        Column::Ints(ints) => each_width!(ints, values => gathered(staged, first, values, |v| Fr::from_i64(v.wide()))),
    }
    staged
}

/// Values from row `first` on, and behind the last row from the first.
fn gathered<T: Copy>(out: &mut [Fr], first: usize, values: &[T], made: impl Fn(T) -> Fr) {
    let (before, after) = out.split_at_mut(out.len().min(values.len() - first));
    before.iter_mut().zip(&values[first..]).for_each(|(slot, value)| *slot = made(*value));
    after.iter_mut().zip(values.iter().cycle()).for_each(|(slot, value)| *slot = made(*value));
}

/// The working memory of one task at a time.
struct Scratch<A: Lanes> {
    registers: Vec<Vec<A::Row>>,
    staged: Vec<Fr>,
}

#[cfg(test)]
#[path = "tests/program.rs"]
mod tests;
