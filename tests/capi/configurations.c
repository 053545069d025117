/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What configurations of guests and of xend say, and where they say it wrong. Needs no kernel. */
#include "check.h"

#define MAC "00:16:3e:00:00:01"

static xenvnet_error *error;

/* The text is this one; frees it. */
static bool is(char *text, const char *expected)
{
    bool same = text && !strcmp(text, expected);

    if (!same)
        fprintf(stderr, "  it is %s\n", text ? text : "NULL");
    xenvnet_string_free(text);
    return same;
}

/* The JSON has each of these pieces, and nothing but braces and commas besides. The order of keys is
 * nobody's promise. */
static bool is_made_of(char *json, const char *const *pieces, size_t count)
{
    size_t n, length = 2;
    bool all = json != NULL;

    for (n = 0; all && n < count; n++) {
        all = strstr(json, pieces[n]) != NULL;
        length += strlen(pieces[n]) + (n > 0);
    }
    all = all && strlen(json) == length;
    if (!all)
        fprintf(stderr, "  it is %s\n", json ? json : "NULL");
    xenvnet_string_free(json);
    return all;
}

#define IS_MADE_OF(json, ...) \
    CHECK(is_made_of((json), (const char *const[]){ __VA_ARGS__ }, \
                     sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)))

/* The pending error: its message, the byte, and what is advised. Frees it. */
static void wrong(int rc, int code, const char *message, int64_t offset, const char *advice)
{
    const char *advised = xenvnet_error_advice(error);

    CHECK(rc == code && xenvnet_error_offset(error) == offset);
    CHECK(advice ? advised && strstr(advised, advice) : !advised);
    if (!advice && advised)
        fprintf(stderr, "  it advises: %s\n", advised);
    FAILS(code, message, rc);
}

static void guest_files(void)
{
    static const char text[] = "# As people write them: \xc3\xa9\n"
                               "name = \"web\"\n"
                               "memory = 512\n"
                               "vif = [ 'mac=" MAC ", ip=10.98.98.2, bridge=xenbr1', # the first\n"
                               "        \"vifname=it\\'s,brige=xenbr0\" ]\n";
    const int64_t byte = strstr(text, "brige") - text;
    xenvnet_guest_file *file = NULL;
    xenvnet_vif_spec *spec = NULL;
    const xenvnet_line *line;
    char message[128];

    WORKS(xenvnet_guest_file_new(text, &file, &error));
    CHECK(xenvnet_guest_file_name(file) && !strcmp(xenvnet_guest_file_name(file), "web"));
    CHECK(xenvnet_guest_file_length(file) == 2 && xenvnet_guest_file_vif(file, 2) == NULL);
    line = xenvnet_guest_file_vif(file, 0);
    CHECK(xenvnet_line_offset(line) == (size_t)(strstr(text, "mac=") - text) && xenvnet_line_number(line) == 4);
    CHECK(xenvnet_line_text(line) && !strcmp(xenvnet_line_text(line), "mac=" MAC ", ip=10.98.98.2, bridge=xenbr1"));

    line = xenvnet_guest_file_vif(file, 1);
    CHECK(xenvnet_line_text(line) && !strcmp(xenvnet_line_text(line), "vifname=it's,brige=xenbr0"));
    CHECK(xenvnet_vif_spec_from_xl(xenvnet_line_text(line), 0, &spec, &error) == XENVNET_ERROR_PARSE && !spec);
    CHECK(xenvnet_error_offset(error) == 13);
    xenvnet_line_locate(line, error);
    snprintf(message, sizeof message, "vif: unknown key \"brige\" at byte %d, line 5; did you mean \"bridge\"?",
             (int)byte);
    wrong(XENVNET_ERROR_PARSE, XENVNET_ERROR_PARSE, message, byte, NULL);

    /* What leniency forgives is told as well, each once. */
    WORKS(xenvnet_vif_spec_from_xl(xenvnet_line_text(line), XENVNET_LENIENT, &spec, &error));
    error = xenvnet_vif_spec_take_warning(spec);
    xenvnet_line_locate(line, error);
    wrong(XENVNET_ERROR_PARSE, XENVNET_ERROR_PARSE, message, byte, NULL);
    CHECK(xenvnet_vif_spec_take_warning(spec) == NULL);
    xenvnet_vif_spec_free(spec);

    /* What is wrong with a call is not about the file. */
    CHECK(xenvnet_vif_spec_from_xl(NULL, 0, &spec, &error) == XENVNET_ERROR_NULL);
    xenvnet_line_locate(line, error);
    CHECK(!strcmp(xenvnet_error_message(error), "the argument text is NULL"));
    xenvnet_line_locate(NULL, error);
    xenvnet_error_free(error);
    error = NULL;
    xenvnet_line_locate(line, NULL);
    xenvnet_guest_file_free(file);

    file = NULL;
    WORKS(xenvnet_guest_file_new("", &file, &error));
    CHECK(xenvnet_guest_file_name(file) == NULL && xenvnet_guest_file_length(file) == 0);
    xenvnet_guest_file_free(file);
    wrong(xenvnet_guest_file_new("memory = 1\nimport os\n", &file, &error), XENVNET_ERROR_PARSE,
          "an assignment is wanted, NAME = VALUE at byte 11, line 2", 11, "the file is read, not run");
}

