// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/process_end.c supervisor/scribe/scribe.c
 * supervisor/scribe/scribe_ask.c supervisor/scribe/scribe_jobs.c
 * supervisor/scribe/scribe_rpc.c supervisor/scribe/scribe_process.c
 * supervisor/scribe/checkpoint_merge.c supervisor/scribe/checkpoint_group.c
 * supervisor/scribe/merged_state.c supervisor/scribe/sorted_state.c supervisor/scribe/overlay.c
 * supervisor/scribe/state_dump.c supervisor/scribe/document.c supervisor/scribe/log_query.c
 * supervisor/scribe/tail_reader.c supervisor/versions/object_file.c
 * supervisor/versions/version_line.c supervisor/versions/version_list.c
 * supervisor/versions/version_log.c supervisor/versions/version_store.c
 * supervisor/objects/source.c common/sha256.c supervisor/log/log_line.c
 * supervisor/scribe/log_count.c supervisor/scribe/log_keep.c supervisor/scribe/scribe_tasks.c
 * supervisor/scribe/tree_walk.c supervisor/scribe/measure.c supervisor/process/memory.c
 * supervisor/log/log_filter.c supervisor/log/log_level.c supervisor/log/log_files.c
 * supervisor/log/log_event.c supervisor/process/backoff.c supervisor/process/program.c
 * supervisor/signals.c supervisor/loop.c supervisor/state/journal_reader.c
 * supervisor/state/segment.c supervisor/state/record.c common/state_file.c common/tsv.c
 * common/buf.c common/codec.c common/json_text.c common/json_scan.c common/time_text.c
 * common/utf8.c common/log.c common/clock.c common/memfd.c common/rpc.c common/file_store.c
 * common/channel.c common/failpoint.c -lsodium -lxxhash -ljansson
 */
/* The scribe as a process: jobs and answers, its death and its next life. */
#include "common/clock.h"
#include "common/memfd.h"
#include "supervisor/scribe/scribe.h"
#include "tests/unit/data_folder.h"
#include "tests/unit/journal_text.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static struct loop *loop;
static struct scribe *scribe;
static struct config config;

static struct answer {
    int calls, err;
    uint64_t keys;
    char *text;
} answers[8];
static int answered;

static void set_up(void)
{
    data_folder_make();
    memset(answers, 0, sizeof(answers));
    answered = 0;
    config = (struct config){.data_dir = data_dir,
                             .log_format = LOG_FORMAT_TEXT,
                             .view_timeout_ns = 60 * NS_PER_S,
                             .views_max = 8};
    loop = loop_new();
    scribe = scribe_new(loop, &config);
}

static void tear_down(void)
{
    scribe_free(scribe);
    loop_free(loop);
    for (size_t i = 0; i < 8; i++)
        free(answers[i].text);
    data_folder_remove();
}

static void on_document(void *arg, int err, int fd, uint64_t size)
{
    struct answer *a = arg;
    a->calls++;
    a->err = err;
    answered++;
    ck_assert((err == 0) == (fd >= 0));
    if (fd < 0)
        return;
    a->text = calloc(1, size + 1);
    ck_assert_int_eq(memfd_read(fd, a->text, size), 0);
    close(fd);
}

static void on_checkpoint(void *arg, int err, size_t index, uint64_t keys)
{
    struct answer *a = (struct answer *)arg + index;
    a->calls++;
    a->err = err;
    a->keys = keys;
    answered++;
}

static void dump_into(struct answer *a, const char *object_id, const char *key)
{
    scribe_dump(scribe, object_id, key ? &(struct span){key, strlen(key)} : NULL,
                (struct span){"", 0}, 0, "<", ">", on_document, a);
}

static void reap_it(void)
{
    struct process_end end = process_end_reap(scribe_pid(scribe));
    scribe_reaped(scribe, &end);
}

static void check_answered(void *arg)
{
    static struct loop_timer timer;
    int *wanted = arg;
    if (answered >= *wanted)
        loop_stop(loop);
    else
        loop_timer_set(loop, &timer, 1000000, check_answered, arg);
}

static void run_until(int wanted)
{
    check_answered(&wanted);
    if (answered < wanted)
        loop_run(loop);
    ck_assert_int_eq(answered, wanted);
}

