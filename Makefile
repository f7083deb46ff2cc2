# Wherry.  `make` builds build/wherry; `make help` lists what else there is.

# Where everything built goes; another directory keeps builds apart.
O       ?= build
CC      ?= gcc
AR      ?= ar
PKG     ?= pkg-config
PREFIX  ?= /usr/local
VERSION := 0.1.0

# A cross build sets CROSS=aarch64-linux-gnu- and finds libraries of that kind.
CROSS   ?=
ifneq ($(CROSS),)
CC      := $(CROSS)gcc
AR      := $(CROSS)ar
PKG     := $(CROSS)pkg-config
endif

# One static library a room, listed from the top floor down (link order).
ROOMS   := agent/cli agent/engine repo/archive repo/store repo/backend \
           repo/format repo/crypto repo/zip repo/base chunker
LIBS    := libzstd libsodium libcrypto liburing jansson libisal

OPT     ?= -O2 -g
WARN    := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes \
           -Wshadow -Wpointer-arith -Wwrite-strings -Wvla
CFLAGS  := -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. $(WARN) $(OPT) \
           -fno-strict-aliasing -pthread -DWHERRY_VERSION='"$(VERSION)"' $(EXTRA_CFLAGS)
LDFLAGS := -pthread $(EXTRA_LDFLAGS)

room_name = $(subst /,-,$(1))
archive   = $(O)/lib$(call room_name,$(1)).a
ARCHIVES := $(foreach r,$(ROOMS),$(call archive,$(r)))

SRCS    := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c))
UNIT_SRCS  := $(wildcard tests/unit/*.c)
UNIT_BINS  := $(UNIT_SRCS:%.c=$(O)/%)
TOOL_SRCS  := $(wildcard tests/tools/*.c)
TOOL_BINS  := $(TOOL_SRCS:%.c=$(O)/%)

# Looked up once, and only by goals that compile.
ifeq ($(filter deps lint help clean,$(MAKECMDGOALS)),)
LIB_CFLAGS := $(shell $(PKG) --cflags $(LIBS) 2>/dev/null)
LIB_LIBS   := $(shell $(PKG) --libs $(LIBS) 2>/dev/null)
endif

.PHONY: all help deps demo check check-quick lint bench bench-large soak install \
        check-asan check-tsan clean unit tools
all: $(O)/wherry

help: ## list the goals
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

# --- building ---------------------------------------------------------------

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

define room_rule
$(call archive,$(1)): $$(patsubst %.c,$$(O)/%.o,$$(wildcard $(1)/*.c))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

$(O)/wherry: $(ARCHIVES)
	$(CC) $(LDFLAGS) -o $@ -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIB_LIBS)

# A unit test is one file; it links what it needs from all rooms below the CLI.
UNIT_ROOMS := $(filter-out $(call archive,agent/cli),$(ARCHIVES))
$(O)/tests/unit/%: $(O)/tests/unit/%.o $(UNIT_ROOMS)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(UNIT_ROOMS) -Wl,--end-group $(LIB_LIBS) -lcmocka

$(O)/tests/tools/%: $(O)/tests/tools/%.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(LIB_LIBS)

unit: $(UNIT_BINS)
tools: $(TOOL_BINS)

-include $(SRCS:%.c=$(O)/%.d) $(UNIT_SRCS:%.c=$(O)/%.d) $(TOOL_SRCS:%.c=$(O)/%.d)

clean: ## remove what was built
	rm -rf $(O)
