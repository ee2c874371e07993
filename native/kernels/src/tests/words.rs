use super::*;
use crate::naive::integer;
use num_bigint::BigUint;
use proptest::prelude::*;

fn number() -> impl Strategy<Value = [u64; 6]> {
    let word = prop_oneof![Just(0), Just(u64::MAX), Just(1), any::<u64>()]; // so that carries go far
    proptest::array::uniform6(word)
}

proptest! {
    #[test]
    fn sums_and_differences(a in number(), b in number(), modulus in number()) {
        let end: BigUint = BigUint::from(1u8) << 384;
        let (x, y, m) = (integer(&a), integer(&b), integer(&modulus));
        prop_assert_eq!(integer(&add(&a, &b)), (&x + &y) % &end);
        prop_assert_eq!(integer(&sub(&a, &b)), (&end + &x - &y) % &end);
        let raised = if x < y { &m + &end } else { end.clone() };
        prop_assert_eq!(integer(&sub_modulo(&a, &b, &modulus)), (raised + &x - &y) % &end);
        prop_assert_eq!(integer(&reduced(&a, &modulus)), if x < m { x } else { x - m });
        prop_assert_eq!(is_zero(&a), a == [0; 6]);
        prop_assert_eq!((select(true, &a, &b), select(false, &a, &b)), (a, b));
    }
}
