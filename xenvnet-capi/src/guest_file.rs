//! A guest's name and vifs, from its configuration file.

use crate::boundary::{call, free, reference};
use crate::error::xenvnet_error;
use crate::line::xenvnet_line;
use crate::string::c_string;
use std::ffi::{CString, c_char, c_int};
use std::ptr;
use xenvnet_core::GuestFile;

/// What the configuration file of a guest, xl's or xm's, says about its network. Threads: never
/// changes, so any number may read it at once.
pub struct xenvnet_guest_file {
    name: Option<CString>,
    vifs: Vec<xenvnet_line>,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_guest_file>();
};

/// Reads the text of a guest's file: assignments of texts, numbers and lists of them, and
/// XENVNET_ERROR_PARSE for anything else. Nothing is ever run. Of a name that is assigned twice the
/// last one counts; += adds to what there is. How a guest's first vif is attached as its file asks:
///
///     rc = xenvnet_guest_file_new(text, &file, &error);
///     if (!rc) {
///         vif = xenvnet_guest_file_vif(file, 0);
///         rc = xenvnet_vif_spec_from_xl(xenvnet_line_text(vif), 0, &spec, &error);
///         xenvnet_line_locate(vif, error);
///     }
///     if (!rc) rc = xenvnet_vif_spec_attachment(spec, "vif1.0", NULL, 0, &attachment, &error);
///     if (!rc) rc = xenvnet_attach_vif(host, attachment, &changed, &error);
///
/// `file`: owned, xenvnet_guest_file_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_guest_file_new(
    text: *const c_char,
    file: *mut *mut xenvnet_guest_file,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(file);
        let file = GuestFile::parse(text!(text))?;
        let vifs = file.vifs.into_iter().map(xenvnet_line::new).collect();
        place.give(xenvnet_guest_file { name: file.name.map(c_string), vifs });
        Ok(())
    })
}

/// The guest's name.
///
/// Returns: borrowed until the file is freed; NULL where it gives none, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_guest_file_name(file: *const xenvnet_guest_file) -> *const c_char {
    read(file).and_then(|file| file.name.as_ref()).map_or(ptr::null(), |name| name.as_ptr())
}

/// The number of vifs that the guest is to have; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_guest_file_length(file: *const xenvnet_guest_file) -> usize {
    read(file).map_or(0, |file| file.vifs.len())
}

/// The line of one vif, counted from 0: its place is its device id.
///
/// Returns: borrowed until the file is freed; NULL where there is none of that number, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_guest_file_vif(file: *const xenvnet_guest_file, index: usize) -> *const xenvnet_line {
    read(file).and_then(|file| file.vifs.get(index)).map_or(ptr::null(), ptr::from_ref)
}

/// Frees what was read. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_guest_file_free(file: *mut xenvnet_guest_file) {
    free(file);
}

fn read<'a>(file: *const xenvnet_guest_file) -> Option<&'a xenvnet_guest_file> {
    reference(file, "file").ok()
}
