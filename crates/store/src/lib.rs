//! Journal, bundles and keys: one contract, one conformance suite, SQLite
