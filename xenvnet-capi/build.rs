//! The soname: a program that was linked against this library starts with any later one of the same ABI.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libxenvnet.so.0");
}