static void xend_configs(void)
{
    static const char text[] = "# -*- sh -*-\n"
                               "(xend-relocation-hosts-allow '^localhost$')\n"
                               "(network-script 'network-bridge brige=xenbr0')\n"
                               "(vif-script \"vif-bridge bridge=xenbr1\")\n";
    const int64_t byte = strstr(text, "brige") - text;
    xenvnet_xend_config *config = NULL;
    const xenvnet_line *line;
    char *json = NULL;

    WORKS(xenvnet_xend_config_new(text, &config, &error));
    line = xenvnet_xend_config_network_script(config);
    CHECK(xenvnet_line_number(line) == 3);
    CHECK(xenvnet_network_json(xenvnet_line_text(line), &json, &error) == XENVNET_ERROR_PARSE);
    xenvnet_line_locate(line, error);
    wrong(XENVNET_ERROR_PARSE, XENVNET_ERROR_PARSE, "line 3; did you mean \"bridge\"?", byte, NULL);
    line = xenvnet_xend_config_vif_script(config);
    WORKS(xenvnet_vif_script_json(xenvnet_line_text(line), &json, &error));
    IS_MADE_OF(json, "\"name\":\"vif-bridge\"", "\"bridge\":\"xenbr1\"");
    CHECK(xenvnet_xend_config_vif_bridge(config) == NULL && xenvnet_xend_config_vif_antispoof(config) == -1);
    xenvnet_xend_config_free(config);

    config = NULL;
    WORKS(xenvnet_xend_config_new("(vif-bridge xen-br0)(vif-antispoof yes)", &config, &error));
    line = xenvnet_xend_config_vif_bridge(config);
    CHECK(xenvnet_line_text(line) && !strcmp(xenvnet_line_text(line), "xen-br0"));
    CHECK(xenvnet_xend_config_vif_antispoof(config) == 1);
    CHECK(xenvnet_xend_config_network_script(config) == NULL && xenvnet_xend_config_vif_script(config) == NULL);
    xenvnet_xend_config_free(config);
    config = NULL;
    WORKS(xenvnet_xend_config_new("(vif-antispoof no)", &config, &error));
    CHECK(xenvnet_xend_config_vif_antispoof(config) == 0);
    xenvnet_xend_config_free(config);

    config = NULL;
    wrong(xenvnet_xend_config_new("(vif-script vif-bridge bridge=x)", &config, &error), XENVNET_ERROR_PARSE,
          "at byte 23, line 1", 23, "put all of it in quotes");
    CHECK(config == NULL);
}

