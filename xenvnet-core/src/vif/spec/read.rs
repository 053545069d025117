//! Reading the strings of `vif = [ ... ]`.

use super::keys::{COLO, XL, XM};
use super::{Card, Strictness, VifSpec};
use crate::antispoof::Antispoof;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::rate::Rate;
use crate::text::{decimal, did_you_mean, offset_in, parse_ip_network, quoted};
use crate::vif::{VifId, VifScript};
use ipnetwork::IpNetwork;
use std::str::FromStr;

const NOUN: &str = "vif";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Xl,
    Xm,
}

impl Dialect {
    fn keys(self) -> Vec<&'static str> {
        match self {
            Dialect::Xl => [&XL[..], &COLO[..]].concat(),
            Dialect::Xm => XM.to_vec(),
        }
    }
}

impl VifSpec {
    /// Reads a specification from JSON, as it is written by serde.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`](crate::ErrorKind::Parse) with the offset of what could not be read.
    ///
    /// ```
    /// # use xenvnet_core::VifSpec;
    /// let spec: VifSpec = "bridge=xenbr0".parse()?;
    /// assert_eq!(VifSpec::from_json(&serde_json::to_string(&spec).unwrap())?, spec);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<VifSpec> {
        crate::text::from_json(text, "vif")
    }

    /// Reads a string of xl's `vif = [ ... ]`: `KEY=VALUE` and flags with commas between them, as in
    /// xl-network-configuration(5). A comma cannot be written otherwise; a value may be in double
    /// quotes; `ip=` takes several, with spaces between them. Keys are in lower case.
    ///
    /// Returns what was read, and what leniency forgave; nothing, if strict.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`] with the offset; [`ErrorKind::InvalidArgument`], with it, for a MAC or
    /// IP address that no guest can have, which xl lets pass.
    ///
    /// ```
    /// use xenvnet_core::{Strictness, VifSpec};
    /// let (spec, warnings) = VifSpec::from_xl(r#"mac=00:16:3e:0:0:1,ip="10.0.0.1",untrusted"#, Strictness::Strict)?;
    /// assert_eq!((spec.trusted, warnings.len()), (Some(false), 0));
    /// let error = VifSpec::from_xl("bridge=xenbr0,vifname=wiki.xen.prgmr.com", Strictness::Strict).unwrap_err();
    /// assert!(error.to_string().contains("is 18 bytes, the kernel's limit is 15"));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    #[doc(alias = "xl-network-configuration")]
    pub fn from_xl(text: &str, strictness: Strictness) -> Result<(VifSpec, Vec<Error>)> {
        read(text, Dialect::Xl, strictness)
    }

    /// Reads a string of xm's `vif = [ ... ]`: as xl's, with fewer keys and another grammar of
    /// [rates](Rate::from_xm). An unknown key stopped xm, so there is less to forgive.
    ///
    /// # Errors
    /// As [`VifSpec::from_xl`].
    ///
    /// ```
    /// use xenvnet_core::{Strictness, VifSpec};
    /// let (spec, _) = VifSpec::from_xm("type=netfront, bridge = xenbr0", Strictness::Strict)?;
    /// assert_eq!(spec.bridge.unwrap().as_str(), "xenbr0");
    /// assert!(VifSpec::from_xm("mtu=9000", Strictness::Strict).is_err());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_xm(text: &str, strictness: Strictness) -> Result<(VifSpec, Vec<Error>)> {
        read(text, Dialect::Xm, strictness)
    }
}

impl FromStr for VifSpec {
    type Err = Error;

    /// As [`VifSpec::from_xl`], strictly.
    fn from_str(text: &str) -> Result<VifSpec> {
        VifSpec::from_xl(text, Strictness::Strict).map(|(spec, _)| spec)
    }
}

fn wrong(offset: usize, why: String) -> Error {
    Error::invalid(ErrorKind::Parse, format!("{NOUN}: {why} at byte {offset}")).at(offset)
}

