use super::*;
use crate::naive::{r, scalar, walk};
#[cfg(target_arch = "x86_64")]
use crate::vector::{available, Ifma};
use num_bigint::BigUint;
use proptest::prelude::*;

/// A row holds what the limit says, and not one r more; a product's bound is one.
#[test]
fn bounds_are_bounds() {
    let end: BigUint = BigUint::from(1u8) << 260;
    assert!(r() * LIMIT < end && r() * (LIMIT + 1) > end);
    for a in 0..=LIMIT {
        for b in 0..=LIMIT {
            // a b r^2 / 2^260 + r, exactly
            let product = r() * r() * a * b + (r() << 260);
            assert!(product <= (r() << 260) * product_bound(a, b), "{a} r times {b} r");
            assert!(product_bound(a, b) <= LIMIT + 1);
        }
    }
}

fn check_operations<A: Lanes>(pairs: &[(Fr, Fr)], constant: &Fr) {
    let (a, b): (Vec<Fr>, Vec<Fr>) = pairs.iter().copied().unzip();
    let count = pairs.len().div_ceil(1 << A::BITS);
    let loaded = |values: &[Fr]| {
        let mut rows = vec![A::ZERO; count];
        A::load(&mut rows, values);
        rows
    };
    let check = |rows: &[A::Row], expected: &dyn Fn(&Fr, &Fr) -> Fr| {
        let mut out = vec![Fr::ONE; pairs.len()];
        A::store(&mut out, rows);
        assert_eq!(out, pairs.iter().map(|(a, b)| expected(a, b)).collect::<Vec<Fr>>());
    };
    let (left, right, same) = (loaded(&a), loaded(&b), A::constant(constant));
    let mut out = vec![A::ZERO; count];
    check(&left, &|a, _| *a);
    A::add(&mut out, Side::rows(&left), Side::rows(&right));
    check(&out, &|a, b| a.add(b));
    A::sub(&mut out, Side::rows(&left), Side::rows(&right), LOADED);
    check(&out, &|a, b| a.sub(b));
    A::mul(&mut out, Side::rows(&left), Side::rows(&right));
    check(&out, &|a, b| a.mul(b));
    A::sub(&mut out, Side::same(&same), Side::rows(&right), LOADED);
    check(&out, &|_, b| constant.sub(b));
    A::mul(&mut out, Side::rows(&left), Side::same(&same));
    check(&out, &|a, _| a.mul(constant));
}

proptest! {
    #[test]
    fn operations(pairs in proptest::collection::vec((scalar(), scalar()), 1..40), constant in scalar()) {
        check_operations::<Portable>(&pairs, &constant);
        #[cfg(target_arch = "x86_64")]
        if available() {
            check_operations::<Ifma>(&pairs, &constant);
        }
    }
}

#[test]
fn gathering_reverses_bits() {
    assert_eq!((0..8).map(|i| reversed(i, 3)).collect::<Vec<_>>(), [0, 4, 2, 6, 1, 5, 3, 7]);
    assert_eq!(reversed(0, 0), 0);
    let values = walk(9, 16);
    let mut rows = [Fr::ZERO; 8];
    Portable::gather(&mut rows, &values, 8, 4);
    assert_eq!(rows, std::array::from_fn(|i| values[reversed(8 + i, 4)]));
}
