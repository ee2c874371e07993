use super::*;
use crate::field::evaluate_many;
use crate::naive::{scalar, scalars, walk};
#[cfg(target_arch = "x86_64")]
use crate::vector::{available, Ifma};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_are_the_polynomials((k, f) in (0u32..8).prop_flat_map(|k| (Just(k), scalars(1 << k))), shift in scalar()) {
        prop_assume!(!shift.is_zero());
        let values = forward(&f, shift);
        for (i, value) in values.iter().enumerate() {
            let x = shift.mul(&omega(k).pow(i as u64));
            prop_assert_eq!(*value, evaluate_many(&[&f], x)[0]);
        }
        prop_assert_eq!(inverse(&values, shift), f.clone());
        prop_assert_eq!(portable_forward(&f, shift), values);
    }
}

/// What a transform meets at its limits: the same largest value everywhere, signs that alternate, and any values.
fn inputs(n: usize) -> Vec<Vec<Fr>> {
    let largest = Fr(crate::field::MODULUS).sub(&Fr([1, 0, 0, 0])); // in memory
    let alternating = (0..n).map(|i| if i % 2 == 0 { largest } else { Fr([1, 0, 0, 0]) }).collect();
    vec![vec![largest; n], alternating, vec![Fr::ONE.neg(); n], walk(n as u64, n)]
}

#[test]
fn both_arithmetics_agree_and_have_an_inverse() {
    for k in 6..=16 {
        for f in inputs(1 << k) {
            let shift = Fr::from_u64(7);
            let values = forward(&f, shift);
            assert!(portable_forward(&f, shift) == values, "2^{k}");
            assert!(inverse(&values, shift) == f, "2^{k}");
            let x = shift.mul(&omega(k).pow(5));
            assert_eq!(values[5], evaluate_many(&[&f], x)[0]);
        }
    }
}

#[test]
fn many_are_as_one_after_another() {
    let inputs: Vec<Vec<Fr>> = [0, 3, 10, 10, 16, 2, 15].map(|k| walk(k, 1 << k)).to_vec();
    let slices: Vec<&[Fr]> = inputs.iter().map(Vec::as_slice).collect();
    let shift = Fr::from_u64(49);
    assert!(forward_many(&slices, shift) == slices.iter().map(|f| forward(f, shift)).collect::<Vec<_>>());
    assert!(inverse_many(&slices, shift) == slices.iter().map(|f| inverse(f, shift)).collect::<Vec<_>>());
}

/// No layer's values outgrow a row: a layer adds 2 r to the bound, and settled values are below r.
#[test]
fn passes_stay_below_the_limit() {
    fn check<A: Lanes>(layers: usize) {
        let (mut bound, mut next) = (1, 0);
        for pass in passes::<A>(layers) {
            assert!(pass.start == next && (1..=2).contains(&(pass.stop - pass.start)));
            next = pass.stop;
            bound += 2 * (pass.stop - pass.start);
            assert!(bound <= LIMIT);
            if pass.settle {
                bound = 1;
            }
        }
        assert_eq!(next, layers);
        assert!(bound + 2 * A::BITS <= LIMIT);
    }
    for layers in 0..=32 {
        check::<Portable>(layers);
        #[cfg(target_arch = "x86_64")]
        if available() {
            check::<Ifma>(layers);
        }
    }
}

/// More cosets and sizes than the cache of factors keeps.
#[test]
fn factors_are_those_of_the_size_and_the_coset() {
    let (f, long) = (walk(1, 64), walk(2, 1 << 14));
    for round in 0..2 {
        for shift in (1..300).map(Fr::from_u64) {
            assert_eq!(forward(&f, shift)[0], evaluate_many(&[&f], shift)[0], "round {round}");
        }
        for shift in (1..300).step_by(60).map(Fr::from_u64) {
            assert_eq!(forward(&long, shift)[0], evaluate_many(&[&long], shift)[0], "round {round}");
        }
    }
}
