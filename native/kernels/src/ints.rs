//! Signed integer columns of any width, as they come from numpy.

use crate::field::{Fr, CHUNK};
use crate::memory::filled;
use crate::wide;
use rayon::prelude::*;

#[derive(Clone, Copy)]
pub enum Ints<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// A signed integer of any width, widened.
pub trait Int: Copy + Send + Sync {
    fn wide(self) -> i64;
}

macro_rules! widths {
    ($($width:ty),*) => { $( impl Int for $width {
        #[inline(always)]
        #[allow(clippy::unnecessary_cast)]
        fn wide(self) -> i64 {
            self as i64
        }
    } )* };
}
widths!(i8, i16, i32, i64);

/// The same expression over the slice of whichever width.
macro_rules! each_width {
    ($ints:expr, $slice:ident => $body:expr) => {
        match $ints {
            crate::ints::Ints::I8($slice) => $body,
            crate::ints::Ints::I16($slice) => $body,
            crate::ints::Ints::I32($slice) => $body,
            crate::ints::Ints::I64($slice) => $body,
        }
    };
}
pub(crate) use each_width;

impl Ints<'_> {
    pub fn len(&self) -> usize {
        each_width!(self, values => values.len())
    }

    fn bits(&self) -> u32 {
        match self {
            Ints::I8(_) => 8,
            Ints::I16(_) => 16,
            Ints::I32(_) => 32,
            Ints::I64(_) => 64,
        }
    }

    /// Each value as a field element.
    pub fn to_field(self) -> Vec<Fr> {
        each_width!(self, values => filled(values.len(), CHUNK, Fr::ZERO, |chunk, out| {
            for (slot, value) in out.iter_mut().zip(&values[chunk * CHUNK..]) {
                *slot = Fr::from_i64(value.wide());
            }
        }))
    }
}

/// sum_j powers[j] * integers[i * width + j] of every row i of as many integers as there are powers.
pub fn row_sums(integers: Ints, powers: &[Fr]) -> Vec<Fr> {
    const ROWS: usize = 16;
    let width = powers.len();
    let prepared: Vec<[u64; 4]> = powers.iter().map(wide::prepare).collect();
    // Words are v + 2^(bits - 1), never negative; the surplus of every row is one constant.
    let bias = 1u64 << (integers.bits() - 1);
    let surplus = powers.iter().fold(Fr::ZERO, |sum, power| sum.add(power)).mul(&Fr::from_u64(bias));
    each_width!(integers, values => filled(values.len() / width, ROWS, Fr::ZERO, |chunk, out| {
        for (slot, row) in out.iter_mut().zip(values[chunk * ROWS * width..].chunks_exact(width)) {
            let mut sum: wide::Sum = [0; 6];
            for (value, power) in row.iter().zip(&prepared) {
                wide::accumulate(&mut sum, power, (value.wide() as u64).wrapping_add(bias));
            }
            *slot = wide::reduce(&sum).sub(&surplus);
        }
    }))
}

/// sum_i weights[i] * column[i] of every column, each as long as the weights.
pub fn weighted_sums(columns: &[Ints], weights: &[Fr]) -> Vec<Fr> {
    const ROWS: usize = 1 << 10; // whose weights stay in a core's cache while all columns pass
    let of_chunk = |(chunk, weights): (usize, &[Fr])| -> Vec<Fr> {
        let prepared: Vec<[[u64; 4]; 2]> = weights.iter().map(signed).collect();
        let sum_of = |column: &Ints| {
            each_width!(column, values => {
                let mut sum: wide::Sum = [0; 6];
                for (value, factor) in values[chunk * ROWS..].iter().zip(&prepared) {
                    let value = value.wide();
                    wide::accumulate(&mut sum, &factor[usize::from(value < 0)], value.unsigned_abs());
                }
                wide::reduce(&sum)
            })
        };
        columns.iter().map(sum_of).collect()
    };
    let added = |a: Vec<Fr>, b: Vec<Fr>| a.iter().zip(&b).map(|(a, b)| a.add(b)).collect();
    weights.par_chunks(ROWS).enumerate().map(of_chunk).reduce(|| vec![Fr::ZERO; columns.len()], added)
}

