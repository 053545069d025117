/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every kind of network by its line, ports of dom0 that lead to guests, guests whose traffic is
 * counted, changes that want to be confirmed, with a sentinel in a process of its own, and a root
 * file system on the network.
 * modes STATE-DIR, in a network namespace of its own, with CAP_NET_ADMIN there.
 */
#include "kernel.h"
#include <fcntl.h>
#include <sys/mount.h>

#define CARD "192.0.2.10/24"

/* Dom0 has its address on this interface and its default route by it, and this card is a port of it. */
static bool leads_out(const char *bridge, const char *card)
{
    char line[256];

    snprintf(line, sizeof line,
             "ip -4 addr show dev %s | grep -q 'inet " CARD "' && ip route show default | grep -q 'dev %s ' && "
             "ip link show dev %s | grep -q 'master %s '",
             bridge, bridge, card, bridge);
    return shell(line);
}

static bool is_as_before(void)
{
    return shell("ip -4 addr show dev eth0 | grep -q 'inet " CARD "' && ip route show default | grep -q 'dev eth0 '") &&
           !shell("ip link show type bridge | grep -q .") && !shell("nft list ruleset | grep -q table");
}

static void networks(void)
{
    static const char ip_forward[] = "/proc/sys/net/ipv4/ip_forward";
    static const char proxy_arp[] = "/proc/sys/net/ipv4/conf/eth0/proxy_arp";
    const int forward_before = sysctl(ip_forward);
    bool changed = true;

    CHECK(is_as_before());
    CHANGES(xenvnet_start_network(host, "network-bridge bridge=xenbr0", &changed, &error));
    CHECK(leads_out("xenbr0", "eth0"));
    CHANGES(xenvnet_start_network(host, "network-bridge-additional bridge=xenbr0 netdev=spare0", &changed, &error));
    CHECK(shell("ip link show dev spare0 | grep -q 'master xenbr0 '"));
    CHANGES(xenvnet_stop_network(host, "network-bridge-additional bridge=xenbr0 netdev=spare0", &changed, &error));
    CHANGES(xenvnet_stop_network(host, "network-bridge bridge=xenbr0", &changed, &error));
    CHECK(is_as_before());

    CHANGES(xenvnet_start_network(host, "network-bridge netdev=eth0", &changed, &error));
    CHECK(leads_out("eth0", "peth0"));
    CHANGES(xenvnet_stop_network(host, "network-bridge netdev=eth0", &changed, &error));
    CHANGES(xenvnet_start_network(host, "bridge-shadow eth0", &changed, &error));
    CHECK(leads_out("eth0", "seth0"));
    CHANGES(xenvnet_stop_network(host, "bridge-shadow eth0", &changed, &error));
    CHANGES(xenvnet_start_network(host, "network-bridge bridge=xenbr1 netdev=dummy0", &changed, &error));
    CHECK(shell("ip link show dev xenbr1 type bridge up | grep -q xenbr1"));
    CHANGES(xenvnet_stop_network(host, "network-bridge bridge=xenbr1 netdev=dummy0", &changed, &error));
    CHECK(is_as_before());

    CHANGES(xenvnet_start_network(host, "network-route netdev=eth0", &changed, &error));
    CHECK(sysctl(ip_forward) == 1 && sysctl(proxy_arp) == 1);
    CHANGES(xenvnet_stop_network(host, "network-route netdev=eth0", &changed, &error));
    CHECK(sysctl(ip_forward) == forward_before && sysctl(proxy_arp) == 0);
    CHANGES(xenvnet_start_network(host, "network-nat subnet=192.168.7.0/24", &changed, &error));
    CHECK(sysctl(ip_forward) == 1);
    CHECK(shell("nft list chain inet xenvnet postrouting | grep eth0 | grep 192.168.7.0/24 | grep -q masquerade"));
    CHANGES(xenvnet_stop_network(host, "network-nat subnet=192.168.7.0/24", &changed, &error));
    CHECK(sysctl(ip_forward) == forward_before && is_as_before());

    WORKS(xenvnet_start_network(host, "network-dummy", &changed, &error));
    CHECK(!changed);
    FAILS(XENVNET_ERROR_NOT_FOUND, "no interface named eth7",
          xenvnet_start_network(host, "network-nat netdev=eth7", &changed, &error));
    FAILS(XENVNET_ERROR_PARSE, "did you mean \"netdev\"?",
          xenvnet_start_network(host, "network-bridge netdve=eth0", &changed, &error));
}

