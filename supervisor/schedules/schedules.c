// SPDX-License-Identifier: Apache-2.0
#include "supervisor/schedules/schedules.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/metric.h"
#include "supervisor/objects/object.h"
#include "supervisor/schedules/schedule_save.h"
#include "supervisor/schedules/schedule_tick.h"
#include "supervisor/schedules/schedules_private.h"
#include "supervisor/state/store.h"
#include "supervisor/state/timer_image.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define STARTS_NS     (2 * NS_PER_MS) /* of one round: missed times are counted one by one */
#define LEAST_STEP_US 1000            /* less is how long it takes to read two clocks */

int64_t schedules_now_us(void)
{
    return (int64_t)clock_wall_us();
}

/* --- the timer --- */

static bool is_cancelled(int result)
{
    return result < 0 && errno == ECANCELED;
}

static int arm_timer(struct schedules *all)
{
    const struct schedule *first = schedule_heap_first(&all->heap);
    struct itimerspec at = {.it_value = {0, 0}};
    bool is_full = all->running >= all->station->config.ticks_max;
    if (first && !is_full && all->is_started && !all->station->stopping) {
        at.it_value.tv_sec = first->due_us / (int64_t)US_PER_S;
        at.it_value.tv_nsec = first->due_us % (int64_t)US_PER_S * 1000 + 1; /* 0 would disarm */
    }
    return timerfd_settime(all->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
}

/* --- the wall clock --- */

static int64_t clock_offset_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return schedules_now_us() - t.tv_sec * (int64_t)US_PER_S - t.tv_nsec / 1000;
}

static void step(struct schedules *all, struct schedule *s, int64_t by_us, int64_t now_us)
{
    bool is_owed = s->tick || s->due_us != s->next_us; /* its time has come, and stays */
    int64_t before = s->next_us;
    if (s->when.kind == WHEN_EVERY || !is_owed)
        s->next_us = when_step(&s->when, before, s->last_us, by_us, now_us);
    s->due_us += is_owed ? by_us : s->next_us - before;
    if (s->tick)
        schedule_tick_step(s->tick, by_us, now_us);
    if (s->heap_at)
        schedule_heap_put(&all->heap, s);
}

static void follow_clock(struct schedules *all)
{
    int64_t offset = clock_offset_us(), by = offset - all->clock_offset_us;
    int64_t now = schedules_now_us();
    if (llabs(by) < LEAST_STEP_US)
        return;
    all->clock_offset_us = offset;
    log_info("the clock was set by %+.3f s: schedules follow", (double)by / 1e6);
    for (struct schedule *s = all->table.by_key; s; s = s->hh.next)
        step(all, s, by, now);
}

/* The kernel tells once that the clock was set: whoever asks first. */
static void set_timer(struct schedules *all)
{
    int err = arm_timer(all);
    if (is_cancelled(err)) {
        follow_clock(all);
        err = arm_timer(all);
    }
    if (err < 0 && !is_cancelled(err))
        log_warn("the timer of the schedules cannot be set: %m");
}

static void hear_timer(struct schedules *all)
{
    uint64_t expirations;
    if (is_cancelled((int)read(all->timer_fd, &expirations, sizeof(expirations))))
        follow_clock(all);
}

/* --- what is due --- */

void schedules_look(struct schedules *all)
{
    hear_timer(all);
    int64_t now = schedules_now_us();
    uint64_t until_ns = clock_mono_ns() + STARTS_NS;
    if (!all->is_started)
        return;
    while (!all->station->stopping && all->running < all->station->config.ticks_max &&
           clock_mono_ns() < until_ns) {
        struct schedule *s = schedule_heap_first(&all->heap);
        if (!s || s->due_us > now)
            break;
        schedule_heap_take(&all->heap, s);
        schedule_tick_start(all, s, now);
    }
    set_timer(all);
}

void schedules_look_later(struct schedules *all)
{
    if (all->is_started)
        set_timer(all);
}

void schedules_arm(struct schedules *all, struct schedule *s)
{
    if (s->is_dead || s->tick)
        return;
    if (*s->suspended)
        schedule_heap_take(&all->heap, s);
    else
        schedule_heap_put(&all->heap, s);
}

static void on_timer(void *arg, uint32_t events)
{
    (void)events;
    schedules_look(arg);
}

/* --- start and end --- */

/* A clock or a zone that was another one then must not put it off. */
static void correct_next(struct schedule *s, int64_t now_us)
{
    int64_t ran_us = s->when.kind == WHEN_EVERY ? s->next_us : s->last_us;
    int64_t next = when_next_after(&s->when, ran_us, now_us);
    if (s->when.kind != WHEN_ONCE && s->next_us > next)
        s->next_us = s->due_us = next;
}

