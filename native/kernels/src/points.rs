//! Points that stay: the affine form of blst, and beside it, from the first sum on, the form that sums are fast in.

use crate::affine::{Arithmetic, Operand, Pair, Portable};
use crate::curve::{self, G1};
use crate::field::Fr;
use crate::fractions::{Numbered, NONE};
use crate::halves::twin;
#[cfg(target_arch = "x86_64")]
use crate::ifma::{self, Ifma};
use crate::ints::{each_width, Int, Ints};
#[cfg(target_arch = "x86_64")]
use crate::memory::scattered;
use crate::msm;
use crate::sums::segment_sums;
#[cfg(target_arch = "x86_64")]
use crate::vector;
use blst::blst_p1;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub struct Points {
    pub affine: Vec<G1>,
    #[cfg(target_arch = "x86_64")]
    vectors: OnceLock<Vec<ifma::Point>>,
    suffixes: OnceLock<Box<Points>>,
    twins: OnceLock<Box<Points>>,
    /// The digit multiples of some of the points: which, and these.
    tables: Mutex<Option<(Range<usize>, Arc<Points>)>>,
}

/// The expression with `A` the arithmetic of this processor and `source` the points in its form.
#[cfg(target_arch = "x86_64")]
macro_rules! fastest {
    ($points:expr, $source:ident, $A:ident => $body:expr) => {
        if vector::available() {
            type $A = Ifma;
            let $source = $points.vectors();
            $body
        } else {
            type $A = Portable;
            let $source = $points.affine.as_slice();
            $body
        }
    };
}
#[cfg(not(target_arch = "x86_64"))]
macro_rules! fastest {
    ($points:expr, $source:ident, $A:ident => $body:expr) => {{
        type $A = Portable;
        let $source = $points.affine.as_slice();
        $body
    }};
}

impl Points {
    pub fn new(affine: Vec<G1>) -> Points {
        Points {
            affine,
            #[cfg(target_arch = "x86_64")]
            vectors: OnceLock::new(),
            suffixes: OnceLock::new(),
            twins: OnceLock::new(),
            tables: Mutex::new(None),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn vectors(&self) -> &[ifma::Point] {
        self.vectors.get_or_init(|| {
            let mut vectors = scattered(self.affine.len());
            self.affine.par_iter().with_min_len(512).map(Ifma::lift).collect_into_vec(&mut vectors);
            vectors
        })
    }

    /// sum scalars_i * P_(start + i), once it is run.
    pub fn sum<'a>(&'a self, start: usize, scalars: Scalars<'a>) -> Sum<'a> {
        self.sum_by(start, scalars, scalars.way())
    }

    fn sum_by<'a>(&'a self, start: usize, scalars: Scalars<'a>, way: Way) -> Sum<'a> {
        let way = match (way, scalars) {
            (Way::Direct, Scalars::Wide(values) | Scalars::Sums(values, _))
                if values.len() >= HALVED && start + values.len() <= TWINS =>
            {
                Way::Halves
            }
            (way, _) => way,
        };
        let points = match way {
            Way::Changes => self.suffixes(),
            Way::Halves => self.twins(),
            _ => self,
        };
        points.prepare();
        Sum { points, start, scalars, way }
    }

    /// Makes the form that sums read.
    fn prepare(&self) {
        #[cfg(target_arch = "x86_64")]
        if vector::available() {
            self.vectors();
        }
    }

    /// Q_i = P_i + P_{i+1} + .. to the end, and one Q more, infinity: with them, sum_i s_i P_i over a range is the sum of
    /// (s_i - s_{i-1}) Q_i, so that a column costs its changes.
    fn suffixes(&self) -> &Points {
        self.suffixes.get_or_init(|| Box::new(Points::new(fastest!(self, source, A => suffix_sums::<A>(source)))))
    }

    /// The first TWINS points and behind them their twins.
    fn twins(&self) -> &Points {
        self.twins.get_or_init(|| {
            let some = &self.affine[..self.affine.len().min(TWINS)];
            let twins: Vec<G1> = some.par_iter().with_min_len(512).map(twin).collect();
            Box::new(Points::new([some, &twins].concat()))
        })
    }

    /// The digit multiples of some points, which are kept for the next call. Two threads may make them at once: a lock is not
    /// held while tasks run, one of which might want it.
    fn tables(&self, of: Range<usize>) -> Arc<Points> {
        let held = || self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tables)) = held().as_ref().filter(|(made, _)| made.start == of.start && made.end >= of.end) {
            return tables.clone();
        }
        let points = &self.affine[of.clone()];
        let multiples = points.par_iter().flat_map_iter(|point| curve::digit_multiples(point, NIBBLE)).collect();
        let tables = Arc::new(Points::new(multiples));
        *held() = Some((of, tables.clone()));
        tables
    }

