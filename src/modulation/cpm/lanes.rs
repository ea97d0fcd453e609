//! Eight numbers side by side: the shape in which the kernels keep states, hypotheses or taps.
//!
//! A kernel is written once over [`Vector`] and exists twice: over [`Lanes`], plain arrays and
//! arithmetic for every processor, and over [`Avx`] (x86-64 with AVX2). Both do the same IEEE
//! operations in the same order, without fused multiplication and addition, so their results are
//! the same bit for bit. (The plain version alone does not do: the compiler leaves the trellis
//! scalar, which is six times slower.)

use std::ops::{Add, Mul, Neg, Sub};

/// Number of lanes.
pub(super) const LANES: usize = 8;

/// Eight lanes of `f32` and what the kernels need of them.
pub(super) trait Vector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Neg<Output = Self>
{
    /// From stored lanes.
    fn load(lanes: Lanes) -> Self;
    /// From the first eight values of a slice.
    fn gather(values: &[f32]) -> Self;
    /// To stored lanes.
    fn store(self) -> Lanes;
    /// The same value in every lane.
    fn splat(value: f32) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// `numerator / max(self, floor)`; a lane that is not a number counts as `floor`.
    fn reciprocal(self, numerator: f32, floor: f32) -> Self;
    /// `a` where `self >= 0`, `b` elsewhere (also where `self` is not a number).
    fn choose(self, a: Self, b: Self) -> Self;
    /// Lanes 0 0 1 1 2 2 3 3.
    fn double_low(self) -> Self;
    /// Lanes 4 4 5 5 6 6 7 7.
    fn double_high(self) -> Self;
    /// Bit n: lane n is not `>= 0`.
    fn not_positive(self) -> u8;

    /// Sum of the lanes, in a fixed order.
    #[inline(always)]
    fn sum(self) -> f32 {
        let a = self.store().0;
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
}

/// Eight lanes as a plain array: storage, and the [`Vector`] of any processor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(align(32))]
pub(super) struct Lanes(pub [f32; LANES]);

impl Lanes {
    /// Index of the largest lane; the first of equals.
    pub fn argmax(self) -> usize {
        let mut best = 0;
        for i in 1..LANES {
            if self.0[i] > self.0[best] {
                best = i;
            }
        }
        best
    }
}

impl Vector for Lanes {
    #[inline(always)]
    fn load(lanes: Lanes) -> Self {
        lanes
    }
    #[inline(always)]
    fn gather(values: &[f32]) -> Self {
        let mut r = [0.0; LANES];
        r.copy_from_slice(&values[..LANES]);
        Self(r)
    }
    #[inline(always)]
    fn store(self) -> Lanes {
        self
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }
    #[inline(always)]
    fn reciprocal(self, numerator: f32, floor: f32) -> Self {
        Self(self.0.map(|x| numerator / if x > floor { x } else { floor }))
    }
    #[inline(always)]
    fn choose(self, a: Self, b: Self) -> Self {
        let mut r = [0.0; LANES];
        for (i, r) in r.iter_mut().enumerate() {
            *r = if self.0[i] >= 0.0 { a.0[i] } else { b.0[i] };
        }
        Self(r)
    }
    #[inline(always)]
    fn double_low(self) -> Self {
        let a = self.0;
        Self([a[0], a[0], a[1], a[1], a[2], a[2], a[3], a[3]])
    }
    #[inline(always)]
    fn double_high(self) -> Self {
        let a = self.0;
        Self([a[4], a[4], a[5], a[5], a[6], a[6], a[7], a[7]])
    }
    #[inline(always)]
    fn not_positive(self) -> u8 {
        let mut bits = 0u8;
        for (n, x) in self.0.iter().enumerate() {
            bits |= u8::from(x.is_nan() || *x < 0.0) << n;
        }
        bits
    }
}

macro_rules! lanewise {
    ($trait:ident, $method:ident, $op:tt) => {
        impl $trait for Lanes {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let mut r = [0.0; LANES];
                for i in 0..LANES {
                    r[i] = self.0[i] $op other.0[i];
                }
                Self(r)
            }
        }
    };
}
lanewise!(Add, add, +);
lanewise!(Sub, sub, -);
lanewise!(Mul, mul, *);

impl Neg for Lanes {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(self.0.map(|x| -x))
    }
}

/// Eight complex numbers, real and imaginary parts apart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Complex<V> {
    /// Real parts.
    pub re: V,
    /// Imaginary parts.
    pub im: V,
}

/// Stored complex lanes.
pub(super) type ComplexLanes = Complex<Lanes>;

impl<V: Vector> Complex<V> {
    /// From stored lanes.
    #[inline(always)]
    pub fn load(lanes: &ComplexLanes) -> Self {
        Self { re: V::load(lanes.re), im: V::load(lanes.im) }
    }

    /// To stored lanes.
    #[inline(always)]
    pub fn store(self) -> ComplexLanes {
        Complex { re: self.re.store(), im: self.im.store() }
    }

    /// The same value in every lane.
    #[inline(always)]
    pub fn splat(re: f32, im: f32) -> Self {
        Self { re: V::splat(re), im: V::splat(im) }
    }

    /// Squared magnitudes.
    #[inline(always)]
    pub fn norm_sqr(self) -> V {
        self.re * self.re + self.im * self.im
    }

