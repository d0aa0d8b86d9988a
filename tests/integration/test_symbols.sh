#!/bin/bash
# What libdao is to the programs that link with it: the symbols it exports, its soname, the files
# that `make install` puts down and `make uninstall` takes away again, and a C and a C++ program
# that are built against that tree with nothing but pkg-config, and run.
set -u
cd "$(dirname "$0")/../.." || exit 1

build=${BUILD:-$PWD/build/release}
dir=$(mktemp -d "${TMPDIR:-/tmp}/daorec-symbols.XXXXXX") || exit 1
name=dtsym$$
clean_up() {
    rm -rf "$dir" /dev/shm/sem."$name"_*
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
source tests/support/verdicts.sh

# ---- the shared object ----

exported() {
    nm -D --defined-only --format=posix "$1" | cut -d' ' -f1 | sort
}

grep -v -e '^#' -e '^$' tests/support/libdao.symbols | sort >"$dir/wanted"
exported "$build/libdao.so.0" >"$dir/found"
diff "$dir/wanted" "$dir/found" >"$dir/log"
verdict $? "exported are the symbols of tests/support/libdao.symbols, no more and no less"

# dao.h declares all of them, and nothing else of ours.
sed -n 's/^DLL_EXPORT.*[ *]\(dao[A-Za-z0-9_]*\)(.*/\1/p; s/^extern DLL_EXPORT.* \(dao[A-Za-z]*\);/\1/p' \
    lib/dao.h | sort >"$dir/declared"
diff "$dir/wanted" "$dir/declared" >"$dir/log"
verdict $? "declared in dao.h are the same"

sed -n 's/^ \([A-Za-z0-9_]*\)@Base .*/\1/p' config/debian/libdao0.symbols | sort >"$dir/packaged"
diff "$dir/wanted" "$dir/packaged" >"$dir/log"
verdict $? "the Debian package tells of the same (a new one with the version that brings it)"

soname_is() { # file
    LC_ALL=C objdump -p "$1" | grep -q '^ *SONAME  *libdao\.so\.0$'
}
soname_is "$build/libdao.so.0" 2>"$dir/log"
verdict $? "the soname is libdao.so.0"

# ---- install ----

# make_quietly ARGUMENT...: the build is up to date, so that this writes nowhere but to DESTDIR.
make_quietly() {
    flock build/.lock make --no-print-directory VARIANT=release "$@" >"$dir/log" 2>&1
}

tree_has() { # root prefix file...
    local root=$1$2 file
    shift 2
    for file in "$@"; do
        [[ -f $root/$file ]] || echo "$root/$file is missing"
    done >"$dir/log"
    [[ ! -s $dir/log ]]
}
installed=(bin/daorec lib/libdao.so.0 lib/libdao.so lib/libdao.a include/dao.h include/daoShm.hpp
    lib/pkgconfig/dao.pc share/man/man1/daorec.1 share/man/man1/daorec-record.1
    share/man/man1/daorec-report.1 share/man/man3/libdao.3 share/man/man5/daorec.yaml.5
    share/bash-completion/completions/daorec lib/systemd/system/daorec.service
    lib/sysusers.d/daorec.conf)

make_quietly install DESTDIR="$dir/root" prefix=/opt/dao &&
    tree_has "$dir/root" /opt/dao "${installed[@]}"
verdict $? "make install with DESTDIR puts everything down"

readlink "$dir/root/opt/dao/lib/libdao.so" >"$dir/log" && grep -qx libdao.so.0 "$dir/log"
verdict $? "libdao.so is a link to libdao.so.0"

# What was staged must not know where.
! grep -rlF "$dir" "$dir/root/opt/dao/lib/pkgconfig" "$dir/root/opt/dao/include" >"$dir/log"
verdict $? "DESTDIR is in no file that was installed"

# ---- programs ----

cat >"$dir/program.c" <<END
#include <dao.h>

int main(int argc, char **argv)
{
    uint32_t size[2] = {4, 2};
    uint16_t frame[8] = {1, 2, 3};
    void *pixels = NULL;
    IMAGE image;

    return argc < 2 ||
           daoShmImageCreate_FIFO(&image, argv[1], 2, size, _DATATYPE_UINT16, 1, 0, 4) ||
           daoShmImage2Shm(frame, 8, &image) ||
           daoShmGetNextSegment(&image, &pixels, NULL, NULL) || ((uint16_t *)pixels)[2] != 3 ||
           daoShmCloseShm(&image);
}
END
cat >"$dir/program.cpp" <<END
#include <daoShm.hpp>

int main(int, char **argv)
{
    Dao::Shm<uint16_t> reader(argv[1]);
    const std::vector<uint16_t> frame(8, 7);
    int_fast8_t status;

    reader.set_frame(frame.data());
    return !(reader.get_next_frame(true, status)[5] == 7 && reader.get_counter() == 2);
}
END

# From the dao.pc there and no other.
flags_of() { # prefix sysroot
    PKG_CONFIG_LIBDIR=$2$1/lib/pkgconfig PKG_CONFIG_PATH='' PKG_CONFIG_SYSROOT_DIR=$2 \
        "${PKG_CONFIG:-pkg-config}" --cflags --libs dao
}

build_and_run() { # prefix sysroot
    local flags library=$2$1/lib
    flags=$(flags_of "$1" "$2" 2>"$dir/log") || return
    # shellcheck disable=SC2086 # flags are words, and so may a compiler be
    ${CC:-gcc} -Wall -Wextra -Werror -o "$dir/c" "$dir/program.c" $flags >"$dir/log" 2>&1 &&
        ${CXX:-g++} -std=c++17 -Wall -Wextra -Werror -o "$dir/cpp" "$dir/program.cpp" $flags \
            >"$dir/log" 2>&1 &&
        LD_LIBRARY_PATH=$library "$dir/c" "$dir/$name.im.shm" >"$dir/log" 2>&1 &&
        LD_LIBRARY_PATH=$library "$dir/cpp" "$dir/$name.im.shm" >"$dir/log" 2>&1
}

build_and_run /opt/dao "$dir/root"
verdict $? "a C and a C++ program build against a staged tree by pkg-config, and run"

LC_ALL=C objdump -p "$dir/c" "$dir/cpp" >"$dir/log" &&
    [[ $(grep -c 'NEEDED  *libdao\.so\.0$' "$dir/log") == 2 ]]
verdict $? "they ask for libdao.so.0"

# Not an empty DESTDIR, with which root would refresh the system's linker cache.
make_quietly install DESTDIR=/ prefix="$dir/usr" && tree_has "$dir" /usr "${installed[@]}" &&
    build_and_run "$dir/usr" ''
verdict $? "the same in a prefix that is no staged tree"

# shellcheck disable=SC2086 # a compiler may be two words
${CC:-gcc} -o "$dir/static" "$dir/program.c" -I"$dir/usr/include" \
    "$dir/usr/lib/libdao.a" -pthread >"$dir/log" 2>&1 &&
    "$dir/static" "$dir/$name.im.shm" >"$dir/log" 2>&1
verdict $? "a C program links with libdao.a and libc alone"

# ---- uninstall ----

make_quietly uninstall DESTDIR="$dir/root" prefix=/opt/dao &&
    make_quietly uninstall DESTDIR=/ prefix="$dir/usr" &&
    find "$dir/root" "$dir/usr" -not -type d >"$dir/log" && [[ ! -s $dir/log ]]
verdict $? "make uninstall leaves no file behind"

conclude
