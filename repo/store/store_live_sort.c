/*
 * Sorting of many ids within a bound: a buffer that is sorted in place, runs
 * of it in an unnamed file, and a merge of these.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"

#define SORT_MIN 4096    /* ids in the buffer */
#define SORT_SMALL 24    /* so few are sorted by insertion */
#define RUN_BUFFER ((size_t)16 << 10) /* bytes, the least a run reads at once */

typedef uint8_t short_id[GC_SHORT_ID];

struct run {
	uint64_t off, left;  /* in the file: ids */
	size_t pos, have;    /* in its part of the buffer: ids */
};

struct gc_sort {
	const char *dir;
	short_id *v;         /* the buffer */
	size_t n, cap, most; /* ids; it grows up to most */
	int fd;
	uint64_t on_disk;    /* ids */
	struct { uint64_t off, n; } *runs;
	size_t nruns, capruns;
	/* reading */
	bool sorted;
	struct run *at;
	size_t *heap, nheap, part; /* runs by their next id; ids a run has */
	size_t next;         /* in the buffer, without runs */
	short_id last;
	bool has_last;
};

struct gc_sort *store_sort_new(size_t memory, const char *dir, struct err *err)
{
	struct gc_sort *s = mem_zalloc(sizeof(*s), "the live set", err);

	if (s == NULL)
		return NULL;
	s->dir = dir;
	s->fd = -1;
	s->most = memory / GC_SHORT_ID;
	if (s->most < SORT_MIN)
		s->most = SORT_MIN;
	return s;
}

void store_sort_free(struct gc_sort *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s->v);
	free(s->runs);
	free(s->at);
	free(s->heap);
	free(s);
}

/* --- sorting in memory ------------------------------------------------------------*/

static void insertion(short_id *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		short_id x;
		size_t j = i;

		memcpy(x, v[i], sizeof(x));
		while (j > 0 && memcmp(v[j - 1], x, sizeof(x)) > 0) {
			memcpy(v[j], v[j - 1], sizeof(x));
			j--;
		}
		memcpy(v[j], x, sizeof(x));
	}
}

static int id_cmp(const void *a, const void *b)
{
	return memcmp(a, b, GC_SHORT_ID);
}

/* Ids are even in all bits: sort by one byte after the other, in place. */
static void radix(short_id *v, size_t n, unsigned byte)
{
	size_t count[256] = { 0 }, at[256], end[256];
	size_t sum = 0;

	if (n <= SORT_SMALL) {
		insertion(v, n);
		return;
	}
	if (byte == 4) { /* whoever makes ids may make them alike */
		qsort(v, n, sizeof(*v), id_cmp);
		return;
	}
	for (size_t i = 0; i < n; i++)
		count[v[i][byte]]++;
	for (unsigned b = 0; b < 256; b++) {
		at[b] = sum;
		sum += count[b];
		end[b] = sum;
	}
	for (unsigned b = 0; b < 256; b++) {
		while (at[b] < end[b]) {
			unsigned to = v[at[b]][byte];
			short_id x;

			if (to == b) {
				at[b]++;
				continue;
			}
			memcpy(x, v[at[b]], sizeof(x));
			memcpy(v[at[b]], v[at[to]], sizeof(x));
			memcpy(v[at[to]], x, sizeof(x));
			at[to]++;
		}
	}
	for (unsigned b = 0; b < 256; b++)
		radix(v + end[b] - count[b], count[b], byte + 1);
}

/* Sort the buffer and leave each id once. */
static void sort_buffer(struct gc_sort *s)
{
	size_t n = 0;

	radix(s->v, s->n, 0);
	for (size_t i = 0; i < s->n; i++) {
		if (n > 0 && memcmp(s->v[n - 1], s->v[i], GC_SHORT_ID) == 0)
			continue;
		memmove(s->v[n++], s->v[i], GC_SHORT_ID);
	}
	s->n = n;
}

/* --- runs ----------------------------------------------------------------------------*/

static int write_run(struct gc_sort *s, struct err *err)
{
	sort_buffer(s);
	if (s->nruns == s->capruns) {
		size_t cap = s->capruns == 0 ? 16 : s->capruns * 2;
		void *v = realloc(s->runs, cap * sizeof(*s->runs));

		if (v == NULL)
			return err_nomem(err, "the live set");
		s->runs = v;
		s->capruns = cap;
	}
	if (s->fd < 0)
		s->fd = store_spill_file(s->dir, err);
	if (s->fd < 0 || store_spill_pwrite(s->fd, s->v, s->n * GC_SHORT_ID,
	        s->on_disk * GC_SHORT_ID, err) != 0)
		return -1;
	s->runs[s->nruns].off = s->on_disk;
	s->runs[s->nruns++].n = s->n;
	s->on_disk += s->n;
	s->n = 0;
	return 0;
}

