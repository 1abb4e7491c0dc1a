// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/config.c supervisor/config_file.c supervisor/config_value.c
 * supervisor/install_paths.c common/buf.c common/clock.c common/log.c common/json_text.c
 * common/utf8.c -lconfuse -lm */
/* The configuration: defaults, file, environment, precedence, and what each mistake is told. */
#include "common/clock.h"
#include "supervisor/config.h"
#include "supervisor/config_value.h"
#include "supervisor/install_paths.h"
#include "supervisor/options.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config config;
static struct options options;
static char error[1024];
static char folder[64];
static char file[128];
static char root[2048] = "."; /* of the source tree; the tests themselves have no environment */

static void set_up(void)
{
    strcpy(folder, "/tmp/objectd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/objectd.conf", folder);
    options = (struct options){0};
    error[0] = 0;
    ck_assert_int_eq(clearenv(), 0);
}

static void tear_down(void)
{
    config_free(&config);
    unlink(file);
    rmdir(folder);
}

static int load_text(const char *text)
{
    FILE *out = fopen(file, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
    options.config_file = file;
    return config_load(&config, &options, error, sizeof(error));
}

START_TEST(defaults_are_the_documented_ones)
{
    ck_assert_int_eq(config_load(&config, &options, error, sizeof(error)), 0);
    ck_assert_ptr_null(config.file);
    ck_assert_uint_eq(config.listen_count, 1);
    ck_assert_str_eq(config.listen[0], "127.0.0.1:8001");
    ck_assert_uint_eq(config.host_count, 0);
    ck_assert_uint_eq(config.head_max, 16384);
    ck_assert_uint_eq(config.body_max, 64ull << 20);
    ck_assert_uint_eq(config.connections_max, 10000);
    ck_assert_uint_eq(config.timeout_ns, 30 * NS_PER_S);
    ck_assert_uint_eq(config.idle_timeout_ns, 600 * NS_PER_S);
    ck_assert_int_eq(config.durability, DURABILITY_FSYNC);
    ck_assert_int_eq(config.log_level, LOG_LEVEL_INFO);
    ck_assert_int_eq(config.expose_tracebacks, 1);
    ck_assert_int_eq(config.station_id[0] != 0, 1);
    ck_assert_int_eq(config.objects_dir[0], '/');
    ck_assert_int_eq(config.data_dir[0], '/');
}
END_TEST

START_TEST(file_sets_every_kind)
{
    ck_assert_int_eq(load_text("station { id = \"a.b-c_1\"  objects = \"here\"  data = /d/ }\n"
                               "http { listen = {\"[::1]:80\", \"unix:/run/x\"} hosts = a.example\n"
                               "  debug_headers = yes }\n"
                               "workers { timeout = 0.25 }\n"
                               "limits { body_max = 3M  queue_object_max = 7 }\n"
                               "state { durability = \"interval\" }\n"
                               "log { level = WARNING format = text }\n"
                               "security { management = off }\n"),
                     0);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s/here", folder);
    ck_assert_str_eq(config.objects_dir, expected);
    ck_assert_str_eq(config.data_dir, "/d");
    ck_assert_str_eq(config.file, file);
    ck_assert_str_eq(config.station_id, "a.b-c_1");
    ck_assert_uint_eq(config.listen_count, 2);
    ck_assert_str_eq(config.listen[1], "unix:/run/x");
    ck_assert_str_eq(config.hosts[0], "a.example");
    ck_assert_int_eq(config.debug_headers, 1);
    ck_assert_uint_eq(config.timeout_ns, 250 * NS_PER_MS);
    ck_assert_uint_eq(config.body_max, 3 << 20);
    ck_assert_uint_eq(config.queue_object_max, 7);
    ck_assert_int_eq(config.durability, DURABILITY_INTERVAL);
    ck_assert_int_eq(config.log_level, LOG_LEVEL_WARN);
    ck_assert_int_eq(config.log_format, LOG_FORMAT_TEXT);
    ck_assert_int_eq(config.management, MANAGEMENT_OFF);
}
END_TEST

/* The text of a file, and what the error must contain. */
static const struct {
    const char *text, *where, *what;
} mistakes[] = {
    {"wrkers { }", ":1:", "the sections are: station, http"},
    {"workers {\n  tiemout = 1\n}", ":2:", "start_timeout"},
    {"workers {\n\n  timeout = soon\n}", ":3:", "a number of seconds from 0.01 to 86400"},
    {"workers { timeout = -1 }", ":1:", "timeout"},
    {"workers { timeout = 1e9 }", ":1:", "timeout"},
    {"workers { timeout = inf }", ":1:", "timeout"},
    {"workers { timeout = 0x10 }", ":1:", "timeout"},
    {"workers { timeout = \"\" }", ":1:", "timeout"},
    {"limits { head_max = 2T }", ":1:", "from 1K to 1M"},
    {"limits { head_max = 1.5K }", ":1:", "head_max"},
    {"limits { head_max = K }", ":1:", "head_max"},
    {"limits { body_max = 18446744073709551616 }", ":1:", "body_max"},
    {"limits { body_max = 18014398509481984K }", ":1:", "body_max"},
    {"limits { fields_max = 10K }", ":1:", "a whole number from 10 to 10000"},
    {"state { durability = \"maybe\" }", ":1:", "one of fsync, interval, none"},
    {"log { level = loud }", ":1:", "debug, info"},
    {"http { debug_headers = 2 }", ":1:", "true, false"},
    {"http { listen = \"somewhere\" }", ":1:", "127.0.0.1:8001"},
    {"http { listen = {\"127.0.0.1:1\",\n\"127.0.0.1:65536\"} }", ":2:", "65536"},
    {"http { listen = {\"127.0.0.1:1\",\n\"127.0.0.1:1\"} }",
     ":2:", "\"127.0.0.1:1\" stands there twice"},
    {"http { listen = \"unix:relative\" }", ":1:", "unix:/run"},
    {"http { listen = \"localhost:1\" }", ":1:", "localhost:1"},
    {"http { hosts = \"a b\" }", ":1:", "host names"},
    {"station { id = \"a/b\" }", ":1:", "characters out of"},
    {"station { id = \"\" }", ":1:", "characters out of"},
    {"station { data = \"\" }", ":1:", "path"},
    {"station {", "objectd.conf:", "premature end"},
    {"station { id = a", "objectd.conf:", "premature end"},
    {"station { id = a } }", ":1:", "closing brace"},
    {"/* station { id = a }", "", "objectd.conf"},
    {"# ok\nlog { level = ", ":", "premature"},
    {"log { level = \"in", "", "objectd.conf"},
    {"limits { body_max = 1G }", "", "bodies_max"},
    {"limits { target_max = 32K }", "", "head_max"},
    {"state { checkpoint_idle = 90 }", "", "checkpoint_max"},
    {"state { segment_size = 64M journal_max = 32M }", "", "journal_max"},
};

START_TEST(mistake_is_told_with_its_place)
{
    ck_assert_int_lt(load_text(mistakes[_i].text), 0);
    ck_assert_msg(strstr(error, mistakes[_i].where) != NULL, "%s in: %s", mistakes[_i].where,
                  error);
    ck_assert_msg(strstr(error, mistakes[_i].what) != NULL, "%s in: %s", mistakes[_i].what, error);
    ck_assert_msg(!strchr(error, '\n'), "one line: %s", error);
    ck_assert_ptr_null(config.station_id); /* nothing is left behind */
    ck_assert_uint_eq(config.listen_count, 0);
}
END_TEST

START_TEST(file_that_cannot_be_read_is_an_error)
{
    options.config_file = "/nonexistent/objectd.conf";
    ck_assert_int_lt(config_load(&config, &options, error, sizeof(error)), 0);
    ck_assert_ptr_nonnull(strstr(error, "/nonexistent/objectd.conf: No such file"));
    options.config_file = "/tmp";
    ck_assert_int_lt(config_load(&config, &options, error, sizeof(error)), 0);
    ck_assert_ptr_nonnull(strstr(error, "not a regular file"));
    ck_assert_int_eq(mkfifo(file, 0600), 0);
    options.config_file = file;
    ck_assert_int_lt(config_load(&config, &options, error, sizeof(error)), 0); /* at once */
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_ptr_nonnull(strstr(error, "not a regular file"));
    options.config_file = NULL;
    setenv("OBJECTD_CONFIG", "/nonexistent/other.conf", 1);
    ck_assert_int_lt(config_load(&config, &options, error, sizeof(error)), 0);
    ck_assert_ptr_nonnull(strstr(error, "other.conf"));
}
END_TEST

START_TEST(command_line_beats_environment_beats_file)
{
    static const char text[] = "station { id = file }\nhttp { listen = \"127.0.0.1:1\" }\n"
                               "workers { timeout = 1 }\nlog { level = error }";
    ck_assert_int_eq(load_text(text), 0);
    ck_assert_str_eq(config.station_id, "file");
    ck_assert_uint_eq(config.timeout_ns, NS_PER_S);
    config_free(&config);

    setenv("STATION_ID", "environment", 1);
    setenv("OBJECTD_LISTEN", "127.0.0.1:2, unix:/x", 1);
    setenv("OBJECTD_WORKERS_TIMEOUT", "2", 1);
    setenv("OBJECTD_LOG_LEVEL", "debug", 1);
    setenv("OBJECTD_DATA", "/data", 1);
    ck_assert_int_eq(load_text(text), 0);
    ck_assert_str_eq(config.station_id, "environment");
    ck_assert_uint_eq(config.listen_count, 2);
    ck_assert_str_eq(config.listen[1], "unix:/x");
    ck_assert_uint_eq(config.timeout_ns, 2 * NS_PER_S);
    ck_assert_int_eq(config.log_level, LOG_LEVEL_DEBUG);
    ck_assert_str_eq(config.data_dir, "/data");
    config_free(&config);

    options.station = "line";
    options.log_level = "warning";
    options.listen[options.listen_count++] = "127.0.0.1:3";
    options.data = "/other";
    ck_assert_int_eq(load_text(text), 0);
    ck_assert_str_eq(config.station_id, "line");
    ck_assert_uint_eq(config.listen_count, 1);
    ck_assert_str_eq(config.listen[0], "127.0.0.1:3");
    ck_assert_int_eq(config.log_level, LOG_LEVEL_WARN);
    ck_assert_str_eq(config.data_dir, "/other");
}
END_TEST

START_TEST(bad_variable_and_option_are_named)
{
    setenv("OBJECTD_LIMITS_FIELDS_MAX", "many", 1);
    ck_assert_int_lt(config_load(&config, &options, error, sizeof(error)), 0);
    ck_assert_ptr_nonnull(strstr(error, "OBJECTD_LIMITS_FIELDS_MAX"));
    unsetenv("OBJECTD_LIMITS_FIELDS_MAX");
    setenv("OBJECTD_WORKERS_TIEMOUT", "1", 1);
    ck_assert_int_lt(config_load(&config, &options, error, sizeof(error)), 0);
    ck_assert_ptr_nonnull(strstr(error, "OBJECTD_WORKERS_TIEMOUT"));
    unsetenv("OBJECTD_WORKERS_TIEMOUT");
    options.log_level = "loud";
    ck_assert_int_lt(config_load(&config, &options, error, sizeof(error)), 0);
    ck_assert_ptr_nonnull(strstr(error, "--log-level"));
}
END_TEST

START_TEST(other_variables_do_no_harm)
{
    setenv("OBJECTD_URL", "http://127.0.0.1:1", 1);
    setenv("OBJECTD_BUILD_DIR", "x", 1);
    setenv("OBJECTD_HTTP_LISTEN", "", 1); /* empty is not set */
    ck_assert_int_eq(config_load(&config, &options, error, sizeof(error)), 0);
    ck_assert_str_eq(config.listen[0], "127.0.0.1:8001");
}
END_TEST

START_TEST(too_many_values_are_refused)
{
    char text[4096] = "http { hosts = {";
    for (int i = 0; i <= CONFIG_HOSTS_MAX; i++)
        strcat(text, "\"a\",");
    strcat(text, "\"a\"} }");
    ck_assert_int_lt(load_text(text), 0);
    ck_assert_ptr_nonnull(strstr(error, "up to 64"));
}
END_TEST

START_TEST(shown_values_read_back_the_same)
{
    char text[16384], value[4096];
    const char *section = "";
    size_t len = 0;
    ck_assert_int_eq(config_load(&config, &options, error, sizeof(error)), 0);
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        config_value_show(&config, key, value, sizeof(value));
        if (strcmp(section, key->section) != 0)
            len += (size_t)sprintf(text + len, "%s%s {\n", section[0] ? "}\n" : "", key->section);
        section = key->section;
        if (strcmp(value, "{}") != 0)
            len += (size_t)sprintf(text + len, "%s = %s\n", key->name, value);
    }
    strcpy(text + len, "}\n");
    struct config first = config;
    config = (struct config){0};
    ck_assert_msg(load_text(text) == 0, "%s", error);
    ck_assert_uint_eq(config.idle_timeout_ns, first.idle_timeout_ns);
    ck_assert_uint_eq(config.journal_max, first.journal_max);
    ck_assert_str_eq(config.worker_program, first.worker_program);
    ck_assert_str_eq(config.listen[0], first.listen[0]);
    ck_assert_int_eq(config.management, first.management);
    config_free(&first);
}
END_TEST

