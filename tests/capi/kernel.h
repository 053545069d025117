/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the programs that need a kernel share: a host, an administrator's eyes, other namespaces. */
#ifndef KERNEL_H
#define KERNEL_H

#define _GNU_SOURCE
#include "check.h"
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static xenvnet *host;
static xenvnet_error *error;

/* What an administrator would type; whether it succeeds. */
static inline bool shell(const char *command)
{
    fflush(NULL);
    return system(command) == 0;
}

/* The number in a file under /proc/sys, which follows the namespace of the thread. */
static inline int sysctl(const char *path)
{
    FILE *file = fopen(path, "r");
    int value = -1;

    if (!file || fscanf(file, "%d", &value) != 1)
        value = -1;
    if (file)
        fclose(file);
    return value;
}

/* The call works and had to change something; the same again works and had not. */
#define CHANGES(call_with_changed)                 \
    do {                                           \
        bool changed = false;                      \
        WORKS(call_with_changed);                  \
        CHECK(changed && #call_with_changed);      \
        WORKS(call_with_changed);                  \
        CHECK(!changed && "again " #call_with_changed); \
    } while (0)

static inline xenvnet_antispoof *lock_of(const char *mac, const char *ip)
{
    xenvnet_antispoof *lock = NULL;

    WORKS(xenvnet_antispoof_new(mac, &lock, &error));
    WORKS(xenvnet_antispoof_add_ip(lock, ip, &error));
    return lock;
}

/* Runs in a child, which keeps nothing: whether the function says true there. */
static inline bool in_child(bool (*function)(void))
{
    int status = -1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(function() ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* A network namespace that no thread of this program is in: that of a child, which only waits. */
struct namespace {
    pid_t pid;
    int end;
};

static inline struct namespace open_namespace(void)
{
    struct namespace place;
    int ready[2], done[2];
    char byte = 0;

    CHECK(pipe(ready) == 0 && pipe(done) == 0);
    fflush(NULL);
    place.pid = fork();
    if (place.pid == 0) {
        close(done[1]);
        if (unshare(CLONE_NEWNET) != 0 || write(ready[1], &byte, 1) != 1)
            _exit(1);
        _exit(read(done[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ready[1]);
    close(done[0]);
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    place.end = done[1];
    return place;
}

static inline void close_namespace(struct namespace place)
{
    close(place.end);
    waitpid(place.pid, NULL, 0);
}

#endif
