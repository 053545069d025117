/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a guest can do and what it cannot, tried from where the guest is: routed guests, what they
 * reach on dom0, what others change behind our back, guests with two cards, and those that are
 * attached as their files ask.
 * guests STATE-DIR, in a network namespace of its own, with CAP_NET_ADMIN there.
 */
#include "kernel.h"

#define MAC3 "00:16:3e:00:00:03"
#define MAC4 "00:16:3e:00:00:04"
#define GATEWAY "10.1.0.1"
#define OWN "10.1.0.2"
#define FOREIGN "10.66.0.9"

static struct namespace guest;

static bool in_guest(const char *command)
{
    char line[512];

    snprintf(line, sizeof line, "nsenter --target %d --net %s >/dev/null 2>&1", (int)guest.pid, command);
    return shell(line);
}

static bool has_route(const char *net)
{
    char line[128];

    snprintf(line, sizeof line, "ip route show dev vif3.0 | grep -q '^%s '", net);
    return shell(line);
}

/* Dom0 answers the guest, which says that it has this address. Asked until it does. */
static bool answers(const char *address)
{
    char line[128];

    snprintf(line, sizeof line, "ping -q -n -c 1 -w 10 -I %s " GATEWAY, address);
    return in_guest(line);
}

/* Asked once, where no answer is to come. That it was dropped is counted. */
static bool answers_once(const char *address)
{
    char line[128];

    snprintf(line, sizeof line, "ping -q -n -c 1 -W 1 -I %s " GATEWAY, address);
    return in_guest(line);
}

static bool snapshot_has(const char *text)
{
    char *json = NULL;
    bool has;

    WORKS(xenvnet_snapshot_json(host, &json, &error));
    has = json && strstr(json, text);
    xenvnet_string_free(json);
    return has;
}

static bool found(const xenvnet_report *report, const char *kind)
{
    size_t n;

    for (n = 0; n < xenvnet_report_length(report); n++)
        if (!strcmp(xenvnet_finding_kind(xenvnet_report_finding(report, n)), kind))
            return true;
    return false;
}

static bool sound(void)
{
    xenvnet_report *report = NULL;
    char *text = NULL;
    bool holds;

    WORKS(xenvnet_verify(host, &report, &error));
    holds = xenvnet_report_is_sound(report);
    WORKS(xenvnet_report_text(report, &text, &error));
    if (!holds)
        fprintf(stderr, "%s", text ? text : "no report\n");
    xenvnet_string_free(text);
    xenvnet_report_free(report);
    return holds;
}

/* A vif that is up and no port of a bridge is held where its frames come in. */
static void locked_without_a_bridge(void)
{
    xenvnet_antispoof *lock = lock_of(MAC3, OWN);

    CHECK(shell("ip link set vif3.0 up"));
    CHANGES(xenvnet_set_antispoof(host, "vif3.0", lock, &changed, &error));
    CHECK(shell("nft list table netdev xenvnet | grep -q 'vif3.0.*locked mac=" MAC3 " ip=" OWN "'"));
    CHANGES(xenvnet_clear_antispoof(host, "vif3.0", &changed, &error));
    CHECK(!shell("nft list table netdev xenvnet 2>/dev/null | grep -q vif3.0"));
    CHECK(shell("ip link set vif3.0 down"));
    xenvnet_antispoof_free(lock);
}

static void routed(void)
{
    xenvnet_antispoof *lock = lock_of(MAC3, OWN);
    xenvnet_attachment *attachment = NULL, *more = NULL;

    WORKS(xenvnet_attachment_new_routed("vif3.0", lock, &attachment, &error));
    WORKS(xenvnet_attachment_add_gateway(attachment, GATEWAY, &error));
    WORKS(xenvnet_attachment_new_routed("vif3.0", lock, &more, &error));
    xenvnet_antispoof_free(lock);

    /* What is routed is what is said, else what the lock names. */
    WORKS(xenvnet_attachment_add_gateway(more, GATEWAY, &error));
    WORKS(xenvnet_attachment_add_gateway(more, "2001:db8::1", &error));
    WORKS(xenvnet_attachment_add_route(more, OWN, &error));
    WORKS(xenvnet_attachment_add_route(more, "10.2.0.0/28", &error));
    WORKS(xenvnet_attachment_set_dom0(more, "services(dns)", &error));
    CHANGES(xenvnet_attach_vif(host, more, &changed, &error));
    CHECK(has_route("10.2.0.0/28") && has_route(OWN));
    CHECK(shell("ip -6 addr show dev vif3.0 | grep -q 'inet6 2001:db8::1/128'"));
    CHECK(snapshot_has("\"vif3.0\":\"services(dns)\""));

    CHANGES(xenvnet_attach_vif(host, attachment, &changed, &error));
    CHECK(!has_route("10.2.0.0/28") && has_route(OWN));
    CHECK(shell("ip addr show dev vif3.0 | grep -q 'inet " GATEWAY "/32'"));
    CHECK(!shell("ip addr show dev vif3.0 | grep -q 2001:db8::1"));
    CHECK(!shell("ip link show dev vif3.0 | grep -q master"));
    CHECK(!snapshot_has("services(dns)") && snapshot_has("\"ingress\":{\"vif3.0\":"));
    xenvnet_attachment_free(attachment);
    xenvnet_attachment_free(more);

    CHECK(in_guest("ip address add " OWN "/32 dev eth0") && in_guest("ip address add " FOREIGN "/32 dev eth0"));
    CHECK(in_guest("ip link set eth0 up") && in_guest("ip route add " GATEWAY " dev eth0"));
    CHECK(answers(OWN));
    /* Were it not for the lock, the answer would find its way. */
    CHECK(shell("ip route add " FOREIGN " dev vif3.0"));
    CHECK(!answers_once(FOREIGN));
    CHECK(snapshot_has("\"reason\":\"ip4\"") && snapshot_has("\"table\":\"netdev\""));
}

