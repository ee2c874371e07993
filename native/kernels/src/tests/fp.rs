use super::*;
use crate::naive::integer;
use num_bigint::BigUint;
use proptest::prelude::*;

fn p() -> BigUint {
    integer(&P)
}

fn words(value: &BigUint) -> Fp {
    let mut digits = value.to_u64_digits();
    digits.resize(6, 0);
    digits.try_into().unwrap()
}

/// Below k p, with the multiples of p and what is beside them.
fn below(k: u8) -> impl Strategy<Value = BigUint> {
    let edges: Vec<BigUint> =
        (0..k).flat_map(|i| [p() * i, p() * i + 1u8, p() * (i + 1) - 1u8]).chain([p() * k - 1u8]).collect();
    let any = proptest::array::uniform6(any::<u64>()).prop_map(move |words| integer(&words) % (p() * k));
    prop_oneof![proptest::sample::select(edges), any]
}

fn product(a: &BigUint, b: &BigUint) -> BigUint {
    let memory: BigUint = BigUint::from(1u8) << 384;
    a * b * memory.modinv(&p()).unwrap() % p()
}

proptest! {
    #[test]
    fn products_by_both_ways(a in below(4), b in below(2)) {
        for found in [mul(&words(&a), &words(&b)), by_blst(&words(&a), &words(&b)), mul(&words(&b), &words(&a))] {
            prop_assert!(integer(&found) < p() * 2u8);
            prop_assert_eq!(integer(&found) % p(), product(&a, &b));
        }
    }

    #[test]
    fn differences(a in below(2), b in below(1), c in below(1)) {
        let (x, y, z) = (words(&a), words(&b), words(&c));
        prop_assert_eq!(integer(&sub_two(&x, &y, &z)), (&a + p() + p() - &b - &c) % p());
        prop_assert_eq!(integer(&sub_two(&x, &y, &P)), (&a + p() - &b) % p());
        prop_assert_eq!(integer(&raised_sub(&y, &z)), &b + p() - &c);
        prop_assert_eq!(integer(&raised_sub(&y, &P)), b.clone());
        prop_assert_eq!(integer(&canonical(&x)), &a % p());
        prop_assert_eq!(integer(&signed(&y, true)), p() - &b);
        prop_assert_eq!(signed(&y, false), y);
    }

    #[test]
    fn an_inverse_times_its_value_is_one(a in below(2)) {
        if &a % p() != BigUint::ZERO {
            prop_assert_eq!(canonical(&mul(&inverse(&words(&a)), &words(&a))), ONE);
        }
    }
}

#[test]
fn one() {
    assert_eq!(mul(&ONE, &ONE), ONE);
    assert_eq!(product(&integer(&ONE), &BigUint::from(5u8)), BigUint::from(5u8));
}
