# Wherry.  `make` builds build/wherry; `make help` lists what else there is.

# Where everything built goes; another directory keeps builds apart.
O       ?= build
ifeq ($(origin CC),default)
CC      := gcc
endif
PKG     ?= pkg-config
PREFIX  ?= /usr/local
VERSION := 0.1.0

# A cross build sets CROSS=aarch64-linux-gnu- and a PKG that finds libraries
# of that kind; see the goal arm64.
CROSS   ?=
ifneq ($(CROSS),)
CC      := $(CROSS)gcc
AR      := $(CROSS)ar
endif

# One static library a room, from the ground up.
ROOMS   := chunker repo/base repo/zip repo/parity repo/crypto repo/net repo/format repo/backend \
           repo/store repo/archive agent/engine agent/mount agent/cli
LIBS    := libzstd libsodium libcrypto liburing jansson libisal fuse3 \
           libcurl libssl expat

OPT     ?= -O2 -g
WERROR  ?= -Werror
WARN    := -Wall -Wextra $(WERROR) -Wstrict-prototypes -Wmissing-prototypes \
           -Wshadow -Wpointer-arith -Wwrite-strings -Wvla
CFLAGS  := -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. $(WARN) $(OPT) \
           -fno-strict-aliasing -pthread -DWHERRY_VERSION='"$(VERSION)"' $(EXTRA_CFLAGS)
LDFLAGS := -pthread $(EXTRA_LDFLAGS)

room_name = $(subst /,-,$(1))
archive   = $(O)/lib$(call room_name,$(1)).a
ARCHIVES := $(foreach r,$(ROOMS),$(call archive,$(r)))
# All rooms but the topmost, for programs that have a main of their own.
LOWER    := $(filter-out $(call archive,agent/cli),$(ARCHIVES))

SRCS    := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c))
UNITS   := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/*.c))
TOOLS   := $(patsubst %.c,$(O)/%,$(wildcard tests/tools/*.c))
FUZZERS := $(patsubst %.c,$(O)/%,$(wildcard tests/fuzz/*.c))
BENCHES := $(patsubst %.c,$(O)/%,$(wildcard bench/*.c))

# Looked up once, and only by goals that compile.
NO_COMPILE := deps servers lint help clean check check-quick check-asan check-tsan \
              check-valgrind bench bench-large bench-s3 soak demo arm64 fuzzers \
              asan tsan
ifneq ($(filter-out $(NO_COMPILE),$(or $(MAKECMDGOALS),all)),)
LIB_CFLAGS := $(shell $(PKG) --cflags $(LIBS) 2>/dev/null)
LIB_LIBS   := $(shell $(PKG) --libs $(LIBS) 2>/dev/null)
endif

.PHONY: all help deps demo check check-quick check-asan check-tsan \
        check-valgrind lint bench bench-large bench-s3 soak install clean arm64 \
        unit tools servers fuzzers fuzz-programs benches asan tsan FORCE
all: $(O)/wherry ## build the program (without a goal, too)

help: ## list the goals
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

# --- building ---------------------------------------------------------------

# V=1 shows whole commands.
say = $(if $(V),,@echo '  $(1)' && )

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC   $<)$(CC) $(CFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

# Other flags, other objects: this file changes when they do.
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(CFLAGS) $(LIB_CFLAGS) $(LDFLAGS))' | cmp -s - $@ || \
	 echo '$(subst ','\'',$(CC) $(CFLAGS) $(LIB_CFLAGS) $(LDFLAGS))' > $@

define room_rule
$(call archive,$(1)): $$(patsubst %.c,$$(O)/%.o,$$(wildcard $(1)/*.c))
	@mkdir -p $$(@D)
	@rm -f $$@
	@$$(AR) rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

# link OBJECT, ARCHIVES, MORE
link = $(call say,LD   $@)$(CC) $(LDFLAGS) -o $@ $(1) -Wl,--start-group $(2) -Wl,--end-group $(LIB_LIBS) $(3)

$(O)/wherry: $(ARCHIVES)
	$(call link,,$(ARCHIVES))

# A unit test is one file, <room>_<what>.c; it links its room and those below,
# which shows that nothing reaches upward.
define up_to
SEEN := $(SEEN) $(call archive,$(1))
UP_TO_$(notdir $(1)) := $$(SEEN)
endef
$(foreach r,$(ROOMS),$(eval $(call up_to,$(r))))

# So does a fuzz program.
.SECONDEXPANSION:
rooms_of = $(or $(UP_TO_$(firstword $(subst _, ,$(1)))),$(LOWER))
$(UNITS): $(O)/tests/unit/%: $(O)/tests/unit/%.o $$(call rooms_of,$$*)
	$(call link,$<,$(filter %.a,$^),-lcmocka)
$(FUZZERS): $(O)/tests/fuzz/%: $(O)/tests/fuzz/%.o $$(call rooms_of,$$*)
	$(call link,$<,$(filter %.a,$^),-fsanitize=fuzzer)
# A bench program links every room but the topmost; a tool links none.
$(BENCHES): $(O)/bench/%: $(O)/bench/%.o $(LOWER)
	$(call link,$<,$(LOWER))
# A tool that is more than a file has a folder NAME_parts for the rest.
$(TOOLS): $(O)/tests/tools/%: $(O)/tests/tools/%.o \
          $$(addprefix $$(O)/,$$(addsuffix .o,$$(basename $$(wildcard tests/tools/$$*_parts/*.c))))
	$(call link,$^,)

unit: $(UNITS) ## build the unit tests
tools: $(TOOLS) ## build the test tools
benches: $(BENCHES) ## build the bench programs
fuzz-programs: $(FUZZERS)

-include $(patsubst %.c,$(O)/%.d,$(SRCS) $(wildcard tests/tools/*/*.c)) \
         $(patsubst %,%.d,$(UNITS) $(TOOLS) $(FUZZERS) $(BENCHES))