START_TEST(jobs_of_all_kinds_in_order)
{
    struct journal_text j = journal_text_begin(1);
    journal_text_turn(&j, "a", span_of("k"), "1");
    journal_text_turn(&j, "b", span_of("k"), "2");
    journal_text_end(&j);
    data_write_text("logs/a/log.tsv", "timestamp\tlevel\tmessage\n1\tINFO\thello\n");
    struct buf fields = BUF_INIT;
    rpc_field_encode(&fields, &(struct rpc_field){span_of("message"), span_of("hello")});
    struct scribe_checkpoint objects[] = {{"a", 0, 2}, {"b", 0, 2}, {"../x", 0, 2}};
    struct scribe_log_query query = {.object_id = "a",
                                     .limit = 5,
                                     .read_max = UINT64_MAX,
                                     .answer_max = UINT64_MAX,
                                     .filter_count = 1,
                                     .filters = {fields.data, fields.len}};
    scribe_checkpoint(scribe, objects, 3, on_checkpoint, answers);
    dump_into(&answers[3], "b", NULL);
    dump_into(&answers[4], "b", "k");
    dump_into(&answers[5], "b", "none");
    dump_into(&answers[6], "b", "");
    scribe_logs(scribe, &query, on_document, &answers[7]);
    ck_assert_int_eq(answered, 0); /* never from inside the call */
    buf_free(&fields);
    run_until(8);
    ck_assert_int_eq(answers[0].err, 0);
    ck_assert_uint_eq(answers[1].keys, 1);
    ck_assert_int_eq(answers[2].err, -EINVAL);
    ck_assert_str_eq(answers[3].text, "<{\"k\":2}>");
    ck_assert_str_eq(answers[4].text, "<2>");
    ck_assert_int_eq(answers[5].err, -ENOENT);
    ck_assert_int_eq(answers[6].err, -ENOENT);
    ck_assert_str_eq(answers[7].text,
                     "{\"status\":\"ok\",\"object_id\":\"a\",\"logs\":[{\"timestamp\":\"1\","
                     "\"level\":\"INFO\",\"message\":\"hello\"}],\"count\":1}");
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(answers[i].calls, 1);
}
END_TEST

START_TEST(large_jobs_pass_the_socket)
{
    struct buf writes = BUF_INIT;
    char key[32], value[1001];
    memset(value, '1', 1000);
    value[1000] = '\0';
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "%05d", i);
        rpc_write_encode(&writes, &(struct rpc_write){RPC_WRITE_SET, span_of(key), span_of(value)});
    }
    for (int i = 0; i < 8; i++)
        scribe_dump(scribe, "a", NULL, (struct span){writes.data, writes.len}, 2000, NULL, NULL,
                    on_document, &answers[i]);
    buf_free(&writes);
    run_until(8);
    for (int i = 0; i < 8; i++)
        ck_assert_uint_eq(strlen(answers[i].text), 2 + 2000 * (8 + 1000 + 1) - 1);
}
END_TEST

/* No file whose reader would say what is wrong. */
START_TEST(damage_above_no_file)
{
    struct buf writes = BUF_INIT;
    rpc_write_encode(&writes,
                     &(struct rpc_write){RPC_WRITE_SET, span_of("k"), span_of("{not json")});
    pid_t pid = scribe_pid(scribe);
    scribe_dump(scribe, "a", NULL, (struct span){writes.data, writes.len}, 1, "<", ">", on_document,
                &answers[0]);
    run_until(1);
    ck_assert_int_eq(answers[0].err, -EBADMSG);
    ck_assert_int_eq(scribe_pid(scribe), pid);
    buf_free(&writes);
}
END_TEST

