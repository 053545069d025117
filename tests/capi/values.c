/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What needs no kernel: values, plans as data, and the conventions at the head of xenvnet.h.
 * values MAC-VECTORS: the file tests/data/mac-from-ip.txt.
 */
#include "check.h"

#ifdef XENVNET_TEST_PANIC
/* In debug builds of the library alone, and in no header. */
int xenvnet_test_panic(xenvnet_error **error);
#endif

static void versions(void)
{
    char numbers[32];

    CHECK(!strcmp(xenvnet_version(), XENVNET_VERSION));
    snprintf(numbers, sizeof numbers, "%d.%d.%d", XENVNET_VERSION_MAJOR, XENVNET_VERSION_MINOR, XENVNET_VERSION_PATCH);
    CHECK(!strcmp(numbers, XENVNET_VERSION));
}

static void codes(void)
{
    CHECK(!strcmp(xenvnet_code_name(XENVNET_OK), "ok"));
    CHECK(!strcmp(xenvnet_code_name(XENVNET_ERROR_NOT_FOUND), "not_found"));
    CHECK(!strcmp(xenvnet_code_name(XENVNET_ERROR_PANIC), "panic"));
    CHECK(xenvnet_code_name(99) == NULL);
    CHECK(xenvnet_code_name(-1) == NULL);

    CHECK(!strcmp(xenvnet_severity_name(XENVNET_SEVERITY_NONE), "none"));
    CHECK(!strcmp(xenvnet_severity_name(XENVNET_SEVERITY_HOLE), "hole"));
    CHECK(xenvnet_severity_name(XENVNET_SEVERITY_HOLE + 1) == NULL);
    CHECK(xenvnet_severity_name(-1) == NULL);
    CHECK(XENVNET_SEVERITY_NOTE < XENVNET_SEVERITY_FAULT && XENVNET_SEVERITY_FAULT < XENVNET_SEVERITY_HOLE);
}

static void mac_vectors(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256], ip[64], prefix[16], expected[32], *mac;
    xenvnet_error *error = NULL;
    int seen = 0;

    CHECK(file != NULL);
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || sscanf(line, "%63s %15s %31s", ip, prefix, expected) != 3)
            continue;
        mac = NULL;
        WORKS(xenvnet_mac_from_ip(ip, prefix, &mac, &error));
        CHECK(mac && !strcmp(mac, expected));
        xenvnet_string_free(mac);
        seen++;
    }
    fclose(file);
    CHECK(seen >= 12);
}

static void macs(void)
{
    xenvnet_error *error = NULL;
    char *mac = NULL, *untouched;

    WORKS(xenvnet_mac_from_ip("10.98.98.2", NULL, &mac, &error));
    CHECK(mac && !strcmp(mac, "2e:00:0a:62:62:02"));
    xenvnet_string_free(mac);
    mac = NULL;
    WORKS(xenvnet_mac_random_xen(&mac, &error));
    CHECK(mac && strlen(mac) == 17 && !strncmp(mac, "00:16:3e:", 9));

    {
        const char *taken[] = { mac, "00:16:3e:00:00:01" };
        char *other = NULL;

        WORKS(xenvnet_mac_random_xen_avoiding(taken, 2, &other, &error));
        CHECK(other && !strncmp(other, "00:16:3e:", 9) && strcmp(other, mac) && strcmp(other, taken[1]));
        xenvnet_string_free(other);
        other = NULL;
        WORKS(xenvnet_mac_random_local_avoiding(NULL, 0, &other, &error));
        CHECK(other && strlen(other) == 17 && strchr("26ae", other[1]));
        xenvnet_string_free(other);
        taken[1] = "00:16";
        FAILS(XENVNET_ERROR_PARSE, "MAC address", xenvnet_mac_random_xen_avoiding(taken, 2, &other, &error));
    }
    CHECK(xenvnet_mac_collision_odds(1000, 24) > 0.029 && xenvnet_mac_collision_odds(1000, 24) < 0.0295);
    CHECK(xenvnet_mac_collision_odds(1, 24) == 0.0 && xenvnet_mac_collision_odds(3, 1) == 1.0);

    /* An out-argument is not touched by a failure, and an error may go unasked for. */
    untouched = mac;
    FAILS(XENVNET_ERROR_PARSE, "\"10.98.98\" is no IP address", xenvnet_mac_from_ip("10.98.98", NULL, &mac, &error));
    FAILS(XENVNET_ERROR_PARSE, "MAC prefix", xenvnet_mac_from_ip("10.0.0.1", "2e", &mac, &error));
    CHECK(xenvnet_mac_from_ip("10.0.0.1", "00:16", &mac, NULL) == XENVNET_ERROR_INVALID_ARGUMENT);
    CHECK(mac == untouched);
    xenvnet_string_free(mac);
}

