/* test_doctor_fit.c - loads as people write them, and whether they fit what was measured. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/fit.h"
#include "doctor/load.h"
#include "tests/support/suite.h"

#define MIB 1048576ull
#define GB  1e9

/* ---- "800x800:uint16@1000" ---- */

static const struct good {
    const char *text;
    uint64_t count, frame_bytes;
    double rate_hz;
    uint32_t depth;
    int naxis;
} good[] = {
    {"800x800:uint16@1000", 1, 1280000, 1000.0, 0, 2},
    {"32*97:float32@1000", 32, 388, 1000.0, 0, 1},
    {"8x16x4:complex128@0.5:64", 1, 8192, 0.5, 64, 3},
    {"2*1:UINT8@2kHz:1", 2, 1, 2000.0, 1, 1},
    {"4X4:float@1.5k", 1, 64, 1500.0, 0, 2},
    {"97:int32@1e3", 1, 388, 1000.0, 0, 1},
    {"97:int32@10Hz:4294967295", 1, 388, 10.0, 4294967295u, 1},
};

START_TEST(a_load_is_what_it_says)
{
    const struct good *g = &good[_i];
    struct dao_text why = {""};
    struct doctor_load load;

    ck_assert_msg(doctor_load_parse(&load, g->text, &why) == 0, "%s: %s", g->text, why.s);
    ck_assert_uint_eq(load.count, g->count);
    ck_assert_uint_eq(load.geometry.frame_bytes, g->frame_bytes);
    ck_assert_double_eq(load.rate_hz, g->rate_hz);
    ck_assert_uint_eq(load.depth, g->depth);
    ck_assert_int_eq(load.geometry.naxis, g->naxis);
    ck_assert_str_eq(load.name, g->text);
}
END_TEST

static const struct bad {
    const char *text, *words;
} bad[] = {
    {"", "such as 800x800:uint16@1000"},
    {"800x800", "SIZE:TYPE@RATE"},
    {"800x800:uint16", "SIZE:TYPE@RATE"},
    {"800x800@1000", "SIZE:TYPE@RATE"},
    {"800x800:uint61@1000", "did you mean 'uint16'?"},
    {"800x800:pixels@1000", "there are uint8"},
    {"800x:uint16@1000", "no size"},
    {"0x8:uint16@1000", "no size"},
    {"-1:uint16@1000", "no size"},
    {"1x2x3x4:uint16@1000", "no size"},
    {"4294967296:uint8@1", "no size"},
    {"8:uint16@", "no rate"},
    {"8:uint16@0", "no rate"},
    {"8:uint16@-5", "no rate"},
    {"8:uint16@nan", "no rate"},
    {"8:uint16@inf", "no rate"},
    {"8:uint16@1e400", "no rate"},
    {"8:uint16@0x10", "no rate"},
    {"8:uint16@2e9", "no rate"},
    {"8:uint16@10GHz", "no rate"},
    {"8:uint16@10:", "no depth"},
    {"8:uint16@10:0", "no depth"},
    {"8:uint16@10:x", "no depth"},
    {"8:uint16@10:4294967296", "no depth"},
    {"0*8:uint16@10", "number of streams"},
    {"*8:uint16@10", "number of streams"},
    {"100001*8:uint16@10", "number of streams"},
    {"1111111111111111111111111111111111111111111111111111111111111111111*8:uint16@10", "streams"},
    {"4294967295x4294967295x4294967295:uint8@1", "exceeds"},
    {"8:uint16@1111111111111111111111111111111111111111111111111111111111111111111111", "such as"},
};

START_TEST(what_is_no_load_is_refused_with_what_would_be_right)
{
    struct doctor_load load = {.count = 77};
    struct dao_text why = {""};

    ck_assert_int_eq(doctor_load_parse(&load, bad[_i].text, &why), -EINVAL);
    ck_assert_msg(strstr(why.s, bad[_i].words) != NULL, "%s: %s", bad[_i].text, why.s);
    ck_assert_uint_eq(load.count, 77);
}
END_TEST

/* ---- does it fit? ---- */

static struct doctor_load loads[2];
static struct doctor_context context;
static struct findings findings;

