#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| xenvnet_fuzz::targets::vif_spec::run(text));
