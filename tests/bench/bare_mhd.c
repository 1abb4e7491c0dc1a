// SPDX-License-Identifier: Apache-2.0
/*
 * bare_mhd - libmicrohttpd and nothing else: one epoll thread, one static reply. The yardstick of
 * what the HTTP library leaves to the station.
 *
 *     bare_mhd PORT
 *
 * Listens on 127.0.0.1:PORT until it gets a TERM or INT; exits 0 then, 71 when it cannot listen.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char body[] = "{\"message\": \"Hello, World!\"}";
static struct MHD_Response *response;

/* MHD calls this first with the head alone: answering then would close the connection. */
static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **context)
{
    static int seen;
    (void)arg, (void)url, (void)method, (void)version, (void)upload_data;

    if (*context == NULL) {
        *context = &seen;
        return MHD_YES;
    }
    if (*upload_data_size > 0) {
        *upload_data_size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

int main(int argc, char **argv)
{
    if (argc != 2 || atoi(argv[1]) < 1 || atoi(argv[1]) > 65535) {
        fprintf(stderr, "usage: bare_mhd PORT\n");
        return 64;
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);

    response = MHD_create_response_from_buffer(sizeof(body) - 1, (void *)(uintptr_t)body,
                                               MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return 71;
    MHD_add_response_header(response, "Content-Type", "application/json; charset=utf-8");
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer, NULL,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT, 10000u,
        MHD_OPTION_CONNECTION_TIMEOUT, 60u, MHD_OPTION_END);
    if (daemon == NULL)
        return 71;
    int received;
    sigwait(&stop, &received);
    MHD_stop_daemon(daemon);
    MHD_destroy_response(response);
    return 0;
}
