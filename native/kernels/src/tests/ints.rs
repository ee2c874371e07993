use super::*;
use crate::naive::scalar;
use proptest::prelude::*;

macro_rules! any_width {
    ($name:ident, $width:ty, $variant:ident) => {
        proptest! {
            #[test]
            fn $name(columns in proptest::collection::vec(
                (scalar(), proptest::collection::vec(
                    prop_oneof![any::<$width>(), Just(<$width>::MIN), Just(<$width>::MAX), Just(0)], 600)), 1..5)
            ) {
                let ints: Vec<Ints> = columns.iter().map(|(_, values)| Ints::$variant(values)).collect();
                let factors: Vec<Fr> = columns.iter().map(|(factor, _)| *factor).collect();
                let field: Vec<Vec<Fr>> = ints.iter().map(|ints| ints.to_field()).collect();
                for ((_, values), field) in columns.iter().zip(&field) {
                    prop_assert_eq!(field, &values.iter().map(|v| Fr::from_i64(v.wide())).collect::<Vec<Fr>>());
                }
                let expected: Vec<Fr> = (0..600)
                    .map(|i| field.iter().zip(&factors).fold(Fr::ZERO, |sum, (v, f)| sum.add(&f.mul(&v[i]))))
                    .collect();
                prop_assert_eq!(combine(&ints, &factors), expected);
            }
        }
    };
}
any_width!(bytes, i8, I8);
any_width!(halves, i16, I16);
any_width!(words, i32, I32);
any_width!(longs, i64, I64);

#[test]
fn widths_mix_and_nothing_is_nothing() {
    let (a, b) = ([i8::MIN, 0, i8::MAX], [i64::MIN, -1, i64::MAX]);
    let combined = combine(&[Ints::I8(&a), Ints::I64(&b)], &[Fr::from_u64(3), Fr::ONE.neg()]);
    let expected = |i: usize| Fr::from_i64(3 * i64::from(a[i])).sub(&Fr::from_i64(b[i]));
    assert_eq!(combined, [0, 1, 2].map(expected));
    assert_eq!(combine(&[], &[]), []);
    assert_eq!(combine(&[Ints::I16(&[])], &[Fr::ONE]), []);
}
