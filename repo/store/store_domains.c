/* Ids of all domains, for those who open blobs without knowing whose they are. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

/* From now on w takes ids that F of f makes for that domain. */
static int domains_add(struct store_worker *w, const struct store_family *f,
    const char *domain, struct err *err)
{
	struct fmt_domain_keys dk;
	void *v = realloc(w->former,
	    (w->nformer + 1) * sizeof(struct crypto_idkey *));

	if (v == NULL)
		return err_nomem(err, "the keys of domains");
	w->former = v;
	if (fmt_domain_derive(&dk, f->sec->family, fmt_str(domain), err) != 0)
		return -1;
	w->former[w->nformer] = crypto_idkey_new(dk.id, err);
	mem_wipe(&dk, sizeof(dk));
	if (w->former[w->nformer] == NULL)
		return -1;
	w->nformer++;
	return 0;
}

static bool names_have(const struct store_strings *names, const char *s)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], s) == 0)
			return true;
	return false;
}

/* One domain, by every family secret that is held. */
static int domains_take(struct store_worker *w, const char *domain,
    struct err *err)
{
	struct store_family *f;
	int r = 0;

	pthread_mutex_lock(&w->st->keys_lock);
	f = w->st->families;
	pthread_mutex_unlock(&w->st->keys_lock);
	for (; f != NULL && r == 0; f = f->next)
		if (f->has_family)
			r = domains_add(w, f, domain, err);
	return r;
}

int store_worker_all_domains(struct store_worker *w, struct err *err)
{
	struct store *st = w->st;
	struct store_strings names = { NULL, 0 };
	struct store_keys keys = { 0 };
	int r = store_keys_list(st->be, "keys/", &keys, err);

	if (r == 0) {
		names.v = mem_array(keys.n + 1, sizeof(*names.v),
		    "the keys of domains", err);
		r = names.v == NULL ? -1 : 0;
	}
	/* Its own it has. */
	if (r == 0)
		names.v[names.n++] = (char *)st->info.domain;
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		const struct store_slot *sl;
		struct err why = ERR_INIT;
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(&keys, i), &at) != 0 ||
		    at.place != FMT_AT_CERT)
			continue;
		sl = store_slot_find(st, at.slot, &why);
		if (sl == NULL && why.class != ERR_CORRUPT &&
		    why.class != ERR_NOTFOUND) {
			*err = why;
			r = -1;
		} else if (sl != NULL && !names_have(&names, sl->domain)) {
			names.v[names.n++] = sl->domain;
			r = domains_take(w, sl->domain, err);
		}
	}
	free(names.v);
	store_keys_release(&keys);
	return r;
}
