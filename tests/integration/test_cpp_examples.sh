#!/bin/bash
# The C++ examples, at work together: one writes, the others read what it wrote.
set -u
cd "$(dirname "$0")/../.." || exit 1

examples=${BUILD:-$PWD/build/release}/tests/examples/cpp
dir=$(mktemp -d "${TMPDIR:-/tmp}/daorec-examples.XXXXXX") || exit 1
name=dtcpp$$
segment=$dir/$name.im.shm
writer=
clean_up() {
    [[ -n $writer ]] && kill "$writer" 2>/dev/null && wait "$writer" 2>/dev/null
    rm -rf "$dir" /dev/shm/sem."$name"_*
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
source tests/support/verdicts.sh

fails_cleanly() { # program; without a segment
    ! "$examples/$1" "$dir/no such/x.im.shm" 3 >"$dir/log" 2>&1 &&
        grep -q '^Dao::Shm ".*": cannot be .*No such file' "$dir/log"
}
for program in create_write read_sequential read_newest; do
    fails_cleanly $program
    verdict $? "$program says what is missing"
done

# Long enough for all that follows, and ended when it is done.
"$examples/create_write" "$segment" 100000 >"$dir/writer" 2>&1 &
writer=$!
until [[ -e $segment ]] || ! kill -0 "$writer" 2>/dev/null; do
    sleep 0.05
done

# Frame n is full of n: "n n", and n only grows.
"$examples/read_sequential" "$segment" 20 >"$dir/log" 2>"$dir/errors" &&
    awk '$1 != $2 || $1 <= last { bad = 1 } { last = $1 } END { exit bad || NR == 0 }' "$dir/log"
verdict $? "read_sequential shows frames in order, each under its own count"

"$examples/read_newest" "$segment" 3 >"$dir/log" 2>&1 &&
    awk 'NR == 1 { ok = $1 == 64 && $2 == 64 && $3 == "now"; last = $5; next }
         { ok = ok && $1 >= last; last = $1 } END { exit !ok || NR != 4 }' "$dir/log"
verdict $? "read_newest shows the shape and frames that grow newer"

kill "$writer"
wait "$writer" 2>/dev/null
writer=
"$examples/create_write" "$segment" 3 >"$dir/log" 2>&1 &&
    grep -Eqx 'last count 3 at [0-9]{19} ns' "$dir/log"
verdict $? "create_write tells the last count and its time"

conclude