/* The whole of a file of the source tree. */
static char *source_text(const char *name)
{
    char path[4096];
    static char *text;
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *in = fopen(path, "r");
    ck_assert_msg(in != NULL, "%s", path);
    text = calloc(1, 1 << 20);
    ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, in), 0);
    fclose(in);
    return text;
}

START_TEST(every_key_is_documented)
{
    char wanted[256];
    char *shipped = source_text("packaging/objectd.conf");
    char *manual = source_text("packaging/man/objectd.conf.5");
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        snprintf(wanted, sizeof(wanted), "    # %s = ", key->name);
        ck_assert_msg(strstr(shipped, wanted) != NULL, "%s.%s in objectd.conf", key->section,
                      key->name);
        snprintf(wanted, sizeof(wanted), "\n.B %s\n", key->name);
        const char *section = strstr(manual, key->section);
        ck_assert_msg(section && strstr(manual, wanted) != NULL, "%s.%s in objectd.conf.5",
                      key->section, key->name);
    }
    free(shipped);
    free(manual);
}
END_TEST

/* The defaults that objectd.conf shows are the real ones. */
START_TEST(shipped_file_shows_the_defaults)
{
    char expected[256];
    char *shipped = source_text("packaging/objectd.conf");
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        bool words = key->kind >= CONFIG_DURABILITY || key->kind == CONFIG_VENV;
        if (!key->fallback || config_key_is_list(key))
            continue;
        snprintf(expected, sizeof(expected), "    # %s = %s%s%s\n", key->name, words ? "\"" : "",
                 key->fallback, words ? "\"" : "");
        ck_assert_msg(strstr(shipped, expected) != NULL, "objectd.conf lacks: %s", expected);
    }
    ck_assert_msg(load_text(shipped) == 0, "%s", error);
    free(shipped);
}
END_TEST