static void dom0(void)
{
    CHANGES(xenvnet_set_dom0(host, "vif3.0", "closed", &changed, &error));
    CHECK(!answers_once(OWN));
    CHECK(snapshot_has("\"vif3.0\":\"closed\"") && snapshot_has("\"reason\":\"dom0\""));
    CHANGES(xenvnet_set_dom0(host, "vif3.0", "services(icmp,tcp:22)", &changed, &error));
    CHECK(answers(OWN));
    CHECK(snapshot_has("\"vif3.0\":\"services(icmp,tcp:22)\""));
    CHANGES(xenvnet_set_dom0(host, "vif3.0", "open", &changed, &error));
    CHECK(!shell("nft list table inet xenvnet_dom0 2>/dev/null"));

    CHECK(xenvnet_set_dom0(host, "vif3.0", "services(dns,dhpc)", NULL, &error) == XENVNET_ERROR_PARSE);
    CHECK(xenvnet_error_offset(error) == 13 && xenvnet_error_advice(error) &&
          strstr(xenvnet_error_advice(error), "dhcp"));
    xenvnet_error_free(error);
    error = NULL;

    /* And as a network says it for all of its guests. */
    CHANGES(xenvnet_start_network(host, "network-virtual bridge=xenbr4 bridgeip=10.98.97.1/24 dom0=services(dhcp,dns)",
                                  &changed, &error));
    CHECK(snapshot_has("\"xenbr4\":\"services(dhcp,dns)\""));
    CHANGES(xenvnet_stop_network(host, "network-virtual bridge=xenbr4 bridgeip=10.98.97.1/24 dom0=services(dhcp,dns)",
                                 &changed, &error));
    CHECK(!snapshot_has("\"xenbr4\""));
}

/* Every finding tells a program and an administrator what they need. */
static void findings(const xenvnet_report *report)
{
    size_t n, length = xenvnet_report_length(report);
    int worst = XENVNET_SEVERITY_NONE;
    char *json = NULL, *text = NULL, word[64];

    WORKS(xenvnet_report_to_json(report, &json, &error));
    WORKS(xenvnet_report_text(report, &text, &error));
    for (n = 0; n < length; n++) {
        const xenvnet_finding *finding = xenvnet_report_finding(report, n);

        CHECK(finding != NULL);
        if (xenvnet_finding_severity(finding) > worst)
            worst = xenvnet_finding_severity(finding);
        CHECK(xenvnet_severity_name(xenvnet_finding_severity(finding)) != NULL);
        snprintf(word, sizeof word, "{\"finding\":\"%s\"", xenvnet_finding_kind(finding));
        CHECK(json && strstr(json, word));
        CHECK(text && strstr(text, xenvnet_finding_sentence(finding)) && strstr(text, xenvnet_finding_remedy(finding)));
    }
    CHECK(worst == xenvnet_report_worst(report));
    CHECK(xenvnet_report_finding(report, length) == NULL);
    CHECK(json && !strncmp(json, "{\"findings\":[", 13) && strstr(json, "],\"repair\":["));
    xenvnet_string_free(json);
    xenvnet_string_free(text);
}

