//! Each operation at the limits of what it may be given: any value below its bound, not only canonical ones.

use super::*;
use crate::lanes::LIMIT;
use crate::naive::{integer, r, scalar};
use num_bigint::BigUint;
use proptest::prelude::*;

/// Eight values below `bound` r (or 2^260 if that is less), many of them at its end or around a multiple of r.
fn values(bound: usize) -> impl Strategy<Value = [BigUint; 8]> {
    let end = (r() * bound).min(BigUint::from(1u8) << 260);
    let random = {
        let end = end.clone();
        proptest::array::uniform5(any::<u64>()).prop_map(move |limbs| integer(&limbs) % &end)
    };
    let edge = (0..=bound, 0u8..5).prop_map(move |(k, off)| (r() * k + off).max(BigUint::from(2u8)) - 2u8).prop_map({
        let end = end.clone();
        move |value| value.min(&end - 1u8)
    });
    // Limbs of ones carry the farthest.
    let ones = (0u32..260).prop_map(move |bit| ((BigUint::from(1u8) << bit) - 1u8) % &end);
    proptest::array::uniform8(prop_oneof![random, edge, ones])
}

fn row_of(values: &[BigUint; 8]) -> Row {
    let mut row = Ifma::ZERO;
    for (lane, value) in values.iter().enumerate() {
        for j in 0..5 {
            row.0[j][lane] = u64::try_from((value >> (52 * j)) & BigUint::from(MASK)).unwrap();
        }
    }
    row
}

/// The values of a row whose limbs are carried.
fn values_of(row: &Row) -> [BigUint; 8] {
    std::array::from_fn(|lane| {
        (0..5).rev().fold(BigUint::ZERO, |sum, j| {
            assert!(row.0[j][lane] <= MASK, "limb {j} of lane {lane} is not carried");
            (sum << 52) + row.0[j][lane]
        })
    })
}

/// What an operation in registers gives, from rows to rows.
fn apply<const N: usize>(operands: [&[BigUint; 8]; N], operation: impl FnOnce([F; N]) -> F) -> [BigUint; 8] {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn run<const N: usize>(rows: [Row; N], out: &mut Row, operation: impl FnOnce([F; N]) -> F) {
        put(out, operation(std::array::from_fn(|i| take(&rows[i]))));
    }
    let mut out = Ifma::ZERO;
    vectors!(run(operands.map(row_of), &mut out, operation));
    values_of(&out)
}

/// 2^-260 modulo r.
fn inverse_radix() -> BigUint {
    let radix: BigUint = BigUint::from(1u8) << 260;
    radix.modinv(&r()).unwrap()
}

/// The values of a row between layers, whose limbs have signs and are not carried.
fn uncarried_values_of(row: &Row) -> [BigUint; 8] {
    let mut carried = Ifma::ZERO;
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn run(row: &Row, out: &mut Row) {
        put(out, carry(take(row)));
    }
    vectors!(run(row, &mut carried));
    values_of(&carried)
}

/// A product's result is right, and below a b / 2^260 + (1 + 2^-51) r.
fn check_product(product: &BigUint, a: &BigUint, b: &BigUint) {
    assert_eq!(product % r(), a * b * inverse_radix() % r());
    assert!(*product <= ((a * b) >> 260) + r() + (r() >> 51) + 1u8);
}

macro_rules! where_available {
    () => {
        if !available() {
            return Ok(());
        }
    };
}