static void carriers(void)
{
    bool has_carrier = false;

    WORKS(xenvnet_wait_for_carrier(host, "eth0", 20000, &has_carrier, &error));
    CHECK(has_carrier);
    WORKS(xenvnet_wait_for_carrier(host, "spare0", 0, &has_carrier, &error));
    CHECK(!has_carrier);
    FAILS(XENVNET_ERROR_NOT_FOUND, "no interface named eth7",
          xenvnet_wait_for_carrier(host, "eth7", 0, &has_carrier, &error));
    IS_NULL("interface", xenvnet_wait_for_carrier(host, NULL, 0, &has_carrier, &error));
    IS_NULL("has_carrier", xenvnet_wait_for_carrier(host, "eth0", 0, NULL, &error));
}

static void forwards(void)
{
    bool changed = true;
    char *json = NULL;

    CHANGES(xenvnet_forward_port(host, "tcp:8080", "192.0.2.20:80", NULL, &changed, &error));
    CHANGES(xenvnet_forward_port(host, "udp:53", "[2001:db8::2]:53", "eth0", &changed, &error));
    CHECK(shell("nft list table inet xenvnet_forwards | grep 8080 | grep -q 192.0.2.20"));
    WORKS(xenvnet_snapshot_json(host, &json, &error));
    CHECK(json && strstr(json, "{\"port\":\"tcp:8080\",\"to\":\"192.0.2.20:80\",\"behind\":\"eth0\"}"));
    xenvnet_string_free(json);
    FAILS(XENVNET_ERROR_CONFLICT, "cannot forward tcp:8080: it leads to 192.0.2.20:80 already",
          xenvnet_forward_port(host, "tcp:8080", "192.0.2.21:80", NULL, &changed, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "127.0.0.1 is no guest's address",
          xenvnet_forward_port(host, "tcp:8081", "127.0.0.1:80", NULL, &changed, &error));
    FAILS(XENVNET_ERROR_PARSE, "\"tcp\" is no port of dom0's",
          xenvnet_forward_port(host, "tcp", "192.0.2.20:80", NULL, &changed, &error));
    FAILS(XENVNET_ERROR_PARSE, "\"192.0.2.20\" is no address and port",
          xenvnet_forward_port(host, "tcp:8081", "192.0.2.20", NULL, &changed, &error));
    IS_NULL("port", xenvnet_forward_port(host, NULL, "192.0.2.20:80", NULL, &changed, &error));
    IS_NULL("guest", xenvnet_forward_port(host, "tcp:8080", NULL, NULL, &changed, &error));
    IS_NULL("port", xenvnet_unforward_port(host, NULL, &changed, &error));
    CHANGES(xenvnet_unforward_port(host, "tcp:8080", &changed, &error));
    CHANGES(xenvnet_unforward_port(host, "udp:53", &changed, &error));
    CHECK(is_as_before());
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

/* One packet of 84 bytes each way, as ping has it. */
#define ONE "{\"packets\":1,\"bytes\":84}"
#define COUNTED "\"accounts\":{\"web\":{\"index\":1,\"routed\":true,\"sent\":" ONE ",\"received\":" ONE "}}"

static void accounts(void)
{
    static const char mac[] = "00:16:3e:00:00:05", ip[] = "10.1.0.2";
    struct namespace guest = open_namespace();
    xenvnet_antispoof *lock = lock_of(mac, ip);
    xenvnet_attachment *attachment = NULL;
    xenvnet_report *report = NULL;
    char line[512];

    WORKS(xenvnet_attachment_new_routed("vif5.0", lock, &attachment, &error));
    WORKS(xenvnet_attachment_set_name(attachment, "web", &error));
    WORKS(xenvnet_attachment_add_gateway(attachment, "10.1.0.1", &error));
    WORKS(xenvnet_attachment_set_accounted(attachment, true, &error));
    xenvnet_antispoof_free(lock);
    snprintf(line, sizeof line, "ip link add vif5.0 type veth peer name eth0 address %s netns %d", mac, (int)guest.pid);
    CHECK(shell(line));
    CHANGES(xenvnet_attach_vif(host, attachment, &changed, &error));
    CHECK(shell("nft list table inet xenvnet_accounts | grep -q 'web.*index=1'"));
    /* The guest knows its gateway's address: nothing is lost, and nothing but the ping is said by IP. */
    snprintf(line, sizeof line,
             "nsenter --target %d --net sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; "
             "ip address add %s/32 dev eth0 && ip link set eth0 up && ip route add 10.1.0.1 dev eth0 && "
             "ping -q -n -c 1 -w 10 10.1.0.1' >/dev/null", (int)guest.pid, ip);
    CHECK(shell(line));
    CHECK(snapshot_has(COUNTED));

    CHECK(shell("nft delete element inet xenvnet_accounts received '{ \"web\" }'"));
    WORKS(xenvnet_repair(host, &report, NULL, &error));
    CHECK(xenvnet_report_length(report) == 1 &&
          !strcmp(xenvnet_finding_kind(xenvnet_report_finding(report, 0)), "not_accounted"));
    xenvnet_report_free(report);
    CHECK(snapshot_has("\"sent\":" ONE));

    /* It outlives its interface, and is forgotten on demand alone. */
    CHANGES(xenvnet_detach_vif(host, "web", &changed, &error));
    close_namespace(guest);
    CHECK(snapshot_has("\"sent\":" ONE));
    CHANGES(xenvnet_forget_account(host, "web", &changed, &error));
    CHECK(!snapshot_has("\"accounts\":{") && !shell("nft list table inet xenvnet_accounts 2>/dev/null"));
    WORKS(xenvnet_undo(host, NULL, &error));
    CHECK(snapshot_has("\"sent\":" ONE));
    WORKS(xenvnet_forget_account(host, "web", NULL, &error));
    FAILS(XENVNET_ERROR_PARSE, "interface name", xenvnet_forget_account(host, "a/b", NULL, &error));
    IS_NULL("name", xenvnet_forget_account(host, NULL, NULL, &error));
    xenvnet_attachment_free(attachment);
    /* The tables of locks stay when their last guest goes. */
    CHECK(shell("nft flush ruleset") && is_as_before());
}

/* A process on the watch: for each byte it looks, and answers with what it saw. */
struct guard {
    pid_t pid;
    int ask, answer;
};

static int watch(int asked, int answer)
{
    xenvnet_sentinel *sentinel = NULL;
    xenvnet_plan *plan = NULL;
    uint64_t left = 0;
    int seen = XENVNET_UNCONFIRMED_NOTHING;
    char byte = 0;

    WORKS(xenvnet_sentinel_new(host, &sentinel, &error));
    while (write(answer, &byte, 1) == 1 && read(asked, &byte, 1) == 1) {
        WORKS(xenvnet_sentinel_look(sentinel, &seen, &left, &plan, &error));
        CHECK((seen == XENVNET_UNCONFIRMED_WAITING) == (left > 0 && left <= 60000));
        CHECK((seen == XENVNET_UNCONFIRMED_PUT_BACK) == (xenvnet_plan_length(plan) > 0));
        xenvnet_plan_free(plan);
        byte = (char)seen;
    }
    xenvnet_sentinel_free(sentinel);
    xenvnet_free(host);
    return failed;
}

static struct guard set_guard(void)
{
    struct guard guard;
    int asked[2], answer[2];
    char byte;

    CHECK(pipe(asked) == 0 && pipe(answer) == 0);
    fflush(NULL);
    guard.pid = fork();
    if (guard.pid == 0) {
        close(asked[1]);
        close(answer[0]);
        _exit(watch(asked[0], answer[1]) ? 1 : 0);
    }
    close(asked[0]);
    close(answer[1]);
    guard.ask = asked[1];
    guard.answer = answer[0];
    CHECK(read(guard.answer, &byte, 1) == 1);
    return guard;
}

static int look(struct guard guard)
{
    char byte = -1;

    return write(guard.ask, "?", 1) == 1 && read(guard.answer, &byte, 1) == 1 ? byte : -1;
}

static void relieve(struct guard guard)
{
    int status = -1;

    close(guard.ask);
    CHECK(waitpid(guard.pid, &status, 0) == guard.pid && status == 0);
    close(guard.answer);
}

static void confirmations(void)
{
    static const char start[] = "{\"start_network\":\"network-bridge bridge=xenbr0\"}";
    xenvnet_sentinel *sentinel = NULL;
    bool changed = true;
    struct guard guard;
    int seen;

    FAILS(XENVNET_ERROR_STATE, "nobody would put it back",
          xenvnet_run_json_provisionally(host, start, 60000, &changed, &error));
    CHECK(is_as_before());

    guard = set_guard();
    FAILS(XENVNET_ERROR_BUSY, "another guard is on the watch", xenvnet_sentinel_new(host, &sentinel, &error));
    CHECK(look(guard) == XENVNET_UNCONFIRMED_NOTHING);
    WORKS(xenvnet_run_json_provisionally(host, start, 60000, &changed, &error));
    CHECK(changed && leads_out("xenbr0", "eth0"));
    CHECK(look(guard) == XENVNET_UNCONFIRMED_WAITING);
    WORKS(xenvnet_confirm(host, &changed, &error));
    CHECK(changed);
    WORKS(xenvnet_confirm(host, &changed, &error));
    CHECK(!changed);
    CHECK(look(guard) == XENVNET_UNCONFIRMED_NOTHING && leads_out("xenbr0", "eth0"));
    CHANGES(xenvnet_stop_network(host, "network-bridge bridge=xenbr0", &changed, &error));

    /* Nobody confirms. */
    WORKS(xenvnet_run_json_provisionally(host, start, 250, &changed, &error));
    while ((seen = look(guard)) == XENVNET_UNCONFIRMED_WAITING)
        ;
    CHECK(seen == XENVNET_UNCONFIRMED_PUT_BACK);
    CHECK(is_as_before());
    WORKS(xenvnet_confirm(host, &changed, &error));
    CHECK(!changed);
    relieve(guard);

    /* It stays while something waits. */
    {
        xenvnet_sentinel *second = NULL;
        bool left = true;

        WORKS(xenvnet_sentinel_new(host, &sentinel, &error));
        WORKS(xenvnet_run_json_provisionally(host, start, 60000, &changed, &error));
        WORKS(xenvnet_sentinel_leave(sentinel, &left, &error));
        CHECK(!left);
        FAILS(XENVNET_ERROR_BUSY, "another guard is on the watch", xenvnet_sentinel_new(host, &second, &error));
        WORKS(xenvnet_sentinel_look(sentinel, &seen, NULL, NULL, &error));
        CHECK(seen == XENVNET_UNCONFIRMED_WAITING);
        WORKS(xenvnet_confirm(host, &changed, &error));
        IS_NULL("left", xenvnet_sentinel_leave(sentinel, NULL, &error));
        WORKS(xenvnet_sentinel_leave(sentinel, &left, &error));
        CHECK(left);
        WORKS(xenvnet_sentinel_new(host, &second, &error));
        xenvnet_sentinel_free(second);
        FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "this sentinel left",
              xenvnet_sentinel_look(sentinel, &seen, NULL, NULL, &error));
        left = false;
        WORKS(xenvnet_sentinel_leave(sentinel, &left, &error));
        CHECK(left);
        xenvnet_sentinel_free(sentinel);
        CHANGES(xenvnet_stop_network(host, "network-bridge bridge=xenbr0", &changed, &error));
        CHECK(is_as_before());
    }

    /* One that nobody asks for details, and that outlives its host. */
    {
        xenvnet *other = NULL;

        WORKS(xenvnet_sentinel_new(host, &sentinel, &error));
        WORKS(xenvnet_run_json_provisionally(host, start, 0, &changed, &error));
        other = host;
        host = NULL;
        xenvnet_free(other);
        WORKS(xenvnet_sentinel_look(sentinel, &seen, NULL, NULL, &error));
        CHECK(seen == XENVNET_UNCONFIRMED_PUT_BACK && is_as_before());
        IS_NULL("seen", xenvnet_sentinel_look(sentinel, NULL, NULL, NULL, &error));
        xenvnet_sentinel_free(sentinel);
    }
}

static const char *state_dir;

/* In a child: with a file system on / that only the network could have, and that nobody serves. */
static bool is_careful_of_its_root(void)
{
    xenvnet *careful = NULL, *daring = NULL;
    int fuse = open("/dev/fuse", O_RDWR), before = failed;
    char options[80];

    CHECK(unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
    CHECK(mount("store:/root", "/", "fuse.sshfs", 0, options) == 0);

    WORKS(xenvnet_new_with(-1, state_dir, 0, &careful, &error));
    FAILS(XENVNET_ERROR_CONFLICT, "the root file system (fuse.sshfs) is on the network, and may be reached by eth0",
          xenvnet_start_network(careful, "network-bridge bridge=xenbr0", NULL, &error));
    CHECK(is_as_before());
    xenvnet_free(careful);
    FAILS(XENVNET_ERROR_UNSUPPORTED, "this version knows no flag 0x80000000",
          xenvnet_new_with(-1, state_dir, 1u << 31, &daring, &error));
    WORKS(xenvnet_new_with(-1, state_dir, XENVNET_EVEN_WITH_NETWORK_ROOT, &daring, &error));
    CHANGES(xenvnet_start_network(daring, "network-bridge bridge=xenbr0", &changed, &error));
    CHECK(leads_out("xenbr0", "eth0"));
    CHANGES(xenvnet_stop_network(daring, "network-bridge bridge=xenbr0", &changed, &error));
    CHECK(is_as_before());
    xenvnet_free(daring);
    close(fuse);
    return failed == before;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: modes STATE-DIR\n");
        return 2;
    }
    CHECK(shell("ip link set lo up && ip link add eth0 type veth peer name lan0 && ip link add spare0 type veth && "
                "ip addr add " CARD " dev eth0 && ip link set lan0 up && ip link set eth0 up && "
                "ip route add default via 192.0.2.1 dev eth0"));
    WORKS(xenvnet_new_in(-1, argv[1], &host, &error));
    if (host) {
        carriers();
        networks();
        forwards();
        accounts();
        /* An ordinary user may not be let near FUSE. */
        state_dir = argv[1];
        if (access("/dev/fuse", R_OK | W_OK) == 0)
            CHECK(in_child(is_careful_of_its_root));
        confirmations();
    }
    xenvnet_free(host);
    return report();
}
