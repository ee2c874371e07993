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
                let weights: Vec<Fr> = (0..600).map(|i| factors[i % factors.len()].mul(&Fr::from_u64(i as u64))).collect();
                let sums: Vec<Fr> = field.iter().map(|column| dot(column, &weights)).collect();
                prop_assert_eq!(weighted_sums(&ints, &weights), sums);
                // Rows as long as there are factors, and the same integers gathered: channels of 6 taps each.
                let rows = |values: &[Fr]| -> Vec<Fr> { values.chunks_exact(factors.len()).map(|row| dot(row, &factors)).collect() };
                let used = 600 / factors.len() * factors.len();
                for ((_, values), field) in columns.iter().zip(&field) {
                    prop_assert_eq!(row_sums(Ints::$variant(&values[..used]), &factors), rows(&field[..used]));
                    let index: Vec<i64> = (0..6 * 20).map(|i| (7 * i) % 151).collect(); // 150: behind a channel's integers
                    let taken = |c: usize, at: i64| if at < 150 { field[150 * c + at as usize] } else { Fr::ZERO };
                    let factors: Vec<Fr> = (0..4 * 6).map(|i| factors[i % factors.len()].mul(&Fr::from_u64(i as u64))).collect();
                    let expected: Vec<Fr> = (0..20)
                        .map(|p| (0..4 * 6).fold(Fr::ZERO, |sum, i| {
                            sum.add(&factors[i].mul(&taken(i / 6, index[i % 6 * 20 + p])))
                        }))
                        .collect();
                    prop_assert_eq!(gathered_sums(Ints::$variant(values), 4, &factors, &index), expected);
                }
            }
        }
    };
}
any_width!(bytes, i8, I8);
any_width!(halves, i16, I16);
any_width!(words, i32, I32);
any_width!(longs, i64, I64);

fn dot(a: &[Fr], b: &[Fr]) -> Fr {
    a.iter().zip(b).fold(Fr::ZERO, |sum, (a, b)| sum.add(&a.mul(b)))
}

/// Over several chunks of rows.
#[test]
fn long_columns_are_weighted() {
    let column: Vec<i32> = (0..5000).map(|i| (i * i) % 4001 - 2000).collect();
    let weights = crate::field::powers(Fr::from_u64(7), column.len(), Fr::from_u64(3));
    let ints = Ints::I32(&column);
    assert_eq!(weighted_sums(&[ints, ints], &weights), [dot(&ints.to_field(), &weights); 2]);
}

#[test]
fn nothing_is_nothing() {
    assert_eq!(weighted_sums(&[], &[Fr::ONE]), []);
    assert_eq!(row_sums(Ints::I16(&[]), &[Fr::ONE]), []);
    assert_eq!(gathered_sums(Ints::I16(&[1, 2]), 2, &[Fr::ONE, Fr::ONE], &[]), []);
    assert_eq!(gathered_sums(Ints::I16(&[]), 2, &[Fr::ONE, Fr::ONE], &[0, i64::MAX]), [Fr::ZERO; 2]);
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
        let expected: Vec<Fr> = (0..LENGTH)
            .map(|row| dot(&dense.iter().map(|column| Fr::from_i64(column[row].into())).collect::<Vec<Fr>>(), &factors))
            .collect();
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