# The same tree in another way, beside the ordinary build.
SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAN_tsan := -fsanitize=thread
sanitized = O=$(O)$(2)$(1) WERROR= OPT='-O1 -g -fno-omit-frame-pointer' \
            EXTRA_CFLAGS='$(SAN_$(1))' EXTRA_LDFLAGS='$(SAN_$(1))'

# What tests/scripts/sanitizers.sh runs in `make check`: the program, and the unit
# programs that it names in PROGRAMS, in $(O)/asan and $(O)/tsan.
asan tsan:
	@$(MAKE) --no-print-directory $(call sanitized,$@,/) all \
	 $(addprefix $(O)/$@/tests/unit/,$(PROGRAMS))

fuzzers: ## build the fuzz programs with clang in $(O)-fuzz
	$(MAKE) O=$(O)-fuzz CC=clang WERROR= OPT='-O1 -g' \
	 EXTRA_CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' \
	 EXTRA_LDFLAGS='-fsanitize=address,undefined' fuzz-programs

arm64: ## cross-build in $(O)-arm64
	@root=$$(deploy/arm64-root.sh) || { echo "$$root"; exit 1; }; \
	$(MAKE) --no-print-directory O=$(O)-arm64 CROSS=aarch64-linux-gnu- \
	 PKG="env PKG_CONFIG_SYSROOT_DIR=$$root PKG_CONFIG_LIBDIR=$$root/usr/lib/aarch64-linux-gnu/pkgconfig pkg-config" \
	 EXTRA_CFLAGS="-isystem $$root/usr/include/aarch64-linux-gnu" \
	 EXTRA_LDFLAGS="-Wl,-rpath-link,$$root/lib/aarch64-linux-gnu -Wl,-rpath-link,$$root/usr/lib/aarch64-linux-gnu" all

# --- checking ---------------------------------------------------------------

RUN = python3 tests/run.py

