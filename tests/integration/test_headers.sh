#!/bin/bash
# dao.h and daoShm.hpp as other people's compilers see them: each alone and before everything else,
# twice, in two files of one program, as C11, C17, C++17 and C++20, with every warning an error; and
# the C++ lines that the user's page shows, as they stand there.
set -u
cd "$(dirname "$0")/../.." || exit 1

build=${BUILD:-$PWD/build/release}
dir=$(mktemp -d "${TMPDIR:-/tmp}/daorec-headers.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP
source tests/support/verdicts.sh

strict='-pedantic -Werror -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion'
strict_c="$strict -Wstrict-prototypes -Wmissing-prototypes -Wvla"

# try COMMAND...: say nothing now.
try() {
    "$@" >"$dir/log" 2>&1
}

# ---- sources ----

for header in dao.h daoShm.hpp; do
    echo "#include \"$header\"" >"$dir/alone_$header"
    printf '#include "%s"\n#include "%s"\n' $header $header >"$dir/twice_$header"
done

# A function of its own for each of two files, which together use all that the headers define.
for number in 1 2; do
    cat >"$dir/c_$number.c" <<END
#include "dao.h"
int use_c_$number(IMAGE *image);
int use_c_$number(IMAGE *image)
{
    daoInfo("level %d", daoLogLevel);
    return daoShmCheckSegmentOverwrite(image);
}
END
    cat >"$dir/cpp_$number.cpp" <<END
#include "daoShm.hpp"
int use_cpp_$number(const std::string &name);
int use_cpp_$number(const std::string &name)
{
    try {
        Dao::Shm<float> shm(name);
        return shm.get_frame(Dao::ShmSync::SEM) != nullptr;
    } catch (const std::runtime_error &) {
        return 0;
    }
}
END
done
cat >"$dir/main.c" <<END
#include "dao.h"
int use_c_1(IMAGE *image);
int use_c_2(IMAGE *image);
int main(void)
{
    IMAGE image = {0};
    return !(use_c_1(&image) == DAO_ERROR && use_c_2(&image) == DAO_ERROR);
}
END
cat >"$dir/main.cpp" <<END
#include "daoShm.hpp"
extern "C" int use_c_1(IMAGE *image);
int use_cpp_1(const std::string &name);
int use_cpp_2(const std::string &name);
int main()
{
    IMAGE image{};
    return use_cpp_1("$dir/missing") + use_cpp_2("$dir/missing") + (use_c_1(&image) != DAO_ERROR);
}
END

# Every method of every element type, so that nothing of the templates is left unread.
{
    echo '#include "daoShm.hpp"'
    for type in {u,}int{8,16,32,64}_t float double complex_{float,double} \
        std::complex\<{float,double}\>; do
        echo "template class Dao::Shm<$type>;"
    done
} >"$dir/all.cpp"

# The lines of the user's page; the includes go before main().
cat >"$dir/page.cpp" <<'END'
#include "daoShm.hpp"

int main(int argc, char **)
{
    if (argc == 1) {
        // 256×256 float32 SHM with 8-frame FIFO depth
        Dao::Shm<float> shm("/tmp/mydata.im.shm", {256, 256}, nullptr, /*depth=*/8);
    } else {
        Dao::Shm<float> shm("/tmp/mydata.im.shm"); // open existing SHM
        while (true) {
            int_fast8_t status;
            float *data = shm.get_next_frame(/*wait=*/true, status);
            if (status == DAO_OVERWRITE) {
                std::cerr << "Warning: frame(s) overwritten – reader is too slow\n";
            }
            // process data …
        }
    }
}
END

# ---- alone and twice ----

# shellcheck disable=SC2086 # flags are words
check_alone() { # language standard compiler flags header
    try "$3" -x "$1" "-std=$2" $4 -Ilib -fsyntax-only "$dir/alone_$5" &&
        try "$3" -x "$1" "-std=$2" $4 -Ilib -fsyntax-only "$dir/twice_$5"
    verdict $? "$5 alone and twice, $3 -std=$2"
}

for compiler in gcc clang; do
    check_alone c c11 $compiler "$strict_c" dao.h
    check_alone c c17 $compiler "$strict_c" dao.h
done
for compiler in g++ clang++; do
    check_alone c++ c++17 $compiler "$strict" dao.h
    check_alone c++ c++17 $compiler "$strict" daoShm.hpp
done

# shellcheck disable=SC2086 # flags are words
for compiler in g++ clang++; do
    for standard in c++17 c++20; do
        try $compiler -std=$standard $strict -Ilib -c -o "$dir/all.o" "$dir/all.cpp"
        verdict $? "every method for every element type, $compiler -std=$standard"
    done
    try $compiler -std=c++17 $strict -Wno-unused-variable -Wno-unused-but-set-variable -Ilib \
        -fsyntax-only "$dir/page.cpp"
    verdict $? "the lines of the user's page, $compiler"
done

# ---- two files of one program ----

link=("-L$build" -ldao "-Wl,-rpath,$build")
# shellcheck disable=SC2086 # flags are words
for cc in gcc clang; do
    cxx=g++
    [[ $cc == clang ]] && cxx=clang++
    try $cc -std=c11 $strict_c -Ilib -o "$dir/c" "$dir"/{main,c_1,c_2}.c "${link[@]}" &&
        try "$dir/c"
    verdict $? "dao.h in three files of one program, $cc"
    try $cc -std=c17 $strict_c -Ilib -c -o "$dir/c_1.o" "$dir/c_1.c" &&
        try $cxx -std=c++17 $strict -Ilib -o "$dir/cpp" "$dir"/{main,cpp_1,cpp_2}.cpp \
            "$dir/c_1.o" "${link[@]}" && try "$dir/cpp"
    verdict $? "daoShm.hpp in three files, and dao.h in C beside them, $cc and $cxx"
done

# ---- no variables ----

defines_nothing() { # compiler language
    "$1" -x "$2" -Ilib -O0 -c -o "$dir/object.o" "$dir/twice_dao.h" >"$dir/log" 2>&1 &&
        nm "$dir/object.o" >"$dir/log" 2>&1 && [[ ! -s $dir/log ]]
}
for compiler in gcc clang; do
    defines_nothing $compiler c
    verdict $? "dao.h defines no variable and no function, $compiler"
done
for compiler in g++ clang++; do
    defines_nothing $compiler c++
    verdict $? "dao.h defines no variable and no function, $compiler"
done

conclude
