/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What needs a kernel: every verb on a real host, looked at from outside with ip(8) and nft(8).
 * network STATE-DIR, in a network namespace of its own, with CAP_NET_ADMIN there.
 */
#include "kernel.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#define MAC1 "00:16:3e:00:00:01"
#define MAC2 "00:16:3e:00:00:02"

static void bridges(void)
{
    xenvnet_bridge *bridge = NULL;

    WORKS(xenvnet_bridge_new("xenbr0", &bridge, &error));
    WORKS(xenvnet_bridge_set_mac(bridge, "02:00:00:00:00:07", &error));
    WORKS(xenvnet_bridge_set_mtu(bridge, 1400, &error));
    WORKS(xenvnet_bridge_set_stp(bridge, false, &error));
    WORKS(xenvnet_bridge_add_address(bridge, "10.98.98.1/24", &error));
    CHANGES(xenvnet_create_bridge(host, bridge, &changed, &error));
    CHECK(shell("ip -d link show dev xenbr0 type bridge up | grep -q 'stp_state 0'"));
    CHECK(shell("ip link show dev xenbr0 | grep -q 'mtu 1400 '"));
    CHECK(shell("ip link show dev xenbr0 | grep -q 'link/ether 02:00:00:00:00:07'"));
    CHECK(shell("ip -4 addr show dev xenbr0 | grep -q 'inet 10.98.98.1/24'"));

    /* A value that can be written but not meant is refused by the verb, and nothing is changed. */
    WORKS(xenvnet_bridge_set_mtu(bridge, 20, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "cannot create bridge xenbr0: an MTU of 20 bytes",
          xenvnet_create_bridge(host, bridge, NULL, &error));
    WORKS(xenvnet_bridge_set_mtu(bridge, 1400, &error));
    WORKS(xenvnet_bridge_set_mac(bridge, "01:00:00:00:00:07", &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "no unicast MAC", xenvnet_create_bridge(host, bridge, NULL, &error));
    CHECK(shell("ip link show dev xenbr0 | grep -q 'link/ether 02:00:00:00:00:07'"));
    xenvnet_bridge_free(bridge);
}

static void ports_and_locks(void)
{
    xenvnet_antispoof *lock = lock_of(MAC1, "10.98.98.2"), *multicast = lock_of("01:00:00:00:00:01", "10.98.98.2");

    CHANGES(xenvnet_enslave_vif(host, "vif1.0", "xenbr0", &changed, &error));
    CHECK(shell("ip link show dev vif1.0 | grep -q 'master xenbr0'"));
    CHECK(shell("ip link show dev xenbr0 | grep -q 'mtu 1400 '") && "a port does not change its bridge");
    CHANGES(xenvnet_set_antispoof(host, "vif1.0", lock, &changed, &error));
    CHECK(shell("nft list set bridge xenvnet guarded | grep -q 'vif1.0.*locked mac=" MAC1 " ip=10.98.98.2'"));

    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "cannot set antispoof on vif1.0: 01:00:00:00:00:01 is no unicast MAC address",
          xenvnet_set_antispoof(host, "vif1.0", multicast, NULL, &error));
    FAILS(XENVNET_ERROR_NOT_FOUND, "cannot set antispoof on vif9.0: no interface named vif9.0",
          xenvnet_set_antispoof(host, "vif9.0", lock, NULL, &error));
    FAILS(XENVNET_ERROR_NOT_FOUND, "cannot enslave vif1.0 to xenbr9: no interface named xenbr9",
          xenvnet_enslave_vif(host, "vif1.0", "xenbr9", NULL, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "guest1 is no bridge",
          xenvnet_enslave_vif(host, "vif1.0", "guest1", NULL, &error));
    CHECK(shell("nft list set bridge xenvnet guarded | grep -q 'locked mac=" MAC1 " ip=10.98.98.2'"));

    CHANGES(xenvnet_clear_antispoof(host, "vif1.0", &changed, &error));
    CHECK(!shell("nft list set bridge xenvnet guarded | grep -q vif1.0"));
    CHANGES(xenvnet_release_vif(host, "vif1.0", &changed, &error));
    CHECK(!shell("ip link show dev vif1.0 | grep -q master"));
    xenvnet_antispoof_free(lock);
    xenvnet_antispoof_free(multicast);
}

static void attachments(void)
{
    xenvnet_antispoof *lock1 = lock_of(MAC1, "10.98.98.2"), *lock2 = lock_of(MAC2, "10.98.98.3");
    xenvnet_attachment *one = NULL, *two = NULL, *missing = NULL;
    const xenvnet_attachment *all[3];
    bool changed = true;

    WORKS(xenvnet_attachment_new("vif1.0", "xenbr0", lock1, &one, &error));
    WORKS(xenvnet_attachment_new("vif2.0", "xenbr0", lock2, &two, &error));
    WORKS(xenvnet_attachment_new("vif9.0", "xenbr0", lock2, &missing, &error));
    /* The locks were copied. */
    xenvnet_antispoof_free(lock1);
    xenvnet_antispoof_free(lock2);
    WORKS(xenvnet_attachment_set_mtu(one, 1300, &error));
    WORKS(xenvnet_attachment_set_name(two, "web", &error));
    WORKS(xenvnet_attachment_set_isolated(two, true, &error));

    CHANGES(xenvnet_attach_vif(host, one, &changed, &error));
    CHECK(shell("ip link show dev vif1.0 up | grep -q 'mtu 1300 .*master xenbr0'"));
    CHECK(shell("ip link show dev vif1.0 | grep -q 'link/ether fe:ff:ff:ff:ff:ff'"));
    CHECK(shell("bridge -d link show dev vif1.0 | grep -q 'learning off'"));
    CHANGES(xenvnet_detach_vif(host, "vif1.0", &changed, &error));
    CHECK(!shell("ip link show dev vif1.0 up | grep -q vif1.0"));

    /* All or none. */
    all[0] = one;
    all[1] = two;
    all[2] = missing;
    FAILS(XENVNET_ERROR_NOT_FOUND, "no interface named vif9.0",
          xenvnet_attach_vifs(host, all, 3, &changed, &error));
    CHECK(!shell("ip link show dev vif1.0 | grep -q master") && !shell("ip link show dev web 2>/dev/null"));
    all[2] = NULL;
    FAILS(XENVNET_ERROR_NULL, "attachments[2] is NULL", xenvnet_attach_vifs(host, all, 3, &changed, &error));
    FAILS(XENVNET_ERROR_NULL, "attachments is NULL", xenvnet_attach_vifs(host, NULL, 2, &changed, &error));
    WORKS(xenvnet_attach_vifs(host, NULL, 0, &changed, &error));
    CHECK(!changed);
    CHANGES(xenvnet_attach_vifs(host, all, 2, &changed, &error));
    CHECK(shell("bridge -d link show dev web | grep -q 'isolated on'"));
    CHECK(shell("nft list set bridge xenvnet guarded | grep -q 'web.*locked mac=" MAC2 " ip=10.98.98.3'"));

    WORKS(xenvnet_detach_vif(host, "vif1.0", NULL, &error));
    WORKS(xenvnet_detach_vif(host, "web", NULL, &error));
    WORKS(xenvnet_detach_vif(host, "never-was", &changed, &error));
    CHECK(!changed);
    xenvnet_attachment_free(one);
    xenvnet_attachment_free(two);
    xenvnet_attachment_free(missing);
}

static void networks(void)
{
    static const char line[] = "network-virtual bridge=xenbr1 bridgeip=10.98.99.1/24 antispoof=yes";
    static const char forward[] = "/proc/sys/net/ipv4/ip_forward";
    const int forward_before = sysctl(forward);

    CHANGES(xenvnet_masquerade_subnet(host, "10.1.0.0/16", NULL, &changed, &error));
    CHANGES(xenvnet_masquerade_subnet(host, "2001:db8::/32", "eth0", &changed, &error));
    CHECK(shell("nft list chain inet xenvnet postrouting | grep 10.1.0.0/16 | grep -q masquerade"));
    CHECK(shell("nft list chain inet xenvnet postrouting | grep 2001:db8::/32 | grep eth0 | grep -q masquerade"));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "host bits", xenvnet_masquerade_subnet(host, "10.1.0.1/16", NULL, NULL, &error));
    FAILS(XENVNET_ERROR_PARSE, "\"10.1.0.0/33\" is no", xenvnet_masquerade_subnet(host, "10.1.0.0/33", NULL, NULL, &error));
    FAILS(XENVNET_ERROR_PARSE, "interface name", xenvnet_masquerade_subnet(host, "10.1.0.0/16", "a/b", NULL, &error));
    CHANGES(xenvnet_unmasquerade_subnet(host, "10.1.0.0/16", NULL, &changed, &error));
    CHANGES(xenvnet_unmasquerade_subnet(host, "2001:db8::/32", "eth0", &changed, &error));
    CHECK(!shell("nft list ruleset | grep -q masquerade"));

    CHANGES(xenvnet_start_network(host, line, &changed, &error));
    CHECK(shell("ip -4 addr show dev xenbr1 | grep -q 'inet 10.98.99.1/24'"));
    CHECK(shell("nft list ruleset | grep 10.98.99.0/24 | grep -q masquerade"));
    CHECK(sysctl(forward) == 1);
    FAILS(XENVNET_ERROR_PARSE, "did you mean \"bridge\"?",
          xenvnet_start_network(host, "network-virtual brige=xenbr1", NULL, &error));
    FAILS(XENVNET_ERROR_ALREADY_EXISTS, "xenbr0",
          xenvnet_start_network(host, "network-virtual bridge=xenbr0 bridgeip=10.98.97.1/24", NULL, &error));
    FAILS(XENVNET_ERROR_CONFLICT, "another one runs there",
          xenvnet_start_network(host, "network-virtual bridge=xenbr1", NULL, &error));
    CHANGES(xenvnet_stop_network(host, line, &changed, &error));
    CHECK(!shell("ip link show dev xenbr1 2>/dev/null"));
    CHECK(forward_before >= 0 && sysctl(forward) == forward_before);
}

static void plans(void)
{
    static const char json[] = "[{\"create_bridge\":{\"name\":\"xenbr2\"}},"
                               " {\"enslave_vif\":{\"vif\":\"vif1.0\",\"bridge\":\"xenbr2\"}}]";
    xenvnet_plan *plan = NULL, *stored = NULL, *inverse = NULL;
    char *text = NULL;
    bool changed = false;

    WORKS(xenvnet_plan_json(host, json, &plan, &error));
    CHECK(xenvnet_plan_length(plan) >= 3);
    WORKS(xenvnet_plan_text(plan, &text, &error));
    CHECK(text && strstr(text, "+ bridge xenbr2 ") && strstr(text, "+ vif1.0: port of xenbr2, "));
    xenvnet_string_free(text);
    CHECK(!shell("ip link show dev xenbr2 2>/dev/null"));

    /* A plan goes through a file and comes back the same. */
    WORKS(xenvnet_plan_to_json(plan, &text, &error));
    WORKS(xenvnet_plan_from_json(text, &stored, &error));
    xenvnet_string_free(text);
    xenvnet_plan_free(plan);
    WORKS(xenvnet_apply(host, stored, &changed, &error));
    CHECK(changed);
    CHECK(shell("ip link show dev vif1.0 | grep -q 'master xenbr2'"));

    WORKS(xenvnet_plan_json(host, json, &plan, &error));
    CHECK(xenvnet_plan_length(plan) == 0);
    changed = true;
    WORKS(xenvnet_apply(host, plan, &changed, &error));
    CHECK(!changed);
    xenvnet_plan_free(plan);

    WORKS(xenvnet_plan_inverse(stored, &inverse, &error));
    WORKS(xenvnet_apply(host, inverse, &changed, &error));
    CHECK(changed);
    CHECK(!shell("ip link show dev xenbr2 2>/dev/null"));
    xenvnet_plan_free(inverse);
    xenvnet_plan_free(stored);

    CHANGES(xenvnet_run_json(host, json, &changed, &error));
    CHECK(shell("ip link show dev vif1.0 | grep -q 'master xenbr2'"));
    /* What undo would do is known before, and asking for it does nothing. */
    WORKS(xenvnet_plan_undo(host, &plan, &error));
    WORKS(xenvnet_plan_text(plan, &text, &error));
    CHECK(text && strstr(text, "- vif1.0: port of xenbr2\n") && strstr(text, "- bridge xenbr2\n"));
    xenvnet_string_free(text);
    xenvnet_plan_free(plan);
    plan = NULL;
    CHECK(shell("ip link show dev vif1.0 | grep -q 'master xenbr2'"));
    /* What others did since is not undone with it. */
    CHECK(shell("ip link add eth9 type veth peer name eth10 && ip link set eth9 master xenbr2"));
    FAILS(XENVNET_ERROR_CONFLICT, "cannot undo the last change: eth9 is a port of xenbr2 by now",
          xenvnet_undo(host, NULL, &error));
    CHECK(shell("ip link del eth9"));
    /* Nothing was cut off that could be left as it is. */
    changed = true;
    WORKS(xenvnet_forget_cut_off(host, &changed, &error));
    CHECK(!changed);
    WORKS(xenvnet_undo(host, &changed, &error));
    CHECK(changed);
    CHECK(!shell("ip link show dev xenbr2 2>/dev/null") && !shell("ip link show dev vif1.0 | grep -q master"));

    FAILS(XENVNET_ERROR_PARSE, "operations: unknown variant `make_bridge`, expected",
          xenvnet_plan_json(host, "{\"make_bridge\":{\"name\":\"xenbr2\"}}", &plan, &error));
    FAILS(XENVNET_ERROR_PARSE, "operations: ", xenvnet_run_json(host, "[{", NULL, &error));
    FAILS(XENVNET_ERROR_NOT_FOUND, "no interface named xenbr9",
          xenvnet_plan_json(host, "{\"enslave_vif\":{\"vif\":\"vif1.0\",\"bridge\":\"xenbr9\"}}", &plan, &error));
}

/* A plan that breaks off in the middle leaves nothing behind. */
static void all_or_nothing(void)
{
    static const char json[] =
        "[{\"step\":\"add_bridge\",\"bridge\":\"xenbr3\",\"mac\":\"02:00:00:00:00:03\",\"mtu\":1500,"
        "\"state\":{\"stp\":false,\"forward_delay\":0},\"auto_link_local\":false},"
        "{\"step\":\"up\",\"link\":\"vif9.0\"}]";
    xenvnet_plan *plan = NULL;
    bool changed = true;

    WORKS(xenvnet_plan_from_json(json, &plan, &error));
    FAILS(XENVNET_ERROR_NOT_FOUND, "cannot set vif9.0 up: ", xenvnet_apply(host, plan, &changed, &error));
    CHECK(changed);
    CHECK(!shell("ip link show dev xenbr3 2>/dev/null"));
    xenvnet_plan_free(plan);
}

static void snapshots(void)
{
    char *json = NULL;

    WORKS(xenvnet_snapshot_json(host, &json, &error));
    CHECK(json && json[0] == '{' && strstr(json, "\"xenbr0\"") && strstr(json, "\"10.98.98.1/24\""));
    xenvnet_string_free(json);
}

static void arguments(void)
{
    xenvnet_plan *plan = NULL;
    bool changed = true;

    IS_NULL("json", xenvnet_snapshot_json(host, NULL, &error));
    IS_NULL("operations_json", xenvnet_plan_json(host, NULL, &plan, &error));
    IS_NULL("plan", xenvnet_plan_json(host, "[]", NULL, &error));
    IS_NULL("plan", xenvnet_plan_undo(host, NULL, &error));
    IS_NULL("operations_json", xenvnet_run_json(host, NULL, &changed, &error));
    IS_NULL("plan", xenvnet_apply(host, NULL, &changed, &error));
    IS_NULL("bridge", xenvnet_create_bridge(host, NULL, &changed, &error));
    IS_NULL("bridge", xenvnet_delete_bridge(host, NULL, &changed, &error));
    IS_NULL("vif", xenvnet_enslave_vif(host, NULL, "xenbr0", &changed, &error));
    IS_NULL("bridge", xenvnet_enslave_vif(host, "vif1.0", NULL, &changed, &error));
    IS_NULL("vif", xenvnet_release_vif(host, NULL, &changed, &error));
    IS_NULL("lock", xenvnet_set_antispoof(host, "vif1.0", NULL, &changed, &error));
    IS_NULL("vif", xenvnet_clear_antispoof(host, NULL, &changed, &error));
    IS_NULL("subnet", xenvnet_masquerade_subnet(host, NULL, NULL, &changed, &error));
    IS_NULL("subnet", xenvnet_unmasquerade_subnet(host, NULL, NULL, &changed, &error));
    IS_NULL("attachment", xenvnet_attach_vif(host, NULL, &changed, &error));
    IS_NULL("vif", xenvnet_detach_vif(host, NULL, &changed, &error));
    IS_NULL("interface", xenvnet_set_dom0(host, NULL, "open", &changed, &error));
    IS_NULL("access", xenvnet_set_dom0(host, "vif1.0", NULL, &changed, &error));
    IS_NULL("report", xenvnet_verify(host, NULL, &error));
    IS_NULL("report", xenvnet_repair(host, NULL, &changed, &error));
    IS_NULL("line", xenvnet_start_network(host, NULL, &changed, &error));
    IS_NULL("line", xenvnet_stop_network(host, NULL, &changed, &error));
    FAILS(XENVNET_ERROR_UTF8, "the argument vif", xenvnet_release_vif(host, "vif\xff", &changed, &error));
    FAILS(XENVNET_ERROR_PARSE, "is 16 bytes", xenvnet_delete_bridge(host, "abcdefghijklmnop", &changed, &error));
    CHECK(changed && plan == NULL);
}

static void *create_one(void *name)
{
    xenvnet_bridge *bridge = NULL;
    int rc = xenvnet_bridge_new(name, &bridge, NULL);

    if (!rc)
        rc = xenvnet_create_bridge(host, bridge, NULL, NULL);
    if (!rc)
        rc = xenvnet_delete_bridge(host, name, NULL, NULL);
    xenvnet_bridge_free(bridge);
    return rc ? name : NULL;
}

/* One handle, several threads. */
static void threads(void)
{
    static char names[4][8] = { "thread0", "thread1", "thread2", "thread3" };
    pthread_t thread[4];
    void *unsuccessful;
    size_t n;

    for (n = 0; n < 4; n++)
        CHECK(pthread_create(&thread[n], NULL, create_one, names[n]) == 0);
    for (n = 0; n < 4; n++) {
        unsuccessful = names[n];
        CHECK(pthread_join(thread[n], &unsuccessful) == 0 && unsuccessful == NULL);
    }
    CHECK(!shell("ip link show | grep -q thread"));
}

/* The handle that a child inherits is of use to it, and its answers are its own. */
static bool inherited_handle_works(void)
{
    char *json = NULL;
    bool works = xenvnet_snapshot_json(host, &json, NULL) == XENVNET_OK && strstr(json, "\"xenbr0\"");

    xenvnet_string_free(json);
    return works && create_one("forked") == NULL;
}

static bool powerless_is_refused(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2];
    xenvnet_bridge *bridge = NULL;
    xenvnet_error *refused = NULL;
    bool works;
    int rc;

    memset(none, 0, sizeof none);
    if (syscall(SYS_capset, &header, none) != 0 || xenvnet_bridge_new("powerless", &bridge, NULL) != XENVNET_OK)
        return false;
    rc = xenvnet_create_bridge(host, bridge, NULL, &refused);
    works = rc == XENVNET_ERROR_PERMISSION && xenvnet_error_errno(refused) != 0 && xenvnet_error_advice(refused) &&
            strstr(xenvnet_error_advice(refused), "CAP_NET_ADMIN");
    if (!works)
        fprintf(stderr, "  it gave %d: %s\n", rc, refused ? xenvnet_error_message(refused) : "no error");
    xenvnet_error_free(refused);
    xenvnet_bridge_free(bridge);
    return works;
}