    /// Every lane times a real number.
    #[inline(always)]
    pub fn scale(self, factor: V) -> Self {
        Self { re: self.re * factor, im: self.im * factor }
    }

    /// One Newton step towards unit magnitude, for numbers that are near it.
    #[inline(always)]
    pub fn renormalised(self) -> Self {
        self.scale(V::splat(1.5) - V::splat(0.5) * self.norm_sqr())
    }

    /// `a` where `condition >= 0`, else `b`.
    #[inline(always)]
    pub fn choose(condition: V, a: Self, b: Self) -> Self {
        Self { re: condition.choose(a.re, b.re), im: condition.choose(a.im, b.im) }
    }

    /// Lanes 0 0 1 1 2 2 3 3.
    #[inline(always)]
    pub fn double_low(self) -> Self {
        Self { re: self.re.double_low(), im: self.im.double_low() }
    }

    /// Lanes 4 4 5 5 6 6 7 7.
    #[inline(always)]
    pub fn double_high(self) -> Self {
        Self { re: self.re.double_high(), im: self.im.double_high() }
    }
}

impl<V: Vector> Add for Complex<V> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl<V: Vector> Mul for Complex<V> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx::Avx;

#[cfg(target_arch = "x86_64")]
mod avx {
    //! Every operation is one or two instructions of AVX2. They are called from functions that are
    //! compiled for AVX2 and reached only after its detection, and inlined into them.
    #![allow(unsafe_code)]

    use std::arch::x86_64::{
        __m256, _CMP_GE_OQ, _CMP_NGE_UQ, _mm256_add_ps, _mm256_andnot_ps, _mm256_blendv_ps,
        _mm256_cmp_ps, _mm256_div_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_movemask_ps,
        _mm256_mul_ps, _mm256_permutevar8x32_ps, _mm256_set1_ps, _mm256_setr_epi32,
        _mm256_setzero_ps, _mm256_sqrt_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm256_xor_ps,
    };
    use std::ops::{Add, Mul, Neg, Sub};

    use super::{LANES, Lanes, Vector};

    /// Eight lanes in a register. To be used in functions compiled for AVX2 only.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx(__m256);

    // SAFETY, of all the blocks below: the kernels over `Avx` are instantiated only in functions
    // compiled for AVX2, which are called only where it was detected.
    impl Vector for Avx {
        #[inline(always)]
        fn load(lanes: Lanes) -> Self {
            Self::gather(&lanes.0)
        }
        #[inline(always)]
        fn gather(values: &[f32]) -> Self {
            let values = &values[..LANES];
            // SAFETY: see above; eight values are there.
            Self(unsafe { _mm256_loadu_ps(values.as_ptr()) })
        }
        #[inline(always)]
        fn store(self) -> Lanes {
            let mut r = Lanes::default();
            // SAFETY: see above; there is room for eight.
            unsafe { _mm256_storeu_ps(r.0.as_mut_ptr(), self.0) };
            r
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_set1_ps(value) })
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_sqrt_ps(self.0) })
        }
        #[inline(always)]
        fn abs(self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0) })
        }
        #[inline(always)]
        fn reciprocal(self, numerator: f32, floor: f32) -> Self {
            // The maximum takes its second operand where one is not a number. SAFETY: see above.
            Self(unsafe {
                let d = _mm256_max_ps(self.0, _mm256_set1_ps(floor));
                _mm256_div_ps(_mm256_set1_ps(numerator), d)
            })
        }
        #[inline(always)]
        fn choose(self, a: Self, b: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe {
                let mask = _mm256_cmp_ps::<_CMP_GE_OQ>(self.0, _mm256_setzero_ps());
                _mm256_blendv_ps(b.0, a.0, mask)
            })
        }
        #[inline(always)]
        fn double_low(self) -> Self {
            // SAFETY: see above.
            Self(unsafe {
                _mm256_permutevar8x32_ps(self.0, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3))
            })
        }
        #[inline(always)]
        fn double_high(self) -> Self {
            // SAFETY: see above.
            Self(unsafe {
                _mm256_permutevar8x32_ps(self.0, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))
            })
        }
        #[inline(always)]
        fn not_positive(self) -> u8 {
            // SAFETY: see above.
            unsafe {
                let mask = _mm256_cmp_ps::<_CMP_NGE_UQ>(self.0, _mm256_setzero_ps());
                _mm256_movemask_ps(mask) as u8
            }
        }
    }

    macro_rules! lanewise {
        ($trait:ident, $method:ident, $intrinsic:ident) => {
            impl $trait for Avx {
                type Output = Self;
                #[inline(always)]
                fn $method(self, other: Self) -> Self {
                    // SAFETY: see above.
                    Self(unsafe { $intrinsic(self.0, other.0) })
                }
            }
        };
    }
    lanewise!(Add, add, _mm256_add_ps);
    lanewise!(Sub, sub, _mm256_sub_ps);
    lanewise!(Mul, mul, _mm256_mul_ps);

    impl Neg for Avx {
        type Output = Self;
        #[inline(always)]
        fn neg(self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_xor_ps(self.0, _mm256_set1_ps(-0.0)) })
        }
    }
}

/// Whether the kernels may use AVX2; asked once.
pub(super) fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        static FOUND: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *FOUND.get_or_init(|| std::arch::is_x86_feature_detected!("avx2"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
