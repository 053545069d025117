#![no_main]

libfuzzer_sys::fuzz_target!(init: xenvnet_fuzz::targets::state_files::begin(), |octets: &[u8]| xenvnet_fuzz::targets::state_files::run(octets));
