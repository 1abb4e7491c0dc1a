// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/call.h"

#include "supervisor/objects/object.h"
#include "supervisor/station.h"
#include "supervisor/turn/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct call *call_new(struct exchange *x, struct object *o, const struct call_origin *origin)
{
    struct call *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    call->exchange = x;
    call->object = o;
    call->origin = *origin;
    call->arrived_ns = x ? exchange_request(x)->arrived_ns : loop_now(o->station->loop);
    call->reply.body_fd = -1;
    return call;
}

static void free_reply(struct held_reply *reply)
{
    free(reply->fields);
    free(reply->text);
    free(reply->body);
    if (reply->body_fd >= 0)
        close(reply->body_fd);
    *reply = (struct held_reply){.body_fd = -1};
}

void call_free(struct call *call)
{
    ask_abandon_all(call);
    if (call->origin.ask)
        call->origin.ask->callee = NULL;
    free_reply(&call->reply);
    free(call);
}

bool call_reads_only(const struct object *o, struct span method)
{
    const struct endpoint *e = &o->endpoint;
    return (e->stateless || e->readonly) && endpoint_is_readonly(e, method);
}

bool call_is_readonly(const struct call *call)
{
    if (!call->exchange)
        return call->readonly;
    if (call->origin.kind == RPC_CALL_TIMER) /* any worker runs what writes no state anyway */
        return call->object->endpoint.stateless;
    return call->origin.kind != RPC_CALL_TEST &&
           call_reads_only(call->object, exchange_request(call->exchange)->method);
}

void call_list_free(struct call_list *list)
{
    while (list->head)
        call_free(call_list_pop(list));
}

void call_list_append(struct call_list *list, struct call *call)
{
    call->next = NULL;
    call->prev = list->tail;
    if (list->tail)
        list->tail->next = call;
    else
        list->head = call;
    list->tail = call;
    list->count++;
}

void call_list_prepend(struct call_list *list, struct call *call)
{
    call->prev = NULL;
    call->next = list->head;
    if (list->head)
        list->head->prev = call;
    else
        list->tail = call;
    list->head = call;
    list->count++;
}

void call_list_remove(struct call_list *list, struct call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        list->head = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else
        list->tail = call->prev;
    call->next = call->prev = NULL;
    list->count--;
}

struct call *call_list_pop(struct call_list *list)
{
    struct call *call = list->head;
    if (call)
        call_list_remove(list, call);
    return call;
}

struct call *call_list_find(const struct call_list *list, uint64_t id)
{
    struct call *call = list->head;
    while (call && call->id != id)
        call = call->next;
    return call;
}

struct span call_client_request_id(const struct call *call)
{
    if (!call->exchange)
        return (struct span){"", 0};
    return exchange_request(call->exchange)->request_id;
}

void call_request_id(const struct call *call, char *out, size_t size)
{
    const struct station *station = call->object->station;
    struct span given = call_client_request_id(call);
    if (given.len)
        snprintf(out, size, "%.*s", (int)given.len, given.data);
    else
        snprintf(out, size, "%s-%llx-%llx", station->config.station_id,
                 (unsigned long long)station->boot, (unsigned long long)call->id);
}
