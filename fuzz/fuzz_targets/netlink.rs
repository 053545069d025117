#![no_main]

libfuzzer_sys::fuzz_target!(init: xenvnet_fuzz::targets::netlink::begin(), |octets: &[u8]| xenvnet_fuzz::targets::netlink::run(octets));
