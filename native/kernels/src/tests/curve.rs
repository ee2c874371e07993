use super::*;
use crate::naive::{multiple, multiples, same_points, scalar, walk};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn encodings(log in scalar(), position in 0usize..96, change in 1u8..) {
        let point = multiple(log);
        let bytes = g1::encode(&point);
        prop_assert!(same_points(&[g1::decode(&bytes, false, true).unwrap()], &[point]));
        let mut compressed = [0; G1_BYTES / 2];
        g1::encode_into(&point, true, &mut compressed);
        prop_assert!(same_points(&[g1::decode(&compressed, true, true).unwrap()], &[point]));
        // Any other byte is another point's at best.
        let mut bad = bytes;
        bad[position] ^= change;
        prop_assert!(g1::decode(&bad, false, true).is_err());
    }

    #[test]
    fn logarithms_add_up(a in scalar(), b in scalar()) {
        let (p, q) = (to_jacobian(&multiple(a)), multiple(b));
        prop_assert!(same_points(&[to_affine(&add_affine(&p, &q))], &[multiple(a.add(&b))]));
        prop_assert!(same_points(&[to_affine(&add(&p, &to_jacobian(&q)))], &[multiple(a.add(&b))]));
        prop_assert!(same_points(&[to_affine(&double(&p))], &[multiple(a.add(&a))]));
        prop_assert!(same_points(&[to_affine(&neg(&p))], &[multiple(a.neg())]));
        prop_assert!(same_points(&[to_affine(&mul(&p, b))], &[multiple(a.mul(&b))]));
    }
}

#[test]
fn infinity_and_refusals() {
    let zero = [0; G1_BYTES];
    assert!(is_infinity(&g1::decode(&zero, false, true).unwrap()));
    assert_eq!(g1::encode(&G1::default()), zero);
    let mut flagged = zero;
    flagged[0] = 0x40; // blst's own infinity
    assert!(g1::decode(&flagged, false, true).is_err());
    assert_eq!(g1::decode(&zero[1..], false, true).unwrap_err(), "of the wrong length");
    let mut high = g1::encode(&g1_generator());
    high[0] |= 0x1f; // x is above p
    assert!(g1::decode(&high, false, true).is_err());
    // The curve has many more points than the subgroup.
    let mut other = [0; G1_BYTES / 2];
    other[0] = 0x80;
    while g1::decode(&other, true, false).is_err() {
        other[47] += 1;
    }
    assert_eq!(g1::decode(&other, true, true).unwrap_err(), "not in the subgroup of order r");
    let mut off = zero;
    off[95] = 3; // (0, 3)
    assert_eq!(g1::decode(&off, false, false).unwrap_err(), "not on the curve");
    let mut two = g1::encode(&g1_generator()).to_vec();
    two.extend(off);
    assert_eq!(decode_many(&two, false, true).unwrap_err(), "G1 point 1 is not on the curve");
    assert!(decode_many(&two[1..], false, true).is_err());
    assert_eq!(encode_many(&decode_many(&two[..96], false, true).unwrap(), false), two[..96]);
    assert!(g2::decode(&g2::encode(&g2_generator()), false, true).is_ok());
}

#[test]
fn normalizing_takes_infinity() {
    let generator = to_jacobian(&g1_generator());
    let infinity = blst_p1::default();
    let many: Vec<blst_p1> = (0..1100).map(|i| if i % 5 == 2 { infinity } else { double(&generator) }).collect();
    let two = multiples()[2];
    let expected: Vec<G1> = (0..1100).map(|i| if i % 5 == 2 { G1::default() } else { two }).collect();
    assert!(same_points(&normalize(&many), &expected));
    assert!(same_points(&normalize(&[infinity; 3]), &[G1::default(); 3]));
}

#[test]
fn tables_and_lagrange_forms() {
    for bits in [4, 8] {
        let table = digit_multiples(&g1_generator(), bits);
        assert_eq!(table.len(), (256 / bits) << bits);
        for (window, digit) in [(0, 0), (0, 15), (1, 1), (256 / bits - 1, 7), (17, 11)] {
            let log = (0..bits * window).fold(Fr::from_u64(digit), |log, _| log.add(&log));
            assert!(same_points(&[table[(window << bits) + digit as usize]], &[multiple(log)]));
        }
    }
    // out[i] = L_i(tau) G: with the values of any f, sum f(omega^i) out[i] = f(tau) G
    for k in [0, 1, 3, 6] {
        let (n, tau) = (1 << k, Fr::from_u64(0x1234_5678_9abc));
        let powers: Vec<G1> = (0..n).map(|i| multiple(tau.pow(i))).collect();
        let forms = lagrange(&powers);
        let f = walk(k as u64, n as usize);
        let at = |x: Fr| f.iter().rev().fold(Fr::ZERO, |sum, c| sum.mul(&x).add(c));
        let sum = forms
            .iter()
            .enumerate()
            .fold(blst_p1::default(), |sum, (i, form)| add(&sum, &mul(&to_jacobian(form), at(omega(k).pow(i as u64)))));
        assert!(same_points(&[to_affine(&sum)], &[multiple(at(tau))]));
    }
}