    /// For each list sum_t scalar_t P_t, of points P whose digit multiples these are, one point's after another's.
    fn digit_sums(&self, bits: usize, lists: &[&[Fr]]) -> Vec<G1> {
        // Digit zero is left out of the sums; one of no digits keeps one operand, infinity.
        let (mut operands, mut lengths) = (Vec::new(), Vec::with_capacity(lists.len()));
        for list in lists {
            let before = operands.len();
            for (t, scalar) in list.iter().enumerate() {
                let limbs = scalar.to_limbs();
                for window in 0..256 / bits {
                    let bit = bits * window;
                    let digit = limbs[bit / 64] as usize >> (bit % 64) & ((1 << bits) - 1);
                    if digit != 0 {
                        operands.push(Operand::new(((t * (256 / bits) + window) << bits) + digit, false));
                    }
                }
            }
            if operands.len() == before {
                operands.push(Operand::new(0, false));
            }
            lengths.push(operands.len() - before);
        }
        self.segment_sums(&operands, &lengths)
    }

    /// One point per segment of operands, in blocks over all cores.
    fn segment_sums(&self, operands: &[Operand], lengths: &[usize]) -> Vec<G1> {
        let share = lengths.len().div_ceil(2 * rayon::current_num_threads());
        let size = share.clamp(1, 128);
        let mut starts = vec![0];
        starts.extend(lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        }));
        fastest!(self, source, A => lengths
            .par_chunks(size)
            .enumerate()
            .map(|(chunk, lengths)| {
                let first = chunk * size;
                let operands = &operands[starts[first]..starts[first + lengths.len()]];
                let sums = segment_sums::<A>(source, operands, lengths);
                sums.iter().map(A::lower).collect::<Vec<G1>>()
            })
            .flatten_iter()
            .collect())
    }
}

#[derive(Clone, Copy)]
pub enum Scalars<'a> {
    Wide(&'a [Fr]),
    Narrow(Ints<'a>),
    /// Scalars, of which the first are the sums of the lists.
    Sums(&'a [Fr], &'a Numbered),
}

impl Scalars<'_> {
    pub fn len(&self) -> usize {
        match self {
            Scalars::Wide(values) | Scalars::Sums(values, _) => values.len(),
            Scalars::Narrow(ints) => ints.len(),
        }
    }

    fn way(&self) -> Way {
        match *self {
            Scalars::Wide(values) => way_of(&msm::shape(values, Fr::ZERO), || msm::distinct(values)).0,
            Scalars::Sums(values, numbered) => {
                let (way, additions) = way_of(&msm::shape(values, Fr::ZERO), || msm::distinct(values));
                let of_lists = numbered.lists.iter().flatten().filter(|number| **number != NONE).count();
                let joined = of_lists + WINDOWS * (numbered.values.len() + values.len() - numbered.rows());
                if joined < additions / 10 * 9 {
                    Way::Lists
                } else {
                    way
                }
            }
            Scalars::Narrow(ints) => each_width!(ints, values => {
                let shape = msm::shape(values, 0);
                // Integers take few windows: to join equal ones costs as much as it saves.
                match way_of(&shape, || shape.nonzero).0 {
                    Way::Changes if values.iter().any(|v| v.wide().unsigned_abs() >> 62 != 0) => Way::Direct,
                    way => way,
                }
            }),
        }
    }
}

/// The points of full sums by halves; from so many scalars on.
const TWINS: usize = 1 << 14;
const HALVED: usize = 64;
/// Bits of the digits that few scalars are cut into, how many scalars are few, and sums that are worth a table for their points.
const NIBBLE: usize = 4;
const FEW: usize = 8;
const SHARED: usize = 8;

type Job<'a> = ((&'a Points, usize), Scalars<'a>);

