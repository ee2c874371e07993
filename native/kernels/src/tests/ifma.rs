//! The field operations at the limits of what they may be given.

use super::*;
use crate::naive::integer;
use crate::vector::available;
use num_bigint::BigUint;
use proptest::prelude::*;

fn p() -> BigUint {
    integer(&P)
}

/// Eight values below `bound` p, many of them at its end or around a multiple of p.
fn values(bound: u8) -> impl Strategy<Value = [BigUint; 8]> {
    let end = p() * bound;
    let random = {
        let end = end.clone();
        proptest::array::uniform7(any::<u64>()).prop_map(move |limbs| integer(&limbs) % &end)
    };
    let edge = (0..=bound, 0u8..5).prop_map({
        let end = end.clone();
        move |(k, off)| ((p() * k + off).max(BigUint::from(2u8)) - 2u8).min(&end - 1u8)
    });
    let ones = (0u32..384).prop_map(move |bit| ((BigUint::from(1u8) << bit) - 1u8) % &end);
    proptest::array::uniform8(prop_oneof![random, edge, ones])
}

/// Limb by limb; limb j of lane l takes carries[j] 2^52 from limb j + 1.
fn rows_of(values: &[BigUint; 8], carries: &[i64; 7]) -> Rows {
    let mut rows = Rows([[0; 8]; 8]);
    for (lane, value) in values.iter().enumerate() {
        for j in 0..8 {
            let limb = i64::try_from((value >> (52 * j)) & BigUint::from(MASK)).unwrap();
            let taken = if j < 7 { carries[j] << LIMB } else { 0 } - if j > 0 { carries[j - 1] } else { 0 };
            rows.0[j][lane] = (limb + taken) as u64;
        }
    }
    rows
}

/// The values of rows whose limbs are carried.
fn values_of(rows: &Rows) -> [BigUint; 8] {
    std::array::from_fn(|lane| {
        (0..8).rev().fold(BigUint::ZERO, |sum, j| {
            assert!(rows.0[j][lane] <= MASK, "limb {j} of lane {lane} is not carried");
            (sum << 52) + rows.0[j][lane]
        })
    })
}

fn apply<const N: usize>(operands: [&Rows; N], operation: impl FnOnce([Fe; N]) -> Fe) -> [BigUint; 8] {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn run<const N: usize>(rows: [&Rows; N], out: &mut Rows, operation: impl FnOnce([Fe; N]) -> Fe) {
        store(out, operation(rows.map(|rows| load(rows))));
    }
    let mut out = Rows([[0; 8]; 8]);
    // SAFETY: called where `available` holds.
    unsafe { run(operands, &mut out, operation) };
    values_of(&out)
}

const NONE: [i64; 7] = [0; 7];

macro_rules! where_available {
    () => {
        if !available() {
            return Ok(());
        }
    };
}

