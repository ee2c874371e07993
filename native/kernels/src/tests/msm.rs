use super::*;
#[cfg(target_arch = "x86_64")]
use crate::ifma::Ifma;
use crate::naive::{fr, multiple, multiples, of, r, same_points, scalar, walk};
#[cfg(target_arch = "x86_64")]
use crate::vector::available;
use num_bigint::BigInt;
use proptest::prelude::*;

/// sum_w 2^(width w) digit_w is the scalar, and every digit fits a bucket.
fn check_digits<S: Scalar>(scalar: &S, value: &BigInt, bits: usize, width: usize) {
    let windows = Windows { width, count: (bits + 1).div_ceil(width) };
    let raised = scalar.raised(&windows.offset());
    let mut sum = BigInt::ZERO;
    for window in (0..windows.count).rev() {
        let digit = windows.digit(&raised, window);
        assert!(digit.unsigned_abs() <= 1 << (width - 1));
        sum = (sum << width) + digit;
    }
    assert_eq!(sum, *value, "width {width}, {bits} bits");
}

proptest! {
    #[test]
    fn full_scalars_are_cut(value in scalar(), width in 1usize..=16) {
        let wide = signed(&value);
        let magnitude: BigInt = crate::naive::integer(&wide.limbs).into();
        let integer = if wide.negative { -magnitude.clone() } else { magnitude.clone() };
        prop_assert_eq!(fr(&((BigInt::from(r()) + &integer).to_biguint().unwrap())), value);
        prop_assert!(magnitude * 2u8 <= r().into());
        check_digits(&wide, &integer, 254, width);
    }

    #[test]
    fn integers_are_cut(value in prop_oneof![any::<i64>(), -300i64..300, Just(i64::MIN), Just(i64::MAX)], width in 1usize..=16) {
        let bits = 64 - value.unsigned_abs().leading_zeros() as usize;
        for bits in bits..=64 {
            check_digits(&value, &value.into(), bits, width);
        }
    }
}

fn check_wide<A: Arithmetic>(terms: &[(u32, Fr)]) {
    let source: Vec<A::Point> = multiples().iter().map(A::lift).collect();
    let log = terms.iter().fold(Fr::ZERO, |sum, (i, s)| sum.add(&s.mul(&Fr::from_u64(u64::from(*i)))));
    assert!(same_points(&[msm::<A>(&source, terms.to_vec())], &[multiple(log)]));
    // By values: a list of half of the terms, one of every third, and some behind them.
    let points: Vec<A::Point> = terms.iter().map(|(i, _)| source[*i as usize]).collect();
    let (lists, behind) = terms.split_at(terms.len() / 2);
    let ones = vec![Fr::ONE; lists.len()];
    let thirds: Vec<Fr> = (0..lists.len() as u64).map(|i| Fr::from_u64(u64::from(i % 3 == 0))).collect();
    let inverses: Vec<Fr> = lists.iter().map(|(_, scalar)| scalar.inverse()).collect();
    let numbered = Numbered::fractions(&[(&ones, &inverses), (&thirds, &inverses)]);
    let behind: Vec<Fr> = behind.iter().map(|(_, scalar)| *scalar).collect();
    let scalars = [numbered.sum(), behind.clone()].concat();
    let log =
        scalars.iter().zip(terms).fold(Fr::ZERO, |sum, (s, (i, _))| sum.add(&s.mul(&Fr::from_u64(u64::from(*i)))));
    let sums = [
        msm_by_values::<A>(&points, &numbered, &behind),
        msm_by_values::<A>(&points, &Numbered::scalars(&scalars), &[]),
    ];
    assert!(same_points(&sums, &[multiple(log); 2]));
}

fn check_narrow<A: Arithmetic>(terms: &[(u32, i64)]) {
    let source: Vec<A::Point> = multiples().iter().map(A::lift).collect();
    let log = terms.iter().fold(Fr::ZERO, |sum, (i, s)| sum.add(&Fr::from_i64(*s).mul(&Fr::from_u64(u64::from(*i)))));
    assert!(same_points(&[msm_ints::<A>(&source, terms.to_vec())], &[multiple(log)]));
}