deps: ## install what building and testing need
	@deploy/deps.sh build test

servers: ## make the object stores that tests run against, once
	@tests/servers/get.sh || [ $$? = 77 ]

lint: ## the rules of the house
	@python3 tests/lint/lint.py

check: ## everything without a cluster
	@deploy/deps.sh --quiet build test
	@$(MAKE) --no-print-directory all unit tools
	@if command -v clang >/dev/null; then $(MAKE) --no-print-directory fuzzers; fi
	@$(MAKE) --no-print-directory servers
	@$(RUN) --out $(O) --goal check

check-quick: ## lint, unit tests, one round trip
	@deploy/deps.sh --quiet build test
	@$(MAKE) --no-print-directory all unit tools
	@$(RUN) --out $(O) --goal check-quick

check-asan: ## unit tests and round trips under ASan and UBSan
	@deploy/deps.sh --quiet build test
	@$(MAKE) --no-print-directory $(call sanitized,asan,-) all unit tools
	@$(RUN) --out $(O)-asan --goal check-asan --slow 4

check-tsan: ## the same under TSan
	@deploy/deps.sh --quiet build test
	@$(MAKE) --no-print-directory $(call sanitized,tsan,-) all unit tools
	@setarch -R $(RUN) --out $(O)-tsan --goal check-tsan --slow 8

check-valgrind: ## unit tests under valgrind
	@deploy/deps.sh --quiet build test
	@$(MAKE) --no-print-directory all unit tools
	@$(RUN) --out $(O) --goal check-valgrind --slow 20

soak: ## hours of fuzzing, crashes and collisions
	@deploy/deps.sh --quiet build test
	@$(MAKE) --no-print-directory all unit tools fuzzers servers
	@O=$(O) bash tests/soak.sh

# --- measuring and showing --------------------------------------------------

bench: ## measure against this machine and other programs
	@deploy/deps.sh --quiet build bench
	@$(MAKE) --no-print-directory all benches tools
	@O=$(O) sh bench/run.sh

bench-large: ## the same with large data
	@deploy/deps.sh --quiet build bench
	@$(MAKE) --no-print-directory all benches tools
	@O=$(O) sh bench/run.sh --large

bench-s3: ## the same with an object store in place of a disk
	@deploy/deps.sh --quiet build bench servers
	@$(MAKE) --no-print-directory all benches tools
	@sh tests/servers/get.sh minio
	@O=$(O) sh bench/run.sh --case s3

demo: ## backup and restore before your eyes; of DIR=... if given
	@deploy/deps.sh --quiet build
	@$(MAKE) --no-print-directory all $(O)/tests/tools/treesum
	@O=$(O) sh deploy/demo.sh

# --- installing -------------------------------------------------------------

BINDIR  = $(DESTDIR)$(PREFIX)/bin
SHARE   = $(DESTDIR)$(PREFIX)/share
# What prints the pages; a cross build names a program of this machine.
PRINTER ?= $(O)/wherry

install: $(O)/wherry ## install to PREFIX (under DESTDIR) with man pages and completion
	install -D -m 755 $(O)/wherry $(BINDIR)/wherry
	mkdir -p $(SHARE)/man/man1 $(SHARE)/bash-completion/completions \
	 $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(PRINTER) man > $(SHARE)/man/man1/wherry.1
	for v in $$($(PRINTER) man --list); do \
	 $(PRINTER) man $$v > $(SHARE)/man/man1/wherry-$$v.1 || exit 1; done
	$(PRINTER) completion bash > $(SHARE)/bash-completion/completions/wherry
	$(PRINTER) completion zsh > $(SHARE)/zsh/site-functions/_wherry
	$(PRINTER) completion fish > $(SHARE)/fish/vendor_completions.d/wherry.fish

clean: ## remove what was built
	rm -rf $(O) $(O)-asan $(O)-tsan $(O)-fuzz $(O)-arm64