static void vif_specs(void)
{
    xenvnet_vif_spec *spec = NULL;
    char *text = NULL;

    WORKS(xenvnet_vif_spec_from_xl("ip=10.0.0.1 2001:db8::/64,mac=" MAC ",rate=10Mb/s,vlan=10p/20,type=vif,accel=x", 0,
                                   &spec, &error));
    WORKS(xenvnet_vif_spec_text(spec, &text, &error));
    CHECK(is(text, "mac=" MAC ",ip=10.0.0.1 2001:db8::/64,type=vif,rate=1250000B/s@50000us,vlan=10p/20,accel=x"));
    WORKS(xenvnet_vif_spec_to_json(spec, &text, &error));
    IS_MADE_OF(text, "\"mac\":\"" MAC "\"", "\"bridge\":null", "\"ovs_bridge\":null",
               "\"ips\":[\"10.0.0.1/32\",\"2001:db8::/64\"]", "\"name\":null", "\"script\":null",
               "\"gateway_device\":null", "\"card\":\"paravirtual\"", "\"model\":null",
               "\"rate\":{\"bytes\":62500,\"usecs\":50000}", "\"mtu\":null", "\"vlan\":\"10p/20\"", "\"devid\":null",
               "\"backend\":null", "\"trusted\":null", "\"others\":{\"accel\":\"x\"}");
    WORKS(xenvnet_vif_spec_unenforceable_json(spec, &text, &error));
    CHECK(is(text, "[\"vlan=10p/20\"]"));
    CHECK(xenvnet_vif_spec_take_warning(spec) == NULL);
    xenvnet_vif_spec_free(spec);

    /* xm has fewer keys, and its own words. */
    spec = NULL;
    WORKS(xenvnet_vif_spec_from_xm("type=netfront", 0, &spec, &error));
    xenvnet_vif_spec_free(spec);
    spec = NULL;
    wrong(xenvnet_vif_spec_from_xm("mtu=9000", 0, &spec, &error), XENVNET_ERROR_PARSE, "unknown key \"mtu\"", 0, NULL);
    wrong(xenvnet_vif_spec_from_xl("type=netfront", 0, &spec, &error), XENVNET_ERROR_PARSE, "neither vif nor ioemu", 5,
          NULL);
    wrong(xenvnet_vif_spec_from_xl("mac=01:16:3e:00:00:01", XENVNET_LENIENT, &spec, &error),
          XENVNET_ERROR_INVALID_ARGUMENT, "no unicast MAC address", 4, "is even");
    FAILS(XENVNET_ERROR_UNSUPPORTED, "this version knows no flag 0x1",
          xenvnet_vif_spec_from_xl("", XENVNET_EVEN_WITH_NETWORK_ROOT, &spec, &error));
    CHECK(spec == NULL);
}

