//! Additions and sums, by each arithmetic that this machine has.

use super::*;
use crate::curve::g1;
use crate::field::Fr;
#[cfg(target_arch = "x86_64")]
use crate::ifma::Ifma;
use crate::naive::{multiple, multiples, same_points, scalar};
#[cfg(target_arch = "x86_64")]
use crate::vector::available;
use proptest::prelude::*;

/// An operand by index and sign.
type Signed = (usize, bool);

fn operand() -> impl Strategy<Value = Signed> {
    // Few indices: infinity, equal and opposite points are frequent.
    (prop_oneof![0usize..6, 0usize..1200], any::<bool>())
}

fn signed_multiple(log: i64) -> G1 {
    let point = multiples()[log.unsigned_abs() as usize];
    if log < 0 {
        Portable::negate(&point)
    } else {
        point
    }
}

fn check_pairs<A: Arithmetic>(pairs: &[(Signed, Signed)]) {
    let source: Vec<A::Point> = multiples().iter().map(A::lift).collect();
    let log = |(index, negative): Signed| if negative { -(index as i64) } else { index as i64 };
    let operands: Vec<Pair> = pairs
        .iter()
        .map(|((i, minus), (j, negative))| (Operand::new(*i, *minus), Operand::new(*j, *negative)))
        .collect();
    let mut out = vec![source[1]; pairs.len()];
    A::add_pairs(&source, &operands, &mut out);
    for ((left, right), sum) in pairs.iter().zip(&out) {
        let log = log(*left) + log(*right);
        if log.unsigned_abs() < 1200 {
            assert!(same_points(&[A::lower(sum)], &[signed_multiple(log)]), "{left:?} {right:?}");
        } else {
            assert!(same_points(&[A::lower(sum)], &[multiple(Fr::from_i64(log))]), "{left:?} {right:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_points_are_added(pairs in proptest::collection::vec((operand(), operand()), 1..60)) {
        check_pairs::<Portable>(&pairs);
        #[cfg(target_arch = "x86_64")]
        if available() {
            check_pairs::<Ifma>(&pairs);
        }
    }

    #[test]
    fn points_change_form_and_sign(log in scalar()) {
        fn check<A: Arithmetic>(point: &G1, opposite: &G1) {
            assert!(same_points(&[A::lower(&A::lift(point))], &[*point]));
            assert!(same_points(&[A::lower(&A::negate(&A::lift(point)))], &[*opposite]));
            assert!(same_points(&[A::lower(&A::negate(&A::negate(&A::lift(point))))], &[*point]));
        }
        let (point, opposite) = (multiple(log), multiple(log.neg()));
        check::<Portable>(&point, &opposite);
        #[cfg(target_arch = "x86_64")]
        if available() {
            check::<Ifma>(&point, &opposite);
        }
    }
}

/// Whole batches of one kind, more than one batch, and batches where one lane in a few is exceptional.
#[test]
fn batches_of_exceptions() {
    let doubling = ((5, false), (5, false));
    let kinds =
        [doubling, ((5, false), (5, true)), ((0, false), (7, true)), ((7, true), (0, true)), ((0, false), (0, true))];
    for kind in kinds {
        for step in [1, 7, 8, 513] {
            let pairs: Vec<_> = (0..2100)
                .map(|i| if i % step == 0 { kind } else { ((1 + i % 500, i % 3 == 0), (600 + i % 500, i % 2 == 0)) })
                .collect();
            check_pairs::<Portable>(&pairs);
            #[cfg(target_arch = "x86_64")]
            if available() {
                check_pairs::<Ifma>(&pairs);
            }
        }
    }
}

#[test]
fn infinity_is_zeros() {
    fn check<A: Arithmetic>() {
        assert_eq!(g1::encode(&A::lower(&A::INFINITY)), [0; 96]);
        assert_eq!(g1::encode(&A::lower(&A::negate(&A::INFINITY))), [0; 96]);
        assert_eq!(g1::encode(&A::lower(&A::lift(&G1::default()))), [0; 96]);
        A::add_pairs(&[A::INFINITY], &[], &mut []);
    }
    check::<Portable>();
    #[cfg(target_arch = "x86_64")]
    if available() {
        check::<Ifma>();
    }
}
