use super::*;
use crate::naive::{scalar, scalars};
use proptest::prelude::*;

proptest! {
    #[test]
    fn elementwise(pairs in proptest::collection::vec((scalar(), scalar()), 0..40), factor in scalar()) {
        let (a, b): (Vec<Fr>, Vec<Fr>) = pairs.iter().copied().unzip();
        let each = |f: &dyn Fn(&Fr, &Fr) -> Fr| pairs.iter().map(|(a, b)| f(a, b)).collect::<Vec<Fr>>();
        let mut out = vec![Fr::ONE; a.len()];
        mul(&mut out, &a, &b);
        prop_assert_eq!(&out, &each(&|a, b| a.mul(b)));
        scale(&mut out, &a, &factor);
        prop_assert_eq!(&out, &each(&|a, _| a.mul(&factor)));
        out.clone_from(&b);
        add_scaled(&mut out, &a, &factor);
        prop_assert_eq!(&out, &each(&|a, b| b.add(&a.mul(&factor))));
        let part = |l: usize| pairs.iter().skip(l).step_by(8).fold(Fr::ZERO, |sum, (a, b)| sum.add(&a.mul(b)));
        prop_assert_eq!(dot_by_eight(&a, &b), std::array::from_fn(part));
    }

    #[test]
    fn combinations(vectors in proptest::collection::vec((scalar(), scalars(19)), 0..5)) {
        let (factors, vectors): (Vec<Fr>, Vec<Vec<Fr>>) = vectors.into_iter().unzip();
        check_combination(&vectors, &factors);
    }
}

fn check_combination(vectors: &[Vec<Fr>], factors: &[Fr]) {
    let slices: Vec<&[Fr]> = vectors.iter().map(Vec::as_slice).collect();
    let mut out = [Fr::ONE; 19];
    combine(&mut out, &slices, factors);
    for (i, value) in out.iter().enumerate() {
        let expected = vectors.iter().zip(factors).fold(Fr::ZERO, |sum, (v, f)| sum.add(&v[i].mul(f)));
        assert_eq!(*value, expected);
    }
}

/// A sum of unreduced products holds so many and no more: counts around that, all of them the largest there are in memory.
#[test]
fn sums_of_the_largest_products() {
    let largest =
        Fr(crate::naive::integer(&crate::field::MODULUS).to_u64_digits().try_into().unwrap()).sub(&Fr([1, 0, 0, 0]));
    for count in [1, 63, 64, 65, 127, 128, 129, 400] {
        check_combination(&vec![vec![largest; 19]; count], &vec![largest; count]);
        for rest in [0, 5] {
            let (a, product) = (vec![largest; 8 * count + rest], largest.square());
            let terms = |l: usize| Fr::from_u64((count + usize::from(l < rest)) as u64);
            assert_eq!(dot_by_eight(&a, &a), std::array::from_fn(|l| product.mul(&terms(l))));
        }
    }
}
