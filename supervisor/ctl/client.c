// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/client.h"

#include "supervisor/ctl/command.h"
#include "supervisor/ctl/table.h"
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
    bool streaming;
    bool decided;
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

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t len = size * count;
    if (!transfer->decided) {
        transfer->decided = true;
        read_media_type(transfer->curl, transfer->reply);
        transfer->streaming =
            transfer->request->stream && strcmp(transfer->reply->media_type, "application/json");
    }
    if (transfer->streaming) {
        size_t written = fwrite(bytes, 1, len, stdout);
        fflush(stdout);
        return written;
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
        table_put_text(stdout, line, text);
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

int client_send(struct client *client, const struct request *request, struct reply *reply)
{
    struct buf url = BUF_INIT;
    *reply = (struct reply){0};
    struct transfer transfer = {.request = request, .reply = reply, .curl = client->curl};
    buf_puts(&url, client->base);
    buf_puts(&url, request->target);
    struct curl_slist *fields = make_fields(client, request);
    set_up(client, &transfer, buf_str(&url), fields);
    CURLcode result = curl_easy_perform(client->curl);
    if (result == CURLE_OK) {
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &reply->status);
        read_media_type(client->curl, reply);
    } else if (!request->quiet) {
        fprintf(stderr, "objectctl: %s: %s\n", client->url, curl_easy_strerror(result));
    }
    curl_slist_free_all(fields);
    buf_free(&url);
    return result == CURLE_OK ? CTL_OK : CTL_UNREACHABLE;
}

void reply_free(struct reply *reply)
{
    buf_free(&reply->body);
}

/* --- JSON ----------------------------------------------------------------------------------- */

void client_report(const struct reply *reply)
{
    json_t *json = json_loadb(reply->body.data ? reply->body.data : "", reply->body.len, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error"));
    fprintf(stderr, "objectctl: the station answers %ld", reply->status);
    if (error) {
        fputs(": ", stderr);
        table_put_text(stderr, error, strlen(error));
    }
    fputc('\n', stderr);
    json_decref(json);
}

int client_get_json(struct client *client, const char *target, json_t **json)
{
    struct reply reply;
    json_error_t error;
    *json = NULL;
    int result = client_send(client, &(struct request){.target = target}, &reply);
    if (result == CTL_OK && reply.status >= 400) {
        client_report(&reply);
        result = CTL_ERROR;
    } else if (result == CTL_OK) {
        *json = json_loadb(reply.body.data ? reply.body.data : "", reply.body.len,
                           JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!*json) {
            fprintf(stderr, "objectctl: the station's answer is no JSON: %s\n", error.text);
            result = CTL_ERROR;
        }
    }
    reply_free(&reply);
    return result;
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
