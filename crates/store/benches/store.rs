//! What the store costs, beside the bare engine in the same run.

fn main() {}
