#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xenvnet_fuzz::targets::guest_file::run(text));
