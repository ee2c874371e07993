use super::*;
use crate::curve;
use crate::naive::{fr, integer, multiples, of, r, same_points, scalar};
use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;

fn check(scalar: &Fr) {
    let [s, q] = halves(scalar).map(|half| {
        let magnitude = BigInt::from(integer(&half.limbs));
        assert!(magnitude <= BigInt::from(LAMBDA / 2 + 1));
        if half.negative {
            -magnitude
        } else {
            magnitude
        }
    });
    let rest = (s + q * BigInt::from(LAMBDA) - BigInt::from(of(scalar))) % BigInt::from(r());
    assert_eq!(rest, BigInt::ZERO);
}

proptest! {
    #[test]
    fn halves_make_the_scalar(scalar in scalar(), q in any::<u128>(), near in -3i64..4) {
        check(&scalar);
        // Beside the multiples of LAMBDA, and of its half.
        let lambda = fr(&BigUint::from(LAMBDA));
        for factor in [q, LAMBDA, LAMBDA - 1, LAMBDA / 2, LAMBDA / 2 + 1, 0] {
            let multiple = fr(&BigUint::from(factor)).mul(&lambda);
            check(&multiple.add(&Fr::from_i64(near)));
            check(&multiple.add(&fr(&BigUint::from(LAMBDA / 2))).add(&Fr::from_i64(near)));
        }
    }

    #[test]
    fn products_have_two_halves(a in any::<u128>(), b in any::<u128>()) {
        let (high, low) = wide_product(a, b);
        prop_assert_eq!((BigUint::from(high) << 128) + low, BigUint::from(a) * b);
    }
}

#[test]
fn twins_are_multiples() {
    let lambda = fr(&BigUint::from(LAMBDA));
    assert_eq!(r(), BigUint::from(LAMBDA) * LAMBDA + LAMBDA + 1u8);
    assert_eq!((BigUint::from(1u8) << 256usize) / LAMBDA, (BigUint::from(1u8) << 128usize) + RECIPROCAL);
    for point in &multiples()[..7] {
        let expected = curve::to_affine(&curve::mul(&curve::to_jacobian(point), lambda));
        assert!(same_points(&[twin(point)], &[expected]));
    }
}