START_TEST(death_fails_what_is_under_way_and_nothing_else)
{
    pid_t first = scribe_pid(scribe);
    ck_assert_int_eq(kill(first, SIGSTOP), 0);
    struct scribe_checkpoint objects[] = {{"a", 0, 0}, {"b", 0, 0}};
    dump_into(&answers[0], "a", NULL);
    scribe_checkpoint(scribe, objects, 2, on_checkpoint, &answers[1]);
    ck_assert_int_eq(kill(first, SIGKILL), 0);
    run_until(3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(answers[i].err, -EPIPE);
    dump_into(&answers[3], "a", NULL); /* waits for the next life */
    reap_it();
    ck_assert_int_eq(scribe_pid(scribe), 0);
    run_until(4);
    ck_assert_str_eq(answers[3].text, "<{}>");
    ck_assert_int_ne(scribe_pid(scribe), first);
}
END_TEST

static void wait_until_idle(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    while (state != 'S') { /* woken by the job at once, it sleeps again when it has answered */
        FILE *stat = fopen(path, "r");
        ck_assert_ptr_nonnull(stat);
        ck_assert_int_eq(fscanf(stat, "%*d %*s %c", &state), 1);
        fclose(stat);
        usleep(1000);
    }
}

START_TEST(last_answers_of_the_dead_count)
{
    pid_t pid = scribe_pid(scribe);
    dump_into(&answers[0], "a", NULL);
    scribe_wait(scribe, 60 * NS_PER_S);
    dump_into(&answers[1], "a", NULL);
    wait_until_idle(pid);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    reap_it();
    ck_assert_int_eq(answered, 2);
    ck_assert_int_eq(answers[1].err, 0);
}
END_TEST

START_TEST(signals_for_the_group_are_left_to_the_supervisor)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};
    dump_into(&answers[0], "a", NULL);
    scribe_wait(scribe, 60 * NS_PER_S);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        ck_assert_int_eq(kill(scribe_pid(scribe), signals[i]), 0);
    dump_into(&answers[1], "a", NULL);
    scribe_wait(scribe, 60 * NS_PER_S);
    ck_assert_int_eq(answers[1].err, 0);
}
END_TEST

static void on_measured(void *arg, int err, const uint64_t *bytes)
{
    struct answer *a = arg;
    a->calls++;
    a->err = err;
    answered++;
    for (size_t i = 0; !err && i < 2; i++)
        a[i].keys = bytes[i];
}

START_TEST(memory_of_processes)
{
    pid_t gone = fork(), pids[] = {getpid(), gone};
    if (gone == 0)
        _exit(0);
    ck_assert_int_eq(waitpid(gone, NULL, 0), gone);
    scribe_measure(scribe, pids, 2, on_measured, &answers[0]);
    run_until(1);
    ck_assert_int_eq(answers[0].err, 0);
    ck_assert_uint_gt(answers[0].keys, 4096);
    ck_assert_uint_eq(answers[1].keys, 0);
    scribe_measure(scribe, pids, 1, on_measured, &answers[2]);
    run_until(2);
    ck_assert_uint_gt(answers[2].keys, 4096);
}
END_TEST

START_TEST(nobody_waits_for_a_measure)
{
    pid_t pid = getpid();
    ck_assert_int_eq(kill(scribe_pid(scribe), SIGSTOP), 0);
    scribe_measure(scribe, &pid, 1, on_measured, &answers[0]);
    ck_assert(scribe_wait(scribe, 60 * NS_PER_S));
    ck_assert_int_eq(answered, 0);
    ck_assert_int_eq(kill(scribe_pid(scribe), SIGKILL), 0);
    run_until(1);
    ck_assert_int_eq(answers[0].err, -EPIPE);
}
END_TEST

START_TEST(cancelled_jobs_are_silent)
{
    ck_assert_int_eq(kill(scribe_pid(scribe), SIGSTOP), 0);
    dump_into(&answers[0], "a", NULL);
    dump_into(&answers[1], "a", NULL);
    dump_into(&answers[2], "a", "");
    scribe_cancel(scribe, &answers[0]);
    scribe_cancel(scribe, &answers[2]);
    ck_assert_int_eq(kill(scribe_pid(scribe), SIGCONT), 0);
    scribe_wait(scribe, 60 * NS_PER_S);
    ck_assert_int_eq(answers[0].calls, 0);
    ck_assert_int_eq(answers[1].calls, 1);
    ck_assert_int_eq(answers[2].calls, 0);
}
END_TEST

static void cancel_the_others(void *arg, int err, int fd, uint64_t size)
{
    on_document(arg, err, fd, size);
    scribe_cancel(scribe, &answers[1]);
    dump_into(&answers[2], "a", NULL);
}

