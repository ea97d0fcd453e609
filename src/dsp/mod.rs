//! Kernels on samples. They take slices and return values; none knows a modulation.