/* A host in a namespace that no thread of this program is in. */
static void elsewhere(const char *state_dir)
{
    struct namespace place = open_namespace();
    char path[64], command[128];
    xenvnet *there = NULL;
    xenvnet_bridge *bridge = NULL;
    bool changed = false;
    int netns;

    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)place.pid);
    netns = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(netns >= 0);

    WORKS(xenvnet_new_in(netns, state_dir, &there, &error));
    close(netns);
    WORKS(xenvnet_bridge_new("elsewhere", &bridge, &error));
    WORKS(xenvnet_create_bridge(there, bridge, &changed, &error));
    CHECK(changed);
    snprintf(command, sizeof command, "nsenter --target %d --net ip link show dev elsewhere >/dev/null",
             (int)place.pid);
    CHECK(shell(command));
    CHECK(!shell("ip link show dev elsewhere 2>/dev/null"));
    WORKS(xenvnet_delete_bridge(there, "elsewhere", NULL, &error));

    xenvnet_bridge_free(bridge);
    xenvnet_free(there);
    close_namespace(place);
}

/* What is there is saved, flushed, seen to be, and there again; a dead guest leaves nothing. */
static void second_day(const char *state_dir)
{
    xenvnet_watch *watch = NULL;
    xenvnet_report *report = NULL;
    xenvnet_plan *plan = NULL;
    char file[512], *json = NULL;
    bool changed = true;
    struct pollfd ready = { .events = POLLIN };

    snprintf(file, sizeof file, "%s/kept/saved.json", state_dir);
    FAILS(XENVNET_ERROR_NOT_FOUND, "there is no such file", xenvnet_restore(host, file, 0, NULL, &error));
    WORKS(xenvnet_start_network(host, "network-virtual bridge=xenbr5 bridgeip=10.95.0.1/24", NULL, &error));
    WORKS(xenvnet_operations_json(host, &json, &error));
    CHECK(json && strstr(json, "network-virtual bridge=xenbr5"));
    xenvnet_string_free(json);
    WORKS(xenvnet_save(host, file, &error));
    WORKS(xenvnet_restore(host, file, 0, &changed, &error));
    CHECK(!changed);

    WORKS(xenvnet_watch_new(host, &watch, &error));
    ready.fd = xenvnet_watch_fd(watch);
    CHECK(ready.fd >= 0 && poll(&ready, 1, 0) == 0);
    changed = true;
    WORKS(xenvnet_watch_wait(watch, 0, &changed, &error));
    CHECK(!changed);
    CHECK(shell("nft flush ruleset"));
    CHECK(poll(&ready, 1, 60000) == 1);
    WORKS(xenvnet_watch_wait(watch, 0, &changed, &error));
    CHECK(changed && poll(&ready, 1, 0) == 0);
    xenvnet_watch_free(watch);

    WORKS(xenvnet_plan_restore(host, file, &plan, &error));
    CHECK(xenvnet_plan_length(plan) > 0);
    xenvnet_plan_free(plan);
    CHANGES(xenvnet_restore(host, file, 0, &changed, &error));
    WORKS(xenvnet_stop_network(host, "network-virtual bridge=xenbr5 bridgeip=10.95.0.1/24", NULL, &error));

    CHECK(shell("ip link add vif8.0 type veth peer name guest8"));
    WORKS(xenvnet_run_json(host, "{\"set_antispoof\": {\"vif\": \"vif8.0\", \"lock\": \"disabled\"}}", NULL, &error));
    CHECK(shell("ip link delete vif8.0"));
    WORKS(xenvnet_gc(host, &report, &changed, &error));
    CHECK(changed && xenvnet_report_length(report) > 0);
    CHECK(!strcmp(xenvnet_finding_kind(xenvnet_report_finding(report, 0)), "leftover"));
    xenvnet_report_free(report);
    WORKS(xenvnet_gc(host, &report, &changed, &error));
    CHECK(!changed && xenvnet_report_length(report) == 0);
    xenvnet_report_free(report);
    CHECK(!shell("nft list ruleset | grep -q vif8.0"));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: network STATE-DIR\n");
        return 2;
    }
    CHECK(shell("ip link add vif1.0 type veth peer name guest1 && ip link add vif2.0 type veth peer name guest2"));
    WORKS(xenvnet_new_in(-1, argv[1], &host, &error));
    if (host) {
        FAILS(XENVNET_ERROR_NOT_FOUND, "cannot undo the last change", xenvnet_undo(host, NULL, &error));
        bridges();
        ports_and_locks();
        attachments();
        networks();
        plans();
        all_or_nothing();
        snapshots();
        arguments();
        threads();
        CHECK(in_child(inherited_handle_works));
        CHECK(in_child(powerless_is_refused));
        second_day(argv[1]);
        elsewhere(argv[1]);
        CHANGES(xenvnet_delete_bridge(host, "xenbr0", &changed, &error));
        CHECK(!shell("ip link show type bridge | grep -q ."));
    }
    xenvnet_free(host);
    return report();
}
