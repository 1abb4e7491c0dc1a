// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/redis_driver.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/events/redis_private.h"

struct redis_driver driver;

static redisReply *last_reply;

/* --- the server ----------------------------------------------------------------------------- */

static void run_server(void)
{
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(log, 1);
    dup2(log, 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    unsetenv("LD_PRELOAD");
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", "s", "--save", "",
           "--daemonize", "no", "--hz", "100", NULL);
    _exit(127);
}

static redisContext *context(void)
{
    char path[80];
    snprintf(path, sizeof(path), "%s/s", driver.folder);
    if (driver.context && driver.context_of == getpid() && !driver.context->err)
        return driver.context;
    if (driver.context)
        redisFree(driver.context);
    driver.context = redisConnectUnix(path);
    driver.context_of = getpid();
    return driver.context;
}

static bool answers(void)
{
    redisContext *c = context();
    redisReply *reply = c && !c->err ? redisCommand(c, "PING") : NULL;
    bool yes = reply && reply->type == REDIS_REPLY_STATUS;
    if (reply)
        freeReplyObject(reply);
    return yes;
}

void redis_driver_start(void)
{
    uint64_t until = clock_mono_ns() + PATIENCE_NS;
    signal(SIGPIPE, SIG_IGN); /* hiredis writes to sockets that may be closed */
    if (!*driver.folder) {
        strcpy(driver.folder, "/tmp/objectd-redis-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(driver.folder));
        snprintf(driver.url, sizeof(driver.url), "unix://%s/s", driver.folder);
    }
    driver.pid = fork();
    ck_assert_int_ge(driver.pid, 0);
    if (driver.pid == 0) {
        if (chdir(driver.folder) == 0)
            run_server();
        _exit(127);
    }
    while (!answers()) {
        ck_assert_msg(waitpid(driver.pid, NULL, WNOHANG) == 0, "redis-server does not start");
        ck_assert_uint_lt(clock_mono_ns(), until);
        usleep(2000);
    }
}

void redis_driver_kill(void)
{
    kill(driver.pid, SIGKILL);
    waitpid(driver.pid, NULL, 0);
}

static bool is_frozen(void)
{
    char path[64], state = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)driver.pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
    fclose(file);
    return state == 'T';
}

void redis_driver_freeze(void)
{
    kill(driver.pid, SIGSTOP);
    while (!is_frozen())
        usleep(500);
}

void redis_driver_stop(void)
{
    static const char *const files[] = {"log", "s"};
    char path[128];
    redis_driver_kill();
    if (last_reply)
        freeReplyObject(last_reply);
    last_reply = NULL;
    if (driver.context)
        redisFree(driver.context);
    driver.context = NULL;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", driver.folder, files[i]);
        unlink(path);
    }
    rmdir(driver.folder);
    driver.folder[0] = '\0';
}

static redisReply *command(const char *format, va_list ap)
{
    if (last_reply)
        freeReplyObject(last_reply);
    last_reply = redisvCommand(context(), format, ap);
    ck_assert_ptr_nonnull(last_reply);
    ck_assert_msg(last_reply->type != REDIS_REPLY_ERROR, "%s: %s", format, last_reply->str);
    return last_reply;
}

redisReply *redis_driver_command(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    redisReply *reply = command(format, ap);
    va_end(ap);
    return reply;
}

long long redis_driver_number(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    redisReply *reply = command(format, ap);
    va_end(ap);
    ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
    return reply->integer;
}

/* NULL: it is not pending. */
static redisReply *line_of(const struct delivery *delivery)
{
    char id[64];
    snprintf(id, sizeof(id), "%lu-%lu", delivery->id.high, delivery->id.low);
    redisReply *reply = redis_driver_command("XPENDING s g %s %s 1", id, id);
    return reply->elements > 0 ? reply->element[0] : NULL;
}

long long redis_driver_deliveries(const struct delivery *delivery, char *owner, size_t size)
{
    redisReply *line = line_of(delivery);
    if (!line)
        return -1;
    snprintf(owner, size, "%s", line->element[1]->str);
    return line->element[3]->integer;
}

long long redis_driver_idle_ms(const struct delivery *delivery)
{
    redisReply *line = line_of(delivery);
    return line ? line->element[2]->integer : -1;
}

long long redis_driver_pending(const char *consumer)
{
    return (long long)redis_driver_command("XPENDING s g - + 10000 %s", consumer)->elements;
}

void redis_driver_age(uint64_t idle_ms)
{
    redisReply *lines = redisCommand(context(), "XPENDING s g - + 10000");
    ck_assert_int_eq(lines->type, REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < lines->elements; i++)
        redis_driver_command("XCLAIM s g %s 0 %s IDLE %lu JUSTID",
                             lines->element[i]->element[1]->str, lines->element[i]->element[0]->str,
                             idle_ms);
    freeReplyObject(lines);
}

/* --- the backend ---------------------------------------------------------------------------- */

struct backend *redis_driver_open(struct redis_driver_options options)
{
    char error[256] = "";
    struct redis_settings settings = {
        .url = options.url ? options.url : driver.url,
        .stream = "s",
        .group = "g",
        .consumer = options.consumer ? options.consumer : "a",
        .dead_letters = "s:dlq",
        .max_retries = options.max_retries ? options.max_retries : 3,
        .claim_min_idle_ns = options.claim_min_idle_ns ? options.claim_min_idle_ns : 30 * NS_PER_S,
        .timeout_ns = options.timeout_ns ? options.timeout_ns : PATIENCE_NS};
    struct backend *b = redis_backend_open(&settings, error, sizeof(error));
    ck_assert_msg(b != NULL, "%s", error);
    return b;
}