int store_sort_add(struct gc_sort *s, const uint8_t id[GC_SHORT_ID],
    struct err *err)
{
	if (s->n == s->cap && s->cap < s->most) {
		size_t cap = s->cap == 0 ? SORT_MIN : s->cap * 2;
		void *v;

		if (cap > s->most)
			cap = s->most;
		v = realloc(s->v, cap * sizeof(*s->v));
		if (v == NULL)
			return err_nomem(err, "the live set");
		s->v = v;
		s->cap = cap;
	}
	if (s->n == s->cap && write_run(s, err) != 0)
		return -1;
	memcpy(s->v[s->n++], id, GC_SHORT_ID);
	return 0;
}

/* --- reading ----------------------------------------------------------------------------*/

/* Read more of run i: 0, 1 when it is at its end, -1. */
static int run_fill(struct gc_sort *s, size_t i, struct err *err)
{
	struct run *r = &s->at[i];
	size_t n = r->left < s->part ? (size_t)r->left : s->part;

	if (n == 0)
		return 1;
	if (store_spill_pread(s->fd, s->v + i * s->part, n * GC_SHORT_ID,
	        r->off * GC_SHORT_ID, err) != 0)
		return -1;
	r->off += n;
	r->left -= n;
	r->pos = 0;
	r->have = n;
	return 0;
}

static const uint8_t *run_id(const struct gc_sort *s, size_t i)
{
	return s->v[i * s->part + s->at[i].pos];
}

/* The run on top of the heap has another id now: let it sink. */
static void heap_sink(struct gc_sort *s, size_t i)
{
	for (;;) {
		size_t l = 2 * i + 1, least = i, x;

		for (size_t c = l; c < l + 2 && c < s->nheap; c++)
			if (memcmp(run_id(s, s->heap[c]),
			        run_id(s, s->heap[least]), GC_SHORT_ID) < 0)
				least = c;
		if (least == i)
			return;
		x = s->heap[i];
		s->heap[i] = s->heap[least];
		s->heap[least] = x;
		i = least;
	}
}

/* Room for the parts of all runs in the buffer. */
static int merge_room(struct gc_sort *s, struct err *err)
{
	size_t want;
	void *v;

	s->part = s->cap / s->nruns;
	if (s->part * GC_SHORT_ID < RUN_BUFFER)
		s->part = RUN_BUFFER / GC_SHORT_ID;
	want = s->part * s->nruns;
	if (want > s->cap) {
		v = realloc(s->v, want * sizeof(*s->v));
		if (v == NULL)
			return err_nomem(err, "the live set");
		s->v = v;
		s->cap = want;
	}
	if (s->at == NULL)
		s->at = mem_array(s->nruns, sizeof(*s->at), "the live set",
		    err);
	if (s->at != NULL && s->heap == NULL)
		s->heap = mem_array(s->nruns, sizeof(*s->heap),
		    "the live set", err);
	return s->heap == NULL ? -1 : 0;
}

int store_sort_rewind(struct gc_sort *s, struct err *err)
{
	if (!s->sorted) {
		if (s->nruns > 0 && s->n > 0 && write_run(s, err) != 0)
			return -1;
		if (s->nruns == 0)
			sort_buffer(s);
		s->sorted = true;
	}
	s->next = 0;
	s->has_last = false;
	if (s->nruns == 0)
		return 0;
	if (merge_room(s, err) != 0)
		return -1;
	s->nheap = s->nruns;
	for (size_t i = 0; i < s->nruns; i++) {
		s->at[i] = (struct run){ s->runs[i].off, s->runs[i].n, 0, 0 };
		s->heap[i] = i;
		if (run_fill(s, i, err) != 0)
			return -1;
	}
	for (size_t i = s->nheap; i > 0; i--)
		heap_sink(s, i - 1);
	return 0;
}

/* The least id of all runs: 0, 1, -1. */
static int merge_next(struct gc_sort *s, uint8_t *ret_id, struct err *err)
{
	size_t top;
	int r = 0;

	if (s->nheap == 0)
		return 1;
	top = s->heap[0];
	memcpy(ret_id, run_id(s, top), GC_SHORT_ID);
	if (++s->at[top].pos == s->at[top].have)
		r = run_fill(s, top, err);
	if (r < 0)
		return -1;
	if (r > 0)
		s->heap[0] = s->heap[--s->nheap];
	heap_sink(s, 0);
	return 0;
}

int store_sort_next(struct gc_sort *s, uint8_t ret_id[GC_SHORT_ID],
    struct err *err)
{
	int r;

	if (s->nruns == 0) {
		if (s->next == s->n)
			return 1;
		memcpy(ret_id, s->v[s->next++], GC_SHORT_ID);
		return 0;
	}
	do
		r = merge_next(s, ret_id, err);
	while (r == 0 && s->has_last &&
	    memcmp(ret_id, s->last, GC_SHORT_ID) == 0);
	if (r == 0) {
		memcpy(s->last, ret_id, GC_SHORT_ID);
		s->has_last = true;
	}
	return r;
}
