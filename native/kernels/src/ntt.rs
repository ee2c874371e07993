//! The number-theoretic transform over cosets, natural order in and out.
//!
//! Decimation in time: out[i] = even(x^2) + x odd(x^2) with x = shift * omega^i. The shift lives in the factors (layer m of
//! a transform of size n uses shift^(n/2m) * omega_2m^j), so that a coset costs no multiplication of its own.
//!
//! Over lanes (lanes.rs), lane l of all rows together is a transform of its own, of the coefficients that are rev(l) modulo
//! the number of lanes. So layers never look into a row, but for the last few, which join the lanes.

use crate::field::{mul, omega, powers, Fr};
#[cfg(test)]
use crate::lanes::Portable;
use crate::lanes::{fastest_lanes, Lanes, Quarters, LIMIT};
use crate::memory::{filled, zeroed};
use rayon::prelude::*;
use std::any::Any;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex};

/// Elements per task: layers inside a block of this many stay in one core's cache.
const BLOCK: usize = 1 << 13;
/// From here on a transform fills the cores alone.
const LARGE: usize = 1 << 15;
/// Field elements that the cache of factors may hold in all (40 bytes each).
const CACHE_BUDGET: usize = 1 << 22;

/// Which transform: from coefficients to values on shift * H, or backwards from values on H.
#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Forward(Fr),
    Backward,
}
use Direction::{Backward, Forward};

/// The factors of the layers: factors[s][j] = c_s * omega_{2m}^j for m = 2^s, j < m; backwards omega^-1 takes its place, and
/// `scale` is 1 / n.
struct Tables<A: Lanes> {
    layers: Vec<Vec<A::Factor>>,
    /// The last layers, which join lanes.
    joining: Vec<Vec<A::Row>>,
    scale: Option<Fr>,
}

impl<A: Lanes> Tables<A> {
    fn new(k: usize, direction: Direction) -> Tables<A> {
        let (mut factor, scale) = match direction {
            Forward(shift) => (shift, None),
            Backward => (Fr::ONE, Some(Fr::from_u64(1 << k).inverse())),
        };
        let mut tables = Tables { layers: Vec::new(), joining: Vec::new(), scale };
        // factor is shift^(n / 2m), from the last layer down
        for s in (0..k).rev() {
            let root = omega(s as u32 + 1);
            let scaled = powers(if direction == Backward { root.inverse() } else { root }, 1 << s, factor);
            if s + A::BITS < k {
                tables.layers.push(A::factors(&scaled));
            } else {
                tables.joining.push(A::factor_rows(&scaled));
            }
            factor = factor.square();
        }
        tables.layers.reverse();
        tables.joining.reverse();
        tables
    }

    /// Those of a size and direction; the ones in use are kept, oldest out first. Not to be called from a task of the thread pool:
    /// it waits, under a lock, for tasks of its own.
    fn cached(k: usize, direction: Direction) -> Arc<Tables<A>> {
        type Entry = (usize, Direction, Arc<dyn Any + Send + Sync>);
        static CACHE: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
        let mut cache = CACHE.lock().expect("no panic holds this lock");
        let found = cache.iter().enumerate().find_map(|(place, (size, of, tables))| {
            let tables = tables.clone().downcast::<Tables<A>>().ok()?;
            (*size == k && *of == direction).then_some((place, tables))
        });
        if let Some((place, tables)) = found {
            let entry = cache.remove(place);
            cache.push(entry);
            return tables;
        }
        let tables = Arc::new(Tables::new(k, direction));
        cache.push((k, direction, tables.clone()));
        let mut held: usize = cache.iter().map(|(size, _, _)| 1usize << size).sum();
        while held > CACHE_BUDGET && cache.len() > 1 {
            held -= 1usize << cache.remove(0).0;
        }
        tables
    }
}

/// Values of the polynomial on shift * H. The length is a power of two, at most 2^32.
pub fn forward(coefficients: &[Fr], shift: Fr) -> Vec<Fr> {
    forward_many(&[coefficients], shift).pop().expect("that of the one polynomial")
}

/// `forward` of several polynomials.
pub fn forward_many(polynomials: &[&[Fr]], shift: Fr) -> Vec<Vec<Fr>> {
    many(polynomials, Forward(shift))
}

/// The coefficients of the polynomial with these values on shift * H.
pub fn inverse(values: &[Fr], shift: Fr) -> Vec<Fr> {
    inverse_many(&[values], shift).pop().expect("that of the one vector")
}

/// `inverse` of several polynomials.
pub fn inverse_many(values: &[&[Fr]], shift: Fr) -> Vec<Vec<Fr>> {
    unshifted(many(values, Backward), shift)
}

/// From coefficients of f(shift X) to those of f, of polynomials of several lengths.
fn unshifted(polynomials: Vec<Vec<Fr>>, shift: Fr) -> Vec<Vec<Fr>> {
    if shift == Fr::ONE {
        return polynomials;
    }
    let longest = polynomials.iter().map(Vec::len).max().unwrap_or(0);
    let factors = powers(shift.inverse(), longest, Fr::ONE);
    polynomials.into_iter().map(|f| mul(&f, &factors[..f.len()])).collect()
}

/// `forward` an element at a time.
#[cfg(test)]
fn portable_forward(coefficients: &[Fr], shift: Fr) -> Vec<Fr> {
    transform::<Portable>(coefficients, &Tables::cached(log2(coefficients), Forward(shift)), coefficients.len())
}