/* Every field of the struct is reached by a key (or is the count beside a list, or the file). */
START_TEST(every_field_has_a_key)
{
    bool covered[sizeof(struct config)] = {false};
    for (size_t i = 0; i < config_key_count; i++) {
        size_t size = sizeof(uint64_t);
        switch (config_keys[i].kind) {
        case CONFIG_LISTEN:
            size = offsetof(struct config, listen_count) + sizeof(size_t) -
                   offsetof(struct config, listen);
            break;
        case CONFIG_HOSTS:
            size = offsetof(struct config, host_count) + sizeof(size_t) -
                   offsetof(struct config, hosts);
            break;
        case CONFIG_FLAG:
        case CONFIG_DURABILITY:
        case CONFIG_CGROUPS:
        case CONFIG_LEVEL:
        case CONFIG_FORMAT:
        case CONFIG_MANAGEMENT:
            size = sizeof(int);
            break;
        default:
            break;
        }
        memset(covered + config_keys[i].offset, true, size);
    }
    size_t bare = 0;
    for (size_t i = offsetof(struct config, station_id); i < sizeof(struct config); i++)
        bare += !covered[i];
    /* At most the padding behind one odd int in front of an 8-byte field, and at the end. */
    ck_assert_uint_le(bare, 3 * sizeof(int));
}
END_TEST

