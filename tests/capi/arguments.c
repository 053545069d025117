/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What is no argument: NULL where something is wanted, and texts that are none. Needs no kernel. */
#include "check.h"
#include <stdlib.h>

static void nulls(void)
{
    xenvnet_error *error = NULL;
    xenvnet_bridge *bridge = NULL;
    xenvnet_antispoof *lock = NULL;
    xenvnet_attachment *attachment = NULL;
    xenvnet_plan *plan = NULL;
    xenvnet_report *report = NULL;
    xenvnet_sentinel *sentinel = NULL;
    xenvnet_watch *watch = NULL;
    const char *none = NULL;
    char *text = NULL;
    bool changed = true;
    int seen = -1;

    xenvnet_free(NULL);
    xenvnet_error_free(NULL);
    xenvnet_string_free(NULL);
    xenvnet_bridge_free(NULL);
    xenvnet_antispoof_free(NULL);
    xenvnet_attachment_free(NULL);
    xenvnet_plan_free(NULL);
    xenvnet_report_free(NULL);
    xenvnet_sentinel_free(NULL);
    xenvnet_watch_free(NULL);
    CHECK(xenvnet_plan_length(NULL) == 0);
    /* What could not be looked at is not sound. */
    CHECK(!xenvnet_report_is_sound(NULL) && xenvnet_report_worst(NULL) == XENVNET_SEVERITY_NONE);
    CHECK(xenvnet_report_length(NULL) == 0 && xenvnet_report_finding(NULL, 0) == NULL);
    CHECK(xenvnet_finding_kind(NULL) == NULL && xenvnet_finding_severity(NULL) == XENVNET_SEVERITY_NONE);
    CHECK(xenvnet_finding_sentence(NULL) == NULL && xenvnet_finding_remedy(NULL) == NULL);
    CHECK(!xenvnet_finding_is_repairable(NULL));

    IS_NULL("host", xenvnet_new(NULL, &error));
    IS_NULL("host", xenvnet_new_in(-1, NULL, NULL, &error));
    IS_NULL("logger", xenvnet_set_logger(XENVNET_LOG_INFO, NULL, NULL, &error));
    IS_NULL("ip", xenvnet_mac_from_ip(NULL, NULL, &text, &error));
    IS_NULL("mac", xenvnet_mac_from_ip("10.0.0.1", NULL, NULL, &error));
    IS_NULL("mac", xenvnet_mac_random_xen(NULL, &error));
    IS_NULL("mac", xenvnet_mac_random_xen_avoiding(NULL, 0, NULL, &error));
    IS_NULL("taken", xenvnet_mac_random_xen_avoiding(NULL, 1, &text, &error));
    IS_NULL("mac", xenvnet_mac_random_local_avoiding(NULL, 0, NULL, &error));
    IS_NULL("taken[0]", xenvnet_mac_random_local_avoiding(&none, 1, &text, &error));

    IS_NULL("name", xenvnet_bridge_new(NULL, &bridge, &error));
    IS_NULL("bridge", xenvnet_bridge_new("xenbr0", NULL, &error));
    IS_NULL("bridge", xenvnet_bridge_set_mac(NULL, "00:16:3e:00:00:01", &error));
    IS_NULL("bridge", xenvnet_bridge_set_mtu(NULL, 1500, &error));
    IS_NULL("bridge", xenvnet_bridge_set_stp(NULL, true, &error));
    IS_NULL("bridge", xenvnet_bridge_add_address(NULL, "10.0.0.1/24", &error));
    WORKS(xenvnet_bridge_new("xenbr0", &bridge, &error));
    IS_NULL("mac", xenvnet_bridge_set_mac(bridge, NULL, &error));
    IS_NULL("address", xenvnet_bridge_add_address(bridge, NULL, &error));

    IS_NULL("mac", xenvnet_antispoof_new(NULL, &lock, &error));
    IS_NULL("lock", xenvnet_antispoof_new("00:16:3e:00:00:01", NULL, &error));
    IS_NULL("lock", xenvnet_antispoof_new_disabled(NULL, &error));
    IS_NULL("lock", xenvnet_antispoof_new_unlocked(NULL, &error));
    IS_NULL("lock", xenvnet_antispoof_add_mac(NULL, "00:16:3e:00:00:01", &error));
    IS_NULL("lock", xenvnet_antispoof_add_ip(NULL, "10.0.0.1", &error));
    IS_NULL("lock", xenvnet_antispoof_set_dhcp_client(NULL, true, &error));
    IS_NULL("lock", xenvnet_antispoof_set_link_local(NULL, true, &error));
    WORKS(xenvnet_antispoof_new("00:16:3e:00:00:01", &lock, &error));
    IS_NULL("mac", xenvnet_antispoof_add_mac(lock, NULL, &error));
    IS_NULL("ip", xenvnet_antispoof_add_ip(lock, NULL, &error));

    IS_NULL("vif", xenvnet_attachment_new(NULL, "xenbr0", lock, &attachment, &error));
    IS_NULL("bridge", xenvnet_attachment_new("vif1.0", NULL, lock, &attachment, &error));
    IS_NULL("lock", xenvnet_attachment_new("vif1.0", "xenbr0", NULL, &attachment, &error));
    IS_NULL("attachment", xenvnet_attachment_new("vif1.0", "xenbr0", lock, NULL, &error));
    IS_NULL("attachment", xenvnet_attachment_set_name(NULL, "web", &error));
    IS_NULL("attachment", xenvnet_attachment_set_mtu(NULL, 1500, &error));
    IS_NULL("attachment", xenvnet_attachment_set_isolated(NULL, true, &error));
    WORKS(xenvnet_attachment_new("vif1.0", "xenbr0", lock, &attachment, &error));
    IS_NULL("name", xenvnet_attachment_set_name(attachment, NULL, &error));
    xenvnet_attachment_free(attachment);
    attachment = NULL;
    IS_NULL("vif", xenvnet_attachment_new_routed(NULL, lock, &attachment, &error));
    IS_NULL("lock", xenvnet_attachment_new_routed("vif1.0", NULL, &attachment, &error));
    IS_NULL("attachment", xenvnet_attachment_new_routed("vif1.0", lock, NULL, &error));
    IS_NULL("attachment", xenvnet_attachment_set_untracked(NULL, true, &error));
    IS_NULL("attachment", xenvnet_attachment_set_accounted(NULL, true, &error));
    IS_NULL("attachment", xenvnet_attachment_add_gateway(NULL, "10.0.0.1", &error));
    IS_NULL("attachment", xenvnet_attachment_add_route(NULL, "10.0.0.2", &error));
    IS_NULL("attachment", xenvnet_attachment_set_dom0(NULL, "open", &error));
    CHECK(attachment == NULL);
    WORKS(xenvnet_attachment_new_routed("vif1.0", lock, &attachment, &error));
    IS_NULL("address", xenvnet_attachment_add_gateway(attachment, NULL, &error));
    IS_NULL("net", xenvnet_attachment_add_route(attachment, NULL, &error));
    IS_NULL("access", xenvnet_attachment_set_dom0(attachment, NULL, &error));

    IS_NULL("json", xenvnet_plan_from_json(NULL, &plan, &error));
    IS_NULL("plan", xenvnet_plan_from_json("[]", NULL, &error));
    IS_NULL("plan", xenvnet_plan_text(NULL, &text, &error));
    IS_NULL("plan", xenvnet_plan_to_json(NULL, &text, &error));
    IS_NULL("plan", xenvnet_plan_inverse(NULL, &plan, &error));
    WORKS(xenvnet_plan_from_json("[]", &plan, &error));
    CHECK(xenvnet_plan_length(plan) == 0);
    IS_NULL("text", xenvnet_plan_text(plan, NULL, &error));
    IS_NULL("json", xenvnet_plan_to_json(plan, NULL, &error));
    IS_NULL("inverse", xenvnet_plan_inverse(plan, NULL, &error));

    IS_NULL("host", xenvnet_snapshot_json(NULL, &text, &error));
    IS_NULL("host", xenvnet_plan_json(NULL, "[]", &plan, &error));
    IS_NULL("host", xenvnet_run_json(NULL, "[]", &changed, &error));
    IS_NULL("host", xenvnet_apply(NULL, plan, &changed, &error));
    IS_NULL("host", xenvnet_undo(NULL, &changed, &error));
    IS_NULL("host", xenvnet_forget_cut_off(NULL, &changed, &error));
    IS_NULL("host", xenvnet_plan_undo(NULL, &plan, &error));
    IS_NULL("host", xenvnet_create_bridge(NULL, bridge, &changed, &error));
    IS_NULL("host", xenvnet_delete_bridge(NULL, "xenbr0", &changed, &error));
    IS_NULL("host", xenvnet_enslave_vif(NULL, "vif1.0", "xenbr0", &changed, &error));
    IS_NULL("host", xenvnet_release_vif(NULL, "vif1.0", &changed, &error));
    IS_NULL("host", xenvnet_set_antispoof(NULL, "vif1.0", lock, &changed, &error));
    IS_NULL("host", xenvnet_clear_antispoof(NULL, "vif1.0", &changed, &error));
    IS_NULL("host", xenvnet_masquerade_subnet(NULL, "10.0.0.0/24", NULL, &changed, &error));
    IS_NULL("host", xenvnet_unmasquerade_subnet(NULL, "10.0.0.0/24", NULL, &changed, &error));
    IS_NULL("host", xenvnet_forward_port(NULL, "tcp:8080", "10.0.0.2:80", NULL, &changed, &error));
    IS_NULL("host", xenvnet_unforward_port(NULL, "tcp:8080", &changed, &error));
    IS_NULL("host", xenvnet_run_json_provisionally(NULL, "[]", 0, &changed, &error));
    IS_NULL("host", xenvnet_confirm(NULL, &changed, &error));
    IS_NULL("host", xenvnet_wait_for_carrier(NULL, "xenbr0", 0, &changed, &error));
    IS_NULL("host", xenvnet_sentinel_new(NULL, &sentinel, &error));
    IS_NULL("sentinel", xenvnet_sentinel_new(NULL, NULL, &error));
    IS_NULL("sentinel", xenvnet_sentinel_look(NULL, &seen, NULL, NULL, &error));
    IS_NULL("sentinel", xenvnet_sentinel_leave(NULL, &changed, &error));
    IS_NULL("host", xenvnet_operations_json(NULL, &text, &error));
    IS_NULL("host", xenvnet_save(NULL, "saved.json", &error));
    IS_NULL("host", xenvnet_restore(NULL, "saved.json", 0, &changed, &error));
    IS_NULL("host", xenvnet_plan_restore(NULL, "saved.json", &plan, &error));
    IS_NULL("host", xenvnet_gc(NULL, &report, &changed, &error));
    IS_NULL("host", xenvnet_watch_new(NULL, &watch, &error));
    IS_NULL("watch", xenvnet_watch_new(NULL, NULL, &error));
    IS_NULL("watch", xenvnet_watch_wait(NULL, 0, &changed, &error));
    CHECK(xenvnet_watch_fd(NULL) == -1 && watch == NULL);
    IS_NULL("host", xenvnet_new_with(-1, NULL, 0, NULL, &error));
    IS_NULL("host", xenvnet_attach_vif(NULL, attachment, &changed, &error));
    IS_NULL("host", xenvnet_attach_vifs(NULL, NULL, 0, &changed, &error));
    IS_NULL("host", xenvnet_detach_vif(NULL, "vif1.0", &changed, &error));
    IS_NULL("host", xenvnet_set_dom0(NULL, "xenbr0", "open", &changed, &error));
    IS_NULL("host", xenvnet_forget_account(NULL, "web", &changed, &error));
    IS_NULL("host", xenvnet_verify(NULL, &report, &error));
    IS_NULL("host", xenvnet_repair(NULL, &report, &changed, &error));
    IS_NULL("report", xenvnet_report_text(NULL, &text, &error));
    IS_NULL("report", xenvnet_report_to_json(NULL, &text, &error));
    IS_NULL("report", xenvnet_report_plan(NULL, &plan, &error));
    IS_NULL("host", xenvnet_start_network(NULL, "network-virtual", &changed, &error));
    IS_NULL("host", xenvnet_stop_network(NULL, "network-virtual", &changed, &error));
    CHECK(changed);
    CHECK(text == NULL && report == NULL && sentinel == NULL && seen == -1);

    xenvnet_plan_free(plan);
    xenvnet_attachment_free(attachment);
    xenvnet_antispoof_free(lock);
    xenvnet_bridge_free(bridge);
}