static void turn(struct backend *b, uint64_t until)
{
    struct pollfd in = {.fd = backend_fd(b), .events = POLLIN};
    uint64_t now = clock_mono_ns(), at = backend_deadline(b);
    at = at < until ? at : until;
    uint64_t ms = at > now ? (at - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    poll(&in, 1, (int)(ms < 1000 ? ms : 1000));
    backend_progress(b);
}

void redis_driver_run(struct backend *b, uint64_t ns)
{
    uint64_t until = clock_mono_ns() + ns;
    while (clock_mono_ns() < until)
        turn(b, until);
}

static void note(struct backend_call *call, int result)
{
    struct driven_call *driven = (struct driven_call *)call;
    ck_assert(!driven->done);
    driven->done = true;
    driven->result = result;
}

void driven_call_init(struct driven_call *call)
{
    *call = (struct driven_call){.call.done = note};
}

int driven_call_wait(struct backend *b, struct driven_call *call, int result)
{
    uint64_t until = clock_mono_ns() + PATIENCE_NS;
    if (result != -EINPROGRESS)
        return result;
    while (!call->done) {
        ck_assert_msg(clock_mono_ns() < until, "not done: %s", backend_error(b));
        turn(b, until);
    }
    return call->result;
}

struct event *redis_driver_event(const char *payload)
{
    uint8_t id[EVENT_ID_SIZE];
    event_id_make(id);
    struct event *event = event_new(id, 1700000000000000, span_of("TEST"), span_of(payload));
    ck_assert_ptr_nonnull(event);
    return event;
}

int redis_driver_enqueue(struct backend *b, int first, size_t count)
{
    struct event **events = calloc(count, sizeof(*events));
    struct driven_call call;
    char payload[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(payload, sizeof(payload), "{\"n\":%d}", first + (int)i);
        events[i] = redis_driver_event(payload);
    }
    driven_call_init(&call);
    int result = driven_call_wait(b, &call, backend_enqueue(b, events, count, &call.call));
    for (size_t i = 0; i < count; i++)
        event_release(events[i]);
    free(events);
    return result;
}

static void note_pull(struct backend_call *call, int result)
{
    struct driven_pull *driven = (struct driven_pull *)call;
    ck_assert(!driven->done);
    driven->done = true;
    driven->result = result;
}

int driven_pull_start(struct backend *b, struct driven_pull *pull, struct delivery *into,
                      uint64_t wait_ns)
{
    *pull = (struct driven_pull){
        .pull = {.call.done = note_pull, .into = into, .room = 1, .wait_ns = wait_ns}};
    return backend_pull(b, &pull->pull);
}

int driven_pull_wait(struct backend *b, struct driven_pull *pull, int result)
{
    uint64_t until = clock_mono_ns() + PATIENCE_NS;
    while (result == -EINPROGRESS && !pull->done) {
        ck_assert_msg(clock_mono_ns() < until, "no end of a pull: %s", backend_error(b));
        turn(b, until);
    }
    result = pull->done ? pull->result : result;
    return result < 0 ? result : (int)pull->pull.count;
}

int redis_driver_pull(struct backend *b, struct delivery *delivery, uint64_t wait_ns)
{
    struct driven_pull pull;
    return driven_pull_wait(b, &pull, driven_pull_start(b, &pull, delivery, wait_ns));
}

struct driven_health {
    struct health_call call;
    bool done;
    int result;
};

static void note_health(struct backend_call *call, int result)
{
    struct driven_health *driven = (struct driven_health *)call;
    driven->done = true;
    driven->result = result;
}

int redis_driver_health(struct backend *b, struct backend_health *health)
{
    struct driven_health driven = {.call.call.done = note_health};
    uint64_t until = clock_mono_ns() + PATIENCE_NS;
    int result = backend_health(b, &driven.call);
    while (result == -EINPROGRESS && !driven.done) {
        ck_assert_msg(clock_mono_ns() < until, "no end of health: %s", backend_error(b));
        turn(b, until);
    }
    *health = driven.call.health;
    return driven.done ? driven.result : result;
}

int redis_driver_ack(struct backend *b, const struct delivery *delivery, struct event *emitted)
{
    struct driven_call call;
    driven_call_init(&call);
    return driven_call_wait(b, &call,
                            backend_ack(b, delivery, 1, &emitted, emitted != NULL, &call.call));
}

int redis_driver_n(const struct delivery *delivery)
{
    struct span json;
    int n = -1;
    ck_assert_int_eq(event_payload(delivery->event, &json), 0);
    char *text = span_dup(json);
    ck_assert_int_eq(sscanf(text, "{\"n\":%d}", &n), 1);
    free(text);
    return n;
}

int redis_driver_next(struct backend *b)
{
    ck_assert_int_eq(redis_driver_pull(b, &driver.got, WAIT), 1);
    return redis_driver_n(&driver.got);
}

void redis_driver_finish(struct backend *b)
{
    ck_assert_int_eq(redis_driver_ack(b, &driver.got, NULL), 0);
    event_release(driver.got.event);
}

void redis_driver_read_ahead(struct backend *b, int events)
{
    struct redis_backend *redis = redis_backend_of(b);
    redis->read_ahead = 64;
    ck_assert_int_eq(redis_driver_enqueue(b, 0, (size_t)events), 0);
    for (int i = 0; i < events / 2; i++) {
        redis->reading.window_ns = clock_mono_ns(); /* a quick one, however busy the machine is */
        ck_assert_int_eq(redis_driver_next(b), i);
        if (redis->ahead.count > 4)
            return;
        redis_driver_finish(b);
    }
    ck_abort_msg("nothing is read ahead");
}
