//! The command line: parse, dispatch, exit status.

fn main() {}
