use super::*;
use crate::affine::Portable;
use crate::curve::G1;
use crate::field::Fr;
#[cfg(target_arch = "x86_64")]
use crate::ifma::Ifma;
use crate::naive::{multiple, multiples, same_points};
#[cfg(target_arch = "x86_64")]
use crate::vector::available;
use proptest::prelude::*;

fn lower<A: Arithmetic>(points: &[A::Point]) -> Vec<G1> {
    points.iter().map(A::lower).collect()
}

fn check_segments<A: Arithmetic>(segments: &[Vec<(usize, bool)>]) {
    let source: Vec<A::Point> = multiples().iter().map(A::lift).collect();
    let operands: Vec<Operand> = segments.iter().flatten().map(|(i, negative)| Operand::new(*i, *negative)).collect();
    let lengths: Vec<usize> = segments.iter().map(Vec::len).collect();
    let log = |segment: &Vec<(usize, bool)>| {
        segment.iter().map(|(i, minus)| if *minus { -(*i as i64) } else { *i as i64 }).sum()
    };
    let expected: Vec<G1> = segments.iter().map(|segment| multiple(Fr::from_i64(log(segment)))).collect();
    assert!(same_points(&lower::<A>(&segment_sums::<A>(&source, &operands, &lengths)), &expected));
}

fn check_bits<A: Arithmetic>(lists: &[Vec<Option<usize>>], bits: usize) {
    let indexed: Vec<Indexed<A::Point>> = lists
        .iter()
        .map(|list| {
            let present = || list.iter().enumerate().filter_map(|(i, log)| log.map(|log| (i + 1, log)));
            Indexed {
                indices: present().map(|(index, _)| index).collect(),
                points: present().map(|(_, log)| A::lift(&multiples()[log])).collect(),
            }
        })
        .collect();
    let sums = bit_sums::<A>(&indexed, bits);
    for (list, sums) in lists.iter().zip(sums) {
        // Weighted by 2^b they are the sum of index times point; each alone depends on the foldings.
        let weighted = lower::<A>(&sums)
            .iter()
            .rev()
            .fold(Default::default(), |sum, point| crate::curve::add_affine(&crate::curve::double(&sum), point));
        let log: u64 = list.iter().enumerate().filter_map(|(i, log)| log.map(|log| (i as u64 + 1) * log as u64)).sum();
        assert!(same_points(&[crate::curve::to_affine(&weighted)], &[multiple(Fr::from_u64(log))]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn segments(segments in proptest::collection::vec(
        proptest::collection::vec((prop_oneof![0usize..4, 0usize..1200], any::<bool>()), 1..40), 0..20)
    ) {
        check_segments::<Portable>(&segments);
        #[cfg(target_arch = "x86_64")]
        if available() {
            check_segments::<Ifma>(&segments);
        }
    }

    #[test]
    fn weighted_sums((bits, lists) in (1usize..8).prop_flat_map(|bits| (Just(bits), proptest::collection::vec(
        proptest::collection::vec(proptest::option::of(prop_oneof![0usize..3, 0usize..1200]), (1 << bits) - 1), 0..4)))
    ) {
        check_bits::<Portable>(&lists, bits);
        #[cfg(target_arch = "x86_64")]
        if available() {
            check_bits::<Ifma>(&lists, bits);
        }
    }
}

/// Sums that grow by the same point, and full lists of one point: every round meets doublings.
#[test]
fn equal_points_everywhere() {
    let segments = [
        vec![(3, false); 1000],
        vec![(3, true); 3],
        vec![(0, false); 17],
        [vec![(9, false); 64], vec![(9, true); 64]].concat(),
    ];
    let lists = [vec![Some(2); 255], vec![None; 255], (0..255).map(|i| (i % 2 == 0).then_some(0)).collect()];
    check_segments::<Portable>(&segments);
    check_bits::<Portable>(&lists, 8);
    #[cfg(target_arch = "x86_64")]
    if available() {
        check_segments::<Ifma>(&segments);
        check_bits::<Ifma>(&lists, 8);
    }
}
