use super::*;
use crate::curve::{g2_generator, g2_mul};
use crate::field::Fr;
use crate::naive::{multiple, scalar};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn it_is_bilinear(a in scalar(), b in scalar()) {
        let pair = |p: Fr, q: Fr| (multiple(p), g2_mul(&g2_generator(), q));
        prop_assert!(product_is_one(&[pair(a, b), pair(a.mul(&b).neg(), Fr::ONE)]));
        prop_assert!(product_is_one(&[pair(a, b), pair(a.neg(), Fr::ONE), pair(a, Fr::ONE.sub(&b))]));
        let off = a.mul(&b).add(&Fr::ONE).neg();
        prop_assert!(!product_is_one(&[pair(a, b), pair(off, Fr::ONE)]));
    }
}

#[test]
fn infinity_contributes_one() {
    assert!(product_is_one(&[]));
    assert!(product_is_one(&[(G1::default(), g2_generator()), (multiple(Fr::ONE), G2::default())]));
    assert!(!product_is_one(&[(G1::default(), g2_generator()), (multiple(Fr::ONE), g2_generator())]));
}
