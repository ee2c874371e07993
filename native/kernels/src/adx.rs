//! Montgomery products by mulx, adcx and adox, which x86-64 processors without AVX-512 have, too (BMI2 and ADX: since 2014).
//!
//! A row of a product has two chains of carries at once, one for low words and one for high ones, which the compiler does not
//! make of Rust. No word is left for a carry out of the highest: a + modulus is below 2^(64 N) for the factor a, and the
//! other factor may be anything. The product is not reduced at the end: it is below a b / 2^(64 N) + modulus.

use crate::field::MODULUS;
use crate::fp::P;
use std::arch::asm;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether this processor has the instructions. One load, since each product asks.
#[inline(always)]
pub fn available() -> bool {
    const NO: u8 = 1;
    const YES: u8 = 2;
    static KNOWN: AtomicU8 = AtomicU8::new(0);
    #[cold]
    fn look() -> u8 {
        let found = if is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("adx") { YES } else { NO };
        KNOWN.store(found, Ordering::Relaxed);
        found
    }
    match KNOWN.load(Ordering::Relaxed) {
        0 => look() == YES,
        known => known == YES,
    }
}

/// A modulus, and behind it -1 / modulus modulo 2^64.
#[repr(C)]
struct Modulus<const N: usize>([u64; N], u64);
static SCALARS: Modulus<4> = Modulus(MODULUS, 0xffff_fffe_ffff_ffff);
static COORDINATES: Modulus<6> = Modulus(P, 0x89f3_fffc_fffc_fffd);

/// t = a b_0. Operands: where a word of a is, and the two words of t that its product goes to.
macro_rules! first {
    ($low:literal $high:literal, $($at:literal $t:literal $next:literal),*; $last:literal) => { concat!(
        "mov rdx, [{b}]\n mulx {", $high, "}, {", $low, "}, [{a}]\n xor {lo:e}, {lo:e}\n",
        $( "mulx {", $next, "}, {lo}, [{a} + ", $at, "]\n adc {", $t, "}, {lo}\n", )*
        "adc {", $last, "}, 0\n",
    ) };
}

/// t += a b_i, for a highest word of t that is zero before.
macro_rules! row {
    ($b:literal: $($at:literal $t:literal $next:literal),*; $last:literal) => { concat!(
        "mov rdx, [{b} + ", $b, "]\n xor {lo:e}, {lo:e}\n",
        $( "mulx {hi}, {lo}, [{a} + ", $at, "]\n adcx {", $t, "}, {lo}\n adox {", $next, "}, {hi}\n", )*
        "mov {lo:e}, 0\n adcx {", $last, "}, {lo}\n",
    ) };
}

/// t += m modulus for the m that makes the lowest word zero, which serves as zero then, and as the highest word of the next row.
macro_rules! reduce {
    ($inverse:literal, $lowest:literal: $($at:literal $t:literal $next:literal),*; $last:literal) => { concat!(
        "mov rdx, {", $lowest, "}\n imul rdx, [rip + {modulus} + ", $inverse, "]\n xor {lo:e}, {lo:e}\n",
        $( "mulx {hi}, {lo}, [rip + {modulus} + ", $at, "]\n adcx {", $t, "}, {lo}\n adox {", $next, "}, {hi}\n", )*
        "adcx {", $last, "}, {", $lowest, "}\n",
    ) };
}

/// a b / 2^256 modulo r, up to r too large, for a < 2^256 - r and any b. To be called where `available` holds.
#[inline(always)]
pub unsafe fn scalars(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let (r0, r1, r2, r3): (u64, u64, u64, u64);
    // SAFETY: reads the words of a, b and the modulus and writes registers alone; the caller has looked for the instructions.
    unsafe {
        asm!(
            first!("t0" "t1", "8" "t1" "t2", "16" "t2" "t3", "24" "t3" "t4"; "t4"),
            reduce!("32", "t0": "0" "t0" "t1", "8" "t1" "t2", "16" "t2" "t3", "24" "t3" "t4"; "t4"),
            row!("8": "0" "t1" "t2", "8" "t2" "t3", "16" "t3" "t4", "24" "t4" "t0"; "t0"),
            reduce!("32", "t1": "0" "t1" "t2", "8" "t2" "t3", "16" "t3" "t4", "24" "t4" "t0"; "t0"),
            row!("16": "0" "t2" "t3", "8" "t3" "t4", "16" "t4" "t0", "24" "t0" "t1"; "t1"),
            reduce!("32", "t2": "0" "t2" "t3", "8" "t3" "t4", "16" "t4" "t0", "24" "t0" "t1"; "t1"),
            row!("24": "0" "t3" "t4", "8" "t4" "t0", "16" "t0" "t1", "24" "t1" "t2"; "t2"),
            reduce!("32", "t3": "0" "t3" "t4", "8" "t4" "t0", "16" "t0" "t1", "24" "t1" "t2"; "t2"),
            a = in(reg) a.as_ptr(),
            b = in(reg) b.as_ptr(),
            modulus = sym SCALARS,
            t4 = out(reg) r0,
            t0 = out(reg) r1,
            t1 = out(reg) r2,
            t2 = out(reg) r3,
            t3 = out(reg) _,
            lo = out(reg) _,
            hi = out(reg) _,
            out("rdx") _,
            options(pure, readonly, nostack),
        );
    }
    [r0, r1, r2, r3]
}