static void take_row(struct schedules *all, const struct timer_row *found, int64_t now_us)
{
    struct schedule_row row;
    char problem[SCHEDULE_PROBLEM_SIZE] = "no memory, or the same as another";
    struct schedule_group *group = schedule_group_get(&all->table, found->text);
    struct schedule *s = NULL;
    struct span columns = {found->columns, found->columns_len};
    if (group && schedule_row_read(&row, columns, problem, sizeof(problem))) {
        s = schedule_heap_reserve(&all->heap, all->table.count + 1) == 0
                ? schedule_add(&all->table, group, found->id, &row)
                : NULL;
        schedule_row_free(&row);
    }
    if (!s)
        die(EXIT_CODE_ENVIRONMENT, "schedule %llu of %s cannot be used: %s (see objectctl check)",
            (unsigned long long)found->id, found->text, problem);
    correct_next(s, now_us);
    schedules_arm(all, s);
}

static void take_image(struct schedules *all)
{
    struct timer_image *image = store_take_timers(all->station->store);
    int64_t now_us = schedules_now_us();
    struct timer_row *row, *next;
    if (!image)
        return;
    all->last_id = image->last_id;
    timer_image_sort(image);
    HASH_ITER (hh, image->rows, row, next)
        take_row(all, row, now_us);
    schedule_save_found(all, image->oldest);
    timer_image_free(image);
}

struct schedules *schedules_new(struct station *station)
{
    struct schedules *all = calloc(1, sizeof(*all));
    if (!all)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the schedules");
    tzset();
    all->station = station;
    all->clock_offset_us = clock_offset_us();
    all->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (all->timer_fd >= 0)
        all->source = loop_watch(station->loop, all->timer_fd, EPOLLIN, on_timer, all);
    if (!all->source)
        die(EXIT_CODE_ENVIRONMENT, "no timer for the schedules: %m");
    take_image(all);
    return all;
}

static void look_into(struct object *o, void *arg)
{
    (void)arg;
    schedules_look_into(o);
}

void schedules_start(struct schedules *all)
{
    all->is_started = true;
    follow_clock(all); /* nobody was told of a step before the timer was armed */
    object_each(all->station->objects, look_into, NULL);
    schedules_look(all);
}

void schedules_free(struct schedules *all)
{
    if (!all)
        return;
    loop_timer_cancel(&all->save_timer);
    loop_unwatch(all->source);
    close(all->timer_fd);
    schedule_heap_free(&all->heap);
    schedule_table_free(&all->table);
    free(all);
}

/* --- events --- */

void schedules_wake(struct object *o)
{
    struct schedules *all = o->station->schedules;
    struct schedule_group *group = all ? schedule_group_find(&all->table, o->id) : NULL;
    if (!group)
        return;
    hear_timer(all);
    int64_t now = schedules_now_us();
    for (struct schedule *s = group->list; s; s = s->next) {
        if (s->due_us != s->next_us) /* it was put off; the clock may have been set back since */
            s->due_us = s->next_us < now ? s->next_us : now;
        schedules_arm(all, s);
    }
    schedules_look(all);
}

/* --- figures --- */

void schedules_status(const struct schedules *all, struct buf *json)
{
    json_put_key(json, "schedules");
    buf_putc(json, '{');
    json_put_number(json, "count", all->table.count);
    json_put_number(json, "waiting", all->heap.count);
    json_put_number(json, "running", all->running);
    json_put_number(json, "ticks", all->ticks);
    json_put_number(json, "failed", all->failed);
    json_put_number(json, "crashed", all->crashed);
    json_put_number(json, "late", all->late);
    json_put_number(json, "skipped", all->skipped);
    buf_putc(json, '}');
}

void schedules_metrics(const struct schedules *all, struct buf *text)
{
    metric_gauge(text, "schedules", "Schedules of all objects.", (double)all->table.count);
    metric_gauge(text, "ticks_running", "Ticks queued or running.", (double)all->running);
    metric_counter(text, "ticks_total", "Ticks that ran.", all->ticks);
    metric_counter(text, "ticks_failed_total",
                   "Ticks whose function raised, ran too long, or "
                   "crashed to the end.",
                   all->failed);
    metric_counter(text, "ticks_crashed_total", "Ticks whose worker died.", all->crashed);
    metric_counter(text, "ticks_late_total", "Ticks that began more than a second late.",
                   all->late);
    metric_counter(text, "ticks_skipped_total", "Times that passed without a tick.", all->skipped);
    metric_counter(text, "schedules_saved_total", "Times schedules.tsv was written.", all->saves);
}