/* The same for what reads configurations. */
static void nulls_of_readers(void)
{
    xenvnet_error *error = NULL;
    xenvnet_guest_file *file = NULL;
    xenvnet_xend_config *config = NULL;
    xenvnet_vif_spec *spec = NULL;
    xenvnet_vif_defaults *defaults = NULL;
    xenvnet_attachment *attachment = NULL;
    const char *none = NULL, *some = "vif = []";
    char *text = NULL;
    uint64_t bytes = 7;
    uint32_t usecs = 7;

    xenvnet_guest_file_free(NULL);
    xenvnet_xend_config_free(NULL);
    xenvnet_vif_spec_free(NULL);
    xenvnet_vif_defaults_free(NULL);
    CHECK(xenvnet_line_text(NULL) == NULL && xenvnet_line_offset(NULL) == 0 && xenvnet_line_number(NULL) == 0);
    xenvnet_line_locate(NULL, NULL);
    CHECK(xenvnet_guest_file_name(NULL) == NULL && xenvnet_guest_file_length(NULL) == 0);
    CHECK(xenvnet_guest_file_vif(NULL, 0) == NULL && xenvnet_vif_spec_take_warning(NULL) == NULL);
    CHECK(xenvnet_xend_config_network_script(NULL) == NULL && xenvnet_xend_config_vif_script(NULL) == NULL);
    CHECK(xenvnet_xend_config_vif_bridge(NULL) == NULL && xenvnet_xend_config_vif_antispoof(NULL) == -1);

    IS_NULL("text", xenvnet_guest_file_new(NULL, &file, &error));
    IS_NULL("file", xenvnet_guest_file_new("", NULL, &error));
    IS_NULL("text", xenvnet_xend_config_new(NULL, &config, &error));
    IS_NULL("config", xenvnet_xend_config_new("", NULL, &error));
    IS_NULL("text", xenvnet_vif_spec_from_xl(NULL, 0, &spec, &error));
    IS_NULL("spec", xenvnet_vif_spec_from_xl("", 0, NULL, &error));
    IS_NULL("text", xenvnet_vif_spec_from_xm(NULL, 0, &spec, &error));
    IS_NULL("spec", xenvnet_vif_spec_from_xm("", 0, NULL, &error));
    IS_NULL("spec", xenvnet_vif_spec_text(NULL, &text, &error));
    IS_NULL("spec", xenvnet_vif_spec_to_json(NULL, &text, &error));
    IS_NULL("spec", xenvnet_vif_spec_unenforceable_json(NULL, &text, &error));
    IS_NULL("spec", xenvnet_vif_spec_attachment(NULL, "vif1.0", NULL, 0, &attachment, &error));
    WORKS(xenvnet_vif_spec_from_xl("", 0, &spec, &error));
    IS_NULL("text", xenvnet_vif_spec_text(spec, NULL, &error));
    IS_NULL("json", xenvnet_vif_spec_to_json(spec, NULL, &error));
    IS_NULL("json", xenvnet_vif_spec_unenforceable_json(spec, NULL, &error));
    IS_NULL("vif", xenvnet_vif_spec_attachment(spec, NULL, NULL, 0, &attachment, &error));
    IS_NULL("attachment", xenvnet_vif_spec_attachment(spec, "vif1.0", NULL, 0, NULL, &error));
    IS_NULL("defaults", xenvnet_vif_defaults_new(NULL, &error));
    IS_NULL("defaults", xenvnet_vif_defaults_set_script(NULL, "vif-nat", &error));
    IS_NULL("defaults", xenvnet_vif_defaults_set_bridge(NULL, "xenbr0", &error));
    IS_NULL("defaults", xenvnet_vif_defaults_set_gateway_device(NULL, "eth0", &error));
    WORKS(xenvnet_vif_defaults_new(&defaults, &error));
    IS_NULL("line", xenvnet_vif_defaults_set_script(defaults, NULL, &error));
    IS_NULL("bridge", xenvnet_vif_defaults_set_bridge(defaults, NULL, &error));
    IS_NULL("device", xenvnet_vif_defaults_set_gateway_device(defaults, NULL, &error));
    IS_NULL("attachment", xenvnet_attachment_set_gateway_device(NULL, "eth0", &error));

    IS_NULL("line", xenvnet_network_json(NULL, &text, &error));
    IS_NULL("json", xenvnet_network_json("network-dummy", NULL, &error));
    IS_NULL("line", xenvnet_vif_script_json(NULL, &text, &error));
    IS_NULL("json", xenvnet_vif_script_json("vif-nat", NULL, &error));
    IS_NULL("text", xenvnet_vlan_spec_json(NULL, &text, &error));
    IS_NULL("json", xenvnet_vlan_spec_json("7", NULL, &error));
    IS_NULL("text", xenvnet_ovs_bridge_json(NULL, &text, &error));
    IS_NULL("json", xenvnet_ovs_bridge_json("ovs0", NULL, &error));
    IS_NULL("text", xenvnet_rate_from_xl(NULL, &bytes, &usecs, &error));
    IS_NULL("bytes", xenvnet_rate_from_xl("1MB/s", NULL, &usecs, &error));
    IS_NULL("usecs", xenvnet_rate_from_xl("1MB/s", &bytes, NULL, &error));
    IS_NULL("text", xenvnet_rate_from_xm(NULL, &bytes, &usecs, &error));
    IS_NULL("text", xenvnet_rate_from_netback(NULL, &bytes, &usecs, &error));
    IS_NULL("text", xenvnet_rate_to_xl(1, 1, NULL, &error));
    IS_NULL("vif", xenvnet_vif_nat_address(NULL, &text, &error));
    IS_NULL("address", xenvnet_vif_nat_address("vif1.0", NULL, &error));
    IS_NULL("guest", xenvnet_nat_gateway(NULL, &text, &error));
    IS_NULL("gateway", xenvnet_nat_gateway("10.0.0.1", NULL, &error));
    IS_NULL("sources", xenvnet_mac_check_json(NULL, &some, 1, &text, &error));
    IS_NULL("texts", xenvnet_mac_check_json(&some, NULL, 1, &text, &error));
    IS_NULL("texts[0]", xenvnet_mac_check_json(&some, &none, 1, &text, &error));
    IS_NULL("json", xenvnet_mac_check_json(&some, &some, 1, NULL, &error));
    CHECK(file == NULL && config == NULL && attachment == NULL && text == NULL && bytes == 7 && usecs == 7);

    FAILS(XENVNET_ERROR_UTF8, "the argument text is not UTF-8 at byte 7",
          xenvnet_guest_file_new("name = \xff", &file, &error));
    xenvnet_vif_spec_free(spec);
    xenvnet_vif_defaults_free(defaults);
}

