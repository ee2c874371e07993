//! Field elements side by side: what the transforms (ntt.rs) and the programs (program.rs) are written over.
//!
//! There are two such arithmetics: `Portable`, one element at a time, and `vector::Ifma`, eight, where the processor has
//! 52-bit vector multiply-add. Rows need not be canonical: values may grow to LIMIT times r. Who chains operations keeps
//! account of their bounds (in multiples of r), and settles in between.

use crate::field::{product, reduce_once, Fr, MODULUS};
use crate::ints::Int;
use crate::words::{sub, sub_modulo};
use std::cell::RefCell;
use std::thread::LocalKey;

/// One operand of many operations: a row for each, or the same row for all.
#[derive(Clone, Copy)]
pub struct Side<'a, Row> {
    rows: &'a [Row],
    step: usize,
}

impl<'a, Row> Side<'a, Row> {
    pub fn rows(rows: &'a [Row]) -> Self {
        Side { rows, step: 1 }
    }

    pub fn same(row: &'a Row) -> Self {
        Side { rows: std::slice::from_ref(row), step: 0 }
    }

    #[inline(always)]
    pub fn at(&self, index: usize) -> &'a Row {
        &self.rows[index * self.step]
    }
}

/// Four parts of a block of rows that two layers of butterflies join: (a, b) and (c, d) by `first`, then (a, c) by
/// `second[0]` and (b, d) by `second[1]`.
pub struct Quarters<'a, A: Lanes> {
    pub parts: [&'a mut [A::Row]; 4],
    pub first: &'a [A::Factor],
    pub second: [&'a [A::Factor]; 2],
}

/// What a row may reach.
pub const LIMIT: usize = 35;
/// The bound of what `Lanes::load` gives.
pub const LOADED: usize = 16;

/// The bound of a product.
pub fn product_bound(a: usize, b: usize) -> usize {
    (a * b).div_ceil(LIMIT) + 1
}

pub trait Lanes: 'static {
    /// log2 of the elements of a row.
    const BITS: usize;
    /// Elements side by side.
    type Row: Copy + Send + Sync;
    /// An element that whole rows are multiplied with.
    type Factor: Copy + Send + Sync;
    const ZERO: Self::Row;

    /// Memory that this thread keeps between transforms: rows that went through one core's cache stay there.
    fn spare() -> &'static LocalKey<RefCell<Vec<Self::Row>>>;

    // For programs, in a form that products keep.

    /// Element i goes to row i >> BITS, zeros follow.
    fn load(out: &mut [Self::Row], values: &[Fr]);
    /// The same of integers of at most 32 bits.
    fn load_ints<T: Int>(out: &mut [Self::Row], values: &[T]);
    /// The inverse of `load`, canonical.
    fn store(out: &mut [Fr], rows: &[Self::Row]);
    /// One element in all lanes; its bound is 1.
    fn constant(value: &Fr) -> Self::Row;
    /// out[i] = a[i] + b[i], of bound a + b.
    fn add(out: &mut [Self::Row], a: Side<Self::Row>, b: Side<Self::Row>);
    /// out[i] = a[i] - b[i], of bound a + b, where `bound` is that of b.
    fn sub(out: &mut [Self::Row], a: Side<Self::Row>, b: Side<Self::Row>, bound: usize);
    /// out[i] = a[i] b[i], of bound `product_bound`, which must not be above LIMIT either (35 times 35 is).
    fn mul(out: &mut [Self::Row], a: Side<Self::Row>, b: Side<Self::Row>);

    // For transforms: elements as they are in memory, factors as products want them.

    fn factors(values: &[Fr]) -> Vec<Self::Factor>;
    /// The same, as many side by side as a row holds.
    fn factor_rows(values: &[Fr]) -> Vec<Self::Row>;
    /// Row i of `out` takes the 2^BITS coefficients from 2^BITS rev(first + i), rev over `bits` bits; its bound is 1.
    fn gather(out: &mut [Self::Row], coefficients: &[Fr], first: usize, bits: usize);
    /// One layer: (low, high) = (low + t, low - t) with t = high factor; bounds grow by 2. With `settle` to 1 after that.
    fn butterflies(low: &mut [Self::Row], high: &mut [Self::Row], factors: &[Self::Factor], settle: bool);
    /// Two layers; bounds grow by 4.
    fn quarters(rows: Quarters<Self>, settle: bool)
    where
        Self: Sized;
    /// The last BITS layers, which join lanes: `parts[l]` takes the values that lane l of the rows stands for, in
    /// bit-reversed numbering. `factors` has the layers' factors, `first` is the number of the first row. Bounds grow by 2 a
    /// layer; the values that go out are canonical, multiplied by `scale` where there is one.
    fn finish(
        parts: &mut [&mut [Fr]],
        rows: &[Self::Row],
        factors: &[Vec<Self::Row>],
        first: usize,
        scale: Option<&Fr>,
    );
}