/* A good machine, and one load. */
static void begin_with(const char *text)
{
    struct dao_text why = {""};

    findings_free(&findings);
    ck_assert_msg(doctor_load_parse(&loads[0], text, &why) == 0, "%s", why.s);
    context = (struct doctor_context){
        .root = "",
        .loads = loads,
        .load_count = 1,
        .machine = {.cores = 4.0,
                    .memory_bytes = 8192 * MIB,
                    .memory_total = 16384 * MIB,
                    .is_left_known = true,
                    .left_bytes = 1ull << 44,
                    .disk_bytes_per_s = 3.0 * GB,
                    .write_cpu_ns_per_byte = 0.1,
                    .stall_ns = 5000000,
                    .lateness_ns = 1000000,
                    .encode_ns_per_byte = {0.1, 0.1, 0.1, 0.1}},
    };
}

static void end(void)
{
    findings_free(&findings);
}

static enum fit judge(void)
{
    findings_free(&findings);
    return fit_judge(&context, &findings);
}

static const struct finding *of(const char *check)
{
    for (size_t i = 0; i < findings.count; i++)
        if (strcmp(findings.list[i].check, check) == 0)
            return &findings.list[i];
    ck_abort_msg("nothing of %s", check);
}

static double value(const char *check, const char *name)
{
    const struct finding *f = of(check);

    for (size_t i = 0; i < f->value_count; i++)
        if (strcmp(f->values[i].name, name) == 0)
            return f->values[i].value;
    ck_abort_msg("no %s of %s", name, check);
}

START_TEST(a_load_with_margin_everywhere_fits)
{
    begin_with("800x800:uint16@1000:64");
    ck_assert_int_eq(judge(), FIT_YES);
    for (size_t i = 0; i < findings.count; i++)
        ck_assert_msg(findings.list[i].state == FINDING_OK, "%s", findings.list[i].found);
    ck_assert_double_eq_tol(value("load: disk", "margin"), 2.7 / 1.280064, 1e-6);
    ck_assert_double_eq(value("load: disk", "needed_bytes_per_s"), 1280064000.0);
}
END_TEST

START_TEST(without_a_load_nothing_is_judged)
{
    begin_with("8:uint8@1");
    context.load_count = 0;
    ck_assert_int_eq(judge(), FIT_UNKNOWN);
    ck_assert_uint_eq(findings.count, 0);
}
END_TEST

START_TEST(a_disk_that_is_too_slow_is_a_problem_and_one_that_is_just_fast_enough_a_note)
{
    begin_with("800x800:uint16@1000:64");
    context.machine.disk_bytes_per_s = 1.4 * GB; /* of which a recorder gets 1.26 */
    ck_assert_int_eq(judge(), FIT_NO);
    ck_assert_int_eq(of("load: disk")->state, FINDING_PROBLEM);
    ck_assert(of("load: disk")->remedy[0] != '\0');
    context.machine.disk_bytes_per_s = 1.5 * GB;
    ck_assert_int_eq(judge(), FIT_YES);
    ck_assert_int_eq(of("load: disk")->state, FINDING_NOTE);
}
END_TEST

START_TEST(streams_of_a_kind_and_kinds_of_streams_add_up)
{
    struct dao_text why;

    begin_with("10*97:float32@1000:64");
    ck_assert_int_eq(doctor_load_parse(&loads[1], "800x800:uint16@1000:64", &why), 0);
    context.load_count = 2;
    judge();
    ck_assert_double_eq_tol(value("load: disk", "needed_bytes_per_s"),
                            10 * 1000.0 * 452.0 + 1280064000.0, 1.0);
}
END_TEST

START_TEST(a_disk_that_was_not_measured_leaves_it_open)
{
    begin_with("800x800:uint16@1000:64");
    context.machine.disk_bytes_per_s = 0.0;
    ck_assert_int_eq(judge(), FIT_UNKNOWN);
    ck_assert_int_eq(of("load: disk")->state, FINDING_NOTE);
}
END_TEST