static void errors(void)
{
    xenvnet_error *error = NULL;
    xenvnet_bridge *bridge = NULL;
    char *mac = NULL;

    CHECK(xenvnet_error_kind(NULL) == XENVNET_OK);
    CHECK(xenvnet_error_message(NULL) == NULL);
    CHECK(xenvnet_error_advice(NULL) == NULL);
    CHECK(xenvnet_error_errno(NULL) == 0);
    CHECK(xenvnet_error_offset(NULL) == -1);

    CHECK(xenvnet_bridge_new("xen/br0", &bridge, &error) == XENVNET_ERROR_PARSE);
    CHECK(bridge == NULL);
    CHECK(xenvnet_error_offset(error) == 3);
    CHECK(xenvnet_error_errno(error) == 0);
    CHECK(xenvnet_error_advice(error) == NULL);
    xenvnet_error_free(error);
    error = NULL;

    CHECK(xenvnet_mac_from_ip("10.0.0.1", "01:00", &mac, &error) == XENVNET_ERROR_INVALID_ARGUMENT);
    CHECK(xenvnet_error_advice(error) && strstr(xenvnet_error_advice(error), "2, 6, a or e"));
    CHECK(xenvnet_error_offset(error) == -1);
    xenvnet_error_free(error);
    error = NULL;

    /* An open descriptor that is not there: the kernel's own number comes along. */
    {
        xenvnet *host = NULL;

        CHECK(xenvnet_new_in(999999, NULL, &host, &error) == XENVNET_ERROR_INVALID_ARGUMENT);
        CHECK(host == NULL && xenvnet_error_errno(error) != 0);
        xenvnet_error_free(error);
        error = NULL;
        FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "descriptor -2", xenvnet_new_in(-2, NULL, &host, &error));
        CHECK(host == NULL);
    }
}