static void flushed(void)
{
    xenvnet_report *report = NULL;
    xenvnet_plan *plan = NULL;
    bool changed = true;

    WORKS(xenvnet_verify(host, &report, &error));
    CHECK(xenvnet_report_length(report) == 0 && xenvnet_report_worst(report) == XENVNET_SEVERITY_NONE);
    CHECK(xenvnet_report_is_sound(report) && xenvnet_report_finding(report, 0) == NULL);
    findings(report);
    xenvnet_report_free(report);
    report = NULL;
    WORKS(xenvnet_repair(host, &report, &changed, &error));
    CHECK(!changed && xenvnet_report_length(report) == 0);
    xenvnet_report_free(report);

    CHECK(shell("nft flush ruleset"));
    CHECK(answers(FOREIGN) && "nothing holds it any more");
    WORKS(xenvnet_verify(host, &report, &error));
    CHECK(!xenvnet_report_is_sound(report) && xenvnet_report_worst(report) == XENVNET_SEVERITY_HOLE);
    CHECK(found(report, "table_missing") && found(report, "not_locked") && found(report, "not_at_ingress"));
    CHECK(xenvnet_finding_is_repairable(xenvnet_report_finding(report, 0)));
    findings(report);
    WORKS(xenvnet_report_plan(report, &plan, &error));
    CHECK(xenvnet_plan_length(plan) > 0);
    xenvnet_plan_free(plan);
    xenvnet_report_free(report);
    CHECK(!shell("nft list table netdev xenvnet 2>/dev/null") && "looking changes nothing");

    WORKS(xenvnet_repair(host, &report, &changed, &error));
    CHECK(changed && found(report, "not_locked") && "the report is of what was before");
    xenvnet_report_free(report);
    CHECK(sound());
    CHECK(answers(OWN) && !answers_once(FOREIGN));
}

static void renamed(void)
{
    xenvnet_report *report = NULL;
    bool changed = false;

    CHECK(shell("ip link set vif3.0 down && ip link set vif3.0 name web && ip link set web up"));
    WORKS(xenvnet_repair(host, &report, &changed, &error));
    CHECK(changed && found(report, "renamed") && xenvnet_report_worst(report) >= XENVNET_SEVERITY_FAULT);
    xenvnet_report_free(report);
    CHECK(shell("nft list table netdev xenvnet | grep -q 'web.*locked mac=" MAC3 "'"));
    CHECK(sound());

    CHANGES(xenvnet_detach_vif(host, "web", &changed, &error));
    CHECK(!shell("ip link show dev web up | grep -q web") && !snapshot_has("\"ingress\""));
    CHECK(!shell("ip addr show dev web | grep -q " GATEWAY));
}

/* What dom0 bridges for this guest stays out of its table of connections. */
static void untracked(void)
{
    xenvnet_antispoof *lock = lock_of(MAC4, "10.98.98.4");
    xenvnet_attachment *attachment = NULL, *otherwise = NULL;

    WORKS(xenvnet_attachment_new("vif4.0", "xenbr0", lock, &attachment, &error));
    WORKS(xenvnet_attachment_new_routed("vif4.0", lock, &otherwise, &error));
    xenvnet_antispoof_free(lock);
    WORKS(xenvnet_attachment_set_untracked(attachment, true, &error));
    CHANGES(xenvnet_attach_vif(host, attachment, &changed, &error));
    CHECK(shell("nft list table bridge xenvnet_untracked | grep -q " MAC4));
    CHECK(snapshot_has("\"untracked\":{\"vif4.0\":"));
    WORKS(xenvnet_attachment_set_untracked(attachment, false, &error));
    CHANGES(xenvnet_attach_vif(host, attachment, &changed, &error));
    CHECK(!snapshot_has("\"untracked\":{\"vif4.0\":"));
    FAILS(XENVNET_ERROR_CONFLICT, "vif4.0 is a port of xenbr0", xenvnet_attach_vif(host, otherwise, NULL, &error));
    xenvnet_attachment_free(attachment);
    xenvnet_attachment_free(otherwise);
}

/* The emulated card and the other one of an HVM guest are one card with one lock. */
static void paired(void)
{
    xenvnet_antispoof *lock = lock_of(MAC4, "10.98.98.4");
    xenvnet_attachment *emulated = NULL;
    xenvnet_report *report = NULL;

    CHECK(shell("ip link add vif4.0-emu type veth peer name guest4-emu"));
    WORKS(xenvnet_attachment_new("vif4.0-emu", "xenbr0", lock, &emulated, &error));
    xenvnet_antispoof_free(lock);
    CHANGES(xenvnet_attach_vif(host, emulated, &changed, &error));
    xenvnet_attachment_free(emulated);
    CHECK(shell("nft list table netdev xenvnet | grep 'locked mac=" MAC4 "' | grep -q vif4.0-emu"));
    CHECK(shell("nft list table bridge xenvnet | grep 'locked mac=" MAC4 "' | grep -q vif4.0-emu"));
    CHECK(snapshot_has("\"ingress\":{\"vif4.0\":"));

    /* Good to know, and nothing to mend. */
    WORKS(xenvnet_verify(host, &report, &error));
    CHECK(found(report, "pair") && xenvnet_report_worst(report) == XENVNET_SEVERITY_NOTE);
    CHECK(xenvnet_report_is_sound(report));
    CHECK(!xenvnet_finding_is_repairable(xenvnet_report_finding(report, 0)));
    findings(report);
    xenvnet_report_free(report);

    CHANGES(xenvnet_detach_vif(host, "vif4.0-emu", &changed, &error));
    CHANGES(xenvnet_detach_vif(host, "vif4.0", &changed, &error));
}

