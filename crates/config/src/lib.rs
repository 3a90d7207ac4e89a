//! The operator's file: read to raw, then to intent, with messages that point
