use super::*;
use crate::naive::{fr, integer, of, r, scalar};
use num_bigint::BigUint;
use proptest::prelude::*;

proptest! {
    #[test]
    fn wide_sums(terms in proptest::collection::vec((scalar(), any::<u64>()), 0..50)) {
        let mut sum = [0; 6];
        for (factor, word) in &terms {
            accumulate(&mut sum, &prepare(factor), *word);
        }
        let expected = terms.iter().fold(BigUint::ZERO, |sum, (factor, word)| sum + of(factor) * *word);
        prop_assert_eq!(reduce(&sum), fr(&expected));
    }

    #[test]
    fn both_ways_add_up_the_same(terms in proptest::collection::vec((scalar(), any::<u64>()), 0..9)) {
        let (mut sum, mut plain) = ([0; 6], [0; 6]);
        for (factor, word) in &terms {
            accumulate(&mut sum, &factor.0, *word);
            plain_accumulate(&mut plain, &factor.0, *word);
        }
        prop_assert_eq!(sum, plain);
    }

    #[test]
    fn dots(terms in proptest::collection::vec((scalar(), scalar()), 0..50)) {
        let expected = terms.iter().fold(Fr::ZERO, |sum, (a, b)| sum.add(&a.mul(b)));
        let prepared: Vec<[u64; 4]> = terms.iter().map(|(a, _)| prepare_scalar(a)).collect();
        prop_assert_eq!(dot(prepared.iter().zip(terms.iter().map(|(_, b)| b))), expected);
        prop_assert_eq!(dot_of_scalars(terms.iter().map(|(a, b)| (a, b))), expected);
    }
}

#[test]
fn a_wide_sum_holds_its_largest_terms() {
    let largest = crate::naive::fr(&(r() - 1u8));
    let prepared = [largest, Fr::ONE].map(|factor| prepare(&factor));
    // The prepared form is what counts for the size: take the larger of many.
    let factor = (0..4000).map(|i| prepare(&Fr::from_u64(i))).chain(prepared).max_by_key(|f| integer(f)).unwrap();
    let (mut sum, mut naive) = ([0; 6], BigUint::ZERO);
    for _ in 0..70_000 {
        accumulate(&mut sum, &factor, u64::MAX);
        naive += integer(&factor) * u64::MAX;
    }
    assert_eq!(integer(&sum), naive);
    let rounds: BigUint = BigUint::from(1u8) << 128; // two rounds divide by it; Montgomery form stays
    let expected = naive * rounds.modinv(&r()).unwrap() % r();
    assert_eq!(integer(&reduce(&sum).0), expected);
}

#[test]
fn a_dot_holds_its_largest_terms() {
    let largest = Fr((r() - 1u8).to_u64_digits().try_into().unwrap()); // as it is in memory
    for count in [1, 2, 3, 100, 70_000] {
        let expected = largest.square().mul(&Fr::from_u64(count));
        assert_eq!(dot_of_scalars((0..count).map(|_| (&largest, &largest))), expected);
    }
}
