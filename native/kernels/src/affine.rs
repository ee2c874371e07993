//! Affine additions in batches: many independent sums P + Q that share one field inversion (Montgomery's trick).
//!
//! An addition costs 5 multiplications and a square, against 8 and 2 squares for the mixed additions of a single chain, and
//! the batch is what lets eight of them go side by side in vector registers. Everything that sums points here (buckets,
//! their weighted sums, fixed-base tables) is written over `Arithmetic`, of which there are two: `Portable` over blst's
//! field, and `ifma::Ifma` where the processor has 52-bit vector multiply-add.

use crate::curve::{add_affine, to_affine, to_jacobian, G1};
use crate::sums::Scratch;
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
    fn ask(_point: &Self::Point) {}

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

macro_rules! fp_operation {
    ($name:ident, $blst:ident) => {
        #[inline(always)]
        fn $name(a: &blst_fp, b: &blst_fp) -> blst_fp {
            let mut out = blst_fp::default();
            // SAFETY: field elements of this frame.
            unsafe { blst::$blst(&mut out, a, b) };
            out
        }
    };
}
fp_operation!(fp_mul, blst_fp_mul);
fp_operation!(fp_sub, blst_fp_sub);

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
        G1 { x: point.x, y: fp_sub(&blst_fp::default(), &point.y) }
    }

    fn with_scratch<R>(run: impl FnOnce(&mut Scratch<G1>) -> R) -> R {
        thread_local!(static SCRATCH: RefCell<Scratch<G1>> = const { RefCell::new(Scratch::new()) });
        SCRATCH.with_borrow_mut(run)
    }

    fn add_pairs(source: &[G1], pairs: &[Pair], out: &mut [G1]) {
        let zero = blst_fp::default();
        for (pairs, out) in pairs.chunks(BATCH).zip(out.chunks_mut(BATCH)) {
            // (product of the differences before this one, this difference); exceptional pairs stay out of the product.
            let mut steps = [(zero, zero); BATCH];
            let mut product = ONE;
            for (step, (left, right)) in steps.iter_mut().zip(pairs) {
                let (a, b) = (&source[left.index()], &source[right.index()]);
                let difference = fp_sub(&b.x, &a.x);
                if difference == zero || *a == Self::INFINITY || *b == Self::INFINITY {
                    continue;
                }
                *step = (product, difference);
                product = fp_mul(&product, &difference);
            }
            let mut inverse = zero;
            // SAFETY: field elements of this frame.
            unsafe { blst::blst_fp_eucl_inverse(&mut inverse, &product) };
            for ((step, (left, right)), slot) in steps.iter().zip(pairs).zip(out).rev() {
                let (a, b) = (Portable::operand(source, *left), Portable::operand(source, *right));
                if step.1 == zero {
                    *slot = add_exceptional(&a, &b);
                    continue;
                }
                let slope = fp_mul(&fp_sub(&b.y, &a.y), &fp_mul(&inverse, &step.0));
                inverse = fp_mul(&inverse, &step.1);
                let x = fp_sub(&fp_sub(&fp_mul(&slope, &slope), &a.x), &b.x);
                let y = fp_sub(&fp_mul(&slope, &fp_sub(&a.x, &x)), &a.y);
                *slot = G1 { x, y };
            }
        }
    }
}

/// 2^384 mod p: one, in blst's form.
pub const ONE: blst_fp = blst_fp {
    l: [
        0x7609_0000_0002_fffd,
        0xebf4_000b_c40c_0002,
        0x5f48_9857_53c7_58ba,
        0x77ce_5853_7052_5745,
        0x5c07_1a97_a256_ec6d,
        0x15f6_5ec3_fa80_e493,
    ],
};

#[cfg(test)]
#[path = "tests/affine.rs"]
mod tests;