START_TEST(a_drain_that_needs_more_than_a_core_is_a_problem_however_many_there_are)
{
    begin_with("4096x4096:uint16@250:64"); /* 8.4 GB/s */
    context.machine.disk_bytes_per_s = 100.0 * GB;
    context.machine.write_cpu_ns_per_byte = 0.01;
    context.machine.cores = 64.0;
    ck_assert_int_eq(judge(), FIT_YES);
    context.machine.encode_ns_per_byte[1] = 0.13;
    ck_assert_int_eq(judge(), FIT_NO);
    ck_assert_int_eq(of("load: cpu")->state, FINDING_PROBLEM);
    ck_assert_double_gt(value("load: cpu", "busiest_thread"), 1.0);
}
END_TEST

START_TEST(many_drains_need_many_cores)
{
    begin_with("40*800x800:uint16@1000:64");
    context.machine.disk_bytes_per_s = 100.0 * GB;
    context.machine.write_cpu_ns_per_byte = 0.01;
    context.machine.memory_bytes = 1ull << 40;
    ck_assert_int_eq(judge(), FIT_NO);
    ck_assert_int_eq(of("load: cpu")->state, FINDING_PROBLEM);
    context.machine.cores = 16.0;
    ck_assert_int_eq(judge(), FIT_YES);
}
END_TEST

START_TEST(a_fifo_is_to_outlast_the_lateness_of_its_reader)
{
    begin_with("800x800:uint16@1000:64");
    context.machine.lateness_ns = 100000000; /* a hundred frames */
    ck_assert_int_eq(judge(), FIT_NO);
    ck_assert_int_eq(of("stream")->state, FINDING_PROBLEM);
    ck_assert(strstr(of("stream")->remedy, "deep") != NULL);
    ck_assert_double_gt(value("stream", "depth_needed"), 100.0);
    begin_with("800x800:uint16@1000"); /* still to be chosen */
    context.machine.lateness_ns = 100000000;
    ck_assert_int_eq(judge(), FIT_YES);
    ck_assert_double_gt(value("stream", "depth_needed"), 100.0);
}
END_TEST

START_TEST(staging_memory_bridges_a_stall_of_the_disk_and_the_fifo_the_rest)
{
    double shallow;

    begin_with("800x800:uint16@1000:64");
    judge();
    shallow = value("stream", "depth_needed");
    context.machine.stall_ns = 400000000; /* 512 MB of staging hold 0.41 s of 1.28 GB/s */
    ck_assert_int_eq(judge(), FIT_YES);
    ck_assert_double_eq(value("stream", "depth_needed"), shallow);
    context.machine.stall_ns = 1000000000;
    ck_assert_int_eq(judge(), FIT_NO);
    ck_assert_double_gt(value("stream", "depth_needed"), 500.0);
    ck_assert_double_lt(value("stream", "depth_needed"), 800.0);
    context.buffer_bytes = 2048 * MIB;
    ck_assert_int_eq(judge(), FIT_YES);
}
END_TEST

START_TEST(a_single_slot_is_enough_for_a_reader_in_time_but_proves_nothing)
{
    begin_with("8x8:uint8@10:1");
    ck_assert_int_eq(judge(), FIT_YES);
    ck_assert_int_eq(of("stream")->state, FINDING_NOTE);
    ck_assert(strstr(of("stream")->found, "proven") != NULL);
    begin_with("8x8:uint8@1000:1");
    ck_assert_int_eq(judge(), FIT_NO);
    ck_assert_int_eq(of("stream")->state, FINDING_PROBLEM);
}
END_TEST

START_TEST(memory_is_for_two_frames_a_stream_at_least_and_for_fifos_to_come)
{
    begin_with("100*4096x4096:float32@0.1:2");
    context.machine.memory_bytes = 64ull << 30;
    ck_assert_uint_ge(fit_staging(&context), 100 * 2 * 64 * MIB);
    ck_assert_int_eq(judge(), FIT_YES);
    context.machine.memory_bytes = 32ull << 30;
    ck_assert_int_eq(judge(), FIT_NO);
    ck_assert_int_eq(of("load: memory")->state, FINDING_PROBLEM);
    loads[0].is_segment = true; /* its FIFO is there already */
    ck_assert_int_eq(judge(), FIT_YES);
}
END_TEST