/// The few scalars of a job.
fn few<'a>(job: &Job<'a>) -> Option<&'a [Fr]> {
    match job.1 {
        Scalars::Wide(values) if (1..=FEW).contains(&values.len()) => Some(values),
        _ => None,
    }
}

/// The numbers of jobs of few scalars for the same points, where there are enough of them: as the random rows of columns are.
fn sharing(jobs: &[Job]) -> Vec<usize> {
    let Some(((points, start), _)) = jobs.iter().find(|job| few(job).is_some()) else { return Vec::new() };
    let same = |job: &Job| std::ptr::eq(job.0 .0, *points) && job.0 .1 == *start;
    let numbers: Vec<usize> = (0..jobs.len()).filter(|n| same(&jobs[*n]) && few(&jobs[*n]).is_some()).collect();
    if numbers.len() < SHARED {
        Vec::new()
    } else {
        numbers
    }
}

/// Many sums: small ones side by side. Large ones fill the cores and the memory; two at a time, so that a core which has nothing
/// to do in one of them (operands are sorted and dealt out by one) works on the other.
pub fn sums(jobs: &[Job]) -> Vec<G1> {
    const LARGE: usize = 1 << 15;
    let ways: Vec<Way> = jobs.par_iter().with_max_len(1).map(|(_, scalars)| scalars.way()).collect();
    let mut out = vec![G1::default(); jobs.len()];
    let sharing = sharing(jobs);
    let lists: Vec<&[Fr]> = sharing.iter().filter_map(|number| few(&jobs[*number])).collect();
    if let Some(longest) = lists.iter().map(|list| list.len()).max() {
        let (points, start) = jobs[sharing[0]].0;
        let found = points.tables(start..start + longest).digit_sums(NIBBLE, &lists);
        sharing.iter().zip(found).for_each(|(number, sum)| out[*number] = sum);
    }
    let (mut small, mut large) = (Vec::new(), Vec::new());
    let others = jobs.iter().zip(ways).zip(&mut out).enumerate().filter(|(n, _)| sharing.binary_search(n).is_err());
    for (_, ((((points, start), scalars), way), slot)) in others {
        let list = if scalars.len() < LARGE { &mut small } else { &mut large };
        list.push((points.sum_by(*start, *scalars, way), slot));
    }
    let run = |some: &mut [(Sum, &mut G1)]| {
        some.par_iter_mut().with_max_len(1).for_each(|(sum, slot)| **slot = sum.run());
    };
    large.chunks_mut(2).for_each(run);
    run(&mut small);
    out
}

/// A sum as a task among others: all that tasks could wait for each other with is made.
pub struct Sum<'a> {
    points: &'a Points,
    start: usize,
    scalars: Scalars<'a>,
    way: Way,
}

/// How a sum takes its scalars.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Direct,
    /// Full ones by their halves: the points have their twins behind them.
    Halves,
    /// By their changes: the points are suffix sums.
    Changes,
    /// Equal ones once, with the sum of their points.
    Values,
    /// The same by the lists that they are sums of.
    Lists,
}

impl Sum<'_> {
    pub fn run(&self) -> G1 {
        fastest!(self.points, source, A => {
            let source = &source[self.start..];
            match (self.way, self.scalars) {
                (Way::Lists, Scalars::Sums(values, numbered)) => {
                    msm::msm_by_values::<A>(source, numbered, &values[numbered.rows()..])
                }
                (Way::Values, Scalars::Wide(values) | Scalars::Sums(values, _)) => {
                    msm::msm_by_values::<A>(source, &Numbered::scalars(values), &[])
                }
                (Way::Halves, Scalars::Wide(values) | Scalars::Sums(values, _)) => {
                    let terms = msm::terms(values.len(), Fr::ZERO, |i| values[i]);
                    msm::msm_by_halves::<A>(source, terms, self.points.affine.len() / 2)
                }
                (_, Scalars::Wide(values) | Scalars::Sums(values, _)) => {
                    msm::msm::<A>(source, self.terms(values.len(), Fr::ZERO, |i| values[i], |a, b| a.sub(&b)))
                }
                (_, Scalars::Narrow(ints)) => each_width!(ints, values => {
                    msm::msm_ints::<A>(source, self.terms(values.len(), 0, |i| values[i].wide(), |a, b| a - b))
                }),
            }
        })
    }

    /// The factors that are not zero, of `length` scalars or of their changes, with the numbers of their points.
    fn terms<T: Copy + PartialEq + Send + Sync>(
        &self,
        length: usize,
        zero: T,
        scalar: impl Fn(usize) -> T + Sync,
        difference: impl Fn(T, T) -> T + Sync,
    ) -> Vec<(u32, T)> {
        if self.way != Way::Changes {
            return msm::terms(length, zero, scalar);
        }
        let scalar = |i: usize| if i < length { scalar(i) } else { zero };
        msm::terms(length + 1, zero, |i| if i > 0 { difference(scalar(i), scalar(i - 1)) } else { scalar(0) })
    }
}