/// By both arithmetics, where there are two.
fn check(terms: &[(u32, Fr)], integers: &[(u32, i64)]) {
    check_wide::<Portable>(terms);
    check_narrow::<Portable>(integers);
    #[cfg(target_arch = "x86_64")]
    if available() {
        check_wide::<Ifma>(terms);
        check_narrow::<Ifma>(integers);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Few terms (by tables) and more (by buckets), with infinity among the points and points that repeat.
    #[test]
    fn sums_of_products(
        terms in proptest::collection::vec((0u32..20, scalar()), 0..60),
        integers in proptest::collection::vec(
            (0u32..20, prop_oneof![any::<i64>(), any::<i8>().prop_map(i64::from), Just(i64::MIN), Just(1), Just(-1)]), 0..60)
    ) {
        let terms: Vec<(u32, Fr)> = terms.into_iter().filter(|(_, scalar)| !scalar.is_zero()).collect();
        let integers: Vec<(u32, i64)> = integers.into_iter().filter(|(_, scalar)| *scalar != 0).collect();
        check(&terms, &integers);
    }
}

#[test]
fn many_terms() {
    let walk = walk(5, 1200);
    let largest = Fr::ONE.neg();
    let middle = fr(&(r() / 2u8)); // the largest magnitude
    let integers =
        |f: &dyn Fn(i64) -> i64| (0..1200).map(|i| (i as u32, f(i))).filter(|(_, v)| *v != 0).collect::<Vec<_>>();
    let wide =
        |f: &dyn Fn(usize) -> Fr| (0..1200).map(|i| (i as u32, f(i))).filter(|(_, v)| !v.is_zero()).collect::<Vec<_>>();
    check(&wide(&|i| walk[i]), &integers(&|i| of(&walk[i as usize]).to_u64_digits().first().map_or(0, |w| *w as i64)));
    check(&wide(&|_| largest), &integers(&|_| -1)); // one bucket for all
    check(
        &wide(&|i| if i % 2 == 0 { middle } else { middle.neg() }),
        &integers(&|i| if i % 2 == 0 { i64::MIN } else { i64::MAX }),
    );
    check(&wide(&|i| walk[i % 3]), &integers(&|i| i % 5 - 2)); // three buckets a window
                                                               // All points equal, in one bucket and in many.
    let same: Vec<(u32, Fr)> = (0..1200).map(|i| (3, walk[i % 7 + 20])).collect();
    check(&same, &[(3, 77); 900]);
}

#[test]
fn terms_leave_zeros_out_and_shapes_count() {
    let values = [0, 0, 5, 5, 5, -1, 0, 0, 7];
    assert_eq!(terms(9, 0, |i| values[i]), [(2, 5), (3, 5), (4, 5), (5, -1), (8, 7)]);
    let found = shape(&values, 0);
    assert_eq!((found.nonzero, found.changes), (5, 5)); // the end is a change too
    let found = shape(&[0i64; 4], 0);
    assert_eq!((found.nonzero, found.changes), (0, 0));
    let found = shape::<i64>(&[], 0);
    assert_eq!((found.nonzero, found.changes), (0, 0));
}

#[test]
fn distinct_values_are_counted_about() {
    assert_eq!(distinct(&[]), 0);
    assert_eq!(distinct(&[Fr::ONE; 5000]), 1);
    let values = walk(6, 20_000);
    for count in [10, 300, 5000, 20_000] {
        let repeated: Vec<Fr> = (0..20_000).map(|i| values[i * 7 % count]).collect();
        let exact = repeated.iter().map(|value| value.0).collect::<std::collections::HashSet<_>>().len();
        let about = distinct(&repeated);
        assert!(about.abs_diff(exact) <= 5 + exact / 20, "{about} of {exact}");
    }
    let integers: Vec<Fr> = (0..20_000).map(|i| Fr::from_i64(i % 1000 - 500)).collect();
    assert!(distinct(&integers).abs_diff(1000) <= 50);
}

#[test]
fn blst_agrees() {
    let scalars = walk(8, 300);
    let bytes: Vec<u8> = scalars.iter().flat_map(|s| s.to_limbs().into_iter().flat_map(u64::to_le_bytes)).collect();
    let sum = msm::<Portable>(multiples(), terms(300, Fr::ZERO, |i| scalars[i]));
    assert!(same_points(&[blst_pippenger(&multiples()[..300], &bytes, 255)], &[sum]));
    assert!(same_points(&[blst_pippenger(&[], &[], 255)], &[G1::default()]));
}