START_TEST(callbacks_may_cancel_and_ask)
{
    ck_assert_int_eq(kill(scribe_pid(scribe), SIGSTOP), 0);
    scribe_dump(scribe, "a", NULL, (struct span){"", 0}, 0, "<", ">", cancel_the_others,
                &answers[0]);
    dump_into(&answers[1], "a", NULL);
    ck_assert_int_eq(kill(scribe_pid(scribe), SIGKILL), 0);
    scribe_wait(scribe, 60 * NS_PER_S); /* reaps and starts by itself */
    ck_assert_int_eq(answers[0].err, -EPIPE);
    ck_assert_int_eq(answers[1].calls, 0);
    ck_assert_str_eq(answers[2].text, "<{}>");
}
END_TEST

START_TEST(free_lets_it_finish)
{
    for (int i = 0; i < 8; i++)
        dump_into(&answers[i], "a", NULL);
    pid_t pid = scribe_pid(scribe);
    scribe_free(scribe);
    scribe = NULL;
    for (int i = 0; i < 8; i++)
        ck_assert_str_eq(answers[i].text, "<{}>");
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1); /* no zombie */
}
END_TEST

static int open_fds(pid_t pid)
{
    char path[64];
    struct dirent *entry;
    int count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

START_TEST(no_descriptors_leak)
{
    dump_into(&answers[0], "a", NULL);
    scribe_wait(scribe, 60 * NS_PER_S);
    wait_until_idle(scribe_pid(scribe));
    int ours = open_fds(getpid()), its = open_fds(scribe_pid(scribe));
    for (int round = 0; round < 20; round++) {
        free(answers[0].text);
        dump_into(&answers[0], "a", NULL);
        scribe_wait(scribe, 60 * NS_PER_S);
    }
    wait_until_idle(scribe_pid(scribe));
    ck_assert_int_eq(open_fds(getpid()), ours);
    ck_assert_int_eq(open_fds(scribe_pid(scribe)), its);
    kill(scribe_pid(scribe), SIGKILL);
    free(answers[0].text);
    answers[0].text = NULL;
    dump_into(&answers[0], "a", NULL);
    scribe_wait(scribe, 60 * NS_PER_S);
    dump_into(&answers[1], "a", NULL);
    scribe_wait(scribe, 60 * NS_PER_S);
    ck_assert_int_eq(open_fds(getpid()), ours);
}
END_TEST

START_TEST(dies_with_its_supervisor)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t supervisor = fork();
    if (supervisor == 0) {
        struct scribe *its = scribe_new(loop_new(), &config);
        pid_t pid = scribe_pid(its);
        if (write(fds[1], &pid, sizeof(pid)) != sizeof(pid))
            _exit(1);
        for (;;)
            pause();
    }
    pid_t pid;
    ck_assert_int_eq(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
    ck_assert_int_eq(kill(supervisor, SIGKILL), 0);
    waitpid(supervisor, NULL, 0);
    for (int i = 0; i < 5000 && kill(pid, 0) == 0; i++) {
        char path[64], state = 0;
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        FILE *stat = fopen(path, "r");
        if (stat && fscanf(stat, "%*d %*s %c", &state) == 1 && state == 'Z') {
            fclose(stat);
            break; /* nobody reaps it here */
        }
        if (stat)
            fclose(stat);
        ck_assert_int_lt(i, 4999);
        usleep(1000);
    }
    close(fds[0]);
    close(fds[1]);
}
END_TEST

int main(int argc, char **argv)
{
    if (strcmp(argv[0], SCRIBE_PROGRAM_NAME) == 0)
        return scribe_main(argc, argv);
    Suite *suite = suite_create("scribe");
    TCase *tcase = tcase_create("scribe");
    log_setup("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR + 1);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, jobs_of_all_kinds_in_order);
    tcase_add_test(tcase, large_jobs_pass_the_socket);
    tcase_add_test(tcase, damage_above_no_file);
    tcase_add_test(tcase, death_fails_what_is_under_way_and_nothing_else);
    tcase_add_test(tcase, last_answers_of_the_dead_count);
    tcase_add_test(tcase, signals_for_the_group_are_left_to_the_supervisor);
    tcase_add_test(tcase, memory_of_processes);
    tcase_add_test(tcase, nobody_waits_for_a_measure);
    tcase_add_test(tcase, cancelled_jobs_are_silent);
    tcase_add_test(tcase, callbacks_may_cancel_and_ask);
    tcase_add_test(tcase, free_lets_it_finish);
    tcase_add_test(tcase, no_descriptors_leak);
    tcase_add_test(tcase, dies_with_its_supervisor);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
