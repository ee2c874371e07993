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

/// Runs of any lengths and gaps, empty ones among them, over several chunks.
fn runs() -> impl Strategy<Value = (Vec<i32>, Vec<i32>, Vec<i16>)> {
    proptest::collection::vec((0i32..700, 0i32..700), 0..5).prop_flat_map(|pieces| {
        let mut free = 0;
        let (mut starts, mut lengths) = (vec![], vec![]);
        for (gap, length) in pieces {
            starts.push(free + gap);
            lengths.push(length);
            free += gap + length;
        }
        let count = lengths.iter().sum::<i32>() as usize;
        let values = proptest::collection::vec(prop_oneof![any::<i16>(), Just(i16::MIN), Just(0)], count);
        (Just(starts), Just(lengths), values)
    })
}

proptest! {
    #[test]
    fn runs_are_the_columns_that_they_stand_for(columns in proptest::collection::vec((runs(), scalar()), 0..4)) {
        const LENGTH: usize = 7000;
        let (mut sparse, mut dense, mut factors) = (vec![], vec![], vec![]);
        for ((starts, lengths, values), factor) in &columns {
            let mut column = vec![0i16; LENGTH];
            let mut left = values.as_slice();
            for (start, length) in starts.iter().zip(lengths) {
                let (run, rest) = left.split_at(*length as usize);
                column[*start as usize..][..run.len()].copy_from_slice(run);
                left = rest;
            }
            sparse.push(Runs { starts, lengths, values: Ints::I16(values) });
            dense.push(column);
            factors.push(*factor);
        }
        prop_assert!(sparse.iter().all(|column| column.are_sound(LENGTH)));
        let ints: Vec<Ints> = dense.iter().map(|column| Ints::I16(column)).collect();
        let mut expected = combine(&ints, &factors);
        expected.resize(LENGTH, Fr::ZERO);
        prop_assert_eq!(combine_runs(&sparse, &factors, LENGTH), expected);
    }
}

#[test]
fn runs_that_overlap_leave_the_rows_or_lack_values_are_not_sound() {
    let sound = |starts: &[i32], lengths: &[i32], count: usize| {
        Runs { starts, lengths, values: Ints::I8(&vec![1; count]) }.are_sound(10)
    };
    assert!(sound(&[0, 5], &[5, 5], 10) && sound(&[], &[], 0));
    assert!(!sound(&[0, 4], &[5, 5], 10)); // overlap
    assert!(!sound(&[5, 0], &[5, 5], 10)); // out of order
    assert!(!sound(&[0, 6], &[5, 5], 10)); // beyond the rows
    assert!(!sound(&[0, 5], &[5, 5], 9) && !sound(&[0, 5], &[5, 5], 11));
    assert!(!sound(&[0, 5], &[5], 5) && !sound(&[-1], &[2], 2) && !sound(&[3], &[-1], 0));
    assert!(!sound(&[i32::MAX], &[i32::MAX], 10));
}

#[test]
fn the_least_integers_are_combined_too() {
    let values = [i64::MIN, i64::MAX, -1];
    let column = Runs { starts: &[1], lengths: &[3], values: Ints::I64(&values) };
    let expected = [0, i64::MIN, i64::MAX, -1].map(|v| Fr::from_i64(v).neg());
    assert_eq!(combine_runs(&[column], &[Fr::ONE.neg()], 4), expected);
}
