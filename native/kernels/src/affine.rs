//! Affine additions in batches: many independent sums P + Q that share one field inversion (Montgomery's trick).
//!
//! An addition costs 5 multiplications and a square, against 8 and 2 squares for the mixed additions of a single chain, and
//! the batch is what lets eight of them go side by side in vector registers. Everything that sums points here (buckets,
//! their weighted sums, fixed-base tables) is written over `Arithmetic`, of which there are two: `Portable` a word at a
//! time, and `ifma::Ifma` where the processor has 52-bit vector multiply-add.

use crate::curve::{add_affine, to_affine, to_jacobian, G1};
use crate::fp::{self, P};
use crate::memory::ask;
use crate::sums::Scratch;
use crate::words::{is_zero, sub_modulo};
use blst::blst_fp;
use std::cell::RefCell;

/// A reference to a point of a source: its index, and whether it is negated.
#[derive(Clone, Copy)]
pub struct Operand(u32);

impl Operand {
    #[inline(always)]
    pub fn new(index: usize, negative: bool) -> Operand {
        Operand((index as u32) << 1 | negative as u32)
    }

    #[inline(always)]
    pub fn index(self) -> usize {
        (self.0 >> 1) as usize
    }

    #[inline(always)]
    pub fn negative(self) -> bool {
        self.0 & 1 == 1
    }
}

pub type Pair = (Operand, Operand);

pub trait Arithmetic {
    /// A point as the arithmetic keeps it.
    type Point: Copy + Send + Sync;
    const INFINITY: Self::Point;

    fn lift(point: &G1) -> Self::Point;
    fn lower(point: &Self::Point) -> G1;
    fn negate(point: &Self::Point) -> Self::Point;

    /// Says that the point will be read soon.
    fn ask(point: &Self::Point);

    /// Runs with the scratch memory of this thread.
    fn with_scratch<R>(run: impl FnOnce(&mut Scratch<Self::Point>) -> R) -> R;

    /// out[i] = the sum of pairs[i], for any points (equal, opposite, infinite). `out` is as long as `pairs`.
    fn add_pairs(source: &[Self::Point], pairs: &[Pair], out: &mut [Self::Point]);
}

/// The complete addition, for the cases that the batch formula leaves out.
pub fn add_exceptional(a: &G1, b: &G1) -> G1 {
    to_affine(&add_affine(&to_jacobian(a), b))
}

pub struct Portable;

/// Additions that share an inversion.
const BATCH: usize = 512;
/// How many pairs ahead their points are asked for.
const AHEAD: usize = 6;

impl Portable {
    fn operand(source: &[G1], operand: Operand) -> G1 {
        let point = source[operand.index()];
        if operand.negative() {
            Portable::negate(&point)
        } else {
            point
        }
    }
}

#[inline(always)]
fn is_infinity(point: &G1) -> bool {
    is_zero(&point.x.l) && is_zero(&point.y.l)
}

impl Arithmetic for Portable {
    type Point = G1;
    const INFINITY: G1 = G1 { x: blst_fp { l: [0; 6] }, y: blst_fp { l: [0; 6] } };

    fn lift(point: &G1) -> G1 {
        *point
    }

    fn lower(point: &G1) -> G1 {
        *point
    }

    fn negate(point: &G1) -> G1 {
        G1 { x: point.x, y: blst_fp { l: sub_modulo(&[0; 6], &point.y.l, &P) } }
    }

    /// A point lies in two lines of the cache.
    fn ask(point: &G1) {
        ask(&point.x.l[0]);
        ask(&point.y.l[5]);
    }

    fn with_scratch<R>(run: impl FnOnce(&mut Scratch<G1>) -> R) -> R {
        thread_local!(static SCRATCH: RefCell<Scratch<G1>> = const { RefCell::new(Scratch::new()) });
        SCRATCH.with_borrow_mut(run)
    }

    /// Coordinates of points are canonical, what is in between is below 2p.
    fn add_pairs(source: &[G1], pairs: &[Pair], out: &mut [G1]) {
        for (pairs, out) in pairs.chunks(BATCH).zip(out.chunks_mut(BATCH)) {
            // (product of the differences before this one, this difference); exceptional pairs stay out of the product.
            let mut steps = [([0; 6], [0; 6]); BATCH];
            let mut product = fp::ONE;
            for (i, (step, (left, right))) in steps.iter_mut().zip(pairs).enumerate() {
                if let Some((left, right)) = pairs.get(i + AHEAD) {
                    Portable::ask(&source[left.index()]);
                    Portable::ask(&source[right.index()]);
                }
                let (a, b) = (&source[left.index()], &source[right.index()]);
                let difference = sub_modulo(&b.x.l, &a.x.l, &P);
                if is_zero(&difference) || is_infinity(a) || is_infinity(b) {
                    continue;
                }
                *step = (product, difference);
                product = fp::mul(&difference, &product);
            }
            let mut inverse = fp::inverse(&product);
            for ((step, (left, right)), slot) in steps.iter().zip(pairs).zip(out).rev() {
                let (before, difference) = step;
                if is_zero(difference) {
                    *slot = add_exceptional(&Portable::operand(source, *left), &Portable::operand(source, *right));
                    continue;
                }
                let (a, b) = (&source[left.index()], &source[right.index()]);
                let (y1, y2) = (fp::signed(&a.y.l, left.negative()), fp::signed(&b.y.l, right.negative()));
                let slope = fp::mul(&fp::raised_sub(&y2, &y1), &fp::mul(before, &inverse));
                inverse = fp::mul(difference, &inverse);
                let x = fp::sub_two(&fp::mul(&slope, &slope), &a.x.l, &b.x.l);
                let y = fp::sub_two(&fp::mul(&slope, &fp::raised_sub(&a.x.l, &x)), &y1, &[0; 6]);
                *slot = G1 { x: blst_fp { l: x }, y: blst_fp { l: y } };
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/affine.rs"]
mod tests;
