//! Points that stay: the affine form of blst, and beside it, from the first sum on, the form that sums are fast in.

use crate::affine::{Arithmetic, Operand, Pair, Portable};
use crate::curve::{self, G1};
use crate::field::Fr;
use crate::fractions::{Numbered, NONE};
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
use std::sync::OnceLock;

pub struct Points {
    pub affine: Vec<G1>,
    #[cfg(target_arch = "x86_64")]
    vectors: OnceLock<Vec<ifma::Point>>,
    suffixes: OnceLock<Box<Points>>,
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
        let points = if way == Way::Changes { self.suffixes() } else { self };
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

    /// One point per segment of operands, in blocks over all cores.
    fn segment_sums(&self, operands: &[Operand], lengths: &[usize]) -> Vec<G1> {
        const SEGMENTS: usize = 128;
        let mut starts = vec![0];
        starts.extend(lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        }));
        fastest!(self, source, A => lengths
            .par_chunks(SEGMENTS)
            .enumerate()
            .map(|(chunk, lengths)| {
                let first = chunk * SEGMENTS;
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

/// Many sums: small ones side by side. Large ones fill the cores and the memory; two at a time, so that a core which has nothing
/// to do in one of them (operands are sorted and dealt out by one) works on the other.
pub fn sums(jobs: &[((&Points, usize), Scalars)]) -> Vec<G1> {
    const LARGE: usize = 1 << 15;
    let ways: Vec<Way> = jobs.par_iter().with_max_len(1).map(|(_, scalars)| scalars.way()).collect();
    let mut out = vec![G1::default(); jobs.len()];
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for ((((points, start), scalars), way), slot) in jobs.iter().zip(ways).zip(&mut out) {
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

/// scalar_i * G for every scalar, by a table of the generator's multiples digit * 2^(8 window).
pub fn fixed_base(scalars: &[Fr]) -> Vec<G1> {
    let table = Points::new(curve::byte_multiples(&curve::g1_generator()));
    let digits: Vec<[u8; 32]> = scalars.par_iter().with_min_len(256).map(|scalar| scalar.to_bytes()).collect();
    // Digit zero is left out of the table and of the sums; a zero scalar keeps one operand, infinity.
    let mut operands = Vec::with_capacity(32 * scalars.len());
    let mut lengths = Vec::with_capacity(scalars.len());
    for digits in &digits {
        let before = operands.len();
        for (window, digit) in digits.iter().rev().enumerate().filter(|(_, digit)| **digit != 0) {
            operands.push(Operand::new(256 * window + *digit as usize, false));
        }
        if operands.len() == before {
            operands.push(Operand::new(0, false));
        }
        lengths.push(operands.len() - before);
    }
    table.segment_sums(&operands, &lengths)
}

#[cfg(test)]
#[path = "tests/points.rs"]
mod tests;
