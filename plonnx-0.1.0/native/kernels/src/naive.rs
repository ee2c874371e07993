//! What the tests hold the kernels against: integers modulo r, points by their logarithms; and what they draw.

use crate::curve::{self, G1};
use crate::field::{Fr, MODULUS};
use num_bigint::BigUint;
use proptest::prelude::*;
use std::sync::OnceLock;

/// The kernels run over the memory that they are meant for.
#[global_allocator]
static MEMORY: crate::memory::Memory = crate::memory::Memory::new();

pub fn integer(limbs: &[u64]) -> BigUint {
    limbs.iter().rev().fold(BigUint::ZERO, |sum, limb| (sum << 64) + *limb)
}

pub fn r() -> BigUint {
    integer(&MODULUS)
}

pub fn of(value: &Fr) -> BigUint {
    integer(&value.to_limbs())
}

/// A value modulo r, by the shortest way in.
pub fn fr(value: &BigUint) -> Fr {
    let mut digits = (value % r()).to_u64_digits();
    digits.resize(4, 0);
    Fr::from_limbs(digits.try_into().expect("four")).expect("below r")
}

/// Scalars where something goes wrong first, and any others.
pub fn scalar() -> impl Strategy<Value = Fr> + Clone {
    let edges: Vec<Fr> = edges().iter().map(fr).collect();
    prop_oneof![
        1 => proptest::sample::select(edges),
        2 => proptest::array::uniform4(any::<u64>()).prop_map(|limbs| fr(&integer(&limbs))),
    ]
}

fn edges() -> Vec<BigUint> {
    let one = || BigUint::from(1u8);
    let mut edges: Vec<BigUint> = [0u8, 1, 2].map(BigUint::from).to_vec();
    edges.extend([1u8, 2, 3].map(|k| r() - k));
    edges.extend(
        [52, 63, 64, 104, 128, 156, 192, 208, 254].into_iter().flat_map(|bit| [one() << bit, (one() << bit) - 1u8]),
    );
    edges.push((r() - 1u8) / 2u8);
    // Those whose form in memory, 2^256 times as large, is the largest and the smallest there is.
    let memory: BigUint = one() << 256;
    let memory = memory.modinv(&r()).expect("prime");
    edges.extend([&memory * (r() - 1u8) % r(), memory]);
    edges
}

pub fn scalars(length: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Fr>> {
    proptest::collection::vec(scalar(), length)
}

/// Many scalars without a strategy: a multiplicative walk, with zeros and -1 in it.
pub fn walk(seed: u64, length: usize) -> Vec<Fr> {
    let step = Fr::from_u64(seed ^ 0x9e37_79b9_7f4a_7c15).square().square();
    let mut value = step.add(&Fr::from_u64(seed));
    let entries = (0..length).map(|i| {
        value = value.mul(&step).add(&Fr::ONE);
        match i % 61 {
            7 => Fr::ZERO,
            11 => Fr::ONE.neg(),
            _ => value,
        }
    });
    entries.collect()
}

/// The multiples 0 G, 1 G, .. of the generator: small logarithms, so that sums meet equal and opposite points.
pub fn multiples() -> &'static [G1] {
    static MULTIPLES: OnceLock<Vec<G1>> = OnceLock::new();
    MULTIPLES.get_or_init(|| {
        let generator = curve::g1_generator();
        let jacobian = std::iter::successors(Some(Default::default()), |p| Some(curve::add_affine(p, &generator)));
        curve::normalize(&jacobian.take(1200).collect::<Vec<_>>())
    })
}

/// log G, by blst.
pub fn multiple(log: Fr) -> G1 {
    curve::to_affine(&curve::mul(&curve::to_jacobian(&curve::g1_generator()), log))
}

pub fn same_points(left: &[G1], right: &[G1]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| curve::g1::encode(a) == curve::g1::encode(b))
}
