//! Eight numbers side by side: the shape in which the trellis kernels keep states or hypotheses, so
//! that the compiler turns each operation into one or two vector instructions.
//!
//! Plain arrays and plain arithmetic: the same operations in the same order on every processor, so
//! the results are the same bit for bit whatever instructions they become.

use std::ops::{Add, Mul, Neg, Sub};

/// Number of lanes.
pub(super) const LANES: usize = 8;

/// Eight lanes of `f32`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(align(32))]
pub(super) struct Lanes(pub [f32; LANES]);

impl Lanes {
    /// The same value in every lane.
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    /// Square root, lane by lane.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        let mut r = [0.0; LANES];
        for i in 0..LANES {
            r[i] = self.0[i].sqrt();
        }
        Self(r)
    }

    /// Absolute value, lane by lane.
    #[inline(always)]
    pub fn abs(self) -> Self {
        let mut r = [0.0; LANES];
        for i in 0..LANES {
            r[i] = self.0[i].abs();
        }
        Self(r)
    }

    /// `numerator / max(self, floor)`, lane by lane.
    #[inline(always)]
    pub fn reciprocal(self, numerator: f32, floor: f32) -> Self {
        let mut r = [0.0; LANES];
        for i in 0..LANES {
            let d = if self.0[i] > floor { self.0[i] } else { floor };
            r[i] = numerator / d;
        }
        Self(r)
    }

    /// Lane by lane: `a` where `self` is not negative, `b` where it is (or is not a number).
    #[inline(always)]
    pub fn choose(self, a: Self, b: Self) -> Self {
        let mut r = [0.0; LANES];
        for i in 0..LANES {
            r[i] = if self.0[i] >= 0.0 { a.0[i] } else { b.0[i] };
        }
        Self(r)
    }

    /// Lanes 0 0 1 1 2 2 3 3.
    #[inline(always)]
    pub fn double_low(self) -> Self {
        let a = self.0;
        Self([a[0], a[0], a[1], a[1], a[2], a[2], a[3], a[3]])
    }

    /// Lanes 4 4 5 5 6 6 7 7.
    #[inline(always)]
    pub fn double_high(self) -> Self {
        let a = self.0;
        Self([a[4], a[4], a[5], a[5], a[6], a[6], a[7], a[7]])
    }

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
        let mut r = [0.0; LANES];
        for i in 0..LANES {
            r[i] = -self.0[i];
        }
        Self(r)
    }
}

/// Eight complex numbers, real and imaginary parts apart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ComplexLanes {
    /// Real parts.
    pub re: Lanes,
    /// Imaginary parts.
    pub im: Lanes,
}

impl ComplexLanes {
    /// Squared magnitudes.
    #[inline(always)]
    pub fn norm_sqr(self) -> Lanes {
        self.re * self.re + self.im * self.im
    }

    /// Every lane times a real number.
    #[inline(always)]
    pub fn scale(self, factor: Lanes) -> Self {
        Self { re: self.re * factor, im: self.im * factor }
    }

    /// Lane by lane: `a` where `condition` is not negative, else `b`.
    #[inline(always)]
    pub fn choose(condition: Lanes, a: Self, b: Self) -> Self {
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

impl Add for ComplexLanes {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Mul for ComplexLanes {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
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
