// SPDX-License-Identifier: Apache-2.0
#include "supervisor/schedules/schedule_save.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/schedules/schedules_private.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"

#include <string.h>

#define CHECK_NS (1 * NS_PER_S)

static void on_check(void *arg);

static void check_later(struct schedules *all, uint64_t delay_ns)
{
    loop_timer_set(all->station->loop, &all->save_timer, delay_ns, on_check, all);
}

static void keep(struct schedules *all)
{
    store_keep_from(all->station->store, STORE_KEEP_SCHEDULES, all->dirty_from);
}

static void on_saved(void *arg, int err, uint64_t unused)
{
    struct schedules *all = arg;
    (void)unused;
    all->is_saving = false;
    if (err) { /* the scribe has said why */
        check_later(all, all->station->config.checkpoint_max_ns);
        return;
    }
    all->saves++;
    all->dirty_from = all->saved_next;
    keep(all);
}

/* What is accepted meanwhile is for the next time. */
static void save(struct schedules *all)
{
    struct station *station = all->station;
    all->is_saving = true;
    all->saving_upto = store_durable(station->store);
    all->saved_next = all->newest > all->saving_upto ? all->saving_upto + 1 : 0;
    scribe_schedules(station->scribe, all->saving_upto, on_saved, all);
}

static bool is_due(const struct schedules *all)
{
    uint64_t age = loop_now(all->station->loop) - all->dirty_since_ns;
    return age >= all->station->config.checkpoint_max_ns || store_is_pressed(all->station->store);
}

static void on_check(void *arg)
{
    struct schedules *all = arg;
    if (!all->dirty_from || !all->station->scribe)
        return;
    if (!all->is_saving && is_due(all) && store_durable(all->station->store) >= all->dirty_from) {
        all->dirty_since_ns = loop_now(all->station->loop);
        save(all);
    }
    check_later(all, CHECK_NS);
}

void schedule_save_later(struct schedules *all, uint64_t seq)
{
    all->newest = seq;
    if (all->is_saving && !all->saved_next && seq > all->saving_upto)
        all->saved_next = seq;
    if (all->dirty_from)
        return;
    all->dirty_from = seq;
    all->dirty_since_ns = loop_now(all->station->loop);
    keep(all);
    check_later(all, CHECK_NS);
}

void schedule_save_found(struct schedules *all, uint64_t oldest)
{
    if (oldest)
        schedule_save_later(all, oldest);
}

void schedules_settle(struct schedules *all, uint64_t timeout_ns)
{
    struct station *station = all->station;
    if (!all->dirty_from || !station->scribe)
        return;
    store_flush(station->store);
    if (!all->is_saving)
        save(all);
    if (!scribe_wait(station->scribe, timeout_ns)) {
        log_info("the newest changes of schedules stay in the journal");
        scribe_cancel(station->scribe, all);
    }
    loop_timer_cancel(&all->save_timer);
}