static void texts(void)
{
    xenvnet_error *error = NULL;
    xenvnet_bridge *bridge = NULL;
    xenvnet_plan *plan = NULL;
    char *mac = NULL, *overlong = malloc(1 << 20);

    CHECK(overlong != NULL);
    if (!overlong)
        return;
    memset(overlong, 'x', (1 << 20) - 1);
    overlong[(1 << 20) - 1] = '\0';

    CHECK(xenvnet_bridge_new("xen\xff", &bridge, &error) == XENVNET_ERROR_UTF8);
    CHECK(xenvnet_error_offset(error) == 3);
    FAILS(XENVNET_ERROR_UTF8, "the argument name is not UTF-8 at byte 3", xenvnet_error_kind(error));
    FAILS(XENVNET_ERROR_UTF8, "the argument ip", xenvnet_mac_from_ip("\xc3", NULL, &mac, &error));
    FAILS(XENVNET_ERROR_UTF8, "the argument prefix", xenvnet_mac_from_ip("10.0.0.1", "\x80", &mac, &error));
    FAILS(XENVNET_ERROR_UTF8, "the argument json", xenvnet_plan_from_json("[\xed\xa0\x80]", &plan, &error));

    FAILS(XENVNET_ERROR_PARSE, "is empty", xenvnet_bridge_new("", &bridge, &error));
    FAILS(XENVNET_ERROR_PARSE, "is 16 bytes, the kernel's limit is 15",
          xenvnet_bridge_new("abcdefghijklmnop", &bridge, &error));
    FAILS(XENVNET_ERROR_PARSE, "is 1048575 bytes", xenvnet_bridge_new(overlong, &bridge, &error));
    FAILS(XENVNET_ERROR_PARSE, "no IP address", xenvnet_mac_from_ip(overlong, NULL, &mac, &error));
    FAILS(XENVNET_ERROR_PARSE, "plan:", xenvnet_plan_from_json(overlong, &plan, &error));
    CHECK(bridge == NULL && mac == NULL && plan == NULL);

    WORKS(xenvnet_bridge_new("br\xc3\xa9", &bridge, &error));
    FAILS(XENVNET_ERROR_PARSE, "MAC address", xenvnet_bridge_set_mac(bridge, "00:16:3e", &error));
    FAILS(XENVNET_ERROR_PARSE, "\"10.0.0.1/33\" is no", xenvnet_bridge_add_address(bridge, "10.0.0.1/33", &error));
    xenvnet_bridge_free(bridge);
    free(overlong);
}

int main(void)
{
    nulls();
    nulls_of_readers();
    texts();
    return report();
}
