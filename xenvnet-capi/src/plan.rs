//! What would be done.

use crate::boundary::{call, free, reference};
use crate::error::xenvnet_error;
use crate::string::to_json;
use std::ffi::{c_char, c_int};
use xenvnet_core::Plan;

/// What would be done: steps in order, each with its inverse, as plain data. Threads: never
/// changes, so any number may read it at once.
pub struct xenvnet_plan {
    pub(crate) plan: Plan,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_plan>();
};

/// Reads a plan that xenvnet_plan_to_json() wrote.
///
/// `plan`: owned, xenvnet_plan_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_from_json(
    json: *const c_char,
    plan: *mut *mut xenvnet_plan,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(plan);
        place.give(xenvnet_plan { plan: Plan::from_json(text!(json))? });
        Ok(())
    })
}

/// The number of steps: 0 when there is nothing to do, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_length(plan: *const xenvnet_plan) -> usize {
    reference(plan, "plan").map_or(0, |plan| plan.plan.steps().len())
}

/// The plan as a diff for people: one line a step, "+" for what comes, "-" for what goes, "~" for
/// what changes, "?" for what is read back.
///
/// `text`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_text(
    plan: *const xenvnet_plan,
    text: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(text);
        place.give_text(borrow!(plan).plan.to_string());
        Ok(())
    })
}

/// The plan as data: a JSON array.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_to_json(
    plan: *const xenvnet_plan,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(json);
        place.give_text(to_json(&borrow!(plan).plan)?);
        Ok(())
    })
}

/// The plan that puts everything back, in the opposite order.
///
/// `inverse`: owned, xenvnet_plan_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_inverse(
    plan: *const xenvnet_plan,
    inverse: *mut *mut xenvnet_plan,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(inverse);
        place.give(xenvnet_plan { plan: borrow!(plan).plan.inverse() });
        Ok(())
    })
}

/// Frees a plan; what was applied stays. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_free(plan: *mut xenvnet_plan) {
    free(plan);
}
