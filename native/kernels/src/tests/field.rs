use super::*;
use crate::naive::{fr, integer, of, r, scalar, scalars, walk};
use num_bigint::BigUint;
use proptest::prelude::*;

proptest! {
    #[test]
    fn arithmetic_is_modulo_r(a in scalar(), b in scalar()) {
        let (x, y) = (of(&a), of(&b));
        prop_assert_eq!(a.add(&b), fr(&(&x + &y)));
        prop_assert_eq!(a.sub(&b), fr(&(&x + r() - &y)));
        prop_assert_eq!(a.mul(&b), fr(&(&x * &y)));
        prop_assert_eq!(a.square(), fr(&(&x * &x)));
        prop_assert_eq!(a.neg(), fr(&(r() - &x)));
    }

    #[test]
    fn products_by_both_ways(a in scalar(), b in proptest::array::uniform4(any::<u64>())) {
        let memory: BigUint = BigUint::from(1u8) << 256;
        let expected = integer(&a.0) * integer(&b) * memory.modinv(&r()).unwrap() % r();
        for product in [product(&a.0, &b), plain_product(&a.0, &b)] {
            prop_assert!(integer(&product) < r() * 2u8);
            prop_assert_eq!(integer(&product) % r(), expected.clone());
        }
    }

    #[test]
    fn results_are_canonical_in_memory(a in scalar(), b in scalar()) {
        for value in [a.add(&b), a.sub(&b), a.mul(&b), a.neg()] {
            prop_assert!(integer(&value.0) < r());
        }
    }

    #[test]
    fn an_inverse_times_its_value_is_one(a in scalar(), exponent in any::<u64>()) {
        prop_assert_eq!(a.mul(&a.inverse()), if a.is_zero() { Fr::ZERO } else { Fr::ONE });
        prop_assert_eq!(a.pow(exponent), fr(&of(&a).modpow(&BigUint::from(exponent), &r())));
    }

    #[test]
    fn words_and_signed_words(value in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(-1)]) {
        prop_assert_eq!(Fr::from_u64(value as u64), fr(&BigUint::from(value as u64)));
        let magnitude = BigUint::from(value.unsigned_abs());
        prop_assert_eq!(Fr::from_i64(value), fr(&if value < 0 { r() - magnitude } else { magnitude }));
    }

    #[test]
    fn bytes(a in scalar(), high in proptest::array::uniform32(any::<u8>()), low in proptest::array::uniform32(any::<u8>())) {
        prop_assert_eq!(BigUint::from_bytes_be(&a.to_bytes()), of(&a));
        prop_assert_eq!(Fr::from_bytes(&a.to_bytes()), Some(a));
        let wide: [u8; 64] = [high, low].concat().try_into().unwrap();
        prop_assert_eq!(Fr::from_wide_bytes(&wide), fr(&BigUint::from_bytes_be(&wide)));
        let value = BigUint::from_bytes_be(&high);
        prop_assert_eq!(Fr::from_bytes(&high), (value < r()).then(|| fr(&value)));
    }

    #[test]
    fn inverses_in_batches(mut values in scalars(0..150), zeros in 0usize..40) {
        values.extend(vec![Fr::ZERO; zeros]);
        let expected: Vec<Fr> = values.iter().map(Fr::inverse).collect();
        prop_assert_eq!(batch_inverse(&values), expected);
    }

    #[test]
    fn combinations_are_as_long_as_the_longest(
        terms in proptest::collection::vec((scalar(), scalars(0..30)), 0..6), tail in 1000usize..1100
    ) {
        let mut vectors: Vec<Vec<Fr>> = terms.iter().map(|(_, values)| values.clone()).collect();
        let mut factors: Vec<Fr> = terms.iter().map(|(factor, _)| *factor).collect();
        vectors.extend([walk(3, tail), walk(4, 1024), walk(5, 2 * CHUNK + 9)]); // around a task's border
        factors.extend([Fr::ONE.neg(), Fr::from_u64(3), Fr::ONE]);
        let slices: Vec<&[Fr]> = vectors.iter().map(Vec::as_slice).collect();
        let at = |vector: &Vec<Fr>, i: usize| vector.get(i).copied().unwrap_or(Fr::ZERO);
        let expected: Vec<Fr> = (0..2 * CHUNK + 9)
            .map(|i| vectors.iter().zip(&factors).fold(Fr::ZERO, |sum, (v, f)| sum.add(&f.mul(&at(v, i)))))
            .collect();
        prop_assert_eq!(linear_combination(&slices, &factors), expected);
    }

    #[test]
    fn polynomials(coefficients in scalars(0..40), x in scalar()) {
        let at = |f: &[Fr]| f.iter().rev().fold(Fr::ZERO, |sum, c| sum.mul(&x).add(c));
        let long = walk(1, 8 * CHUNK + 700); // more than one part of 512, more than one task
        prop_assert_eq!(evaluate_many(&[&coefficients, &long, &[]], x), vec![at(&coefficients), at(&long), Fr::ZERO]);
        let points = powers(omega(3), 8, x);
        let eight = |f: &[Fr]| points.iter().map(|point| evaluate_many(&[f], *point)[0]).collect::<Vec<Fr>>();
        let found = evaluate_at_eight(&[&coefficients, &long, &[]], x);
        prop_assert_eq!(found, vec![eight(&coefficients), eight(&long), vec![Fr::ZERO; 8]]);
        for f in [&coefficients, &long] {
            let quotient = divide_by_root(f, x);
            prop_assert_eq!(quotient.len(), f.len());
            // (X - x) q + f(x) = f, coefficient by coefficient
            for (i, coefficient) in f.iter().enumerate() {
                let shifted = if i > 0 { quotient[i - 1] } else { at(f) };
                prop_assert_eq!(shifted.sub(&x.mul(&quotient[i])), *coefficient);
            }
        }
    }

    #[test]
    fn scans(first in scalar(), steps in proptest::collection::vec((scalar(), scalar()), 0..20)) {
        let (factors, terms): (Vec<Fr>, Vec<Fr>) = steps.iter().copied().unzip();
        let mut x = first;
        let mut expected = vec![x];
        for (factor, term) in &steps {
            x = x.mul(factor).add(term);
            expected.push(x);
        }
        prop_assert_eq!(affine_scan(first, &factors, &terms), expected);
    }
}

