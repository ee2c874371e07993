//! The number-theoretic transform over cosets, natural order in and out.
//!
//! Decimation in time: out[i] = even(x^2) + x odd(x^2) with x = shift * omega^i. The shift lives in the twiddles (layer m of
//! a transform of size n uses shift^(n/2m) * omega_2m^j), so that a coset costs no multiplication of its own.

use crate::field::{omega, powers, Fr, CHUNK};
use crate::rows;
use rayon::prelude::*;
use std::sync::{Arc, Mutex, OnceLock};

/// Elements per task: layers inside a block of this many stay in one core's cache.
const BLOCK: usize = 1 << 12;
/// Layers that are done while the coefficients are put into bit-reversed order.
const FIRST_LAYERS: usize = 3;
/// Field elements that the cache of coset twiddles may hold in all (32 bytes each).
const CACHE_BUDGET: usize = 1 << 22;

/// One table per layer: twiddles[s][j] = c_s * omega_{2m}^j for m = 2^s, j < m.
type Twiddles = Vec<Arc<Vec<Fr>>>;

/// Layers of the subgroup itself, shared by every size.
fn subgroup_layer(s: usize) -> Arc<Vec<Fr>> {
    static LAYERS: [OnceLock<Arc<Vec<Fr>>>; 32] = [const { OnceLock::new() }; 32];
    LAYERS[s].get_or_init(|| Arc::new(powers(omega(s as u32 + 1), 1 << s, Fr::ONE))).clone()
}

fn build_twiddles(k: usize, shift: Fr) -> Twiddles {
    let mut factor = shift; // shift^(n / 2m), from the last layer down
    let mut layers = Vec::with_capacity(k);
    for s in (0..k).rev() {
        let base = subgroup_layer(s);
        let layer = if factor == Fr::ONE {
            base
        } else {
            let mut scaled = vec![Fr::ZERO; base.len()];
            scaled.par_chunks_mut(CHUNK).zip(base.par_chunks(CHUNK)).for_each(|(out, base)| {
                rows::scale(out, base, &factor);
            });
            Arc::new(scaled)
        };
        layers.push(layer);
        factor = factor.square();
    }
    layers.reverse();
    layers
}

/// The twiddles of (size, shift); those of the cosets in use are kept, oldest out first. Not to be called from a task of
/// the thread pool: it waits, under a lock, for tasks of its own.
fn twiddles(k: usize, shift: Fr) -> Arc<Twiddles> {
    type Entry = (usize, Fr, Arc<Twiddles>);
    static CACHE: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
    if shift == Fr::ONE {
        return Arc::new(build_twiddles(k, shift));
    }
    let mut cache = CACHE.lock().expect("no panic holds this lock");
    if let Some(found) = cache.iter().position(|(size, of, _)| *size == k && *of == shift) {
        let entry = cache.remove(found);
        cache.push(entry);
    } else {
        cache.push((k, shift, Arc::new(build_twiddles(k, shift))));
        let mut held: usize = cache.iter().map(|(size, _, _)| 1usize << size).sum();
        while held > CACHE_BUDGET && cache.len() > 1 {
            held -= 1usize << cache.remove(0).0;
        }
    }
    cache.last().expect("an entry was just put there").2.clone()
}

/// Takes the coefficients of this part in bit-reversed order, part of the output at `start`, through the first layers.
///
/// These layers join neighbours, at most 8 of them: they run over columns, so that each operation is on many rows.
fn first_layers(coefficients: &[Fr], part: &mut [Fr], start: usize, layers: &[Arc<Vec<Fr>>]) {
    const GROUPS: usize = 64;
    let k = coefficients.len().trailing_zeros() as usize;
    let neighbours = 1 << layers.len();
    let mut columns = [[Fr::ZERO; GROUPS]; 1 << FIRST_LAYERS];
    for (index, piece) in part.chunks_mut(neighbours * GROUPS).enumerate() {
        let start = start + index * neighbours * GROUPS;
        let groups = piece.len() / neighbours;
        for group in 0..groups {
            for (t, column) in columns[..neighbours].iter_mut().enumerate() {
                column[group] = coefficients[reversed(start + group * neighbours + t, k)];
            }
        }
        for twiddles in layers {
            let m = twiddles.len();
            for pair in columns[..neighbours].chunks_exact_mut(2 * m) {
                let (low, high) = pair.split_at_mut(m);
                for ((low, high), twiddle) in low.iter_mut().zip(high).zip(twiddles.iter()) {
                    rows::butterflies_by(&mut low[..groups], &mut high[..groups], twiddle);
                }
            }
        }
        for (group, out) in piece.chunks_exact_mut(neighbours).enumerate() {
            for (slot, column) in out.iter_mut().zip(&columns) {
                *slot = column[group];
            }
        }
    }
}

