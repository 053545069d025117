//! The addresses that vif-nat gives guests which ask for none.

use super::VifId;
use ipnetwork::Ipv4Network;
use std::net::Ipv4Addr;

impl VifId {
    /// The address that vif-nat makes from the numbers of a vif: `10.(domid/256).(domid%256).(devid+1)/16`.
    ///
    /// ```
    /// let vif: xenvnet_core::VifId = "vif300.1".parse()?;
    /// assert_eq!(vif.nat_address().to_string(), "10.1.44.2/16");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    #[doc(alias = "vif-nat")]
    pub fn nat_address(self) -> Ipv4Network {
        let [high, low] = self.domid().to_be_bytes();
        // The limits of VifId keep this within 1 to 100.
        let host = self.devid() as u8 + 1;
        Ipv4Network::new(Ipv4Addr::new(10, high, low, host), 16)
            .unwrap_or_else(|_| unreachable!("16 is the length of a prefix"))
    }
}

/// Dom0's address towards the guest of this address, as vif-nat has it: the last octet and 127.
///
/// vif-nat lets it run over (`10.0.0.200` gave `10.0.0.327`, and no interface). From 128 on it is
/// the last octet less 127, so that it is never the guest's own, nor ends in 0 or 255.
///
/// ```
/// use xenvnet_core::nat_gateway;
/// assert_eq!(nat_gateway([10, 0, 0, 1].into()).to_string(), "10.0.0.128");
/// assert_eq!(nat_gateway([10, 0, 0, 200].into()).to_string(), "10.0.0.73");
/// ```
#[doc(alias = "vif-nat")]
pub fn nat_gateway(guest: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, last] = guest.octets();
    let gateway = if last < 128 { last + 127 } else { last - 127 };
    Ipv4Addr::new(a, b, c, gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_script() {
        for (vif, address) in [
            ("vif1.0", "10.0.1.1/16"),
            ("vif255.0", "10.0.255.1/16"),
            ("vif256.3", "10.1.0.4/16"),
            ("vif32751.99", "10.127.239.100/16"),
        ] {
            assert_eq!(vif.parse::<VifId>().unwrap().nat_address().to_string(), address);
        }
    }

    #[test]
    fn every_gateway_is_an_address_of_its_own() {
        for last in 0..=255u8 {
            let guest = Ipv4Addr::new(10, 0, 0, last);
            let gateway = nat_gateway(guest);
            assert_ne!(gateway, guest);
            assert_eq!(gateway.octets()[..3], guest.octets()[..3]);
            assert!(!matches!(gateway.octets()[3], 0 | 255), "{gateway}");
            // Where the script's own sum was an address of any subnet, it is kept.
            if last < 128 {
                assert_eq!(gateway.octets()[3], last + 127);
            }
        }
        for (guest, gateway) in [(1, 128), (127, 254), (128, 1), (200, 73), (254, 127)] {
            assert_eq!(nat_gateway([10, 0, 0, guest].into()).octets()[3], gateway);
        }
    }
}