/// The expression with `A` the arithmetic of this processor, for `length` elements.
#[cfg(target_arch = "x86_64")]
macro_rules! fastest_lanes {
    ($length:expr, $A:ident => $body:expr) => {
        if $length >= crate::vector::SMALLEST && crate::vector::available() {
            type $A = crate::vector::Ifma;
            $body
        } else {
            type $A = crate::lanes::Portable;
            $body
        }
    };
}
#[cfg(not(target_arch = "x86_64"))]
macro_rules! fastest_lanes {
    ($length:expr, $A:ident => $body:expr) => {{
        type $A = crate::lanes::Portable;
        $body
    }};
}
pub(crate) use fastest_lanes;

/// One element at a time: canonical in programs, below 2r in transforms.
pub struct Portable;

const TWO_R: [u64; 4] = {
    let r = MODULUS;
    [r[0] << 1, r[1] << 1 | r[0] >> 63, r[2] << 1 | r[1] >> 63, r[3] << 1 | r[2] >> 63]
};

/// (low, high) = (low + t, low - t) with t = high factor. What comes and goes is below 2r: no product is reduced.
#[inline(always)]
fn butterfly(low: &mut Fr, high: &mut Fr, factor: &Fr) {
    let t = product(&factor.0, &high.0);
    let sum = sub_modulo(&low.0, &sub(&TWO_R, &t), &TWO_R);
    *high = Fr(sub_modulo(&low.0, &t, &TWO_R));
    *low = Fr(sum);
}

impl Lanes for Portable {
    const BITS: usize = 0;
    type Row = Fr;
    type Factor = Fr;
    const ZERO: Fr = Fr::ZERO;

    fn spare() -> &'static LocalKey<RefCell<Vec<Fr>>> {
        thread_local!(static SPARE: RefCell<Vec<Fr>> = const { RefCell::new(Vec::new()) });
        &SPARE
    }

    fn load(out: &mut [Fr], values: &[Fr]) {
        out.copy_from_slice(values);
    }

    fn load_ints<T: Int>(out: &mut [Fr], values: &[T]) {
        out.iter_mut().zip(values).for_each(|(slot, value)| *slot = Fr::from_i64(value.wide()));
    }

    fn store(out: &mut [Fr], rows: &[Fr]) {
        out.copy_from_slice(rows);
    }

    fn constant(value: &Fr) -> Fr {
        *value
    }

    fn add(out: &mut [Fr], a: Side<Fr>, b: Side<Fr>) {
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = a.at(i).add(b.at(i));
        }
    }

    fn sub(out: &mut [Fr], a: Side<Fr>, b: Side<Fr>, _bound: usize) {
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = a.at(i).sub(b.at(i));
        }
    }

    fn mul(out: &mut [Fr], a: Side<Fr>, b: Side<Fr>) {
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = a.at(i).mul(b.at(i));
        }
    }

    fn factors(values: &[Fr]) -> Vec<Fr> {
        values.to_vec()
    }

    fn factor_rows(values: &[Fr]) -> Vec<Fr> {
        values.to_vec()
    }

    fn gather(out: &mut [Fr], coefficients: &[Fr], first: usize, bits: usize) {
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = coefficients[reversed(first + i, bits)];
        }
    }

    fn butterflies(low: &mut [Fr], high: &mut [Fr], factors: &[Fr], _settle: bool) {
        for ((low, high), factor) in low.iter_mut().zip(high).zip(factors) {
            butterfly(low, high, factor);
        }
    }

    fn quarters(rows: Quarters<Portable>, _settle: bool) {
        let Quarters { parts: [a, b, c, d], first, second: [even, odd] } = rows;
        let length = a.len();
        assert!([b.len(), c.len(), d.len(), first.len(), even.len(), odd.len()] == [length; 6]);
        for j in 0..length {
            butterfly(&mut a[j], &mut b[j], &first[j]);
            butterfly(&mut c[j], &mut d[j], &first[j]);
            butterfly(&mut a[j], &mut c[j], &even[j]);
            butterfly(&mut b[j], &mut d[j], &odd[j]);
        }
    }

    fn finish(parts: &mut [&mut [Fr]], rows: &[Fr], _factors: &[Vec<Fr>], _first: usize, scale: Option<&Fr>) {
        for (slot, row) in parts[0].iter_mut().zip(rows) {
            *slot = Fr(reduce_once(match scale {
                Some(scale) => product(&scale.0, &row.0),
                None => row.0,
            }));
        }
    }
}

/// The `bits` low bits of an index, the other way round.
#[inline(always)]
pub fn reversed(index: usize, bits: usize) -> usize {
    if bits == 0 {
        0
    } else {
        index.reverse_bits() >> (usize::BITS as usize - bits)
    }
}

#[cfg(test)]
#[path = "tests/lanes.rs"]
mod tests;