static void locks(void)
{
    xenvnet_error *error = NULL;
    xenvnet_antispoof *lock = NULL;

    WORKS(xenvnet_antispoof_new("00:16:3e:00:00:01", &lock, &error));
    WORKS(xenvnet_antispoof_add_mac(lock, "00:16:3e:00:00:02", &error));
    WORKS(xenvnet_antispoof_add_ip(lock, "10.98.98.2", &error));
    WORKS(xenvnet_antispoof_add_ip(lock, "2001:db8:8::/64", &error));
    WORKS(xenvnet_antispoof_set_dhcp_client(lock, true, &error));
    WORKS(xenvnet_antispoof_set_link_local(lock, false, &error));
    FAILS(XENVNET_ERROR_PARSE, "\"nonsense\" is no IP address or prefix",
          xenvnet_antispoof_add_ip(lock, "nonsense", &error));
    xenvnet_antispoof_free(lock);

    /* Nothing and everything have no addresses that could be added. */
    WORKS(xenvnet_antispoof_new_disabled(&lock, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "an IP address", xenvnet_antispoof_add_ip(lock, "10.0.0.1", &error));
    xenvnet_antispoof_free(lock);
    WORKS(xenvnet_antispoof_new_unlocked(&lock, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "a MAC address",
          xenvnet_antispoof_add_mac(lock, "00:16:3e:00:00:01", &error));
    xenvnet_antispoof_free(lock);
}

/* What belongs to bridged vifs alone, or to routed ones, is refused for the others. */
static void attachments(void)
{
    xenvnet_error *error = NULL;
    xenvnet_antispoof *lock = NULL;
    xenvnet_attachment *bridged = NULL, *routed = NULL;

    WORKS(xenvnet_antispoof_new("00:16:3e:00:00:01", &lock, &error));
    WORKS(xenvnet_attachment_new("vif1.0", "xenbr0", lock, &bridged, &error));
    WORKS(xenvnet_attachment_new_routed("vif1.0", lock, &routed, &error));
    xenvnet_antispoof_free(lock);

    WORKS(xenvnet_attachment_set_isolated(bridged, true, &error));
    WORKS(xenvnet_attachment_set_untracked(bridged, true, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "cannot give a gateway to vif1.0: it is to be a port of xenbr0",
          xenvnet_attachment_add_gateway(bridged, "10.0.0.1", &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "cannot route to vif1.0: ",
          xenvnet_attachment_add_route(bridged, "10.0.0.2", &error));
    CHECK(xenvnet_attachment_set_dom0(bridged, "closed", &error) == XENVNET_ERROR_INVALID_ARGUMENT);
    CHECK(xenvnet_error_advice(error) && strstr(xenvnet_error_advice(error), "xenvnet_set_dom0()"));
    xenvnet_error_free(error);
    error = NULL;

    WORKS(xenvnet_attachment_add_gateway(routed, "10.0.0.1", &error));
    WORKS(xenvnet_attachment_add_gateway(routed, "fe80::1", &error));
    WORKS(xenvnet_attachment_add_route(routed, "10.0.0.2", &error));
    WORKS(xenvnet_attachment_add_route(routed, "2001:db8:8::/64", &error));
    WORKS(xenvnet_attachment_set_dom0(routed, "services(dns,tcp:22)", &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "cannot isolate vif1.0: it is no port of a bridge",
          xenvnet_attachment_set_isolated(routed, true, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "cannot untrack vif1.0: ",
          xenvnet_attachment_set_untracked(routed, true, &error));

    FAILS(XENVNET_ERROR_PARSE, "\"10.0.0.1/24\" is no IP address",
          xenvnet_attachment_add_gateway(routed, "10.0.0.1/24", &error));
    FAILS(XENVNET_ERROR_PARSE, "\"10.0.0.0/33\" is no", xenvnet_attachment_add_route(routed, "10.0.0.0/33", &error));
    FAILS(XENVNET_ERROR_PARSE, "\"shut\" is no setting for dom0", xenvnet_attachment_set_dom0(routed, "shut", &error));
    CHECK(xenvnet_attachment_set_dom0(routed, "services(dns,dhc)", &error) == XENVNET_ERROR_PARSE);
    CHECK(xenvnet_error_offset(error) == 13);
    CHECK(xenvnet_error_advice(error) && strstr(xenvnet_error_advice(error), "did you mean dhcp?"));
    xenvnet_error_free(error);
    xenvnet_attachment_free(bridged);
    xenvnet_attachment_free(routed);
}

static void plans(void)
{
    static const char json[] = "[{\"step\":\"up\",\"link\":\"xenbr0\"},"
                               "{\"step\":\"add_address\",\"link\":\"xenbr0\",\"address\":\"10.0.0.1/24\"}]";
    xenvnet_error *error = NULL;
    xenvnet_plan *plan = NULL, *inverse = NULL, *twice = NULL;
    char *text = NULL, *again = NULL;

    WORKS(xenvnet_plan_from_json(json, &plan, &error));
    CHECK(xenvnet_plan_length(plan) == 2);
    WORKS(xenvnet_plan_text(plan, &text, &error));
    CHECK(text && !strcmp(text, "~ xenbr0: up\n+ xenbr0: address 10.0.0.1/24\n"));
    xenvnet_string_free(text);

    WORKS(xenvnet_plan_to_json(plan, &text, &error));
    CHECK(text && !strcmp(text, json));

    WORKS(xenvnet_plan_inverse(plan, &inverse, &error));
    WORKS(xenvnet_plan_text(inverse, &again, &error));
    CHECK(again && !strcmp(again, "- xenbr0: address 10.0.0.1/24\n~ xenbr0: down\n"));
    xenvnet_string_free(again);

    /* What was made of a plan outlives it. */
    xenvnet_plan_free(plan);
    WORKS(xenvnet_plan_inverse(inverse, &twice, &error));
    WORKS(xenvnet_plan_to_json(twice, &again, &error));
    CHECK(text && again && !strcmp(text, again));
    xenvnet_string_free(text);
    xenvnet_string_free(again);
    xenvnet_plan_free(inverse);
    xenvnet_plan_free(twice);

    plan = NULL;
    FAILS(XENVNET_ERROR_PARSE, "unknown variant `fly`", xenvnet_plan_from_json("[{\"step\":\"fly\"}]", &plan, &error));
    CHECK(xenvnet_plan_from_json("[\n {\"step\":\"fly\"}]", &plan, &error) == XENVNET_ERROR_PARSE);
    CHECK(xenvnet_error_offset(error) > 3 && xenvnet_error_offset(error) < 18);
    xenvnet_error_free(error);
    CHECK(plan == NULL);
}

struct log {
    int lines, level;
    char last[256];
};

static void keep(int level, const char *target, const char *message, void *data)
{
    struct log *log = data;

    log->lines++;
    log->level = level;
    snprintf(log->last, sizeof log->last, "%s: %s", target, message);
}

static void logging_and_panics(void)
{
    static struct log log;
    xenvnet_error *error = NULL;

    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "6 is no log level", xenvnet_set_logger(6, keep, &log, &error));
    FAILS(XENVNET_ERROR_INVALID_ARGUMENT, "-1 is no log level", xenvnet_set_logger(-1, keep, &log, &error));
    WORKS(xenvnet_set_logger(XENVNET_LOG_WARN, keep, &log, &error));
    FAILS(XENVNET_ERROR_ALREADY_EXISTS, "it stays to the end",
          xenvnet_set_logger(XENVNET_LOG_TRACE, keep, NULL, &error));

#ifdef XENVNET_TEST_PANIC
    CHECK(xenvnet_test_panic(NULL) == XENVNET_ERROR_PANIC);
    CHECK(log.lines == 1 && log.level == XENVNET_LOG_ERROR && strstr(log.last, "on purpose"));
    CHECK(xenvnet_test_panic(&error) == XENVNET_ERROR_PANIC);
    CHECK(xenvnet_error_advice(error) && strstr(xenvnet_error_advice(error), "report"));
    FAILS(XENVNET_ERROR_PANIC, "the library panicked: on purpose", xenvnet_error_kind(error));
    CHECK(log.lines == 2);
#endif
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: values MAC-VECTORS\n");
        return 2;
    }
    versions();
    codes();
    mac_vectors(argv[1]);
    macs();
    errors();
    locks();
    attachments();
    plans();
    logging_and_panics();
    return report();
}