/* A guest's first vif, as its file asks, by the lines that the header has for that. */
static bool attach_as_asked(const char *text)
{
    xenvnet_guest_file *file = NULL;
    xenvnet_vif_spec *spec = NULL;
    xenvnet_attachment *attachment = NULL;
    const xenvnet_line *vif;
    bool changed = false;
    int rc;

    rc = xenvnet_guest_file_new(text, &file, &error);
    if (!rc) {
        vif = xenvnet_guest_file_vif(file, 0);
        rc = xenvnet_vif_spec_from_xl(xenvnet_line_text(vif), 0, &spec, &error);
        xenvnet_line_locate(vif, error);
    }
    if (!rc) rc = xenvnet_vif_spec_attachment(spec, "vif4.0", NULL, 0, &attachment, &error);
    if (!rc) rc = xenvnet_attach_vif(host, attachment, &changed, &error);
    WORKS(rc);
    xenvnet_guest_file_free(file);
    xenvnet_vif_spec_free(spec);
    xenvnet_attachment_free(attachment);
    return changed;
}

static void asked_for_by_files(void)
{
    static const char bridged[] = "name = 'web'\nvif = [ 'mac=" MAC4 ", ip=10.98.98.4, bridge=xenbr0' ]\n";
    static const char routed[] = "vif = [ 'mac=" MAC4 ",ip=10.3.0.2,script=vif-route,gatewaydev=outside' ]";
    xenvnet_attachment *attachment = NULL;
    xenvnet_antispoof *lock = lock_of(MAC4, "10.3.0.2");
    char group[64];

    CHECK(attach_as_asked(bridged) && !attach_as_asked(bridged));
    CHECK(shell("nft list table bridge xenvnet | grep -q 'vif4.0.*locked mac=" MAC4 " ip=10.98.98.4 dhcp'"));
    snprintf(group, sizeof group, "ip link show master xenbr0 group %d | grep -q vif4.0", XENVNET_VIF_GROUP);
    CHECK(shell(group));

    /* Dom0 has towards a routed one the address that it has elsewhere. */
    CHANGES(xenvnet_detach_vif(host, "vif4.0", &changed, &error));
    CHECK(shell("ip link add outside type veth peer name beyond && ip addr add 10.3.0.1/24 dev outside"));
    CHECK(attach_as_asked(routed) && !attach_as_asked(routed));
    CHECK(shell("ip addr show dev vif4.0 | grep -q 'inet 10.3.0.1/32'"));
    CHECK(shell("ip route show dev vif4.0 | grep -q '^10.3.0.2 '"));
    CHANGES(xenvnet_detach_vif(host, "vif4.0", &changed, &error));
    WORKS(xenvnet_attachment_new_routed("vif4.0", lock, &attachment, &error));
    WORKS(xenvnet_attachment_set_gateway_device(attachment, "outside", &error));
    CHANGES(xenvnet_attach_vif(host, attachment, &changed, &error));
    CHECK(shell("ip addr show dev vif4.0 | grep -q 'inet 10.3.0.1/32'"));
    CHANGES(xenvnet_detach_vif(host, "vif4.0", &changed, &error));
    xenvnet_attachment_free(attachment);
    xenvnet_antispoof_free(lock);
}

int main(int argc, char **argv)
{
    xenvnet_bridge *bridge = NULL;
    char line[256];

    if (argc != 2) {
        fprintf(stderr, "usage: guests STATE-DIR\n");
        return 2;
    }
    guest = open_namespace();
    snprintf(line, sizeof line, "ip link add vif3.0 type veth peer name eth0 address " MAC3 " netns %d",
             (int)guest.pid);
    CHECK(shell(line));
    CHECK(shell("ip link add vif4.0 type veth peer name guest4"));
    WORKS(xenvnet_new_in(-1, argv[1], &host, &error));
    WORKS(xenvnet_bridge_new("xenbr0", &bridge, &error));
    if (host && bridge) {
        WORKS(xenvnet_create_bridge(host, bridge, NULL, &error));
        locked_without_a_bridge();
        routed();
        dom0();
        flushed();
        renamed();
        untracked();
        paired();
        asked_for_by_files();
    }
    xenvnet_bridge_free(bridge);
    xenvnet_free(host);
    close_namespace(guest);
    return report();
}
