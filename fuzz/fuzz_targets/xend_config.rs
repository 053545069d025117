#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xenvnet_fuzz::targets::xend_config::run(text));