START_TEST(staging_memory_is_no_more_than_record_would_take)
{
    begin_with("97:float32@1000");
    ck_assert_uint_le(fit_staging(&context), 64 * MIB);
    begin_with("4*800x800:uint16@1000");
    ck_assert_uint_le(fit_staging(&context), 512 * MIB);
    ck_assert_uint_ge(fit_staging(&context), 500 * MIB);
    context.machine.memory_total = 1024 * MIB; /* an eighth of that */
    ck_assert_uint_le(fit_staging(&context), 128 * MIB);
    context.buffer_bytes = 1024 * MIB;
    ck_assert_uint_ge(fit_staging(&context), 1000 * MIB);
    context.load_count = 0;
    ck_assert_uint_eq(fit_staging(&context), 64 * MIB);
}
END_TEST

START_TEST(a_disk_that_is_full_soon_is_a_note)
{
    begin_with("800x800:uint16@1000:64");
    context.machine.left_bytes = (uint64_t)(1280064000.0 * 60);
    ck_assert_int_eq(judge(), FIT_YES);
    ck_assert_int_eq(of("load: room")->state, FINDING_NOTE);
    ck_assert_double_eq_tol(value("load: room", "seconds"), 60.0, 0.01);
}
END_TEST

START_TEST(a_segment_that_is_silent_or_on_a_disk_is_told)
{
    begin_with("8x8:uint8@10:64");
    loads[0].rate_hz = 0.0;
    loads[0].is_segment = loads[0].is_on_disk = true;
    ck_assert_int_eq(judge(), FIT_UNKNOWN);
    ck_assert_int_eq(of("stream")->state, FINDING_NOTE);
    ck_assert_int_eq(of("segment")->state, FINDING_NOTE);
    ck_assert(strstr(of("segment")->found, "disk") != NULL);
}
END_TEST

START_TEST(absurd_loads_are_judged_without_overflow)
{
    begin_with("100000*2147483647x1024:complex128@1e9:1000");
    context.machine.stall_ns = INT64_MAX;
    context.machine.lateness_ns = INT64_MAX;
    ck_assert_int_eq(judge(), FIT_NO);
    ck_assert_int_eq(of("load: disk")->state, FINDING_PROBLEM);
    ck_assert_int_eq(of("load: memory")->state, FINDING_PROBLEM);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doctor_fit");
    TCase *tcase = tcase_create("load");

    tcase_add_checked_fixture(tcase, NULL, end);
    tcase_add_loop_test(tcase, a_load_is_what_it_says, 0, (int)(sizeof good / sizeof good[0]));
    tcase_add_loop_test(tcase, what_is_no_load_is_refused_with_what_would_be_right, 0,
                        (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tcase, a_load_with_margin_everywhere_fits);
    tcase_add_test(tcase, without_a_load_nothing_is_judged);
    tcase_add_test(tcase,
                   a_disk_that_is_too_slow_is_a_problem_and_one_that_is_just_fast_enough_a_note);
    tcase_add_test(tcase, streams_of_a_kind_and_kinds_of_streams_add_up);
    tcase_add_test(tcase, a_disk_that_was_not_measured_leaves_it_open);
    tcase_add_test(tcase, a_drain_that_needs_more_than_a_core_is_a_problem_however_many_there_are);
    tcase_add_test(tcase, many_drains_need_many_cores);
    tcase_add_test(tcase, a_fifo_is_to_outlast_the_lateness_of_its_reader);
    tcase_add_test(tcase, staging_memory_bridges_a_stall_of_the_disk_and_the_fifo_the_rest);
    tcase_add_test(tcase, a_single_slot_is_enough_for_a_reader_in_time_but_proves_nothing);
    tcase_add_test(tcase, memory_is_for_two_frames_a_stream_at_least_and_for_fifos_to_come);
    tcase_add_test(tcase, staging_memory_is_no_more_than_record_would_take);
    tcase_add_test(tcase, a_disk_that_is_full_soon_is_a_note);
    tcase_add_test(tcase, a_segment_that_is_silent_or_on_a_disk_is_told);
    tcase_add_test(tcase, absurd_loads_are_judged_without_overflow);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
