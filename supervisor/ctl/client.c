// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/client.h"

#include "supervisor/ctl/command.h"
#include "supervisor/ctl/printable.h"
#include "supervisor/ctl/token.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECT_SECONDS = 10 };

struct client {
    CURL *curl;
    const char *url; /* as given, for messages */
    char *base;      /* "http://host:port", nothing behind it */
    char *unix_path; /* NULL over TCP */
    char *token;     /* NULL: none */
};

/* One request under way. */
struct transfer {
    const struct request *request;
    struct reply *reply;
    CURL *curl;
    bool to_sink;
    bool decided;
    bool ended_by_sink;
};

static bool set_address(struct client *client, const char *url)
{
    if (strncmp(url, "unix:", 5) == 0) {
        client->unix_path = strdup(url + 5);
        client->base = strdup("http://localhost");
        return client->unix_path && client->unix_path[0] && client->base;
    }
    if (strncmp(url, "http://", 7) != 0 || url[7] == 0)
        return false;
    client->base = strdup(url);
    for (size_t len = client->base ? strlen(client->base) : 0;
         len > 7 && client->base[len - 1] == '/'; len--)
        client->base[len - 1] = 0;
    return client->base != NULL;
}

struct client *client_new(const char *url)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client || !(client->curl = curl_easy_init())) {
        fputs("objectctl: libcurl cannot be set up\n", stderr);
        client_free(client);
        return NULL;
    }
    client->url = url;
    if (!set_address(client, url)) {
        fprintf(stderr, "objectctl: %s: the URL must be http://HOST:PORT or unix:PATH\n", url);
        client_free(client);
        return NULL;
    }
    client->token = token_find(url);
    return client;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    free(client->token);
    if (client->curl)
        curl_easy_cleanup(client->curl);
    free(client->base);
    free(client->unix_path);
    free(client);
}

/* --- receiving ------------------------------------------------------------------------------ */

static void read_media_type(CURL *curl, struct reply *reply)
{
    char *type = NULL;
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    snprintf(reply->media_type, sizeof(reply->media_type), "%s", type ? type : "");
    reply->media_type[strcspn(reply->media_type, "; ")] = 0;
}

static bool wants_sink(struct transfer *transfer)
{
    const struct request *request = transfer->request;
    struct reply *reply = transfer->reply;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    read_media_type(transfer->curl, reply);
    return request->sink && reply->status < 400 && (!request->wants || request->wants(reply));
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t len = size * count;
    if (!transfer->decided) {
        transfer->decided = true;
        transfer->to_sink = wants_sink(transfer);
    }
    if (transfer->to_sink) {
        transfer->ended_by_sink = !transfer->request->sink(transfer->request->sink_arg, bytes, len);
        return transfer->ended_by_sink ? 0 : len;
    }
    buf_append(&transfer->reply->body, bytes, len);
    return buf_ok(&transfer->reply->body) ? len : 0;
}

static size_t on_head(char *line, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t len = size * count;
    if (transfer->request->show_head) {
        size_t text = len;
        while (text > 0 && (line[text - 1] == '\n' || line[text - 1] == '\r'))
            text--;
        printable_put(stdout, line, text);
        putchar('\n');
    }
    return len;
}

/* --- sending -------------------------------------------------------------------------------- */

