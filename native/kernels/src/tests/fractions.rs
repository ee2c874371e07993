use super::*;
use crate::naive::{scalar, walk};
use proptest::prelude::*;

/// What stands on each row of each list.
fn spelled(numbered: &Numbered) -> Vec<Vec<Fr>> {
    let value = |number: &u32| if *number == NONE { Fr::ZERO } else { numbered.values[*number as usize] };
    numbered.lists.iter().map(|list| list.iter().map(value).collect()).collect()
}

fn quotient(numerator: &Fr, denominator: &Fr) -> Fr {
    if denominator.is_zero() {
        Fr::ZERO
    } else {
        numerator.mul(&denominator.inverse())
    }
}

fn check(pairs: &[(Vec<Fr>, Vec<Fr>)]) {
    let slices: Vec<(&[Fr], &[Fr])> = pairs.iter().map(|(n, d)| (n.as_slice(), d.as_slice())).collect();
    let made = Numbered::fractions(&slices);
    let expected: Vec<Vec<Fr>> =
        pairs.iter().map(|(n, d)| n.iter().zip(d).map(|(n, d)| quotient(n, d)).collect()).collect();
    assert_eq!(spelled(&made), expected);
    let sums: Vec<Fr> =
        (0..made.rows()).map(|row| expected.iter().fold(Fr::ZERO, |sum, list| sum.add(&list[row]))).collect();
    assert_eq!(made.sum(), sums);
    // The denominators of switches once each, other quotients as they come.
    let switched = |n: &Vec<Fr>| n.iter().all(|n| n.is_zero() || *n == Fr::ONE);
    let mut once = std::collections::HashSet::new();
    let mut rest = 0;
    for (numerators, denominators) in pairs {
        let on = numerators.iter().zip(denominators).filter(|(n, _)| !n.is_zero());
        if switched(numerators) {
            once.extend(on.filter(|(_, d)| !d.is_zero()).map(|(_, d)| d.0));
        } else {
            rest += on.count();
        }
    }
    assert_eq!(made.values.len(), once.len() + rest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Switches of zeros and ones, and any numerators; denominators that repeat within and between fractions, zeros too.
    #[test]
    fn fractions_are_quotients(
        length in 0usize..60,
        pool in proptest::collection::vec(scalar(), 1..6),
        picks in proptest::collection::vec((any::<bool>(), any::<u64>()), 0..4),
    ) {
        let pairs: Vec<(Vec<Fr>, Vec<Fr>)> = picks
            .iter()
            .map(|(switches, seed)| {
                let drawn = |i: usize, most: usize| (seed.wrapping_mul(2 * i as u64 + 1) >> 40) as usize % most;
                let numerators = (0..length)
                    .map(|i| if *switches { Fr::from_u64(drawn(i, 2) as u64) } else { pool[drawn(i + 7, pool.len())] })
                    .collect();
                (numerators, (0..length).map(|i| pool[drawn(i, pool.len())]).collect())
            })
            .collect();
        check(&pairs);
    }
}

/// More values than the first slots hold.
#[test]
fn many_values_are_numbered() {
    let values = walk(5, 5000);
    check(&[(vec![Fr::ONE; 5000], values.clone()), (values.clone(), values.iter().rev().copied().collect())]);
    let made = Numbered::scalars(&values);
    assert_eq!(spelled(&made), [values]);
}
