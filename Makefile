# Makefile - builds daorec, libdao and their tests, in build/<variant>/.
#
#   make                   release build: build/release/daorec, libdao.a, libdao.so
#   make VARIANT=asan      the same with another set of flags: release, asan, tsan, clang or fuzz
#   make V=1               show the commands
#
# CC, CFLAGS, CXX, CXXFLAGS, CPPFLAGS, LDFLAGS, DESTDIR and prefix mean what they mean everywhere.
# Changing flags rebuilds what they change. C++ is needed by tests only. `make help` lists the
# targets.

VARIANT ?= release
B       := build/$(VARIANT)
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

prefix     ?= /usr/local
bindir     ?= $(prefix)/bin
libdir     ?= $(prefix)/lib
includedir ?= $(prefix)/include
mandir     ?= $(prefix)/share/man
completionsdir ?= $(prefix)/share/bash-completion/completions
unitdir    ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
docdir     ?= $(prefix)/share/doc/daorec
EXAMPLES   := $(wildcard config/*.yaml) $(wildcard config/grafana.json)
# Where the system's Python finds modules under this prefix; empty where there is no Python.
pythondir  ?= $(shell $(call find_pythondir,$(prefix)))
VERSION    := $(shell sed -n 's/^.define DAOREC_VERSION "\(.*\)"/\1/p' src/base/version.h)

PYTHON3     = $(or $(PYTHON),$(firstword $(wildcard /usr/bin/python3) python3))
find_pythondir = $(PYTHON3) -c 'import os, site, sys; p = sys.argv[1].rstrip("/"); \
    d = site.getsitepackages(); v = "python%d.%d" % sys.version_info[:2]; \
    print(next((x for x in d if x.startswith(p + "/lib/")), \
               os.path.join(p, "lib", v, os.path.basename(d[0]))))' $(1) 2>/dev/null

# ---- variants ----

variant_cc_release :=
variant_cc_asan    :=
variant_cc_tsan    := clang
variant_cc_clang   := clang
variant_cc_fuzz    := clang

variant_cxx_release :=
variant_cxx_asan    :=
variant_cxx_tsan    := clang++
variant_cxx_clang   := clang++
variant_cxx_fuzz    := clang++

variant_cflags_release := -O2 -g
variant_cflags_asan    := -O1 -g1
variant_cflags_tsan    := -O1 -g1
variant_cflags_clang   := -O2 -g
variant_cflags_fuzz    := -O1 -g1

variant_flags_release :=
variant_flags_asan    := -fsanitize=address,undefined -fno-sanitize-recover=all \
                         -fno-omit-frame-pointer
variant_flags_tsan    := -fsanitize=thread
variant_flags_clang   := -Werror
variant_flags_fuzz    := -fsanitize=fuzzer-no-link,address,undefined \
                         -fno-sanitize-recover=all -fno-omit-frame-pointer

ifeq (,$(filter $(VARIANT),release asan tsan clang fuzz))
$(error VARIANT=$(VARIANT): there are release, asan, tsan, clang and fuzz)
endif

ifeq ($(origin CC),default)
CC := $(or $(variant_cc_$(VARIANT)),gcc)
endif
ifeq ($(origin CXX),default)
CXX := $(or $(variant_cxx_$(VARIANT)),g++)
endif
CFLAGS   ?= $(variant_cflags_$(VARIANT))
CXXFLAGS ?= $(variant_cflags_$(VARIANT))

# ---- what is needed, and one line where it is not there ----

PKG_CONFIG ?= pkg-config
PACKAGES   := liburing cfitsio jansson yaml-0.1

ifneq (,$(filter-out help clean test fuzz model demo uninstall deb,$(or $(MAKECMDGOALS),all)))
COMPILERS := $(firstword $(CC)) $(if $(filter tests warnings,$(MAKECMDGOALS)),$(firstword $(CXX)))
MISSING := $(shell for c in $(COMPILERS); do command -v $$c >/dev/null || echo $$c; done; \
    if command -v $(PKG_CONFIG) >/dev/null; then \
        for p in $(PACKAGES); do $(PKG_CONFIG) --exists $$p || echo $$p; done; \
    else echo $(PKG_CONFIG); fi)
ifneq (,$(strip $(MISSING)))
$(error missing: $(strip $(MISSING)). Run scripts/install-deps, then make again)
endif
# What it can be built without: HAVE_..., the package.
HAS_HTTP    := $(shell $(PKG_CONFIG) --exists libmicrohttpd && echo libmicrohttpd)
HAS_SCREEN  := $(shell $(PKG_CONFIG) --exists ncursesw && echo ncursesw)
FEATURES    := $(if $(HAS_HTTP),-DHAVE_MICROHTTPD) $(if $(HAS_SCREEN),-DHAVE_NCURSES)
PKG_CFLAGS  := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) $(HAS_HTTP)) \
               $(if $(HAS_SCREEN),$(shell $(PKG_CONFIG) --cflags-only-I $(HAS_SCREEN))) $(FEATURES)
PKG_LIBS    := $(shell $(PKG_CONFIG) --libs $(PACKAGES) $(HAS_HTTP) $(HAS_SCREEN))
CHECK_LIBS   = $(shell $(PKG_CONFIG) --libs check)
endif

# ---- flags ----

WARNINGS   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -I. -Isrc $(PKG_CFLAGS) -fvisibility=hidden -fPIC \
              $(WARNINGS) -pthread $(CPPFLAGS) $(CFLAGS) $(variant_flags_$(VARIANT))
WARNINGS_CXX := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wvla -pedantic
ALL_CXXFLAGS := -std=c++17 -I. -fvisibility=hidden -fPIC $(WARNINGS_CXX) -pthread $(CPPFLAGS) \
                $(CXXFLAGS) $(variant_flags_$(VARIANT))
ALL_LDFLAGS := -pthread $(variant_flags_$(VARIANT)) $(LDFLAGS)
STRICT     := $(if $(filter 1,$(WERROR)),-Werror)
# A sanitizer's run-time is found at the final link only.
SO_LDFLAGS := $(if $(findstring fsanitize,$(variant_flags_$(VARIANT))),,-Wl,-z,defs)

# ---- sources, by wildcard ----

LIB_SOURCES  := $(wildcard lib/*.c)
MAIN_SOURCE  := src/cli/main.c
SRC_SOURCES  := $(filter-out $(MAIN_SOURCE),$(wildcard src/*/*.c))
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
# Those whose modules are shared by threads; tests/run has the same list.
TSAN_SOURCES := $(patsubst %,tests/unit/test_%.c,reader writer wait api_wait cadence io \
                recorder_ring state ring feed player log lane)