/// Small ones side by side, each on one core. A large one, or one alone, is shared by the cores; large ones go two at a time, so
/// that a core which has nothing to do in one of them works on the other.
fn many(inputs: &[&[Fr]], direction: Direction) -> Vec<Vec<Fr>> {
    let mut out = vec![Vec::new(); inputs.len()];
    let mut tasks: Vec<(&mut Vec<Fr>, &[Fr])> = out.iter_mut().zip(inputs.iter().copied()).collect();
    tasks.sort_by_key(|(_, input)| input.len());
    for same in tasks.chunk_by_mut(|(_, a), (_, b)| a.len() == b.len()) {
        let n = same[0].1.len();
        let at_once = if n >= LARGE { 2 } else { same.len() };
        let block = if n >= LARGE || same.len() == 1 { shared_block(n) } else { n };
        fastest_lanes!(n, A => {
            let tables = Tables::cached(log2(same[0].1), direction); // before the tasks start
            for some in same.chunks_mut(at_once) {
                let each = some.par_iter_mut().with_max_len(1);
                each.for_each(|(out, input)| **out = transform::<A>(input, &tables, block));
            }
        });
    }
    out
}

fn log2(values: &[Fr]) -> usize {
    values.len().trailing_zeros() as usize
}

/// The block that gives each core some, also in small transforms.
fn shared_block(n: usize) -> usize {
    BLOCK.min((n / 4).next_power_of_two()).max(256).min(n)
}

/// Blocks of `block` elements are tasks, and so are the pieces of the layers that join blocks.
fn transform<A: Lanes>(input: &[Fr], tables: &Tables<A>, block: usize) -> Vec<Fr> {
    let n = input.len();
    let (bits, count) = (log2(input) - A::BITS, n >> A::BITS);
    let block = (block >> A::BITS).max(1);
    let passes = passes::<A>(bits);
    let inside = passes.iter().take_while(|pass| 1 << pass.stop <= block).count();
    // Taken, not borrowed: a thread that waits in here may start another transform.
    let mut values = if count <= block { A::spare().take() } else { Vec::new() };
    let first = |index: usize, part: &mut [A::Row]| {
        A::gather(part, input, index * block, bits);
        for pass in &passes[..inside] {
            for group in part.chunks_exact_mut(1 << pass.stop) {
                pass.run::<A>(group, tables, block);
            }
        }
    };
    if count <= block {
        values.resize(count, A::ZERO);
        first(0, &mut values);
    } else {
        values = filled(count, block, A::ZERO, first);
    }
    for pass in &passes[inside..] {
        let piece = (block / 4).max(1);
        values.par_chunks_exact_mut(1 << pass.stop).for_each(|group| pass.run::<A>(group, tables, piece));
    }

    let mut out = Vec::with_capacity(n);
    let mut tasks: Vec<Vec<&mut [MaybeUninit<Fr>]>> =
        (0..count.div_ceil(block)).map(|_| Vec::with_capacity(1 << A::BITS)).collect();
    for part in out.spare_capacity_mut()[..n].chunks_mut(count) {
        for (task, piece) in tasks.iter_mut().zip(part.chunks_mut(block)) {
            task.push(piece);
        }
    }
    tasks.into_par_iter().zip(values.par_chunks(block)).enumerate().for_each(|(index, (parts, rows))| {
        let mut parts: Vec<&mut [Fr]> = parts.into_iter().map(|part| zeroed(part, Fr::ZERO)).collect();
        A::finish(&mut parts, rows, &tables.joining, index * block, tables.scale.as_ref());
    });
    // SAFETY: every element is in a task's parts.
    unsafe { out.set_len(n) };
    if count <= block {
        A::spare().set(values);
    }
    out
}

/// One or two layers, from `start` to below `stop`.
struct Pass {
    start: usize,
    stop: usize,
    settle: bool,
}

/// Two layers at a time; values are settled where they could outgrow a row.
fn passes<A: Lanes>(layers: usize) -> Vec<Pass> {
    let mut passes: Vec<Pass> = Vec::new();
    let (mut start, mut bound) = (0, 1);
    while start < layers {
        let stop = (start + 2).min(layers);
        bound += 2 * (stop - start);
        let settle = bound + 2 * 2 + 2 * A::BITS > LIMIT;
        if settle {
            bound = 1;
        }
        passes.push(Pass { start, stop, settle });
        start = stop;
    }
    passes
}

impl Pass {
    /// Over the 2^stop rows that it joins, in pieces of `piece` rows.
    fn run<A: Lanes>(&self, group: &mut [A::Row], tables: &Tables<A>, piece: usize) {
        let m = 1 << self.start;
        let first = &tables.layers[self.start];
        if self.stop == self.start + 1 {
            let (low, high) = group.split_at_mut(m);
            if m <= piece {
                return A::butterflies(low, high, first, self.settle);
            }
            return low
                .par_chunks_mut(piece)
                .zip(high.par_chunks_mut(piece))
                .zip(first.par_chunks(piece))
                .for_each(|((low, high), factors)| A::butterflies(low, high, factors, self.settle));
        }
        let (even, odd) = tables.layers[self.start + 1].split_at(m);
        let (low, high) = group.split_at_mut(2 * m);
        let ((a, b), (c, d)) = (low.split_at_mut(m), high.split_at_mut(m));
        if m <= piece {
            return A::quarters(Quarters { parts: [a, b, c, d], first, second: [even, odd] }, self.settle);
        }
        a.par_chunks_mut(piece)
            .zip(b.par_chunks_mut(piece))
            .zip(c.par_chunks_mut(piece).zip(d.par_chunks_mut(piece)))
            .zip(first.par_chunks(piece).zip(even.par_chunks(piece).zip(odd.par_chunks(piece))))
            .for_each(|(((a, b), (c, d)), (first, (even, odd)))| {
                A::quarters(Quarters { parts: [a, b, c, d], first, second: [even, odd] }, self.settle);
            });
    }
}

#[cfg(test)]
#[path = "tests/ntt.rs"]
mod tests;
