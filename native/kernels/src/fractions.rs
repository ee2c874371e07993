//! Columns that are sums of fractions, h = sum_t N_t / D_t row by row, as the helper columns of lookups are.
//!
//! A fraction takes few values where h takes many: those of a lookup are as many as its table has entries. So a value is
//! kept and inverted once, and a row has its number: what commits to h adds up the points of each value first (msm.rs).

use crate::field::{batch_inverse, map, mul, Fr};
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
        let own: Vec<(Numbering, Vec<u32>)> =
            pairs.par_iter().with_max_len(1).map(|(numerators, denominators)| one(numerators, denominators)).collect();
        let mut all = Numbering::new();
        let lists: Vec<(Vec<u32>, Vec<u32>)> = own
            .into_iter()
            .map(|(own, list)| (own.values.iter().map(|value| all.number(value)).collect(), list))
            .collect();
        let lists = lists
            .into_par_iter()
            .with_max_len(1)
            .map(|(numbers, mut list)| {
                list.iter_mut()
                    .filter(|number| **number != NONE)
                    .for_each(|number| *number = numbers[*number as usize]);
                list
            })
            .collect();
        Numbered { values: all.values, lists }
    }

    /// A list as it is.
    pub fn scalars(scalars: &[Fr]) -> Numbered {
        let mut all = Numbering::new();
        let list = all.list(scalars.iter().map(Some));
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

/// The values of one fraction.
fn one(numerators: &[Fr], denominators: &[Fr]) -> (Numbering, Vec<u32>) {
    let mut known = Numbering::new();
    if numerators.iter().all(|numerator| numerator.is_zero() || *numerator == Fr::ONE) {
        let on = numerators.iter().zip(denominators).map(|(numerator, value)| (!numerator.is_zero()).then_some(value));
        let list = known.list(on);
        known.values = batch_inverse(&known.values); // which no number is asked of again
        (known, list)
    } else {
        let quotients = mul(numerators, &batch_inverse(denominators));
        let list = known.list(quotients.iter().map(Some));
        (known, list)
    }
}

/// Values by number, and where to look for the number of a value: open addressing, at most half full.
struct Numbering {
    values: Vec<Fr>,
    slots: Vec<u32>,
}

impl Numbering {
    fn new() -> Numbering {
        Numbering { values: Vec::new(), slots: vec![NONE; 64] }
    }

    /// The number of each scalar, NONE for zero and for none.
    fn list<'a>(&mut self, scalars: impl Iterator<Item = Option<&'a Fr>>) -> Vec<u32> {
        let mut last = (Fr::ZERO, NONE); // columns repeat what they had on the row before
        scalars
            .map(|scalar| match scalar {
                Some(scalar) if *scalar == last.0 => last.1,
                Some(scalar) => {
                    last = (*scalar, self.number(scalar));
                    last.1
                }
                None => NONE,
            })
            .collect()
    }

    fn number(&mut self, value: &Fr) -> u32 {
        if value.is_zero() {
            return NONE;
        }
        let at = self.place(value);
        if self.slots[at] != NONE {
            return self.slots[at];
        }
        let number = self.values.len() as u32;
        self.slots[at] = number;
        self.values.push(*value);
        if 2 * self.values.len() > self.slots.len() {
            self.slots = vec![NONE; 4 * self.slots.len()];
            for number in 0..self.values.len() {
                let at = self.place(&self.values[number]);
                self.slots[at] = number as u32;
            }
        }
        number
    }

    /// The slot of a value, or the free one that it gets.
    #[inline(always)]
    fn place(&self, value: &Fr) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (mixed(value) >> 32) as usize & mask;
        while self.slots[at] != NONE && self.values[self.slots[at] as usize] != *value {
            at = (at + 1) & mask;
        }
        at
    }
}

/// All bits of a scalar in the upper ones of a word.
pub fn mixed(scalar: &Fr) -> u64 {
    scalar.0.iter().fold(0u64, |sum, limb| (sum ^ limb).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
#[path = "tests/fractions.rs"]
mod tests;
