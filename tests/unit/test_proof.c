/*
 * test_proof.c - the order of the loads that prove a frame, against a writer that comes between any
 * two of them.
 *
 * The processor's trap flag stops this thread behind every instruction of the reader; behind the
 * n-th one the writer does all that it has left to do, and the reader goes on. This for every n, so
 * that a writer has come between all pairs of loads, in whatever order they are. The slot was being
 * rewritten before the proof began: whenever the writer comes, the frame must be refused.
 */
#include "tests/support/frozen.h"

#define EXIT_SKIPPED 77

#ifdef __x86_64__

#include <signal.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100

/* With sanitizers there is more to step through, and of no interest. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 29u
#else
#define STRIDE 1u
#endif

/* ---- instruction by instruction ---- */

static struct {
    unsigned steps;     /* instructions so far */
    unsigned act_after; /* of these; 0: never */
    void (*act)(void);
    bool has_acted;
} trap;

static void step(int number, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;

    (void)number;
    (void)info;
    if (++trap.steps != trap.act_after)
        return;
    trap.act();
    trap.has_acted = true;
    interrupted->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG; /* nothing more to see */
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};

    ck_assert_int_eq(sigaction(SIGTRAP, &action, NULL), 0);
}

/* Below the stack's red zone, which is the compiler's. */
#define CHANGE_FLAGS(operation)                                                                    \
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\t" operation                              \
                     ", (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::                              \
                         : "memory", "cc")

static void begin_steps(void (*act)(void), unsigned after)
{
    trap.steps = 0;
    trap.act_after = after;
    trap.act = act;
    trap.has_acted = false;
    CHANGE_FLAGS("orq $0x100");
}

static void end_steps(void)
{
    CHANGE_FLAGS("andq $~0x100");
}

/* ---- a writer in the middle of a frame ---- */

static struct dao_segment seg;
static struct dao_write begun;
static unsigned more; /* whole frames behind that one */

static void write_one(void)
{
    struct dao_write w;

    ck_assert_int_eq(dao_writer_begin(&seg, &w), 0);
    testbed_fill(&seg, w.slot, w.cnt0);
    dao_writer_publish(&seg, &w, 1);
}

static void write_whole(unsigned count)
{
    while (count-- > 0)
        write_one();
}

/* Half of a frame's new pixels. */
static void begin_frame(uint32_t expected_slot)
{
    ck_assert_int_eq(dao_writer_begin(&seg, &begun), 0);
    ck_assert_uint_eq(begun.slot, expected_slot);
    memset(begun.pixels, 0xa5, FRAME_BYTES / 2);
}

static void go_on(void)
{
    memset(begun.pixels, 0xa5, FRAME_BYTES);
    dao_writer_publish(&seg, &begun, 1);
    write_whole(more);
}

/* One that leaves the head where it is. */
static void go_on_behind_the_head(void)
{
    set_cnt0(&seg, begun.slot, begun.cnt0);
    set_write(&seg, begun.slot, 0);
}

/* ---- the reader's proof ---- */

/* The reader looks at a frame when that is safe, and copies it when the writer is there already. */
static bool is_taken(uint32_t depth, bool is_behind_the_head, unsigned act_after)
{
    struct dao_reader r = testbed_reader(&seg);
    struct dao_take take;
    int taken;

    write_whole(depth - 1);
    ck_assert_int_eq(dao_reader_begin(&r, &take), DAO_READ_FRAME);
    ck_assert_uint_eq(take.missing, 0);
    if (is_behind_the_head) {
        begun = (struct dao_write){
            .slot = take.slot, .cnt0 = take.cnt0 + depth, .pixels = (void *)take.pixels};
        set_write(&seg, take.slot, 1);
    } else {
        write_one();
        begin_frame(take.slot);
    }
    begin_steps(is_behind_the_head ? go_on_behind_the_head : go_on, act_after);
    taken = dao_reader_finish(&r, &take);
    end_steps();
    if (!trap.has_acted)
        trap.act();
    ck_assert_int_ge(taken, 0);
    return taken == 1;
}

