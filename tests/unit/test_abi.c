/*
 * test_abi.c - dao.h as programs were compiled against it: the types of its functions, the values
 * of its constants, sizes and offsets of its structures, to the byte. Most of it is decided by the
 * compiler.
 *
 * Written down from the description of the interface, not from the header. Which symbols the shared
 * object exports is tests/integration/test_symbols.sh.
 */
#include "lib/dao.h"
#include "tests/support/suite.h"

/* Before any other header: what programs get by including dao.h alone. */
static const void *const included[] = {
    (const void *)printf, (const void *)malloc,   (const void *)clock_gettime,
    (const void *)getpid, (const void *)sem_wait,
};
static const size_t included_bytes = sizeof(va_list) + sizeof(uint_fast32_t) + sizeof(sem_t);

#include <check.h>
#include <stddef.h>
#include <string.h>

/* ---- functions ---- */

/* result, name, arguments */
#define FUNCTIONS(F)                                                                               \
    F(int_fast8_t, daoShmImageCreate_FIFO, IMAGE *, const char *, long, uint32_t *, uint8_t, int,  \
      int, uint32_t)                                                                               \
    F(int_fast8_t, daoShmImageCreate, IMAGE *, const char *, long, uint32_t *, uint8_t, int, int)  \
    F(int_fast8_t, daoShmInit1D, const char *, uint32_t, IMAGE **)                                 \
    F(int_fast8_t, daoShmShm2Img, const char *, IMAGE *)                                           \
    F(int_fast8_t, daoShmCloseShm, IMAGE *)                                                        \
    F(int_fast8_t, daoShmImage2Shm, void *, uint32_t, IMAGE *)                                     \
    F(int_fast8_t, daoShmImage2ShmQuiet, void *, uint32_t, IMAGE *)                                \
    F(int_fast8_t, daoShmImagePart2Shm, char *, uint32_t, IMAGE *, uint32_t, uint16_t, uint16_t,   \
      uint64_t)                                                                                    \
    F(int_fast8_t, daoShmImagePart2ShmFinalize, IMAGE *)                                           \
    F(int_fast8_t, daoShmCombineShm2Shm, IMAGE **, IMAGE *, int, int)                              \
    F(int_fast8_t, daoShmTimestampShm, IMAGE *)                                                    \
    F(int_fast8_t, daoShmGetNextSegment, IMAGE *, void **, uint32_t *, uint64_t *)                 \
    F(int_fast8_t, daoShmGetNewestSegment, IMAGE *, void **, uint32_t *, uint64_t *)               \
    F(int_fast8_t, daoShmWaitForNextSegment, IMAGE *)                                              \
    F(int_fast8_t, daoShmGetArbitrarySegment, IMAGE *, void **, uint_fast32_t)                     \
    F(int_fast8_t, daoShmCheckSegmentOverwrite, IMAGE *)                                           \
    F(int_fast8_t, daoShmResetTail, IMAGE *, uint32_t *, uint64_t *)                               \
    F(int_fast8_t, daoShmWaitForCounter, IMAGE *)                                                  \
    F(int_fast8_t, daoShmWaitForTargetCounter, IMAGE *, uint64_t)                                  \
    F(uint64_t, daoShmGetCounter, IMAGE *)                                                         \
    F(int_fast8_t, daoShmWaitForSemaphore, IMAGE *, int32_t)                                       \
    F(int_fast8_t, daoShmWaitForSemaphoreTimeout, IMAGE *, int32_t, const struct timespec *)       \
    F(int_fast8_t, daoSemPost, IMAGE *, int32_t)                                                   \
    F(int_fast8_t, daoSemPostAll, IMAGE *)                                                         \
    F(int_fast8_t, daoSemLogPost, IMAGE *)                                                         \
    F(int_fast8_t, daoShmImageCreateSem, IMAGE *, long)                                            \
    F(int_fast8_t, daoImageCreateSem, IMAGE *, long)                                               \
    F(void, daoSetLogLevel, int)                                                                   \
    F(int, daoGetLogLevel, void)                                                                   \
    F(void, daoLogSetLevel, int)                                                                   \
    F(int_fast8_t, daoLog, int, const char *, ...)                                                 \
    F(int_fast8_t, daoLogError, const char *, ...)                                                 \
    F(int_fast8_t, daoLogWarning, const char *, ...)                                               \
    F(int_fast8_t, daoLogInfo, const char *, ...)                                                  \
    F(int_fast8_t, daoLogDebug, const char *, ...)                                                 \
    F(int_fast8_t, daoLogTrace, const char *, ...)                                                 \
    F(int_fast8_t, daoLogPrint, const char *, ...)                                                 \
    F(unsigned, daoBaseIp2Int, const char *)                                                       \
    F(char *, daoBaseGetTimeStamp, void)

