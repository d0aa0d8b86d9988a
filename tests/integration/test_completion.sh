#!/bin/bash
# Completion for bash, asked as bash asks it: a line with the cursor at its end, and what the
# function offers for it.
set -u
cd "$(dirname "$0")/../.." || exit 1

build=${BUILD:-$PWD/build/release}
daorec=${DAOREC:-$build/daorec}
dir=$(mktemp -d "${TMPDIR:-/tmp}/daorec-completion.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP
passed=0 failed=0

"$daorec" help --bash-completion >"$dir/script" || exit 1
# shellcheck disable=SC1091 # just made
source "$dir/script"

# offered WORD...: what is offered for the last word; as bash, `=` is a word of its own.
offered() {
    local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _daorec
    ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd' '
}

expect() { # wanted word...
    local wanted=$1 found
    shift
    found=$(offered "$@")
    if [[ $found == "$wanted" ]]; then
        passed=$((passed + 1))
        echo "ok      $*"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n  wanted: %s\n  found:  %s\n' "$*" "$wanted" "$found"
    fi
}

mkdir "$dir/folder" && touch "$dir/file.fits" "$dir/with blank.im.shm"

expect 'record' daorec rec
expect 'repair replay' daorec rep
expect '--help --version' daorec --
expect '--roll-frames= --roll-size= --roll-time= --roll-together' daorec record --roll-
expect '--backlog' daorec record --ba
expect '--apply' daorec repair --a
expect 'pwrite' daorec record --io p
expect 'auto pwrite uring' daorec record --io = ''
expect 'pwrite' daorec record --io = p
expect 'close keep' daorec replay --gaps ''
expect 'noise ramp spots' daorec sim -p ''
expect 'uint16 uint32 uint64 uint8' daorec sim --type uint
expect 'complex128 complex64' daorec sim -t comp
expect "$dir/folder" daorec record --output "$dir/f"
expect "$dir/file.fits $dir/folder" daorec verify "$dir/f"
expect "$dir/with blank.im.shm" daorec record --backlog "$dir/w"
expect "$dir/file.fits" daorec record --wait "$dir/fi"
expect "$dir/file.fits" daorec ctl --socket "$dir/fi"
expect "$dir/file.fits" daorec record --control = "$dir/fi"
expect '' daorec record --wait = ''
expect '' daorec record --frames ''
expect 'record' daorec help rec
expect '' daorec nonsense --x
expect '' daorec record --nonsense

# Every verb, and every option of each.
for verb in $("$daorec" help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'); do
    expect "$verb" daorec "$verb"
    wanted=$("$daorec" "$verb" --help | sed -nE 's/^ {2,6}(-., )?(--[a-z-]+).*/\2/p' | sort | paste -sd' ')
    found=$(offered daorec "$verb" -- | tr ' ' '\n' | sed 's/=$//' | sort | paste -sd' ')
    if [[ $wanted == "$found" ]]; then
        passed=$((passed + 1))
        echo "ok      the options of $verb"
    else
        failed=$((failed + 1))
        printf 'FAILED  the options of %s\n  wanted: %s\n  found:  %s\n' "$verb" "$wanted" "$found"
    fi
done

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