fn read(text: &str, dialect: Dialect, strictness: Strictness) -> Result<(VifSpec, Vec<Error>)> {
    let known = dialect.keys();
    let mut spec = VifSpec::default();
    let mut warnings = Vec::new();
    let mut forgive = |error| match strictness {
        Strictness::Strict => Err(error),
        Strictness::Lenient => {
            warnings.push(error);
            Ok(())
        }
    };
    let mut seen: Vec<&str> = Vec::new();
    let mut bridge: Option<&str> = None;
    let mut name_at = 0;
    for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        let at = offset_in(text, piece);
        let (key, value) = piece.split_once('=').map_or((piece, None), |(key, value)| (key.trim_end(), Some(value)));
        if !known.contains(&key) {
            forgive(unknown(text, piece, key, &known))?;
            continue;
        }
        let field = match key {
            "netdev" => "gatewaydev",
            "untrusted" => "trusted",
            key => key,
        };
        if seen.contains(&field) {
            forgive(wrong(at, format!("{field}= is given twice")))?;
        } else {
            seen.push(field);
        }
        if field == "trusted" {
            match value {
                None => spec.trusted = Some(key == field),
                Some(_) => forgive(wrong(at, format!("{key} is a flag and takes no value")))?,
            }
            continue;
        }
        let value = unquoted(text, value.unwrap_or_default().trim(), at)?;
        if value.is_empty() {
            forgive(wrong(at, format!("{key}= has no value")))?;
            continue;
        }
        if field == "bridge" {
            bridge = Some(value);
        } else {
            name_at = if field == "vifname" { offset_in(text, value) } else { name_at };
            spec.set(field, value, dialect).map_err(|error| error.within(NOUN, offset_in(text, value)))?;
        }
    }
    if let Some(bridge) = bridge {
        spec.set_bridge(bridge).map_err(|error| error.within(NOUN, offset_in(text, bridge)))?;
    }
    spec.leave_room_for_tap().map_err(|why| wrong(name_at, why).with_advice("type=vif has no tap"))?;
    Ok((spec, warnings))
}

fn unknown(text: &str, piece: &str, key: &str, known: &[&str]) -> Error {
    let at = offset_in(text, piece);
    // What follows a comma within quotes looks like a key of its own.
    match piece.ends_with('"') && !piece.contains('=') {
        true => wrong(at, format!("{} is no key", quoted(piece))).with_advice(COMMA),
        false => wrong(at, format!("unknown key {}", quoted(key))).with_more(&did_you_mean(key, known)),
    }
}

const COMMA: &str = "a comma ends a value, within quotes too; several addresses have spaces between them";

/// What is between double quotes, if there are any.
fn unquoted<'a>(text: &str, value: &'a str, at: usize) -> Result<&'a str> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map_or(value, str::trim);
    match inner.find('"') {
        None => Ok(inner),
        Some(quote) => {
            let quote = offset_in(text, inner) + quote;
            Err(wrong(quote, format!("a quote without its fellow in {}", quoted(&text[at..]))).with_advice(COMMA))
        }
    }
}

