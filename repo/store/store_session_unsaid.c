/* Sessions that only store packs and name them: what a collector writes with. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/store/store_gc_internal.h"
#include "repo/store/store_parity_internal.h"
#include "repo/store/store_session_internal.h"

static int unsaid_memory(struct store_session *s, uint32_t pack_size,
    unsigned buffers, struct err *err)
{
	s->pack_size = pack_size;
	s->buf_len = (uint32_t)fmt_padme(pack_size);
	s->parity_len = store_parity_room(s->st, s->buf_len);
	s->bufs = mem_array(buffers, sizeof(*s->bufs), "packs", err);
	if (s->bufs == NULL)
		return -1;
	s->nbufs = buffers;
	s->keys = crypto_secret_new((size_t)buffers * STORE_KEY_LEN, err);
	if (s->keys == NULL)
		return -1;
	for (unsigned i = 0; i < buffers; i++)
		s->bufs[i].key = s->keys + (size_t)i * STORE_KEY_LEN;
	s->host = mem_strdup("", err);
	if (s->host != NULL)
		s->volume = mem_strdup("", err);
	return s->volume == NULL ? -1 : store_table_init(&s->table, err);
}

struct store_session *store_session_unsaid(struct store *st, const char *name,
    uint32_t pack_size, unsigned buffers, struct err *err)
{
	struct store_session *s = mem_zalloc(sizeof(*s), "a session", err);

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->st = st;
	s->next_segment = 1;
	s->epoch = store_epoch_known(st, st->info.epoch);
	s->last_segment_ns = s->last_alive_ns = clock_mono_ns();
	memcpy(s->name, name, strlen(name) + 1);
	fmt_key_session(s->object, st->info.slot, name);
	if (unsaid_memory(s, pack_size, buffers, err) != 0) {
		store_session_abort(s);
		return NULL;
	}
	return s;
}

int store_session_settle(struct store_session *s, struct err *err)
{
	int r;

	pthread_mutex_lock(&s->lock);
	for (int k = STORE_DATA; k <= STORE_STATE; k++) {
		for (int i = 0; i < 2; i++) {
			struct store_pack *p = s->open[k][i];

			if (p != NULL) {
				p->last = true;
				store_pack_close(p);
			}
		}
	}
	store_pack_drain(s);
	while (s->jobs > 0)
		pthread_cond_wait(&s->changed, &s->lock);
	r = store_session_failed(s, err);
	pthread_mutex_unlock(&s->lock);
	return r == 0 ? store_segment_flush(s, true, err) : -1;
}