START_TEST(a_slot_that_is_being_rewritten_is_refused_whenever_the_writer_goes_on)
{
    static const struct {
        uint32_t depth;
        unsigned more;
    } cases[] = {{2, 0}, {3, 0}, {3, 1}, {3, 3}};
    uint32_t depth = cases[_i].depth;
    unsigned after = 1;

    install();
    testbed_create(&seg, "ours", depth);
    more = cases[_i].more;
    do
        ck_assert_msg(!is_taken(depth, false, after),
                      "depth %u: a torn frame was proven when the writer came behind instruction "
                      "%u, and wrote %u more",
                      depth, after, more);
    while (after += STRIDE, trap.has_acted);
    ck_assert_uint_gt(after, 10 + STRIDE); /* in one round at least it came */
    dao_segment_close(&seg);
}
END_TEST

/* The head says nothing of it: only flag and count do, in that order. */
START_TEST(a_slot_rewritten_behind_a_head_that_stays_is_refused_whenever_its_writer_goes_on)
{
    unsigned after = 1;

    install();
    more = 0;
    /* Each time anew: its count is out of order. */
    do {
        testbed_create(&seg, "behind", 4);
        write_whole(4);
        ck_assert_msg(!is_taken(4, true, after),
                      "a torn frame was proven when the writer came behind instruction %u", after);
        dao_segment_close(&seg);
    } while (after += STRIDE, trap.has_acted);
    ck_assert_uint_gt(after, 10 + STRIDE); /* in one round at least it came */
}
END_TEST

START_TEST(a_slot_that_is_left_alone_is_proven_instruction_by_instruction)
{
    struct dao_reader r;
    struct dao_take take;
    int taken;

    install();
    testbed_create(&seg, "alone", 4);
    r = testbed_reader(&seg);
    write_whole(3);
    ck_assert_int_eq(dao_reader_begin(&r, &take), DAO_READ_FRAME);
    begin_steps(NULL, 0);
    taken = dao_reader_finish(&r, &take);
    end_steps();
    ck_assert_int_eq(taken, 1);
    ck_assert_uint_gt(trap.steps, 10);
    dao_segment_close(&seg);
}
END_TEST

/* ---- the check of dao.h, which has no head to go by ---- */

START_TEST(the_check_finds_an_overwrite_whenever_the_writer_goes_on)
{
    uint32_t depth = _i ? 3 : 1;
    struct dao_text text = {""};
    unsigned after = 1;
    IMAGE image;

    install();
    image = create_image("check", depth);
    ck_assert_msg(dao_segment_open(&seg, testbed_path("check"), DAO_ACCESS_WRITE, &text) == 0, "%s",
                  text.s);
    more = 0;
    do {
        uint32_t slot;
        int status;

        write_one();
        ck_assert_int_eq(daoShmResetTail(&image, &slot, NULL), DAO_SUCCESS);
        ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
        write_whole(depth - 1);
        begin_frame(slot);
        begin_steps(go_on, after);
        status = daoShmCheckSegmentOverwrite(&image);
        end_steps();
        if (!trap.has_acted)
            go_on();
        ck_assert_msg(status == DAO_OVERWRITE,
                      "depth %u: %d when the writer came behind instruction %u", depth, status,
                      after);
    } while (after += STRIDE, trap.has_acted);
    ck_assert_uint_gt(after, 10 + STRIDE); /* in one round at least it came */
    dao_segment_close(&seg);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proof");
    TCase *tcase = tcase_create("every moment");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(
        tcase, a_slot_that_is_being_rewritten_is_refused_whenever_the_writer_goes_on, 0, 4);
    tcase_add_test(
        tcase, a_slot_rewritten_behind_a_head_that_stays_is_refused_whenever_its_writer_goes_on);
    tcase_add_test(tcase, a_slot_that_is_left_alone_is_proven_instruction_by_instruction);
    tcase_add_loop_test(tcase, the_check_finds_an_overwrite_whenever_the_writer_goes_on, 0, 2);
    suite_add_tcase(suite, tcase);
    return testbed_run(suite);
}

#else

int main(void)
{
    printf("threads are stopped behind each instruction on x86-64 alone\n");
    return EXIT_SKIPPED;
}

#endif