#define HAS_TYPE(result, function, ...)                                                            \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&function), result (*)(__VA_ARGS__)),   \
                   #function);

FUNCTIONS(HAS_TYPE)

/* As a program holds them: what the compiler takes without a word. */
#define HELD_BY_A_PROGRAM(result, function, ...)                                                   \
    static result (*const held_##function)(__VA_ARGS__) = function;

FUNCTIONS(HELD_BY_A_PROGRAM)

#define ADDRESS(result, function, ...) (const void *)held_##function,

static const void *const functions[] = {FUNCTIONS(ADDRESS)};

_Static_assert(__builtin_types_compatible_p(__typeof__(&daoLogLevel), int *), "daoLogLevel");

/* ---- constants ---- */

#define IS(constant, value) _Static_assert((constant) == (value), #constant)

IS(DAO_SUCCESS, 0);
IS(DAO_ERROR, 1);
IS(DAO_TIMEOUT, -1);
IS(DAO_OVERWRITE, -2);
IS(DAO_NOTREADY, -3);

IS(IMAGE_NB_SEMAPHORE, 10);
IS(SEMAPHORE_MAXVAL, 1);
IS(DAO_MAX_COMBINE_CHANNELS, 1024);
IS(CIRCULAR_BUFFER_SIZE, 1000);
IS(Dtype, 9);
IS(CDtype, 11);

IS(LOG_LEVEL_ERROR, 0);
IS(LOG_LEVEL_WARNING, 1);
IS(LOG_LEVEL_INFO, 2);
IS(LOG_LEVEL_DEBUG, 3);
IS(LOG_LEVEL_TRACE, 4);
IS(DEFAULT_LOG_LEVEL, LOG_LEVEL_INFO);
IS(DAO_WARNING, 0);
IS(DAO_INFO, 1);
IS(DAO_DEBUG, 2);
IS(DAO_TRACE, 3);

#define ELEMENT(name, code, bytes, type)                                                           \
    IS(_DATATYPE_##name, code);                                                                    \
    IS(SIZEOF_DATATYPE_##name, bytes);                                                             \
    _Static_assert(sizeof(type) == (bytes), #type)

ELEMENT(UINT8, 1, 1, uint8_t);
ELEMENT(INT8, 2, 1, int8_t);
ELEMENT(UINT16, 3, 2, uint16_t);
ELEMENT(INT16, 4, 2, int16_t);
ELEMENT(UINT32, 5, 4, uint32_t);
ELEMENT(INT32, 6, 4, int32_t);
ELEMENT(UINT64, 7, 8, uint64_t);
ELEMENT(INT64, 8, 8, int64_t);
ELEMENT(FLOAT, 9, 4, float);
ELEMENT(DOUBLE, 10, 8, double);
ELEMENT(COMPLEX_FLOAT, 11, 8, complex_float);
ELEMENT(COMPLEX_DOUBLE, 12, 16, complex_double);

/* Constants are for #if as well. */
#if DAO_OVERWRITE != -2 || _DATATYPE_COMPLEX_DOUBLE != 12 || IMAGE_NB_SEMAPHORE != 10
#error "a constant of dao.h is unknown to the preprocessor"
#endif

/* ---- structures ---- */

/* A member's place, its bytes, and its type. */
#define HAS(structure, member, at, bytes, type)                                                    \
    _Static_assert(offsetof(structure, member) == (at), #structure "." #member ": offset");        \
    _Static_assert(sizeof(((structure *)0)->member) == (bytes), #structure "." #member ": size");  \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((structure *)0)->member), type),       \
                   #structure "." #member ": type")

IS(sizeof(IMAGE_METADATA), 4304);
HAS(IMAGE_METADATA, name, 0, 80, char[80]);
HAS(IMAGE_METADATA, naxis, 80, 1, uint8_t);
HAS(IMAGE_METADATA, size, 84, 12, uint32_t[3]);
HAS(IMAGE_METADATA, nelement, 96, 8, uint64_t);
HAS(IMAGE_METADATA, atype, 104, 1, uint8_t);
HAS(IMAGE_METADATA, creation_time, 112, 8, double);
HAS(IMAGE_METADATA, last_access, 120, 8, double);
IS(offsetof(IMAGE_METADATA, atime), 128);
IS(sizeof(((IMAGE_METADATA *)0)->atime), 16);
HAS(IMAGE_METADATA, atime.ts, 128, 16, struct timespec);
HAS(IMAGE_METADATA, atime.tsfixed, 128, 16, TIMESPECFIXED);
HAS(IMAGE_METADATA, shared, 144, 1, uint8_t);
HAS(IMAGE_METADATA, status, 145, 1, uint8_t);
HAS(IMAGE_METADATA, logflag, 146, 1, uint8_t);
HAS(IMAGE_METADATA, sem, 148, 2, uint16_t);
HAS(IMAGE_METADATA, cnt0, 152, 8, uint64_t);
HAS(IMAGE_METADATA, cnt1, 160, 8, uint64_t);
HAS(IMAGE_METADATA, cnt2, 168, 8, uint64_t);
HAS(IMAGE_METADATA, write, 176, 1, uint8_t);
HAS(IMAGE_METADATA, NBkw, 178, 2, uint16_t);
HAS(IMAGE_METADATA, lastPos, 180, 4, uint32_t);
HAS(IMAGE_METADATA, lastNb, 184, 4, uint32_t);
HAS(IMAGE_METADATA, packetNb, 188, 4, uint32_t);
HAS(IMAGE_METADATA, packetTotal, 192, 4, uint32_t);
HAS(IMAGE_METADATA, lastNbArray, 200, 4096, uint64_t[512]);
HAS(IMAGE_METADATA, fifo_size, 4296, 4, uint32_t);
HAS(IMAGE_METADATA, fifo_last_written, 4300, 4, uint32_t);

IS(sizeof(TIMESPECFIXED), 16);
HAS(TIMESPECFIXED, firstlong, 0, 8, int64_t);
HAS(TIMESPECFIXED, secondlong, 8, 8, int64_t);

IS(sizeof(IMAGE), 168);
HAS(IMAGE, name, 0, 80, char[80]);
HAS(IMAGE, used, 80, 1, uint8_t);
HAS(IMAGE, shmfd, 84, 4, int32_t);
HAS(IMAGE, memsize, 88, 8, uint64_t);
HAS(IMAGE, semlog, 96, 8, sem_t *);
HAS(IMAGE, md, 104, 8, IMAGE_METADATA *);
IS(sizeof(((IMAGE *)0)->array), 8);
HAS(IMAGE, array.UI8, 112, 8, uint8_t *);
HAS(IMAGE, array.SI8, 112, 8, int8_t *);
HAS(IMAGE, array.UI16, 112, 8, uint16_t *);
HAS(IMAGE, array.SI16, 112, 8, int16_t *);
HAS(IMAGE, array.UI32, 112, 8, uint32_t *);
HAS(IMAGE, array.SI32, 112, 8, int32_t *);
HAS(IMAGE, array.UI64, 112, 8, uint64_t *);
HAS(IMAGE, array.SI64, 112, 8, int64_t *);
HAS(IMAGE, array.F, 112, 8, float *);
HAS(IMAGE, array.D, 112, 8, double *);
HAS(IMAGE, array.CF, 112, 8, complex_float *);
HAS(IMAGE, array.CD, 112, 8, complex_double *);
HAS(IMAGE, array.V, 112, 8, void *);
HAS(IMAGE, semptr, 120, 8, sem_t **);
HAS(IMAGE, kw, 128, 8, IMAGE_KEYWORD *);
HAS(IMAGE, semReadPID, 136, 8, pid_t *);
HAS(IMAGE, semWritePID, 144, 8, pid_t *);
HAS(IMAGE, fifo_last_read, 152, 4, uint32_t);
HAS(IMAGE, fifo_last_read_cnt0, 160, 8, uint64_t);

IS(sizeof(IMAGE_KEYWORD), 120);
HAS(IMAGE_KEYWORD, name, 0, 16, char[16]);
HAS(IMAGE_KEYWORD, type, 16, 1, char);
IS(offsetof(IMAGE_KEYWORD, value), 24);
IS(sizeof(((IMAGE_KEYWORD *)0)->value), 16);
HAS(IMAGE_KEYWORD, value.numl, 24, 8, int64_t);
HAS(IMAGE_KEYWORD, value.numf, 24, 8, double);
HAS(IMAGE_KEYWORD, value.valstr, 24, 16, char[16]);
HAS(IMAGE_KEYWORD, comment, 40, 80, char[80]);

HAS(complex_float, re, 0, 4, float);
HAS(complex_float, im, 4, 4, float);
HAS(complex_double, re, 0, 8, double);
HAS(complex_double, im, 8, 8, double);

/* ---- what only a running program shows ---- */

START_TEST(every_function_is_there)
{
    ck_assert_uint_eq(sizeof functions / sizeof functions[0], 39);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        ck_assert_ptr_nonnull(functions[i]);
    for (size_t i = 0; i < sizeof included / sizeof included[0]; i++)
        ck_assert_ptr_nonnull(included[i]);
    ck_assert_uint_gt(included_bytes, 0);
}
END_TEST

START_TEST(strings_are_what_programs_paste_together)
{
    ck_assert_str_eq(SHAREDMEMDIR "/tmp/x", "/tmp/x");
    ck_assert_str_eq(__FILENAME__, "test_abi.c");
    ck_assert_str_eq(ANSI_COLOR_RED "x" ANSI_COLOR_RESET, "\x1b[31mx\x1b[0m");
    ck_assert_str_eq(ANSI_COLOR_GREEN ANSI_COLOR_YELLOW ANSI_COLOR_BLUE,
                     "\x1b[32m\x1b[33m\x1b[34m");
    ck_assert_str_eq(ANSI_COLOR_MAGENTA ANSI_COLOR_CYAN, "\x1b[35m\x1b[36m");
}
END_TEST

START_TEST(the_log_level_begins_at_0_and_can_be_set_both_ways)
{
    ck_assert_int_eq(daoLogLevel, 0);
    ck_assert_int_eq(daoGetLogLevel(), 0);
    daoSetLogLevel(DAO_DEBUG);
    ck_assert_int_eq(daoLogLevel, DAO_DEBUG);
    daoLogLevel = DAO_INFO;
    ck_assert_int_eq(daoGetLogLevel(), DAO_INFO);
}
END_TEST

/* With and without arguments, and as the only statement of an if with an else. */
START_TEST(the_macros_are_statements)
{
    daoSetLogLevel(DAO_TRACE);
    if (daoLogLevel)
        daoError("error %d\n", 1);
    else
        daoPrint("never\n");
    daoWarning("warning\n");
    daoInfo("info %s\n", "x");
    daoDebug("debug\n");
    daoTrace("trace %c\n", 'x');
    daoPrint("print\n");
}
END_TEST

/* Programs mark functions of their own with it. */
DLL_EXPORT int test_abi_exported(void);

int test_abi_exported(void)
{
    return 0;
}

int main(void)
{
    Suite *suite = suite_create("abi");
    TCase *all = tcase_create("all");

    tcase_add_test(all, every_function_is_there);
    tcase_add_test(all, strings_are_what_programs_paste_together);
    tcase_add_test(all, the_log_level_begins_at_0_and_can_be_set_both_ways);
    tcase_add_test(all, the_macros_are_statements);
    suite_add_tcase(suite, all);
    return suite_run(suite);
}