#[inline(always)]
fn reversed(index: usize, k: usize) -> usize {
    if k == 0 {
        0
    } else {
        index.reverse_bits() >> (usize::BITS as usize - k)
    }
}

/// Values of the polynomial on shift * H. The length is a power of two, at most 2^32.
pub fn forward(coefficients: &[Fr], shift: Fr) -> Vec<Fr> {
    forward_by(coefficients, &tables(coefficients, shift), shared_block(coefficients.len()))
}

/// `forward` of several polynomials, each of them on one core where they are small.
pub fn forward_many(polynomials: &[&[Fr]], shift: Fr) -> Vec<Vec<Fr>> {
    const LARGE: usize = 1 << 15;
    // Before the tasks start: a task that waits for a table must not be the one that another task waits for.
    let tables: Vec<Arc<Twiddles>> = polynomials.iter().map(|coefficients| tables(coefficients, shift)).collect();
    polynomials
        .par_iter()
        .zip(&tables)
        .with_max_len(1)
        .map(|(coefficients, tables)| {
            let n = coefficients.len();
            forward_by(coefficients, tables, if n < LARGE { n } else { shared_block(n) })
        })
        .collect()
}

fn tables(coefficients: &[Fr], shift: Fr) -> Arc<Twiddles> {
    twiddles(coefficients.len().trailing_zeros() as usize, shift)
}

/// The block that gives each core some, also in small transforms.
fn shared_block(n: usize) -> usize {
    BLOCK.min((n / 4).next_power_of_two()).max(256).min(n)
}

/// Blocks of `block` elements are tasks, and so are the pieces of the layers that join blocks.
fn forward_by(coefficients: &[Fr], layers: &Twiddles, block: usize) -> Vec<Fr> {
    let n = coefficients.len();
    let k = n.trailing_zeros() as usize;
    let inner = block.trailing_zeros() as usize;
    let first = FIRST_LAYERS.min(k);
    let mut values = vec![Fr::ZERO; n];
    values.par_chunks_mut(block).enumerate().for_each(|(index, part)| {
        first_layers(coefficients, part, index * block, &layers[..first]);
        for twiddles in &layers[first..inner] {
            for group in part.chunks_exact_mut(2 * twiddles.len()) {
                let (low, high) = group.split_at_mut(twiddles.len());
                rows::butterflies(low, high, twiddles);
            }
        }
    });
    for twiddles in &layers[inner..] {
        let m = twiddles.len();
        let piece = m.min(block / 2);
        values.par_chunks_exact_mut(2 * m).for_each(|group| {
            let (low, high) = group.split_at_mut(m);
            low.par_chunks_mut(piece)
                .zip(high.par_chunks_mut(piece))
                .zip(twiddles.par_chunks(piece))
                .for_each(|((low, high), twiddles)| rows::butterflies(low, high, twiddles));
        });
    }
    values
}

/// The coefficients of the polynomial with these values on shift * H.
pub fn inverse(values: &[Fr], shift: Fr) -> Vec<Fr> {
    turned(&forward(values, Fr::ONE), shift)
}

/// `inverse` of several polynomials, as `forward_many`.
pub fn inverse_many(values: &[&[Fr]], shift: Fr) -> Vec<Vec<Fr>> {
    forward_many(values, Fr::ONE).par_iter().with_max_len(1).map(|transformed| turned(transformed, shift)).collect()
}

/// From the transform of the values to the coefficients: f_i = shift^-i / n * transformed[-i].
fn turned(transformed: &[Fr], shift: Fr) -> Vec<Fr> {
    let n = transformed.len();
    let (unshift, scale) = (shift.inverse(), Fr::from_u64(n as u64).inverse());
    let mut out = vec![Fr::ZERO; n];
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, part)| {
        let start = chunk * CHUNK;
        let turned: Vec<Fr> = (start..start + part.len()).map(|i| transformed[(n - i) % n]).collect();
        let mut factor = scale.mul(&unshift.pow(start as u64));
        if shift == Fr::ONE {
            return rows::scale(part, &turned, &factor);
        }
        let mut factors = Vec::with_capacity(part.len());
        for _ in 0..part.len() {
            factors.push(factor);
            factor = factor.mul(&unshift);
        }
        rows::mul(part, &turned, &factors);
    });
    out
}