#[test]
fn roots_of_unity() {
    assert_eq!(omega(0), Fr::ONE);
    assert_eq!(omega(1), Fr::ONE.neg());
    for k in 1..=32 {
        assert_eq!(omega(k).square(), omega(k - 1));
    }
    let exponent = (r() - 1u8) >> 32;
    assert_eq!(omega(32), fr(&BigUint::from(7u8).modpow(&exponent, &r())));
}

#[test]
fn vectors_across_tasks() {
    for length in [0, 1, 7, 8, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 13] {
        let (a, b, factor) = (walk(1, length), walk(2, length), Fr::from_u64(1 << 40).neg());
        let each = |f: &dyn Fn(usize) -> Fr| (0..length).map(f).collect::<Vec<Fr>>();
        assert_eq!(mul(&a, &b), each(&|i| a[i].mul(&b[i])));
        assert_eq!(scale(&a, &factor), each(&|i| a[i].mul(&factor)));
        assert_eq!(map(length, |i| a[i].sub(&b[i])), each(&|i| a[i].sub(&b[i])));
        let first = Fr::from_u64(length as u64 + 5);
        assert_eq!(powers(factor, length, first), each(&|i| first.mul(&factor.pow(i as u64))));
        let mut sum = a.clone();
        add_scaled(&mut sum[..length / 2], factor, &b[..length / 2]);
        assert_eq!(sum, each(&|i| if i < length / 2 { a[i].add(&factor.mul(&b[i])) } else { a[i] }));
        assert!(batch_inverse(&a)
            .iter()
            .zip(&a)
            .all(|(i, v)| i.mul(v) == if v.is_zero() { Fr::ZERO } else { Fr::ONE }));
    }
}
