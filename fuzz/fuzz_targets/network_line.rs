#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xenvnet_fuzz::targets::network_line::run(text));
