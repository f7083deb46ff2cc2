#ifndef AGENT_ENGINE_DUMP_INTERNAL_H
#define AGENT_ENGINE_DUMP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/engine/engine_internal.h"
#include "agent/engine/fetch.h"
#include "agent/engine/view.h"

/*
 * Output in order.  It is put together in one of two windows: bytes at once,
 * chunks as needs that are fetched when the window is full.  While one is
 * fetched, the other one is written by a thread of its own.
 */

struct dump;

struct dump_window {
	struct dump *d;
	uint8_t *buf;
	size_t len;
	bool writing;    /* under d->lock */
	struct buf marks; /* whose the bytes are: u32 offset, u32 length, path */
};

struct dump {
	struct engine *e;
	struct store *st;
	const struct store_snapshot *sn;
	int fd;
	bool strict;          /* damage ends it; else zeros stand in for it */
	struct pages *pages;
	struct fetch *fetch;
	struct dump_window w[2];
	size_t cap;
	unsigned cur;
	uint64_t told;        /* bytes of output so far */
	struct buf path;      /* of what is being put out, for messages */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	atomic_bool failed;
	struct err failure;   /* first of all */
	bool damaged;
	struct err damage;
};

/* Append to the output.  Return 0 or -1. */
int dump_bytes(struct dump *d, const void *p, size_t len, struct err *err);
int dump_zeros(struct dump *d, uint64_t len, struct err *err);
/* A file's content, c->size bytes in any case but that of failure. */
int dump_content(struct dump *d, const struct fmt_content *c, struct err *err);
/* What follows belongs to this path. */
void dump_mark(struct dump *d, const void *path, size_t len);
/* A part cannot be had.  0: zeros stand in for it; -1: that ends it. */
int dump_damage(struct dump *d, const struct err *why, struct err *err);

/* dump_tar.c: the view's directory as an archive. */
int dump_tar(struct dump *d, struct view *v, struct err *err);

#endif
