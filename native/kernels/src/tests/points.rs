use super::*;
use crate::naive::{multiple, multiples, same_points, scalar, walk};
use proptest::prelude::*;

fn points() -> Points {
    Points::new(multiples().to_vec())
}

fn log_of(start: usize, scalars: &[Fr]) -> Fr {
    scalars.iter().enumerate().fold(Fr::ZERO, |sum, (i, s)| sum.add(&s.mul(&Fr::from_u64((start + i) as u64))))
}

fn check(points: &Points, start: usize, scalars: Scalars) {
    let field = match scalars {
        Scalars::Wide(values) | Scalars::Sums(values, _) => values.to_vec(),
        Scalars::Narrow(ints) => ints.to_field(),
    };
    assert!(same_points(&[points.sum(start, scalars).run()], &[multiple(log_of(start, &field))]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Runs of equal scalars, long and short: as they are, and by their changes.
    #[test]
    fn columns_of_runs(
        runs in proptest::collection::vec((scalar(), prop_oneof![-3i64..4, any::<i64>()], 1usize..40), 0..20), start in 0usize..200
    ) {
        let points = points();
        let wide: Vec<Fr> = runs.iter().flat_map(|(value, _, length)| vec![*value; *length]).collect();
        let narrow: Vec<i64> = runs.iter().flat_map(|(_, value, length)| vec![*value; *length]).collect();
        check(&points, start, Scalars::Wide(&wide));
        check(&points, start, Scalars::Narrow(Ints::I64(&narrow)));
    }
}

/// Equal and opposite values in many places, of which few lie side by side; with infinity where a sum cancels.
#[test]
fn columns_of_few_values() {
    let (points, walk) = (points(), walk(4, 1200));
    for count in [1, 2, 30, 400, 1100] {
        let values: Vec<Fr> =
            (0..1200).map(|i| if i % 3 == 0 { walk[i * 11 % count].neg() } else { walk[i * 11 % count] }).collect();
        check(&points, 0, Scalars::Wide(&values));
    }
    let way = |values: &[Fr]| points.sum(0, Scalars::Wide(values)).way;
    let repeated = |f: &dyn Fn(usize) -> usize| (0..1200).map(|i| walk[20 + f(i)]).collect::<Vec<Fr>>();
    assert_eq!(way(&repeated(&|i| i % 300)), Way::Values);
    assert_eq!(way(&repeated(&|i| i / 10)), Way::Changes);
    assert_eq!(way(&walk), Way::Halves);
    assert_eq!(way(&repeated(&|i| i % 300)[..900]), Way::Halves); // too few to look for equal ones
}

/// Sums of fractions, of few values each: by their lists, or as they are, whatever costs less; with random rows behind.
#[test]
fn columns_of_fractions() {
    let (points, walk) = (points(), walk(9, 1200));
    for (values, lists, way) in
        [(30, 3, Way::Lists), (1, 1, Way::Changes), (1100, 3, Way::Halves), (200, 1, Way::Values)]
    {
        let denominators: Vec<Vec<Fr>> =
            (0..lists).map(|j| (0..1190).map(|i| walk[20 + i / usize::pow(values, j) % values]).collect()).collect();
        let ones = vec![Fr::ONE; 1190];
        let pairs: Vec<(&[Fr], &[Fr])> = denominators.iter().map(|list| (ones.as_slice(), list.as_slice())).collect();
        let numbered = Numbered::fractions(&pairs);
        let column = [numbered.sum(), walk[1..9].to_vec()].concat();
        check(&points, 1, Scalars::Sums(&column, &numbered));
        assert_eq!(points.sum(1, Scalars::Sums(&column, &numbered)).way, way, "{values} values");
    }
}

/// Differences of integers up to 2^62 are still integers; beyond, columns are summed as they are.
#[test]
fn extreme_integers_that_rarely_change() {
    let points = points();
    for value in [1i64 << 61, (1 << 62) - 1, 1 << 62, i64::MAX, i64::MIN] {
        let values: Vec<i64> = (0..600).map(|i| if i / 100 % 2 == 0 { value } else { value.wrapping_neg() }).collect();
        check(&points, 3, Scalars::Narrow(Ints::I64(&values)));
    }
    check(&points, 0, Scalars::Narrow(Ints::I8(&[i8::MIN; 1200])));
    check(&points, 1199, Scalars::Narrow(Ints::I16(&[i16::MIN])));
    check(&points, 1200, Scalars::Wide(&[]));
}

#[test]
fn suffixes_are_the_sums_to_the_end() {
    fn check<A: Arithmetic>(source: &[A::Point], affine: &[G1]) {
        let suffixes = suffix_sums::<A>(source);
        assert_eq!(suffixes.len(), affine.len() + 1);
        let mut sum = blst_p1::default();
        for (i, point) in affine.iter().enumerate().rev() {
            sum = curve::add_affine(&sum, point);
            assert!(same_points(&[suffixes[i]], &[curve::to_affine(&sum)]), "{i} of {}", affine.len());
        }
        assert!(curve::is_infinity(&suffixes[affine.len()]));
    }
    let opposite = Portable::negate(&multiples()[1]);
    for length in [1, 2, 3, 17, 64, 100, 1200] {
        let any = multiples()[..length].to_vec();
        let alternating: Vec<G1> = (0..length).map(|i| if i % 2 == 0 { multiples()[1] } else { opposite }).collect();
        for affine in [any, vec![multiples()[1]; length], alternating] {
            let points = Points::new(affine.clone());
            check::<Portable>(&affine, &affine);
            fastest!(points, source, A => check::<A>(source, &affine));
        }
    }
}

#[test]
fn many_sums_are_as_one_after_another() {
    let points = points();
    let (a, b) = (walk(1, 1000), walk(2, 10));
    let ints: Vec<i16> = (0..900).map(|i| i / 50 - 9).collect();
    let jobs = [
        (0, Scalars::Wide(&a)),
        (7, Scalars::Narrow(Ints::I16(&ints))),
        (30, Scalars::Wide(&b)),
        (0, Scalars::Wide(&[])),
    ];
    let together = sums(&jobs.map(|(start, scalars)| ((&points, start), scalars)));
    assert!(same_points(&together, &jobs.map(|(start, scalars)| points.sum(start, scalars).run())));
}

/// The random rows of many columns: one table serves them, and another call with more or fewer of them, or elsewhere.
#[test]
fn sums_of_few_scalars_share_a_table() {
    let (points, walk) = (points(), walk(6, 400));
    for (start, longest) in [(1190, 5), (1190, 3), (1190, 8), (0, 8), (7, 9), (1190, 1)] {
        let jobs: Vec<Job> = (0..20)
            .map(|i| ((&points, start + usize::from(i == 4)), Scalars::Wide(&walk[9 * i..9 * i + longest - i % 2])))
            .chain([((&points, 30), Scalars::Wide(&walk))])
            .collect();
        let expected: Vec<G1> =
            jobs.iter().map(|((points, start), scalars)| points.sum(*start, *scalars).run()).collect();
        assert!(same_points(&sums(&jobs), &expected), "{longest} from {start} on");
        assert_eq!(
            sharing(&jobs).len(),
            if longest <= FEW { (0..20).filter(|i| *i != 4 && longest > i % 2).count() } else { 10 }
        );
    }
    assert!(sharing(&[]).is_empty());
}

/// Points beyond those that have twins, and where they end.
#[test]
fn twins_are_for_the_first_points() {
    let points = Points::new(fixed_base(&(0..TWINS as u64 + 200).map(Fr::from_u64).collect::<Vec<_>>()));
    let walk = walk(7, 100);
    for (start, way) in [(0, Way::Halves), (TWINS - 100, Way::Halves), (TWINS - 99, Way::Direct), (TWINS, Way::Direct)]
    {
        assert_eq!(points.sum(start, Scalars::Wide(&walk)).way, way);
        check(&points, start, Scalars::Wide(&walk));
    }
    assert_eq!(points.sum(0, Scalars::Wide(&walk[..HALVED - 1])).way, Way::Direct);
}

/// From 2^15 scalars on they go two at a time; three leave one alone.
#[test]
fn large_sums_are_those_of_their_parts() {
    let count = (1 << 15) + 5;
    let points = Points::new(fixed_base(&(0..count).map(Fr::from_u64).collect::<Vec<_>>()));
    let scalars: Vec<Vec<Fr>> = (1..=3).map(|seed| walk(seed, count as usize)).collect();
    let jobs: Vec<_> = scalars.iter().map(|scalars| ((&points, 0), Scalars::Wide(scalars))).collect();
    let expected: Vec<G1> = scalars
        .iter()
        .map(|scalars| {
            let log = scalars.iter().zip(0..).fold(Fr::ZERO, |sum, (s, i)| sum.add(&s.mul(&Fr::from_u64(i))));
            multiple(log)
        })
        .collect();
    assert!(same_points(&sums(&jobs), &expected));
}

#[test]
fn multiples_of_the_generator() {
    let logs = [walk(3, 300), vec![Fr::ZERO, Fr::ONE, Fr::ONE.neg(), Fr::from_u64(255), Fr::from_u64(256)]].concat();
    let expected: Vec<G1> = logs.iter().map(|log| multiple(*log)).collect();
    assert!(same_points(&fixed_base(&logs), &expected));
    assert!(fixed_base(&[]).is_empty());
}