static void set_up(struct client *client, struct transfer *transfer, const char *url,
                   struct curl_slist *fields)
{
    CURL *curl = client->curl;
    const struct request *request = transfer->request;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "objectctl");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    if (client->unix_path)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->unix_path);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
    if (request->method && strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (request->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static struct curl_slist *make_fields(const struct client *client, const struct request *request)
{
    char line[1024];
    /* An empty Expect, so that libcurl sends a large body at once. */
    struct curl_slist *fields = curl_slist_append(NULL, "Expect:");
    if (client->token) {
        snprintf(line, sizeof(line), "Authorization: Bearer %s", client->token);
        fields = curl_slist_append(fields, line);
    }
    if (request->body) {
        snprintf(line, sizeof(line), "Content-Type: %s", request->content_type);
        fields = curl_slist_append(fields, line);
    }
    return fields;
}

/* One part a file, read while it is sent. NULL (reported) when one cannot be read. */
static curl_mime *make_parts(CURL *curl, const struct request *request)
{
    curl_mime *parts = curl_mime_init(curl);
    for (size_t i = 0; parts && i < request->upload_count; i++) {
        const char *path = request->uploads[i], *slash = strrchr(path, '/');
        curl_mimepart *part = curl_mime_addpart(parts);
        if (!part || curl_mime_name(part, "file") || curl_mime_filedata(part, path) ||
            curl_mime_filename(part, slash ? slash + 1 : path)) {
            fprintf(stderr, "objectctl: %s cannot be read\n", path);
            curl_mime_free(parts);
            parts = NULL;
        }
    }
    return parts;
}

static int perform(struct client *client, struct transfer *transfer)
{
    CURLcode result = curl_easy_perform(client->curl);
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &transfer->reply->status);
    read_media_type(client->curl, transfer->reply);
    if (result == CURLE_OK || transfer->ended_by_sink)
        return CTL_OK;
    if (!transfer->request->quiet)
        fprintf(stderr, "objectctl: %s: %s\n", client->url, curl_easy_strerror(result));
    return CTL_UNREACHABLE;
}

int client_send(struct client *client, const struct request *request, struct reply *reply)
{
    struct buf url = BUF_INIT;
    curl_mime *parts = NULL;
    *reply = (struct reply){0};
    struct transfer transfer = {.request = request, .reply = reply, .curl = client->curl};
    buf_puts(&url, client->base);
    buf_puts(&url, request->target);
    struct curl_slist *fields = make_fields(client, request);
    set_up(client, &transfer, buf_str(&url), fields);
    int code = CTL_OK;
    if (request->upload_count > 0 && !(parts = make_parts(client->curl, request)))
        code = CTL_NOT_FOUND;
    if (parts)
        curl_easy_setopt(client->curl, CURLOPT_MIMEPOST, parts);
    if (code == CTL_OK)
        code = perform(client, &transfer);
    curl_mime_free(parts);
    curl_slist_free_all(fields);
    buf_free(&url);
    return code;
}

void reply_free(struct reply *reply)
{
    buf_free(&reply->body);
}

/* --- JSON ----------------------------------------------------------------------------------- */

/* Lines of text (a traceback) stand below their name; a list of words on one line. */
static void put_detail(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t index;
    json_t *item;
    if (text && strchr(text, '\n')) {
        fputs("\n    ", stderr);
        printable_put_lines(stderr, text, strlen(text), 4);
    } else if (json_is_array(value)) {
        json_array_foreach(value, index, item)
        {
            fputs(index ? ", " : "", stderr);
            printable_put_value(stderr, item);
        }
    } else {
        printable_put_value(stderr, value);
    }
    fputc('\n', stderr);
}

/* "  similar: hello, hello_2" and the like: what the station found worth adding. */
static void report_details(json_t *json)
{
    const char *name;
    json_t *value;
    json_object_foreach(json, name, value)
    {
        if (strcmp(name, "status") == 0 || strcmp(name, "error") == 0 || json_is_null(value) ||
            (json_is_array(value) && json_array_size(value) == 0))
            continue;
        fputs("  ", stderr);
        printable_put(stderr, name, strlen(name));
        fputs(": ", stderr);
        put_detail(value);
    }
}

void client_report(const struct reply *reply, bool printed)
{
    json_t *json = json_loadb(reply->body.data ? reply->body.data : "", reply->body.len, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error"));
    fprintf(stderr, "objectctl: the station answers %ld", reply->status);
    if (error) {
        fputs(": ", stderr);
        printable_put(stderr, error, strlen(error));
    }
    fputc('\n', stderr);
    if (error && !printed &&
        strcmp(json_string_value(json_object_get(json, "status")) ?: "", "error") == 0)
        report_details(json);
    json_decref(json);
}

int client_exit_code(long status)
{
    switch (status) {
    case 404:
    case 410:
        return CTL_NOT_FOUND;
    case 401:
    case 403:
    case 421:
        return CTL_DENIED;
    case 429:
    case 503:
    case 504:
    case 507:
        return CTL_TRY_AGAIN;
    default:
        return status < 400 ? CTL_OK : status < 500 ? CTL_REFUSED : CTL_ERROR;
    }
}

void client_put_encoded(struct buf *out, const char *text, bool in_path)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool plain = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= 'a' && *c <= 'z') || strchr("-._~", *c) ||
                     (in_path && strchr("/@", *c));
        if (plain)
            buf_putc(out, (char)*c);
        else
            buf_printf(out, "%%%02X", *c);
    }
}
