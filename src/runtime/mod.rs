//! The FutureSDR flowgraph: the only folder that knows the runtime.