impl VifSpec {
    /// Errors are relative to the value.
    fn set(&mut self, field: &str, value: &str, dialect: Dialect) -> Result<()> {
        let plain = |why: String| Error::invalid(ErrorKind::Parse, why).at(0);
        match field {
            "mac" => self.mac = Some(mac(value)?),
            "gatewaydev" => self.gateway_device = Some(value.parse()?),
            "vifname" => self.name = Some(value.parse()?),
            "script" => self.script = Some(value.to_owned()),
            "model" => self.model = Some(value.to_owned()),
            "backend" => self.backend = Some(value.to_owned()),
            "vlan" => self.vlan = Some(value.parse()?),
            "rate" if dialect == Dialect::Xl => self.rate = Some(Rate::from_xl(value)?),
            "rate" => self.rate = Some(Rate::from_xm(value)?),
            "ip" => {
                let words = value.split_ascii_whitespace();
                let placed = |word| address(word).map_err(|error| error.at(offset_in(value, word)));
                self.ips = words.map(placed).collect::<Result<_>>()?;
            }
            "type" => {
                self.card = Some(match value {
                    "vif" => Card::Paravirtual,
                    "netfront" if dialect == Dialect::Xm => Card::Paravirtual,
                    "ioemu" => Card::Emulated,
                    _ => return Err(plain(format!("type={} is neither vif nor ioemu", quoted(value)))),
                });
            }
            "mtu" => {
                let mtu = decimal(value).filter(|mtu| (68..=65_535).contains(mtu));
                let out = || plain(format!("mtu={} is no number of 68 to 65535", quoted(value)));
                self.mtu = Some(mtu.ok_or_else(out)?);
            }
            "devid" => {
                let devid = decimal(value).filter(|devid| *devid <= VifId::MAX_DEVID);
                let out = || plain(format!("devid={} is no number of 0 to {}", quoted(value), VifId::MAX_DEVID));
                self.devid = Some(devid.ok_or_else(out)?);
            }
            other => drop(self.others.insert(other.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// Whose grammar it is is known when the script is.
    fn set_bridge(&mut self, value: &str) -> Result<()> {
        let script = self.script.as_deref().unwrap_or_default();
        if value.contains(':') || script.rsplit('/').next() == Some("vif-openvswitch") {
            self.ovs_bridge = Some(value.parse()?);
        } else {
            self.bridge = Some(IfName::new(value)?);
        }
        Ok(())
    }

    /// The tap of an emulated card has the vif's name and `-emu` behind.
    fn leave_room_for_tap(&self) -> Result<(), String> {
        match (self.card, self.name) {
            (Some(Card::Emulated), Some(name)) if !name.is_emulated() && name.twin().is_none() => {
                let len = name.as_str().len();
                Err(format!("vifname \"{name}\" is {len} bytes, and an emulated card's tap leaves it 11"))
            }
            _ => Ok(()),
        }
    }

    /// The script, where one is asked for.
    pub(super) fn known_script(&self) -> Option<Result<VifScript>> {
        self.script.as_deref().map(str::parse)
    }
}

/// Six numbers of one or two hexadecimal digits with any character between them, as xl takes them,
/// or any other form of a MAC address; one that a guest can have.
fn mac(value: &str) -> Result<MacAddr> {
    let mac = value.parse().or_else(|error| as_xl_takes_it(value).ok_or(error))?;
    Antispoof::new(mac).validate().map_err(|error| error.at(0))?;
    Ok(mac)
}

/// The MAC address that a string gives a vif, whatever else is in it, with its byte.
pub(crate) fn mac_of(text: &str) -> Result<Option<(MacAddr, usize)>> {
    let mut pairs = text.split(',').filter_map(|piece| piece.split_once('='));
    let Some((key, value)) = pairs.rfind(|(key, _)| key.trim() == "mac") else { return Ok(None) };
    let value = unquoted(text, value.trim(), offset_in(text, key.trim()))?;
    let at = offset_in(text, value);
    match value.is_empty() {
        true => Ok(None),
        false => mac(value).map(|mac| Some((mac, at))).map_err(|error| error.within(NOUN, at)),
    }
}

fn address(word: &str) -> Result<IpNetwork> {
    let net = parse_ip_network(word)?;
    // Any card will do: what is asked is whether a guest can have the address.
    Antispoof::new(MacAddr::new([2, 0, 0, 0, 0, 1])).ip(net).validate()?;
    Ok(net)
}

fn as_xl_takes_it(value: &str) -> Option<MacAddr> {
    let mut octets = [0; 6];
    let mut numbers = value.split(|c: char| !c.is_ascii_hexdigit());
    for octet in &mut octets {
        let digits = numbers.next().filter(|digits| digits.len() <= 2)?;
        *octet = u8::from_str_radix(digits, 16).ok()?;
    }
    numbers.next().is_none().then_some(MacAddr::new(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strict(text: &str) -> Result<VifSpec> {
        text.parse()
    }

    #[test]
    fn what_xl_takes_is_taken() {
        for (text, printed) in [
            ("", ""),
            ("  ", ""),
            ("mac=00:16:3E:74:3d:76,model=rtl8139,bridge=xenbr0", "mac=00:16:3e:74:3d:76,bridge=xenbr0,model=rtl8139"),
            ("mac=0:16:3e:0:0:1", "mac=00:16:3e:00:00:01"),
            ("mac=00_16_3e_00_00_01", "mac=00:16:3e:00:00:01"),
            ("mac=00-16-3e-00-00-01,,", "mac=00:16:3e:00:00:01"),
            ("  bridge=b ,  type=vif", "bridge=b,type=vif"),
            ("ip=\"10.0.0.1\",bridge=\"b\"", "bridge=b,ip=10.0.0.1"),
            ("ip=10.0.0.1  10.1.0.0/16 2001:db8::1", "ip=10.0.0.1 10.1.0.0/16 2001:db8::1"),
            ("netdev=eth0", "gatewaydev=eth0"),
            ("untrusted,devid=3,mtu=9000", "mtu=9000,devid=3,untrusted"),
            ("trusted,backend=netvm", "backend=netvm,trusted"),
            ("vlan=20/10p", "vlan=10p/20"),
            ("rate=10Mb/s", "rate=1250000B/s@50000us"),
            ("bridge=br.5", "bridge=br.5"),
            ("bridge=ovs0.05:6", "bridge=ovs0.5:6"),
            ("bridge=ovs.05,script=/x/vif-openvswitch", "bridge=ovs.5,script=/x/vif-openvswitch"),
            ("colo_checkpoint_host=h,accel=x,forwarddev=eth1", "accel=x,colo_checkpoint_host=h,forwarddev=eth1"),
            ("type=ioemu,vifname=elevenbytes", "vifname=elevenbytes,type=ioemu"),
            ("vifname=fifteen-bytes-x", "vifname=fifteen-bytes-x"),
        ] {
            let spec = strict(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(spec.to_string(), printed, "{text}");
            assert_eq!(strict(printed).unwrap(), spec, "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_their_byte() {
        for (text, offset, expected) in [
            ("mac=00:16:3e:00:00:01,brige=b", 22, "unknown key \"brige\" at byte 22; did you mean \"bridge\"?"),
            ("IP=10.0.0.1", 0, "unknown key \"IP\" at byte 0; did you mean \"ip\"?"),
            ("bridge=a, bridge=b", 10, "bridge= is given twice at byte 10"),
            ("netdev=a,gatewaydev=a", 9, "gatewaydev= is given twice at byte 9"),
            ("trusted,untrusted", 8, "trusted= is given twice at byte 8"),
            ("trusted=1", 0, "trusted is a flag and takes no value at byte 0"),
            ("bridge", 0, "bridge= has no value at byte 0"),
            ("ip=", 0, "ip= has no value at byte 0"),
            ("ip=\"\"", 0, "ip= has no value at byte 0"),
            ("mac=00:16:3e", 12, "has 6 hexadecimal digits, 12 are wanted at byte 12"),
            ("mac=01:16:3e:00:00:01", 4, "is no unicast MAC address; no guest can have it at byte 4"),
            ("mac=00:00:00:00:00:00", 4, "is no unicast MAC address"),
            ("mac=fe:ff:ff:ff:ff:ff", 4, "dom0's side of every vif at byte 4"),
            ("ip=10.0.0.1 10.0.0", 12, "\"10.0.0\" is no IP address or prefix at byte 12"),
            ("ip=10.0.0.5/24", 3, "10.0.0.5/24 has host bits set at byte 3"),
            ("ip=224.0.0.1", 3, "no address that a guest can send from at byte 3"),
            ("ip=\"10.0.0.1,10.0.0.2\"", 3, "a quote without its fellow"),
            ("ip=10.0.0.1,10.0.0.2\"", 12, "\"10.0.0.2\\\"\" is no key"),
            ("vifname=wiki.xen.prgmr.com", 23, "is 18 bytes, the kernel's limit is 15"),
            (
                "vifname=twelve-bytes,type=ioemu",
                8,
                "\"twelve-bytes\" is 12 bytes, and an emulated card's tap leaves it 11 at byte 8",
            ),
            ("type=para", 5, "type=\"para\" is neither vif nor ioemu at byte 5"),
            ("type=netfront", 5, "neither vif nor ioemu"),
            ("mtu=20", 4, "mtu=\"20\" is no number of 68 to 65535 at byte 4"),
            ("mtu=+1500", 4, "is no number"),
            ("devid=100", 6, "devid=\"100\" is no number of 0 to 99 at byte 6"),
            ("rate=10Mbps", 7, "does not go on with KB/s, Mb/s or the like at byte 7"),
            ("vlan=1/5000", 7, "is no VLAN id of 1 to 4094 at byte 7"),
            ("bridge=a b", 8, "has ' ' at byte 8, which is not allowed in a name"),
            ("bridge=b:x", 9, "is no VLAN id of 0 to 4095 at byte 9"),
            ("policy=x", 0, "unknown key"),
        ] {
            let error = strict(text).unwrap_err();
            assert_eq!(error.offset(), Some(offset), "{text}: {error}");
            assert!(error.to_string().starts_with("vif: "), "{error}");
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn leniency_forgives_words_but_no_values() {
        let lenient = |text| VifSpec::from_xl(text, Strictness::Lenient);
        let (spec, warnings) = lenient("brige=a,bridge=b,bridge=c,ip=,model,nonsense").unwrap();
        assert_eq!(spec.to_string(), "bridge=c");
        let offsets: Vec<_> = warnings.iter().map(|warning| warning.offset().unwrap()).collect();
        assert_eq!(offsets, [0, 17, 26, 30, 36]);
        for text in ["mac=x", "ip=x", "rate=x", "vlan=x", "mtu=x", "devid=x", "type=x", "bridge=a/b", "vifname=a b"] {
            assert!(lenient(text).is_err(), "{text}");
        }
    }

    #[test]
    fn xm_has_its_own_keys_and_rates() {
        let xm = |text| VifSpec::from_xm(text, Strictness::Strict);
        let (spec, _) = xm(" mac = 00:16:3e:00:00:01 , policy=ACM, label=red, rate=1MB/s@20ms").unwrap();
        assert_eq!(spec.others.len(), 2);
        assert_eq!(spec.rate.unwrap().to_string(), "20000,20000");
        for text in ["rate=1MB/s@20", "gatewaydev=eth0", "untrusted", "devid=1", "colo_compare_out=x"] {
            assert!(xm(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            pieces in prop::collection::vec(
                "((mac|bridge|ip|vifname|type|rate|mtu|devid|vlan|script|model|backend|accel)=)?(\"?[a-z0-9.:/ @KBs]{0,14}\"?|\\PC{0,8})",
                0..5,
            ),
        ) {
            let text = pieces.join(",");
            let _ = VifSpec::from_xm(&text, Strictness::Lenient);
            if let Ok((spec, _)) = VifSpec::from_xl(&text, Strictness::Lenient) {
                prop_assert_eq!(strict(&spec.to_string()).unwrap(), spec);
            }
            if let Err(error) = strict(&text) {
                prop_assert!(error.offset().unwrap() <= text.len());
            }
        }
    }
}