/// sum_c sum_t factors[c][t] * integers[c][index[t][p]] for every p, over `channels` c; an index behind a channel's
/// integers reads zero, and costs nothing.
pub fn gathered_sums(integers: Ints, channels: usize, factors: &[Fr], index: &[i64]) -> Vec<Fr> {
    const POSITIONS: usize = 8;
    let (size, taps) = (integers.len() / channels, factors.len() / channels);
    let count = index.len() / taps;
    let prepared: Vec<[[u64; 4]; 2]> = factors.iter().map(signed).collect();
    filled(count, POSITIONS, Fr::ZERO, |chunk, out| {
        let mut sums: [wide::Sum; POSITIONS] = [[0; 6]; POSITIONS];
        let start = chunk * POSITIONS;
        let mut read = vec![];
        for tap in 0..taps {
            let cells = &index[tap * count + start..][..out.len()];
            read.extend(
                cells.iter().enumerate().filter(|(_, &cell)| cell < size as i64).map(|(p, &c)| (p, tap, c as usize)),
            );
        }
        each_width!(integers, values => {
            for channel in 0..channels {
                let (values, factors) = (&values[channel * size..][..size], &prepared[channel * taps..][..taps]);
                for &(position, tap, cell) in &read {
                    let value = values[cell].wide();
                    wide::accumulate(&mut sums[position], &factors[tap][usize::from(value < 0)], value.unsigned_abs());
                }
            }
        });
        for (slot, sum) in out.iter_mut().zip(&sums) {
            *slot = wide::reduce(sum);
        }
    })
}

/// What the magnitudes of integers are multiplied by: the factor, and for negative ones its negative.
fn signed(factor: &Fr) -> [[u64; 4]; 2] {
    [wide::prepare(factor), wide::prepare(&factor.neg())]
}

/// A column that is zero but for runs of integers of one width: run i holds the next lengths[i] values from row starts[i] on.
///
/// Runs come one after another and do not overlap.
pub struct Runs<'a> {
    pub starts: &'a [i32],
    pub lengths: &'a [i32],
    pub values: Ints<'a>,
}

impl Runs<'_> {
    /// Whether the runs are what the type says, inside `rows` rows.
    pub fn are_sound(&self, rows: usize) -> bool {
        let mut free = 0i64;
        let mut held = 0;
        let fits = self.starts.len() == self.lengths.len()
            && self.starts.iter().zip(self.lengths).all(|(&start, &length)| {
                let follows = i64::from(start) >= free && length >= 0;
                free = i64::from(start) + i64::from(length);
                held += i64::from(length);
                follows
            });
        fits && free <= rows as i64 && held == self.values.len() as i64
    }

    /// For each run where its values start, and the end of all.
    fn offsets(&self) -> Vec<usize> {
        let mut end = 0;
        let mut offsets = vec![0];
        offsets.extend(self.lengths.iter().map(|&length| {
            end += length as usize;
            end
        }));
        offsets
    }
}

/// sum factors[i] * columns[i] over `rows` rows, reduced once a row; what no run holds costs nothing.
pub fn combine_runs(columns: &[Runs], factors: &[Fr], rows: usize) -> Vec<Fr> {
    const ROWS: usize = 512;
    let prepared: Vec<[[u64; 4]; 2]> = factors.iter().map(signed).collect();
    let offsets: Vec<Vec<usize>> = columns.iter().map(Runs::offsets).collect();
    filled(rows, ROWS, Fr::ZERO, |chunk, out| {
        let (start, stop) = (chunk * ROWS, chunk * ROWS + out.len());
        let mut sums: [wide::Sum; ROWS] = [[0; 6]; ROWS];
        for ((column, offsets), factor) in columns.iter().zip(&offsets).zip(&prepared) {
            let first = column.starts.partition_point(|&row| (row as usize) < start);
            let first = first.saturating_sub(1); // which may reach into this chunk
            let runs = column.starts.iter().zip(column.lengths).zip(offsets).skip(first);
            for ((&row, &length), &offset) in runs.take_while(|((&row, _), _)| (row as usize) < stop) {
                let row = row as usize;
                let (from, to) = (row.max(start), (row + length as usize).min(stop));
                if to <= from {
                    continue;
                }
                let at = offset + from - row;
                each_width!(column.values, values => {
                    for (sum, value) in sums[from - start..to - start].iter_mut().zip(&values[at..]) {
                        let value = value.wide();
                        wide::accumulate(sum, &factor[usize::from(value < 0)], value.unsigned_abs());
                    }
                });
            }
        }
        for (slot, sum) in out.iter_mut().zip(&sums) {
            *slot = wide::reduce(sum);
        }
    })
}

#[cfg(test)]
#[path = "tests/ints.rs"]
mod tests;
