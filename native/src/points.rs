//! Points that stay: the affine form of blst, and beside it, from the first sum on, the form that sums are fast in.

use crate::affine::{Arithmetic, Operand, Portable};
use crate::curve::{self, G1};
use crate::field::Fr;
#[cfg(target_arch = "x86_64")]
use crate::ifma::{self, Ifma};
use crate::ints::Ints;
use crate::msm;
use crate::sums::segment_sums;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

pub struct Points {
    pub affine: Vec<G1>,
    #[cfg(target_arch = "x86_64")]
    vectors: OnceLock<Vec<ifma::Point>>,
}

/// The expression with `A` the arithmetic of this processor and `source` the points in its form.
macro_rules! fastest {
    ($points:expr, $source:ident, $A:ident => $body:expr) => {{
        #[cfg(target_arch = "x86_64")]
        if Ifma::available() {
            type $A = Ifma;
            let $source = $points.vectors();
            return $body;
        }
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
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn vectors(&self) -> &[ifma::Point] {
        self.vectors.get_or_init(|| self.affine.par_iter().with_min_len(512).map(Ifma::lift).collect())
    }

    /// sum scalars_i * P_i over the points of the range, which has one scalar each.
    pub fn msm(&self, range: Range<usize>, scalars: &[Fr]) -> G1 {
        fastest!(self, source, A => msm::msm::<A>(&source[range], scalars))
    }

    pub fn msm_ints(&self, range: Range<usize>, scalars: Ints) -> G1 {
        fastest!(self, source, A => msm::msm_ints::<A>(&source[range], scalars))
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
