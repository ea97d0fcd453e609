//! Kernels on samples. They take slices and return values; none knows a modulation.
//!
//! | module | what it holds |
//! |---|---|
//! | [`window`] | Kaiser and Hann windows |
//! | [`filter`] | Kaiser low-passes, raised cosines |
//! | [`planar`] | complex samples as two arrays, the layout the kernels vectorise over |
//! | [`oscillator`] | phase-continuous oscillator with frequency and frequency rate |
//! | [`discriminator`] | FM discriminator |
//! | [`decimate`] | FIR filter decimating by an integer |
//! | [`resample`] | polyphase resampler by a rational or real ratio |
//! | [`tuner`] | all of these put together: a slice of the input's band at 0 Hz and a low rate |
//! | [`spectrum`] | power spectra |
//! | [`level`] | power and clipping |
//! | [`carrier_track`] | carrier of an unknown modulation over time |

/// Defines a function that runs `$body` compiled for AVX2 and FMA where the processor has them,
/// and compiled for the target's baseline elsewhere. `$body` is plain Rust without fused
/// multiply-adds, so both give the same bits.
macro_rules! dispatch_avx2 {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        // The one unsafe call: its precondition, AVX2 and FMA, is detected in the line above it.
        #[allow(unsafe_code)]
        fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn with_avx2($($arg: $ty),*) {
                    $body($($arg),*);
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    return unsafe { with_avx2($($arg),*) };
                }
            }
            $body($($arg),*);
        }
    };
}

pub mod carrier_track;
pub mod decimate;
pub mod discriminator;
pub mod filter;
pub mod level;
pub mod oscillator;
pub mod planar;
pub mod resample;
pub mod spectrum;
pub mod tuner;
pub mod window;
