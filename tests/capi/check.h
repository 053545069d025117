/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the C programs check with: a line for each failure, and a count at the end. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>
#include <xenvnet.h>

static int passed, failed;

static void check(bool holds, const char *what, const char *file, int line)
{
    if (holds) {
        passed++;
        return;
    }
    failed++;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
}

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

/* The call gives this code, and the error says so and contains this text. Frees the error. */
static void check_fails(int code, int rc, xenvnet_error **error, const char *text, const char *what, const char *file,
                        int line)
{
    const char *message = xenvnet_error_message(*error);
    bool holds = rc == code && xenvnet_error_kind(*error) == code && message && strstr(message, text);

    check(holds, what, file, line);
    if (!holds)
        fprintf(stderr, "  it gave %d (%s): %s\n  not %d: ...%s...\n", rc, xenvnet_code_name(rc),
                message ? message : "no message", code, text);
    xenvnet_error_free(*error);
    *error = NULL;
}

/* The call works, and there is no error. */
static void check_works(int rc, xenvnet_error **error, const char *what, const char *file, int line)
{
    check(rc == XENVNET_OK && *error == NULL, what, file, line);
    if (*error) {
        fprintf(stderr, "  it gave %d (%s): %s\n", rc, xenvnet_code_name(rc), xenvnet_error_message(*error));
        if (xenvnet_error_advice(*error))
            fprintf(stderr, "  %s\n", xenvnet_error_advice(*error));
    }
    xenvnet_error_free(*error);
    *error = NULL;
}

#define FAILS(code, text, call) check_fails((code), (call), &error, (text), #call, __FILE__, __LINE__)
/* The call gets NULL for this argument, and says so. */
#define IS_NULL(argument, call) FAILS(XENVNET_ERROR_NULL, "the argument " argument " is NULL", call)
#define WORKS(call) check_works((call), &error, #call, __FILE__, __LINE__)

static int report(void)
{
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}

#endif
