#!/bin/bash
# The manual pages that daorec writes from its tables of options, and those that are written by
# hand: every verb has one, it tells every option, and mandoc and groff find nothing wrong with any.
set -u
cd "$(dirname "$0")/../.." || exit 1

build=${BUILD:-$PWD/build/release}
daorec=${DAOREC:-$build/daorec}
dir=$(mktemp -d "${TMPDIR:-/tmp}/daorec-manual.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP
source tests/support/verdicts.sh

"$daorec" help --man-pages "$dir/man" >"$dir/log" 2>&1
verdict $? "daorec writes its pages"
cp lib/libdao.3 scripts/daorec-report.1 "$dir/man"

mapfile -t verbs < <("$daorec" help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p')
for verb in "${verbs[@]}"; do
    grep -qx "\.It Xr daorec-$verb 1" "$dir/man/daorec.1" || echo "daorec.1 does not tell of $verb"
    [[ -s $dir/man/daorec-$verb.1 ]] || echo "there is no page daorec-$verb.1"
done >"$dir/log"
((${#verbs[@]} >= 11)) && [[ ! -s $dir/log ]]
verdict $? "every verb has a page, and the program's page tells of it"

for verb in "${verbs[@]}"; do
    "$daorec" "$verb" --help | sed -nE 's/^ {2,6}(-., )?--([a-z-]+).*/\2/p' >"$dir/options"
    [[ -s $dir/options ]] || echo "no options of $verb"
    while read -r option; do
        grep -Eq -- "^\.It .*Fl .?-$option( |\$)" "$dir/man/daorec-$verb.1" ||
            echo "daorec-$verb.1 does not tell --$option"
    done <"$dir/options"
done >"$dir/log"
[[ ! -s $dir/log ]]
verdict $? "every option that --help tells is on the page of its verb"

"$daorec" check --list-keys | cut -f1 >"$dir/keys"
while read -r key; do
    grep -qx "\.It Sy $key" "$dir/man/daorec.yaml.5" || echo "daorec.yaml.5 does not tell $key"
done <"$dir/keys" >"$dir/log"
[[ -s $dir/keys && ! -s $dir/log ]]
verdict $? "every key of a configuration is on the page of the file"

{
    for page in "$dir"/man/*.[1-9]; do
        name=$(basename "$page")
        [[ $name == daorec.1 ]] || sed -n '/^\.Sh SEE ALSO/,$p' "$dir/man/daorec.1" |
            grep -Eq "^\.Xr ${name%.*} ${name##*.}( ,)?\$" || echo "daorec.1 does not see $name"
    done
    for verb in check record doctor; do
        grep -q '^\.Xr daorec.yaml 5' "$dir/man/daorec-$verb.1" || echo "$verb: no daorec.yaml.5"
    done
} >"$dir/log"
[[ ! -s $dir/log ]]
verdict $? "the program's page sees all others, and verbs with a configuration see its page"

# What a person has to know that is in no table: from where the program itself has it.
item() { # page word
    grep -Eq "^\.It (.*[ ,])?$2([ ,]|\$)" "$dir/man/$1" || echo "$1 does not tell of $2"
}
{
    mapfile -t requests < <("$daorec" ctl 2>&1 | sed 's/.*There are //' | grep -oE '[a-z]+')
    ((${#requests[@]} == 6)) || echo "ctl tells ${#requests[@]} requests"
    for request in "${requests[@]}"; do
        item daorec-ctl.1 "$request"
    done
    item daorec-ctl.1 3
    mapfile -t facts < <(grep -oE '"DAOREC_[A-Z_]+=|number\(facts, "[A-Z_]+"' src/record/hooks.c |
        grep -oE '[A-Z_]+' | sed -E 's/^DAOREC_//' | sort -u)
    ((${#facts[@]} >= 12)) || echo "hooks.c tells ${#facts[@]} facts"
    for fact in "${facts[@]}"; do
        item daorec-record.1 "DAOREC_$fact"
    done
    mapfile -t keys < <(grep -oE "key == '[a-z]'" src/cli/top.c | grep -oE "'.'" | tr -d "'")
    ((${#keys[@]} >= 6)) || echo "top.c knows ${#keys[@]} keys"
    for key in "${keys[@]}"; do
        [[ $key == y ]] || item daorec-top.1 "$key"
    done
    sed -n '/^\.It SIGHUP/,/^\.It SIGUSR1/p' "$dir/man/daorec-record.1" | grep -q reload ||
        echo "daorec-record.1 does not tell that SIGHUP reloads"
} >"$dir/log"
[[ ! -s $dir/log ]]
verdict $? "requests, the facts that commands get, keys and SIGHUP are on their pages"

while read -r symbol; do
    grep -Eq "(Fn|Va) $symbol( |\$)" lib/libdao.3 || echo "libdao.3 does not tell of $symbol"
done < <(grep -v -e '^#' -e '^$' tests/support/libdao.symbols) >"$dir/log"
[[ ! -s $dir/log ]]
verdict $? "libdao.3 tells of everything that the library exports"

"${PYTHON:-/usr/bin/python3}" scripts/daorec-report --help 2>"$dir/log" |
    grep -o -- '--[a-z]*' | sort -u | while read -r option; do
    grep -q -- "Fl .-${option#--}" scripts/daorec-report.1 || echo "daorec-report.1 lacks $option"
done >>"$dir/log"
[[ ! -s $dir/log ]]
verdict $? "daorec-report.1 tells every option of daorec-report"

if command -v mandoc >/dev/null; then
    # Which pages are installed, and whose system this is, is not the page's affair.
    mandoc -T lint "$dir"/man/*.[135] >"$dir/all" 2>&1
    grep -v -e 'referenced manual not found' -e 'operating system explicitly' "$dir/all" >"$dir/log"
    [[ ! -s $dir/log ]]
    verdict $? "mandoc has nothing to say about any page"
else
    echo "not tested: what mandoc says about the pages (mandoc is not here)"
fi

if command -v man >/dev/null && command -v groff >/dev/null; then
    for page in "$dir"/man/*.[135]; do
        { LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" >/dev/null; } 2>&1
    done >"$dir/log"
    [[ ! -s $dir/log ]]
    verdict $? "groff warns of nothing on any page"
else
    echo "not tested: what groff says about the pages (man-db or groff is not here)"
fi

"$daorec" help --man-pages "$dir/man/daorec.1/sub" >"$dir/out" 2>"$dir/log"
[[ $? == 1 && $(wc -l <"$dir/log") == 1 ]] && grep -q "daorec.1/sub: Not a directory" "$dir/log"
verdict $? "a folder that cannot be made is one line and status 1"

conclude