PRELOAD_SOURCES := $(wildcard tests/support/preload_*.c)
TOOL_SOURCES := $(filter-out $(PRELOAD_SOURCES),$(wildcard tests/support/*.c tests/stress/*.c))
BENCH_SOURCES := $(wildcard tests/bench/*.c)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
CXX_UNIT_SOURCES := $(wildcard tests/unit/test_*.cpp)
CXX_EXAMPLE_SOURCES := $(wildcard tests/examples/cpp/*.cpp)

objects       = $(patsubst %,$(B)/%.o,$(basename $(1)))
programs      = $(patsubst %,$(B)/%,$(basename $(1)))
C_OBJECTS    := $(call objects,$(LIB_SOURCES) $(MAIN_SOURCE) $(SRC_SOURCES) $(UNIT_SOURCES) \
                $(TOOL_SOURCES) $(BENCH_SOURCES) $(PRELOAD_SOURCES) $(FUZZ_SOURCES))
CXX_OBJECTS  := $(call objects,$(CXX_UNIT_SOURCES) $(CXX_EXAMPLE_SOURCES))

# What the tests put in front of libc; only of use in programs without a sanitizer.
PRELOADS  := $(if $(filter release,$(VARIANT)),$(patsubst %.c,$(B)/%.so,$(PRELOAD_SOURCES)))
LIBDAO_A  := $(B)/libdao.a
LIBDAO_SO := $(B)/libdao.so.0
# What daorec is made of apart from main(), so that tests take what they need of it.
PARTS_A   := $(B)/libdaorec-parts.a
# Made by daorec itself, from its tables of options; not by one that a sanitizer slows down.
MANUAL     := $(B)/man/daorec.1
COMPLETION := $(B)/daorec.bash
TOLD      := $(if $(filter release clang,$(VARIANT)),$(MANUAL) $(COMPLETION))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.PHONY: all tests warnings fuzzers demo test fuzz model bench install uninstall deb clean help FORCE

all: $(B)/daorec $(LIBDAO_A) $(B)/libdao.so $(TOLD) ## build the program, the library and the manual pages (the default)

# Every program that the test suite runs in this variant.
tests_of_all := $(UNIT_SOURCES) $(CXX_UNIT_SOURCES) $(TOOL_SOURCES)
tests_release := $(tests_of_all) $(CXX_EXAMPLE_SOURCES) $(BENCH_SOURCES)
tests_asan  := $(tests_of_all)
tests_clang := $(tests_of_all) $(CXX_EXAMPLE_SOURCES)
tests_tsan  := $(TSAN_SOURCES) $(TOOL_SOURCES)
tests: all $(call programs,$(tests_$(VARIANT))) $(PRELOADS)

# What the compiler has to say of every source, without making anything of it: for VARIANT=clang.
WARNED := $(C_OBJECTS:.o=.warned) $(CXX_OBJECTS:.o=.warned)
warnings: $(WARNED)

# The fuzz targets; for VARIANT=fuzz only, which instruments what they call.
fuzzers: $(call programs,$(FUZZ_SOURCES))

define note_flags
	@mkdir -p $(@D)
	@printf '%s\n' '$(1) | $(ALL_LDFLAGS)' | cmp -s - $@ || \
	    printf '%s\n' '$(1) | $(ALL_LDFLAGS)' > $@
endef

$(B)/flags: FORCE
	$(call note_flags,$(CC) $(ALL_CFLAGS))

$(B)/flags-cxx: FORCE
	$(call note_flags,$(CXX) $(ALL_CXXFLAGS))

$(C_OBJECTS): $(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	@$(if $(Q),echo "  CC      $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(STRICT) -MMD -MP -c -o $@ $<

$(CXX_OBJECTS): $(B)/%.o: %.cpp $(B)/flags-cxx
	@mkdir -p $(@D)
	@$(if $(Q),echo "  CXX     $@")
	$(Q)$(CXX) $(ALL_CXXFLAGS) $(STRICT) -MMD -MP -c -o $@ $<

$(C_OBJECTS:.o=.warned): $(B)/%.warned: %.c $(B)/flags
	@mkdir -p $(@D)
	@$(if $(Q),echo "  CHECK   $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(STRICT) -MMD -MP -MF $@.d -MT $@ -fsyntax-only $<
	@touch $@

$(CXX_OBJECTS:.o=.warned): $(B)/%.warned: %.cpp $(B)/flags-cxx
	@mkdir -p $(@D)
	@$(if $(Q),echo "  CHECK   $<")
	$(Q)$(CXX) $(ALL_CXXFLAGS) $(STRICT) -MMD -MP -MF $@.d -MT $@ -fsyntax-only $<
	@touch $@
# The page is part of the program.
$(B)/src/serve/page.o: src/serve/page.html

define archive
	@$(if $(Q),echo "  AR      $@")
	$(Q)rm -f $@ && $(AR) cqs $@ $(filter %.o,$^) # q: rooms have files of the same name
endef

$(LIBDAO_A): $(call objects,$(LIB_SOURCES)) Makefile
	$(archive)

$(PARTS_A): $(call objects,$(SRC_SOURCES)) Makefile
	$(archive)

$(LIBDAO_SO): $(call objects,$(LIB_SOURCES)) Makefile
	@$(if $(Q),echo "  LD      $@")
	$(Q)$(CC) -shared -Wl,-soname,libdao.so.0 $(SO_LDFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^)

$(B)/libdao.so: $(LIBDAO_SO)
	$(Q)ln -sf libdao.so.0 $@

define link
	@mkdir -p $(@D)
	@$(if $(Q),echo "  LD      $@")
	$(Q)$(or $(1),$(CC)) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^)
endef

$(B)/daorec: $(call objects,$(MAIN_SOURCE)) $(PARTS_A) $(LIBDAO_A)
	$(link) $(PKG_LIBS) -lm

$(MANUAL): $(B)/daorec lib/libdao.3 scripts/daorec-report.1
	@$(if $(Q),echo "  MAN     $(@D)")
	$(Q)rm -rf $(@D) && $(B)/daorec help --man-pages $(@D)
	$(Q)cp lib/libdao.3 scripts/daorec-report.1 $(@D)/

$(COMPLETION): $(B)/daorec
	$(Q)$(B)/daorec help --bash-completion > $@

$(call programs,$(UNIT_SOURCES)): %: %.o $(PARTS_A) $(LIBDAO_A)
	$(link) $(PKG_LIBS) $(CHECK_LIBS) -lm

$(call programs,$(CXX_UNIT_SOURCES)): %: %.o $(LIBDAO_A)
	$(call link,$(CXX)) $(CHECK_LIBS)

# An example finds the headers as a program of its reader does.
$(call objects,$(CXX_EXAMPLE_SOURCES)) \
$(patsubst %.o,%.warned,$(call objects,$(CXX_EXAMPLE_SOURCES))): ALL_CXXFLAGS += -Ilib

$(call programs,$(CXX_EXAMPLE_SOURCES)): %: %.o $(LIBDAO_A)
	$(call link,$(CXX))

$(call programs,$(TOOL_SOURCES)): %: %.o $(LIBDAO_A)
	$(link) -lm

$(PRELOADS): %.so: %.o
	@$(if $(Q),echo "  LD      $@")
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -o $@ $< -ldl

$(call programs,$(BENCH_SOURCES)): %: %.o $(LIBDAO_A)
	$(link) $(PKG_LIBS) -lm

$(call programs,$(FUZZ_SOURCES)): %: %.o $(PARTS_A) $(LIBDAO_A)
	$(link) -fsanitize=fuzzer $(PKG_LIBS) -lm

-include $(C_OBJECTS:.o=.d) $(CXX_OBJECTS:.o=.d) $(WARNED:=.d)

# ---- what a person runs ----

JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

demo: ## record two simulated streams for a few seconds and show the result
	$(Q)scripts/demo

test: ## install what the tests need, build what they run in each variant, run every test
	$(Q)scripts/install-deps --test
	$(Q)mkdir -p build
	$(Q)flock build/.lock $(MAKE) $(JOBS) --no-print-directory VARIANT=release WERROR=1 tests
	$(Q)flock build/.lock $(MAKE) $(JOBS) --no-print-directory VARIANT=asan tests
	$(Q)flock build/.lock $(MAKE) $(JOBS) --no-print-directory VARIANT=tsan tests
	$(Q)flock build/.lock $(MAKE) $(JOBS) --no-print-directory VARIANT=clang warnings
	$(Q)flock build/.lock $(MAKE) $(JOBS) --no-print-directory VARIANT=fuzz fuzzers
	$(Q)tests/run

FUZZ_SECONDS ?= 60

fuzz: ## throw hostile bytes at what reads bytes, FUZZ_SECONDS (60) a target
	$(Q)scripts/install-deps --test
	$(Q)$(MAKE) $(JOBS) --no-print-directory VARIANT=release all
	$(Q)$(MAKE) $(JOBS) --no-print-directory VARIANT=fuzz fuzzers
	$(Q)tests/fuzz/fuzz --seconds $(FUZZ_SECONDS)

model: ## check the model of readers and writers exhaustively, with spin (minutes)
	$(Q)tests/model/run-model

bench: all $(call programs,$(BENCH_SOURCES)) ## measure speed, as ratios, beside bare disk and memory; BENCH="--only disk" for a part
	$(Q)$(PYTHON3) tests/bench/bench.py $(BENCH)

install: all $(MANUAL) $(COMPLETION) ## install daorec, libdao, Python modules, manual pages, completion and the systemd unit under $(DESTDIR)$(prefix)
	$(Q)install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir)
	$(Q)install -m 755 $(B)/daorec $(DESTDIR)$(bindir)/daorec
	$(Q)install -m 644 $(LIBDAO_SO) $(DESTDIR)$(libdir)/libdao.so.0
	$(Q)ln -sf libdao.so.0 $(DESTDIR)$(libdir)/libdao.so
	$(Q)install -m 644 $(LIBDAO_A) $(DESTDIR)$(libdir)/libdao.a
	$(Q)install -m 644 lib/dao.h lib/daoShm.hpp $(DESTDIR)$(includedir)/
	$(Q)printf '%s\n' 'prefix=$(prefix)' 'libdir=$(libdir)' 'includedir=$(includedir)' '' \
	    'Name: dao' 'Description: DAO FIFO shared memory' 'Version: $(VERSION)' \
	    'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -ldao' 'Libs.private: -pthread' \
	    > $(DESTDIR)$(libdir)/pkgconfig/dao.pc
	$(Q)chmod 644 $(DESTDIR)$(libdir)/pkgconfig/dao.pc
	$(Q)install -d $(addprefix $(DESTDIR),$(mandir)/man1 $(mandir)/man3 $(mandir)/man5 \
	    $(completionsdir))
	$(Q)install -m 644 $(B)/man/*.1 $(DESTDIR)$(mandir)/man1/
	$(Q)install -m 644 $(B)/man/*.3 $(DESTDIR)$(mandir)/man3/
	$(Q)install -m 644 $(B)/man/*.5 $(DESTDIR)$(mandir)/man5/
	$(Q)install -m 644 $(COMPLETION) $(DESTDIR)$(completionsdir)/daorec
	$(Q)install -d $(addprefix $(DESTDIR),$(unitdir) $(sysusersdir))
	$(Q)sed 's|/usr/bin/daorec|$(bindir)/daorec|' config/daorec.service \
	    > $(DESTDIR)$(unitdir)/daorec.service
	$(Q)chmod 644 $(DESTDIR)$(unitdir)/daorec.service
	$(Q)install -m 644 config/daorec.sysusers $(DESTDIR)$(sysusersdir)/daorec.conf
	$(if $(EXAMPLES),$(Q)install -d $(DESTDIR)$(docdir)/examples)
	$(if $(EXAMPLES),$(Q)install -m 644 $(EXAMPLES) $(DESTDIR)$(docdir)/examples/)
	$(call install_python,$(pythondir))
	$(call refresh_linker_cache)

uninstall: ## remove what install put there
	$(Q)rm -f $(addprefix $(DESTDIR)$(bindir)/,daorec daorec-report) $(DESTDIR)$(libdir)/libdao.so.0 \
	    $(DESTDIR)$(libdir)/libdao.so $(DESTDIR)$(libdir)/libdao.a \
	    $(DESTDIR)$(includedir)/dao.h $(DESTDIR)$(includedir)/daoShm.hpp \
	    $(DESTDIR)$(libdir)/pkgconfig/dao.pc $(DESTDIR)$(mandir)/man1/daorec.1 \
	    $(DESTDIR)$(mandir)/man1/daorec-*.1 $(DESTDIR)$(mandir)/man3/libdao.3 \
	    $(DESTDIR)$(mandir)/man5/daorec.yaml.5 \
	    $(DESTDIR)$(completionsdir)/daorec $(DESTDIR)$(unitdir)/daorec.service \
	    $(DESTDIR)$(sysusersdir)/daorec.conf \
	    $(addprefix $(DESTDIR)$(docdir)/examples/,$(notdir $(EXAMPLES)))
	$(call uninstall_python,$(pythondir))
	$(call refresh_linker_cache)

# The module is told where the library is from there, so that it needs no linker's cache; and the
# program where its modules are.
define install_python
	$(if $(1),$(Q)install -d $(DESTDIR)$(1),\
	    @echo "no $(PYTHON3): the Python modules are not installed (pythondir= says where to)")
	$(if $(1),$(Q)sed "s|^_LIBDIR_FROM_HERE = None|_LIBDIR_FROM_HERE = '$$(realpath -ms \
	    --relative-to=$(1) $(libdir))'|" lib/daoShm.py > $(DESTDIR)$(1)/daoShm.py)
	$(if $(1),$(Q)chmod 644 $(DESTDIR)$(1)/daoShm.py)
	$(if $(1),$(Q)install -m 644 lib/daoShmZmq.py lib/daorec*.py $(DESTDIR)$(1)/)
	$(if $(1),$(Q)install -d $(DESTDIR)$(1)/daorec_report)
	$(if $(1),$(Q)install -m 644 $(wildcard lib/daorec_report/*.py) $(DESTDIR)$(1)/daorec_report/)
	$(if $(1),$(Q)sed -e "s|^MODULES_FROM_HERE = \"[^\"]*\"|MODULES_FROM_HERE = \"$$(realpath -ms \
	    --relative-to=$(bindir) $(1))\"|" -e "1s|.*|#!$$(command -v $(PYTHON3))|" \
	    scripts/daorec-report > $(DESTDIR)$(bindir)/daorec-report)
	$(if $(1),$(Q)chmod 755 $(DESTDIR)$(bindir)/daorec-report)
endef

define uninstall_python
	$(if $(1),$(Q)rm -f $(addprefix $(DESTDIR)$(1)/,daoShm.py daoShmZmq.py daorec.py \
	    daorec_cut.py daorec_file.py))
	$(if $(1),$(Q)rm -rf $(DESTDIR)$(1)/daorec_report)
endef

# A program finds a library in /usr/local/lib through the linker's cache only.
define refresh_linker_cache
	$(Q)if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig || true; fi
endef

deb: ## build Debian packages into build/deb/, and have lintian judge them
	$(Q)scripts/install-deps --deb
	$(Q)scripts/make-deb

clean: ## remove everything that was built
	$(Q)rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14
	@echo; echo "  VARIANT=release|asan|tsan|clang|fuzz   V=1   CC= CFLAGS= CXX= CXXFLAGS= DESTDIR= prefix= pythondir="
