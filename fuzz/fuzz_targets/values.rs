#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xenvnet_fuzz::targets::values::run(text));