/// a b / 2^384 modulo p, up to p too large, for a < 2^384 - p and any b. To be called where `available` holds.
#[inline(always)]
pub unsafe fn coordinates(a: &[u64; 6], b: &[u64; 6]) -> [u64; 6] {
    let (r0, r1, r2, r3, r4, r5): (u64, u64, u64, u64, u64, u64);
    // SAFETY: as above.
    unsafe {
        asm!(
            first!("t0" "t1", "8" "t1" "t2", "16" "t2" "t3", "24" "t3" "t4", "32" "t4" "t5", "40" "t5" "t6"; "t6"),
            reduce!("48", "t0": "0" "t0" "t1", "8" "t1" "t2", "16" "t2" "t3", "24" "t3" "t4", "32" "t4" "t5", "40" "t5" "t6"; "t6"),
            row!("8": "0" "t1" "t2", "8" "t2" "t3", "16" "t3" "t4", "24" "t4" "t5", "32" "t5" "t6", "40" "t6" "t0"; "t0"),
            reduce!("48", "t1": "0" "t1" "t2", "8" "t2" "t3", "16" "t3" "t4", "24" "t4" "t5", "32" "t5" "t6", "40" "t6" "t0"; "t0"),
            row!("16": "0" "t2" "t3", "8" "t3" "t4", "16" "t4" "t5", "24" "t5" "t6", "32" "t6" "t0", "40" "t0" "t1"; "t1"),
            reduce!("48", "t2": "0" "t2" "t3", "8" "t3" "t4", "16" "t4" "t5", "24" "t5" "t6", "32" "t6" "t0", "40" "t0" "t1"; "t1"),
            row!("24": "0" "t3" "t4", "8" "t4" "t5", "16" "t5" "t6", "24" "t6" "t0", "32" "t0" "t1", "40" "t1" "t2"; "t2"),
            reduce!("48", "t3": "0" "t3" "t4", "8" "t4" "t5", "16" "t5" "t6", "24" "t6" "t0", "32" "t0" "t1", "40" "t1" "t2"; "t2"),
            row!("32": "0" "t4" "t5", "8" "t5" "t6", "16" "t6" "t0", "24" "t0" "t1", "32" "t1" "t2", "40" "t2" "t3"; "t3"),
            reduce!("48", "t4": "0" "t4" "t5", "8" "t5" "t6", "16" "t6" "t0", "24" "t0" "t1", "32" "t1" "t2", "40" "t2" "t3"; "t3"),
            row!("40": "0" "t5" "t6", "8" "t6" "t0", "16" "t0" "t1", "24" "t1" "t2", "32" "t2" "t3", "40" "t3" "t4"; "t4"),
            reduce!("48", "t5": "0" "t5" "t6", "8" "t6" "t0", "16" "t0" "t1", "24" "t1" "t2", "32" "t2" "t3", "40" "t3" "t4"; "t4"),
            a = in(reg) a.as_ptr(),
            b = in(reg) b.as_ptr(),
            modulus = sym COORDINATES,
            t6 = out(reg) r0,
            t0 = out(reg) r1,
            t1 = out(reg) r2,
            t2 = out(reg) r3,
            t3 = out(reg) r4,
            t4 = out(reg) r5,
            t5 = out(reg) _,
            lo = out(reg) _,
            hi = out(reg) _,
            out("rdx") _,
            options(pure, readonly, nostack),
        );
    }
    [r0, r1, r2, r3, r4, r5]
}

/// sum += a word, for a sum that is far from 2^384. To be called where `available` holds.
#[inline(always)]
pub unsafe fn accumulate(sum: &mut [u64; 6], a: &[u64; 4], word: u64) {
    let [t0, t1, t2, t3, t4, t5] = sum;
    // SAFETY: as above.
    unsafe {
        asm!(
            "xor {lo:e}, {lo:e}",
            "mulx {hi}, {lo}, [{a}]",
            "adcx {t0}, {lo}",
            "adox {t1}, {hi}",
            "mulx {hi}, {lo}, [{a} + 8]",
            "adcx {t1}, {lo}",
            "adox {t2}, {hi}",
            "mulx {hi}, {lo}, [{a} + 16]",
            "adcx {t2}, {lo}",
            "adox {t3}, {hi}",
            "mulx {hi}, {lo}, [{a} + 24]",
            "adcx {t3}, {lo}",
            "adox {t4}, {hi}",
            "mov {lo:e}, 0",
            "adcx {t4}, {lo}",
            "adox {t5}, {lo}",
            "adcx {t5}, {lo}",
            a = in(reg) a.as_ptr(),
            t0 = inout(reg) *t0,
            t1 = inout(reg) *t1,
            t2 = inout(reg) *t2,
            t3 = inout(reg) *t3,
            t4 = inout(reg) *t4,
            t5 = inout(reg) *t5,
            lo = out(reg) _,
            hi = out(reg) _,
            in("rdx") word,
            options(pure, readonly, nostack),
        );
    }
}