proptest! {
    #[test]
    fn products_of_up_to_eight_p(a in values(8), b in values(8)) {
        where_available!();
        let radix: BigUint = BigUint::from(1u8) << 416;
        let inverse = radix.modinv(&p()).unwrap();
        // SAFETY: available.
        let products = apply([&rows_of(&a, &NONE), &rows_of(&b, &NONE)], |[a, b]| unsafe { mul(&a, &b) });
        for i in 0..8 {
            prop_assert_eq!(&products[i] % p(), &a[i] * &b[i] * &inverse % p());
            prop_assert!(products[i] < p() + (p() >> 29));
        }
    }

    /// Their limbs are what `reduce` takes.
    #[test]
    fn uncarried_products_are_the_same(a in values(8), b in values(8)) {
        where_available!();
        #[target_feature(enable = "avx512f,avx512ifma")]
        fn run(a: &Rows, b: &Rows, out: &mut [Rows; 4]) {
            let (a, b) = (load(a), load(b));
            for (rows, value) in out.iter_mut().zip([mul_uncarried(&a, &b), square_uncarried(&a)]) {
                store(rows, value);
            }
            for (rows, value) in out[2..].iter_mut().zip([mul(&a, &b), mul(&a, &a)]) {
                store(rows, value);
            }
        }
        let mut out = [Rows([[0; 8]; 8]); 4];
        // SAFETY: available.
        unsafe { run(&rows_of(&a, &NONE), &rows_of(&b, &NONE), &mut out) };
        let [product, square, carried_product, carried_square] = out;
        for (uncarried, carried) in [(product, carried_product), (square, carried_square)] {
            prop_assert!(uncarried.0.iter().flatten().all(|limb| *limb < 1 << 57));
            // SAFETY: available.
            let sums = apply([&uncarried], |[t]| unsafe { carry(t) });
            prop_assert_eq!(&sums, &values_of(&carried));
            for sum in sums {
                prop_assert!(sum < p() + (p() >> 29));
            }
        }
    }

    #[test]
    fn differences(a in values(5), b in values(2)) {
        where_available!();
        // SAFETY: available.
        let differences = apply([&rows_of(&a, &NONE), &rows_of(&b, &NONE)], |[a, b]| unsafe { sub(&a, &b) });
        for i in 0..8 {
            prop_assert_eq!(&differences[i], &(&a[i] + p() * 2u8 - &b[i]));
        }
    }

    /// Limbs need not be carried: each may have up to 2^57 of its neighbour's, or lack 2^55.
    #[test]
    fn reductions_of_up_to_seven_p(t in values(7), carries in proptest::array::uniform7(-7i64..33)) {
        where_available!();
        // SAFETY: available.
        let reduced = apply([&rows_of(&t, &carries)], |[t]| unsafe { reduce(t) });
        for i in 0..8 {
            prop_assert_eq!(&reduced[i] % p(), &t[i] % p());
            prop_assert!(reduced[i] < p() + (p() >> 11), "{} of p's 2^-20", (&reduced[i] << 20) / p());
        }
    }

    #[test]
    fn inverses(a in values(1)) {
        where_available!();
        prop_assume!(a.iter().all(|a| *a != BigUint::ZERO));
        // In Montgomery form: (a R)^-1 R^2 = a^-1 R.
        let square = (BigUint::from(1u8) << 832) % p();
        // SAFETY: available.
        let inverses = apply([&rows_of(&a, &NONE)], |[a]| unsafe { invert(a) });
        for i in 0..8 {
            prop_assert_eq!(&inverses[i] % p(), a[i].modinv(&p()).unwrap() * &square % p());
        }
    }
}

/// Coordinates at rest may be p too large: the same x in two forms, and infinity, are never taken for an ordinary pair.
#[test]
fn every_form_of_an_equal_x_is_exceptional() {
    if !available() {
        return;
    }
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn run(x1: &Rows, x2: &Rows) -> __mmask8 {
        let (x1, x2) = (load(x1), load(x2));
        exceptional(&x1, &x2, &sub(&x2, &x1))
    }
    // SAFETY: available.
    let check = |x1: &[BigUint; 8], x2: &[BigUint; 8]| unsafe { run(&rows_of(x1, &NONE), &rows_of(x2, &NONE)) };
    let small: [BigUint; 8] = std::array::from_fn(|i| (p() >> (11 + 40 * i)) + (i as u64) + 1u8); // limbs that differ
    let large = small.each_ref().map(|x| x + p());
    for (x1, x2) in [(&small, &small), (&small, &large), (&large, &small), (&large, &large)] {
        assert_eq!(check(x1, x2), 0xff);
    }
    let infinity = [const { BigUint::ZERO }; 8];
    assert_eq!((check(&infinity, &small), check(&small, &infinity)), (0xff, 0xff));
    let other = small.each_ref().map(|x| x + 1u8);
    assert_eq!(check(&small, &other), 0);
}

#[test]
fn constants_are_what_they_are_called() {
    let two = |bits: u32| (BigUint::from(1u8) << bits) % p();
    assert_eq!(integer(&TWO_64.l), two(64 + 384));
    assert_eq!(integer(&TWO_16.l), two(16 + 384));
    let word: BigUint = BigUint::from(1u8) << 64;
    assert_eq!(p() * P_INVERSE % &word, word - 1u8);
    let shifted = FIELD.shifted.iter().rev().fold(BigUint::ZERO, |sum, limb| (sum << 52) + *limb);
    assert_eq!((shifted << 52) % p(), BigUint::from(1u8));
    for k in 0..8 {
        let limbs = (0..8).rev().fold(BigUint::ZERO, |sum, j| (sum << 52) + MULTIPLES[j][k]);
        assert_eq!(limbs, p() * k);
    }
}