const WINDOWS: usize = 20; // of a full scalar, about

/// What costs the fewest additions, and how many: one for each window of a scalar, and one to join it with an equal one.
fn way_of(shape: &msm::Shape, distinct: impl FnOnce() -> usize) -> (Way, usize) {
    const MANY: usize = 1 << 10; // from here on equal ones are looked for
    let &msm::Shape { nonzero, changes } = shape;
    let rarely = nonzero >= 64 && 2 * changes < nonzero;
    let joined = if nonzero < MANY { usize::MAX } else { nonzero + WINDOWS * distinct() };
    if rarely && WINDOWS * changes <= joined {
        (Way::Changes, WINDOWS * changes)
    } else if joined < WINDOWS * nonzero * 9 / 10 {
        (Way::Values, joined)
    } else {
        (Way::Direct, WINDOWS * nonzero)
    }
}

/// The sums of P_i to the end, for each i, and infinity.
///
/// By chains of equal length, all of them one step at a time, so that a step is a batch; then what comes after each chain
/// is added to all of its points.
fn suffix_sums<A: Arithmetic>(source: &[A::Point]) -> Vec<G1> {
    let steps = (source.len().isqrt() / 4).next_power_of_two().max(1);
    let mut sums = source.to_vec();
    sums.resize(source.len().div_ceil(steps) * steps, A::INFINITY);
    let chains = sums.len() / steps;
    let share = steps * chains.div_ceil(rayon::current_num_threads());
    sums.par_chunks_mut(share).for_each(|sums| {
        let mut out = vec![A::INFINITY; sums.len() / steps];
        for step in (0..steps - 1).rev() {
            let at = |chain: usize, step: usize| Operand::new(chain * steps + step, false);
            let pairs: Vec<Pair> = (0..out.len()).map(|chain| (at(chain, step), at(chain, step + 1))).collect();
            A::add_pairs(sums, &pairs, &mut out);
            for (chain, sum) in out.iter().enumerate() {
                sums[chain * steps + step] = *sum;
            }
        }
    });
    // after[c] = the sum of all chains behind chain c
    let mut after = vec![blst_p1::default(); chains];
    for chain in (0..chains.saturating_sub(1)).rev() {
        after[chain] = curve::add_affine(&after[chain + 1], &A::lower(&sums[(chain + 1) * steps]));
    }
    let after = curve::normalize(&after);
    let mut suffixes: Vec<G1> = sums
        .par_chunks(steps)
        .zip(&after)
        .flat_map_iter(|(chain, after)| {
            let mut points = chain.to_vec();
            points.push(A::lift(after));
            let last = Operand::new(steps, false);
            let pairs: Vec<Pair> = (0..steps).map(|step| (Operand::new(step, false), last)).collect();
            let mut out = vec![A::INFINITY; steps];
            A::add_pairs(&points, &pairs, &mut out);
            out.into_iter().map(|point| A::lower(&point))
        })
        .collect();
    suffixes.truncate(source.len());
    suffixes.push(G1::default());
    suffixes
}

/// scalar_i * G for every scalar, by a table of the generator's multiples.
pub fn fixed_base(scalars: &[Fr]) -> Vec<G1> {
    const BYTE: usize = 8;
    let table = Points::new(curve::digit_multiples(&curve::g1_generator(), BYTE));
    table.digit_sums(BYTE, &scalars.chunks(1).collect::<Vec<&[Fr]>>())
}

#[cfg(test)]
#[path = "tests/points.rs"]
mod tests;