static void touch(const char *path, mode_t mode)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fclose(out);
    chmod(path, mode);
}

START_TEST(program_in_a_build_tree_uses_the_checkout)
{
    char command[512], program[128], expected[128];
    struct install_paths paths;
    snprintf(command, sizeof(command),
             "mkdir -p %s/build/clang %s/objects && touch %s/configure.ac", folder, folder, folder);
    ck_assert_int_eq(system(command), 0);
    snprintf(program, sizeof(program), "%s/build/clang/objectd-worker", folder);
    touch(program, 0755);
    snprintf(program, sizeof(program), "%s/build/clang/objectd", folder);
    touch(program, 0755);
    ck_assert_int_eq(install_paths_find(&paths, program), 0);
    ck_assert(paths.checkout);
    snprintf(expected, sizeof(expected), "%s/build/clang/objectd-worker", folder);
    ck_assert_str_eq(paths.worker_program, expected);
    snprintf(expected, sizeof(expected), "%s/objects", folder);
    ck_assert_str_eq(paths.objects_dir, expected);
    ck_assert_ptr_null(paths.config_file);
    install_paths_free(&paths);
    snprintf(command, sizeof(command), "rm -r %s/build %s/objects %s/configure.ac", folder, folder,
             folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(program_elsewhere_is_installed)
{
    char program[128];
    struct install_paths paths;
    snprintf(program, sizeof(program), "%s/objectd.conf", folder);
    touch(program, 0755);
    ck_assert_int_eq(install_paths_find(&paths, program), 0);
    ck_assert(!paths.checkout);
    ck_assert_ptr_nonnull(strstr(paths.worker_program, "/libexec/objectd/objectd-worker"));
    ck_assert_ptr_nonnull(strstr(paths.config_file, "/objectd/objectd.conf"));
    ck_assert_ptr_nonnull(strstr(paths.data_dir, "/lib/objectd/data"));
    install_paths_free(&paths);
}
END_TEST

int main(void)
{
    if (getenv("top_srcdir"))
        snprintf(root, sizeof(root), "%s", getenv("top_srcdir"));
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, defaults_are_the_documented_ones);
    tcase_add_test(tc, file_sets_every_kind);
    tcase_add_loop_test(tc, mistake_is_told_with_its_place, 0,
                        sizeof(mistakes) / sizeof(mistakes[0]));
    tcase_add_test(tc, file_that_cannot_be_read_is_an_error);
    tcase_add_test(tc, command_line_beats_environment_beats_file);
    tcase_add_test(tc, bad_variable_and_option_are_named);
    tcase_add_test(tc, other_variables_do_no_harm);
    tcase_add_test(tc, too_many_values_are_refused);
    tcase_add_test(tc, shown_values_read_back_the_same);
    tcase_add_test(tc, every_key_is_documented);
    tcase_add_test(tc, shipped_file_shows_the_defaults);
    tcase_add_test(tc, every_field_has_a_key);
    tcase_add_test(tc, program_in_a_build_tree_uses_the_checkout);
    tcase_add_test(tc, program_elsewhere_is_installed);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
