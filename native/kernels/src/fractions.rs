//! Columns that are sums of fractions, h = sum_t N_t / D_t row by row, as the helper columns of lookups are.
//!
//! A fraction takes few values where h takes many: those of a lookup are as many as its table has entries. So a value is
//! kept and inverted once, and a row has its number: what commits to h adds up the points of each value first (msm.rs).

use crate::field::{batch_inverse, map, mul, Fr};
use crate::memory::ask;
use rayon::prelude::*;

/// The number of a row without a value.
pub const NONE: u32 = u32::MAX;

/// Lists of scalars that stand once each, and are named by their numbers.
pub struct Numbered {
    pub values: Vec<Fr>,
    /// For each list, and each of its rows, the number of its value; NONE for zero.
    pub lists: Vec<Vec<u32>>,
}

impl Numbered {
    /// The fractions of numerators and denominators, all of one length. One over zero is zero.
    pub fn fractions(pairs: &[(&[Fr], &[Fr])]) -> Numbered {
        let own: Vec<Own> = pairs.par_iter().with_max_len(1).map(|(n, d)| Own::of(n, d)).collect();
        let mut all = Numbering::new();
        // Lists of one table have values in common.
        let numbers: Vec<Vec<u32>> = own.iter().map(|own| all.list(&own.denominators)).collect();
        let mut values = batch_inverse(&all.values);
        let lists = own.into_iter().zip(numbers).map(|(own, mut numbers)| {
            numbers.extend((values.len() as u32..).take(own.quotients.len()));
            values.extend_from_slice(&own.quotients);
            (own.list, numbers)
        });
        let lists: Vec<(Vec<u32>, Vec<u32>)> = lists.collect();
        let lists = lists
            .into_par_iter()
            .with_max_len(1)
            .map(|(mut list, numbers)| {
                list.iter_mut()
                    .filter(|number| **number != NONE)
                    .for_each(|number| *number = numbers[*number as usize]);
                list
            })
            .collect();
        Numbered { values, lists }
    }

    /// A list as it is.
    pub fn scalars(scalars: &[Fr]) -> Numbered {
        let mut all = Numbering::new();
        let list = all.list(scalars);
        Numbered { values: all.values, lists: vec![list] }
    }

    pub fn rows(&self) -> usize {
        self.lists.first().map_or(0, Vec::len)
    }

    /// The sum of the lists, row by row.
    pub fn sum(&self) -> Vec<Fr> {
        map(self.rows(), |row| {
            let numbers = self.lists.iter().map(|list| list[row]).filter(|number| *number != NONE);
            numbers.fold(Fr::ZERO, |sum, number| sum.add(&self.values[number as usize]))
        })
    }
}

/// One fraction: where its numerator is one its denominators once each, else its quotients as they come.
struct Own {
    denominators: Vec<Fr>,
    quotients: Vec<Fr>,
    list: Vec<u32>,
}

impl Own {
    fn of(numerators: &[Fr], denominators: &[Fr]) -> Own {
        let mut known = Numbering::new();
        if numerators.iter().all(|numerator| *numerator == Fr::ONE) {
            let list = known.list(denominators);
            return Own { denominators: known.values, quotients: Vec::new(), list };
        }
        let on: Vec<u32> = (0..).zip(numerators).filter(|(_, n)| !n.is_zero()).map(|(row, _)| row).collect();
        let spread = |numbers: &[u32]| {
            let mut list = vec![NONE; numerators.len()];
            on.iter().zip(numbers).for_each(|(row, number)| list[*row as usize] = *number);
            list
        };
        let gathered = |values: &[Fr]| on.iter().map(|row| values[*row as usize]).collect::<Vec<Fr>>();
        if on.iter().any(|row| numerators[*row as usize] != Fr::ONE) {
            let quotients = mul(&gathered(numerators), &batch_inverse(&gathered(denominators)));
            let numbers: Vec<u32> = (0..quotients.len() as u32).collect();
            Own { denominators: Vec::new(), quotients, list: spread(&numbers) }
        } else {
            let list = spread(&known.list(&gathered(denominators)));
            Own { denominators: known.values, quotients: Vec::new(), list }
        }
    }
}

/// How many scalars are looked for together, so that what one waits for is read for the others, too.
const AT_ONCE: usize = 32;

/// Values by number, and where to look for the number of a value: open addressing, at most half full.
struct Numbering {
    values: Vec<Fr>,
    slots: Vec<Slot>,
}

/// The number of a value, NONE where the slot is free, and some of its bits.
#[derive(Clone, Copy)]
struct Slot {
    number: u32,
    mark: u32,
}

const FREE: Slot = Slot { number: NONE, mark: 0 };

impl Numbering {
    fn new() -> Numbering {
        Numbering { values: Vec::new(), slots: vec![FREE; 4 * AT_ONCE] }
    }

    /// The number of each scalar, NONE for zero.
    fn list(&mut self, scalars: &[Fr]) -> Vec<u32> {
        let mut list = Vec::with_capacity(scalars.len());
        let mut keys = [0; AT_ONCE];
        for scalars in scalars.chunks(AT_ONCE) {
            if 2 * (self.values.len() + AT_ONCE) > self.slots.len() {
                self.grow();
            }
            let mask = self.slots.len() - 1;
            for (key, scalar) in keys.iter_mut().zip(scalars) {
                *key = mixed(scalar);
                ask(&self.slots[*key as usize & mask]);
            }
            for key in &keys[..scalars.len()] {
                if let Some(value) = self.values.get(self.slots[*key as usize & mask].number as usize) {
                    ask(value);
                }
            }
            for (key, scalar) in keys.iter().zip(scalars) {
                list.push(if scalar.is_zero() { NONE } else { self.number(scalar, *key) });
            }
        }
        list
    }

    #[inline(always)]
    fn number(&mut self, value: &Fr, key: u64) -> u32 {
        let (mask, mark) = (self.slots.len() - 1, (key >> 32) as u32);
        let mut at = key as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.number == NONE {
                let number = self.values.len() as u32;
                self.slots[at] = Slot { number, mark };
                self.values.push(*value);
                return number;
            }
            if slot.mark == mark && self.values[slot.number as usize] == *value {
                return slot.number;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        self.slots = vec![FREE; 4 * self.slots.len()];
        let mask = self.slots.len() - 1;
        for (value, number) in self.values.iter().zip(0..) {
            let key = mixed(value);
            let mut at = key as usize & mask;
            while self.slots[at].number != NONE {
                at = (at + 1) & mask;
            }
            self.slots[at] = Slot { number, mark: (key >> 32) as u32 };
        }
    }
}

/// All bits of a scalar in those of a word.
pub fn mixed(scalar: &Fr) -> u64 {
    let sum = scalar.0.iter().fold(0u64, |sum, limb| (sum ^ limb).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    sum ^ (sum >> 32)
}

#[cfg(test)]
#[path = "tests/fractions.rs"]
mod tests;
