//! The systems that this project replaces: a test of each, named after its row in the table of them,
//! and one of each fault that was theirs. What needs the command is in xenvnet-cli/tests/seeds.rs.
//!
//! | row | system | where |
//! |---|---|---|
//! | 1 | network-virtual, the brouter | `brouter` |
//! | 2 | network-bridge | `bridge`, `lines`; what it loses and holds: tests/takeover |
//! | 3 | vif-bridge | `vif` |
//! | 4 | network-route, vif-route | `route`, `gateway` |
//! | 5 | network-nat, vif-nat | `nat`, `gateway`; the command |
//! | 6 | bridge-shadow | `bridge`, `shadow` |
//! | 7 | network-bridge-additional | `additional` |
//! | 8 | MAC addresses by a scheme | `vif`; the command |
//! | 9 | NOTRACK for guests | `dom0` |
//! | 10 | named vifs | `vif` |
//! | 11 | hot plug | `vif`; the command |
//! | 12 | xend-config.sxp and `vif=[...]` | `lines`; the command |
//! | 13 | status | `dom0`; the command |
//! | 14 | firewalling dom0 | `dom0` |
//!
//! What every network does alike is in `modes`: started thrice, stopped thrice, undone, cut off at
//! each message.
//!
//! | fault of the scripts | the test that it cannot come back by |
//! |---|---|
//! | a lie reaches the next guest | `spoof::a_spoofed_source_passes_neither_to_the_uplink_nor_to_another_guest` |
//! | without a policy of DROP `ip=` holds nobody | the same |
//! | rules for routed guests never match | `route::a_routed_guest_cannot_lie_while_everything_forwarded_is_accepted` |
//! | a policy of DROP cuts routed guests off | `route::a_foreign_policy_of_drop_is_reported_and_left_alone` |
//! | rules are made twice and left behind | `vif::three_retried_attaches_are_one_set_of_rules`, `vif::a_guest_whose_bridge_is_gone_is_detached_without_a_trace` |
//! | IPv6 in `ip=` is dropped or fatal | `vif::row_03_vif_bridge_readies_a_vif_in_one_go`, `route::row_04_network_route_leads_guests_out_and_back_with_their_own_addresses` |
//! | with `vifname` the MTU goes astray | `vif::row_03_vif_bridge_readies_a_vif_in_one_go` |
//! | a detach needs the uplink's address | `route::a_guest_goes_even_when_the_uplink_has_lost_its_addresses_or_is_gone` |
//! | a detach leaves addresses behind | `gateway::row_05_vif_nat_makes_an_address_of_the_domain_id` |
//! | a gateway of 10.0.0.327 | `gateway::row_05_the_gateway_of_vif_nat_never_leaves_its_octet` |
//! | forty programs for a vif | `system_calls::an_attach_takes_few_system_calls_whatever_the_number_of_addresses` |
//! | a typo in `vif=[...]` boots a guest that nobody holds | the command's `row_12_a_host_of_xend_is_set_up_by_its_own_words` |

mod additional;
mod bridge;
mod brouter;
mod dom0;
mod gateway;
pub(crate) mod lan;
mod lines;
mod modes;
mod nat;
mod route;
mod settings;
mod shadow;
mod spoof;
mod uplinks;
mod vif;