proptest! {
    #[test]
    fn any_value_is_settled(x in values(36)) {
        where_available!();
        prop_assert_eq!(apply([&x], |[t]| vectors!(settle(t))), x.map(|x| x % r()));
    }

    #[test]
    fn a_value_below_two_r_is_reduced(x in values(2)) {
        where_available!();
        prop_assert_eq!(apply([&x], |[t]| vectors!(reduce_once(t))), x.map(|x| x % r()));
    }

    #[test]
    fn products_of_unreduced_values((a, b) in (1..=LIMIT).prop_flat_map(|bound| (values(bound), values(LIMIT)))) {
        where_available!();
        let products = apply([&a, &b], |[a, b]| vectors!(product(&a, &b)));
        for i in 0..8 {
            check_product(&products[i], &a[i], &b[i]);
        }
    }

    #[test]
    fn sums_and_differences((bound, a, b) in (1..LIMIT).prop_flat_map(|b| (Just(b), values(LIMIT - b), values(b)))) {
        where_available!();
        let sums = apply([&a, &b], |[a, b]| vectors!(add(&a, &b)));
        let differences = apply([&a, &b], |[a, b]| vectors!(sub(&a, &b, &multiple_of_r(bound))));
        for i in 0..8 {
            prop_assert_eq!(&sums[i], &(&a[i] + &b[i]));
            prop_assert_eq!(&differences[i], &(&a[i] + r() * bound - &b[i]));
        }
    }

    #[test]
    fn elements_come_and_go(x in proptest::array::uniform8(scalar())) {
        where_available!();
        #[target_feature(enable = "avx512f,avx512ifma")]
        fn there_and_back(values: &[Fr; 8], plain: &mut [Fr; 8], up: &mut Row, same: &mut Row) {
            store(plain, load::<false>(values));
            put(up, load::<true>(values));
            put(same, broadcast(&values[3]));
        }
        let (mut plain, mut up, mut same) = ([Fr::ZERO; 8], Ifma::ZERO, Ifma::ZERO);
        vectors!(there_and_back(&x, &mut plain, &mut up, &mut same));
        prop_assert_eq!(plain, x);
        let (up, same) = (values_of(&up), values_of(&same));
        for lane in 0..8 {
            prop_assert_eq!(&up[lane], &(integer(&x[ORDER[lane]].0) << 4));
            prop_assert_eq!(&same[lane], &(integer(&x[3].0) << 4));
        }
    }

    #[test]
    fn butterflies_of_unreduced_rows(low in values(LIMIT - 2), high in values(LIMIT), factor in scalar(), settle: bool) {
        where_available!();
        let (mut a, mut b) = ([row_of(&low)], [row_of(&high)]);
        let factors = Ifma::factors(&[factor]);
        Ifma::butterflies(&mut a, &mut b, &factors, settle);
        check_butterfly(&low, &high, &factor, [&a[0], &b[0]], settle, LIMIT);
    }

    #[test]
    fn two_layers_are_two_layers(
        parts in proptest::array::uniform4(values(LIMIT - 4)), factors in proptest::array::uniform3(scalar()), settle: bool
    ) {
        where_available!();
        let [first, even, odd] = factors.map(|factor| Ifma::factors(&[factor]));
        let [mut a, mut b, mut c, mut d] = parts.each_ref().map(|part| [row_of(part)]);
        let quarters = Quarters { parts: [&mut a, &mut b, &mut c, &mut d], first: &first, second: [&even, &odd] };
        Ifma::quarters(quarters, settle);
        let [mut e, mut f, mut g, mut h] = parts.each_ref().map(|part| [row_of(part)]);
        Ifma::butterflies(&mut e, &mut f, &first, false);
        Ifma::butterflies(&mut g, &mut h, &first, false);
        check_butterfly(&uncarried_values_of(&e[0]), &uncarried_values_of(&g[0]), &factors[1], [&a[0], &c[0]], settle, LIMIT);
        check_butterfly(&uncarried_values_of(&f[0]), &uncarried_values_of(&h[0]), &factors[2], [&b[0], &d[0]], settle, LIMIT);
    }

    /// The last layers take rows of up to 29 r (bounds grow by 6) and give what they give for canonical ones.
    #[test]
    fn lanes_are_joined_from_unreduced_rows(
        rows in proptest::array::uniform8(values(LIMIT - 6)), factors in proptest::array::uniform7(proptest::array::uniform8(scalar())),
        scale in proptest::option::of(scalar())
    ) {
        where_available!();
        let layers = [&factors[..1], &factors[1..3], &factors[3..]]
            .map(|of| of.iter().flat_map(|eight| Ifma::factor_rows(eight)).collect::<Vec<Row>>());
        let joined = |rows: &[Row]| {
            let mut out = [[Fr::ZERO; 8]; 8];
            let mut parts: Vec<&mut [Fr]> = out.iter_mut().map(|part| part.as_mut_slice()).collect();
            Ifma::finish(&mut parts, rows, &layers, 0, scale.as_ref());
            out
        };
        let canonical: Vec<Row> = rows.iter().map(|row| row_of(&row.each_ref().map(|x| x % r()))).collect();
        let out = joined(&rows.each_ref().map(row_of));
        prop_assert_eq!(out, joined(&canonical));
        prop_assert!(out.iter().flatten().all(|value| integer(&value.0) < r()));
    }
}

/// (low + t, low - t) with t = high factor; below `bound` r, or canonical where it is settled.
fn check_butterfly(low: &[BigUint; 8], high: &[BigUint; 8], factor: &Fr, out: [&Row; 2], settle: bool, bound: usize) {
    let [sum, difference] = out.map(if settle { values_of } else { uncarried_values_of });
    let factor = integer(&factor.0); // 2^256 times the element, in memory; rows keep that form
    let radix: BigUint = BigUint::from(1u8) << 256;
    let factor = factor * radix.modinv(&r()).unwrap();
    for i in 0..8 {
        let t = &high[i] * &factor % r();
        assert_eq!(&sum[i] % r(), (&low[i] + &t) % r());
        assert_eq!(&difference[i] % r(), (&low[i] + r() - &t) % r());
        let end = if settle { r() } else { r() * bound };
        assert!(sum[i] < end && difference[i] < end);
    }
}

/// Limbs of the farthest layer from the last settling: as large as 20 layers can make them, with either sign.
#[test]
fn layers_take_limbs_that_were_never_carried() {
    if !available() {
        return;
    }
    let canonical = std::array::from_fn(|i| r() - 1u8 - i as u64);
    for sign in [-1i64, 1] {
        let mut row = row_of(&canonical);
        for j in 0..4 {
            let taken = sign * ((20 << 57) >> 52); // 2^52 each from the next limb
            for lane in 0..8 {
                row.0[j][lane] = row.0[j][lane].wrapping_add((taken << 52) as u64);
                row.0[j + 1][lane] = row.0[j + 1][lane].wrapping_sub(taken as u64);
            }
        }
        let factor = Fr::from_u64(3).neg();
        let (mut a, mut b) = ([row], [row]);
        Ifma::butterflies(&mut a, &mut b, &Ifma::factors(&[factor]), true);
        check_butterfly(&canonical, &canonical, &factor, [&a[0], &b[0]], true, LIMIT);
    }
}

#[test]
fn words_are_transposed() {
    if !available() {
        return;
    }
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn run(words: &[[u64; 8]; 8]) -> [[u64; 8]; 8] {
        // SAFETY: 64 bytes each.
        let out = transpose(words.each_ref().map(|row| unsafe { _mm512_loadu_si512(row.as_ptr().cast()) }));
        // SAFETY: as above.
        out.map(|row| unsafe { std::mem::transmute::<V, [u64; 8]>(row) })
    }
    let words = std::array::from_fn(|i| std::array::from_fn(|j| (8 * i + j) as u64));
    let expected = std::array::from_fn(|i| std::array::from_fn(|j| (8 * j + i) as u64));
    assert_eq!(vectors!(run(&words)), expected);
}
