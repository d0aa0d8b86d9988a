# verdicts.sh - how a test in shell tells what holds and what does not; sourced by such tests, which
# have a folder "$dir" of their own.
# shellcheck shell=bash disable=SC2154 # dir is the test's

passed=0 failed=0

verdict() { # status name; what a failure has to say is in $dir/log
    if [[ $1 == 0 ]]; then
        passed=$((passed + 1))
        echo "ok      $2"
    else
        failed=$((failed + 1))
        echo "FAILED  $2"
        cat "$dir/log"
    fi
}

conclude() { # as the last thing: how many, and the exit status
    echo "$passed passed, $failed failed"
    [[ $failed == 0 ]]
}
