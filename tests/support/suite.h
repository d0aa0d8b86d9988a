/*
 * suite.h - the end of main() in a program of tests: run what was put together, CK_VERBOSITY and
 * CK_FORK in the environment as Check has them.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>

/* The suite is freed. The program's exit status: 0, or 1 where a test failed. */
static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