static void attachments(void)
{
    xenvnet_vif_spec *spec = NULL;
    xenvnet_vif_defaults *defaults = NULL;
    xenvnet_attachment *attachment = NULL;

    WORKS(xenvnet_vif_defaults_new(&defaults, &error));
    WORKS(xenvnet_vif_defaults_set_script(defaults, "/etc/xen/scripts/vif-route netdev=eth1", &error));
    WORKS(xenvnet_vif_defaults_set_gateway_device(defaults, "eth0", &error));
    WORKS(xenvnet_vif_defaults_set_bridge(defaults, "xenbr1", &error));
    wrong(xenvnet_vif_defaults_set_script(defaults, "vif-brigde", &error), XENVNET_ERROR_PARSE,
          "did you mean \"vif-bridge\"?", 0, NULL);

    /* A guest that says nothing of a bridge is routed by these, and a port by Xen's own. */
    WORKS(xenvnet_vif_spec_from_xl("mac=" MAC ",ip=10.0.0.1", 0, &spec, &error));
    WORKS(xenvnet_vif_spec_attachment(spec, "vif1.0", defaults, 0, &attachment, &error));
    WORKS(xenvnet_attachment_add_gateway(attachment, "10.0.0.128", &error));
    xenvnet_attachment_free(attachment);
    WORKS(xenvnet_vif_spec_attachment(spec, "vif1.0", NULL, 0, &attachment, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "cannot give a gateway to vif1.0: it is to be a port of xenbr0",
          xenvnet_attachment_set_gateway_device(attachment, "eth0", &error));
    xenvnet_attachment_free(attachment);
    WORKS(xenvnet_vif_defaults_set_script(defaults, "vif-bridge", &error));
    WORKS(xenvnet_vif_spec_attachment(spec, "vif1.0", defaults, 0, &attachment, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "it is to be a port of xenbr1",
          xenvnet_attachment_set_gateway_device(attachment, "eth0", &error));
    xenvnet_attachment_free(attachment);
    xenvnet_vif_defaults_free(defaults);
    xenvnet_vif_spec_free(spec);

    /* What nobody here sees to is refused, or left out where that is asked for. */
    attachment = NULL;
    spec = NULL;
    WORKS(xenvnet_vif_spec_from_xl("vlan=7", 0, &spec, &error));
    FAILS(XENVNET_ERROR_UNSUPPORTED, "cannot attach vif1.0: this version cannot see to vlan=7",
          xenvnet_vif_spec_attachment(spec, "vif1.0", NULL, 0, &attachment, &error));
    FAILS(XENVNET_ERROR_UNSUPPORTED, "no flag 0x4",
          xenvnet_vif_spec_attachment(spec, "vif1.0", NULL, 4, &attachment, &error));
    CHECK(attachment == NULL);
    WORKS(xenvnet_vif_spec_attachment(spec, "vif1.0", NULL, XENVNET_LENIENT, &attachment, &error));
    xenvnet_attachment_free(attachment);
    xenvnet_vif_spec_free(spec);
    spec = NULL;
    attachment = NULL;
    WORKS(xenvnet_vif_spec_from_xl("ip=10.0.0.1", 0, &spec, &error));
    CHECK(xenvnet_vif_spec_attachment(spec, "vif1.0", NULL, 0, &attachment, &error) == XENVNET_ERROR_INVALID_ARGUMENT);
    CHECK(xenvnet_error_advice(error) != NULL);
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "it has no mac= that it could be held to", xenvnet_error_kind(error));
    CHECK(attachment == NULL);
    xenvnet_vif_spec_free(spec);
}

static void rates(void)
{
    uint64_t bytes = 7;
    uint32_t usecs = 7;
    char *text = NULL;

    WORKS(xenvnet_rate_from_xl("10Mb/s", &bytes, &usecs, &error));
    CHECK(bytes == 62500 && usecs == 50000);
    WORKS(xenvnet_rate_from_xm("10MB/s@1s", &bytes, &usecs, &error));
    CHECK(bytes == 10000000 && usecs == 1000000);
    wrong(xenvnet_rate_from_xl("10Mbps", &bytes, &usecs, &error), XENVNET_ERROR_PARSE, "at byte 2", 2, "write 10Mb/s");
    CHECK(xenvnet_rate_from_xm("10MB/s@20", &bytes, &usecs, NULL) == XENVNET_ERROR_PARSE);
    CHECK(bytes == 10000000 && usecs == 1000000);
    WORKS(xenvnet_rate_to_xl(bytes, usecs, &text, &error));
    CHECK(is(text, "10000000B/s@1000000us"));
    WORKS(xenvnet_rate_from_netback("62500,50000", &bytes, &usecs, &error));
    CHECK(bytes == 62500 && usecs == 50000);
    WORKS(xenvnet_rate_from_netback("4294967295,0", &bytes, &usecs, &error));
    CHECK(bytes == 0 && usecs == 0);
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "would let nothing through", xenvnet_rate_to_xl(0, 1, &text, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "no limit at all", xenvnet_rate_to_xl(1, 0, &text, &error));
}

/* Texts of a few words, each as its comment in the header has it. */
static void words(void)
{
    char *json = NULL;

    WORKS(xenvnet_network_json("network-nat netdev=eth0", &json, &error));
    IS_MADE_OF(json, "\"line\":\"network-nat netdev=eth0\"", "\"id\":\"nat:eth0\"", "\"bridge\":null",
               "\"cards\":[\"eth0\"]", "\"demands_lock\":false");
    WORKS(xenvnet_network_json("network-bridge", &json, &error));
    IS_MADE_OF(json, "\"line\":\"network-bridge\"", "\"id\":null", "\"bridge\":null", "\"cards\":[]",
               "\"demands_lock\":false");
    WORKS(xenvnet_vif_script_json("vif-bridge bridge=eth0", &json, &error));
    IS_MADE_OF(json, "\"name\":\"vif-bridge\"", "\"bridge\":\"eth0\"");
    WORKS(xenvnet_vif_script_json("vif-route netdev=eth1", &json, &error));
    IS_MADE_OF(json, "\"name\":\"vif-route\"", "\"netdev\":\"eth1\"");
    WORKS(xenvnet_vif_script_json("/x/vif-nat dhcp=no", &json, &error));
    IS_MADE_OF(json, "\"name\":\"vif-nat\"", "\"dhcp\":false");
    WORKS(xenvnet_vif_script_json("vif-nat", &json, &error));
    CHECK(is(json, "{\"name\":\"vif-nat\"}"));
    WORKS(xenvnet_vlan_spec_json("10p/20/30-32u", &json, &error));
    IS_MADE_OF(json, "\"pvid\":10", "\"untagged\":[30,31,32]", "\"tagged\":[20]");
    WORKS(xenvnet_ovs_bridge_json("ovs0.20:30:40", &json, &error));
    IS_MADE_OF(json, "\"name\":\"ovs0\"", "\"tag\":20", "\"trunks\":[30,40]");

    json = NULL;
    FAILS(XENVNET_ERROR_UNSUPPORTED, "vif-openvswitch", xenvnet_vif_script_json("vif-openvswitch", &json, &error));
    wrong(xenvnet_vlan_spec_json("1/2/1u", &json, &error), XENVNET_ERROR_PARSE, "VLAN 1 is given twice", 4, NULL);
    wrong(xenvnet_ovs_bridge_json("a:", &json, &error), XENVNET_ERROR_PARSE, "at byte 2", 2, NULL);
    CHECK(json == NULL);
}

static void nat_addresses(void)
{
    char *text = NULL;

    WORKS(xenvnet_vif_nat_address("vif300.1", &text, &error));
    CHECK(is(text, "10.1.44.2/16"));
    WORKS(xenvnet_vif_nat_address("vif1.0", &text, &error));
    CHECK(is(text, "10.0.1.1/16"));
    WORKS(xenvnet_nat_gateway("10.0.0.1", &text, &error));
    CHECK(is(text, "10.0.0.128"));
    WORKS(xenvnet_nat_gateway("10.0.0.200", &text, &error));
    CHECK(is(text, "10.0.0.73"));
    FAILS(XENVNET_ERROR_PARSE, "web", xenvnet_vif_nat_address("web", &text, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "2001:db8::1 is no IPv4 address",
          xenvnet_nat_gateway("2001:db8::1", &text, &error));
    FAILS(XENVNET_ERROR_PARSE, "no IP address", xenvnet_nat_gateway("10.0.0", &text, &error));
}

static void mac_checks(void)
{
    static const char *const sources[] = { "web.cfg", "db.cfg", "old" };
    static const char *const texts[] = { "vif = [ 'mac=" MAC "' ]", "vif = [ '', 'mac=" MAC "' ]", "import os" };
    char *json = NULL;

    WORKS(xenvnet_mac_check_json(NULL, NULL, 0, &json, &error));
    IS_MADE_OF(json, "\"macs\":[]", "\"findings\":[]");
    WORKS(xenvnet_mac_check_json(sources, texts, 1, &json, &error));
    CHECK(json && strstr(json, "\"findings\":[]") && strstr(json, "\"mac\":\"" MAC "\""));
    CHECK(json && strstr(json, "\"source\":\"web.cfg\"") && strstr(json, "\"vif\":0"));
    CHECK(json && strstr(json, "\"offset\":13") && strstr(json, "\"line\":1"));
    xenvnet_string_free(json);
    WORKS(xenvnet_mac_check_json(sources, texts, 3, &json, &error));
    CHECK(json && strstr(json, MAC " is given to 2 vifs of more than one guest: web.cfg, byte 13, line 1; "
                                   "db.cfg, byte 17, line 1"));
    CHECK(json && strstr(json, "\"finding\":\"duplicate\"") && strstr(json, "\"finding\":\"fault\""));
    CHECK(json && strstr(json, "\"error\":\"parse\"") && strstr(json, "\"source\":\"old\""));
    CHECK(json && strstr(json, "\"advice\":\"the file is read, not run"));
    xenvnet_string_free(json);
}

int main(void)
{
    guest_files();
    xend_configs();
    vif_specs();
    attachments();
    rates();
    words();
    nat_addresses();
    mac_checks();
    return report();
}
