//! Catching a panic of one decision, or of folding one record, so that the others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use perennial_core::driver::Doing;
use perennial_core::record::Stream;

/// Works on a stream's subject; a panic ends that work alone.
///
/// Deciding only reads, so that nothing is left half done; a subject that was folded into by half is
/// decided on no more. This is what makes it safe to go on.
///
/// # Errors
///
/// Returns what the panic said; where it happened is on the standard error output already.
pub(super) fn isolate(_: &Stream, _: Doing, work: &mut dyn FnMut()) -> Result<(), Box<str>> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let owned = panic.downcast_ref::<String>().map(String::as_str);
        Box::from(text.or(owned).unwrap_or("it did not say why"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_and_work_without_one_is_done() {
        let stream = Stream::instance();
        let mut done = false;
        assert_eq!(isolate(&stream, Doing::Deciding, &mut || done = true), Ok(()));
        assert!(done);
        let name = "shop";
        let told = isolate(&stream, Doing::Deciding, &mut || panic!("{name} has no end"));
        assert_eq!(told, Err("shop has no end".into()));
        let told = isolate(&stream, Doing::Folding, &mut || panic!("no end"));
        assert_eq!(told, Err("no end".into()));
    }
}
