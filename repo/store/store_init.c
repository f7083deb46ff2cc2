/* Making a repository: probe the store, one credential, then config. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_internal.h"

#define PROBE_THREADS 8
#define PROBE_ROUNDS 3
#define PACK_STEP ((uint32_t)64 << 10)
#define PACK_MIN ((uint32_t)256 << 10)
#define PACK_MAX ((uint32_t)128 << 20)
#define PARITY_DATA 100u /* shards of a pack, so the others are percent */

/* --- does the store create atomically? ----------------------------------------*/

struct probe {
	struct backend *be;
	char key[FMT_KEY_MAX];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool go;
};

/* One of those who race for a probe object. */
struct prober {
	struct probe *probe;
	uint8_t data[16];
	int result;
	struct err err;
	pthread_t thread;
};

static void *prober_run(void *arg)
{
	struct prober *p = arg;
	struct probe *probe = p->probe;

	pthread_mutex_lock(&probe->lock);
	while (!probe->go)
		pthread_cond_wait(&probe->changed, &probe->lock);
	pthread_mutex_unlock(&probe->lock);
	p->result = backend_put(probe->be, probe->key, p->data,
	    sizeof(p->data), &p->err);
	return NULL;
}

/* Return 0 when exactly one of n won and its bytes are there, 1 when not. */
static int probe_judge(struct probe *probe, const struct prober *p, unsigned n,
    struct err *err)
{
	const struct prober *winner = NULL;
	uint8_t got[16];
	int r;

	for (unsigned i = 0; i < n; i++) {
		if (p[i].result < 0) {
			*err = p[i].err;
			return -1;
		}
		if (p[i].result == 0) {
			if (winner != NULL)
				return 1;
			winner = &p[i];
		}
	}
	if (winner == NULL)
		return 1;
	r = backend_get(probe->be, probe->key, 0, got, sizeof(got), err);
	if (r != 0)
		return r;
	return memcmp(got, winner->data, sizeof(got)) == 0 ? 0 : 1;
}

static int probe_round(struct backend *be, struct prober *p, struct err *err)
{
	struct probe probe = { .be = be };
	uint8_t name[16];
	char hex[33];
	unsigned n = 0;
	int r;

	rand_bytes(name, sizeof(name));
	hex_encode(hex, name, sizeof(name));
	snprintf(probe.key, sizeof(probe.key), "probe/%s", hex);
	pthread_mutex_init(&probe.lock, NULL);
	pthread_cond_init(&probe.changed, NULL);
	for (; n < PROBE_THREADS; n++) {
		p[n] = (struct prober){ .probe = &probe };
		rand_bytes(p[n].data, sizeof(p[n].data));
		if (pthread_create(&p[n].thread, NULL, prober_run,
		        &p[n]) != 0)
			break;
	}
	pthread_mutex_lock(&probe.lock);
	probe.go = true;
	pthread_cond_broadcast(&probe.changed);
	pthread_mutex_unlock(&probe.lock);
	for (unsigned i = 0; i < n; i++)
		pthread_join(p[i].thread, NULL);
	if (n < 2)
		r = err_set(err, ERR_FULL, "no threads to probe the store with");
	else
		r = probe_judge(&probe, p, n, err);
	if (backend_del(be, probe.key, NULL) < 0)
		log_msg(LOG_WARN, "%s: %s could not be removed", be->name,
		    probe.key);
	pthread_cond_destroy(&probe.changed);
	pthread_mutex_destroy(&probe.lock);
	return r;
}

/*
 * Return 0 when the store creates atomically, 1 when not, -1.  A directory of
 * this machine tells by its kind of file system; others are raced (R12).
 */
int store_probe(struct backend *be, struct err *err)
{
	struct backend_caps caps;
	struct prober *p;
	int r = 0;

	backend_caps(be, &caps);
	if (!caps.atomic_create)
		return 1;
	if (caps.local)
		return 0;
	p = mem_array(PROBE_THREADS, sizeof(*p), "a probe", err);
	if (p == NULL)
		return -1;
	for (int i = 0; i < PROBE_ROUNDS && r == 0; i++)
		r = probe_round(be, p, err);
	free(p);
	return r < 0 ? err_wrap(err, "probing the store") : r;
}

/* --- the repository ----------------------------------------------------------------*/

static struct fmt_chunking chunking_of(const struct store_chunking *c)
{
	return (struct fmt_chunking){ c->avg, c->min, c->max, c->threshold };
}

static int put_config(struct backend *be, const struct store_init_options *opt,
    const struct store_new_key *nk, bool weak, struct err *err)
{
	char key[FMT_KEY_MAX];
	struct buf obj = BUF_INIT;
	struct fmt_config c = {
		.signer_epoch = 1,
		.epoch = 1,
		.admins = { nk->half->admin_pub, 32, 1 },
		.created_ns = clock_real_ns(),
		.stream = chunking_of(&opt->stream),
		.block = chunking_of(&opt->block),
		.pack_size = opt->pack_size == 0 ? 16u << 20 : opt->pack_size,
		.parity_data = opt->parity > 0 ? PARITY_DATA : 0,
		.parity_shards = (uint8_t)opt->parity,
		.flags = weak ? FMT_WEAK_STORE : 0,
	};
	int r = -1;

	memcpy(c.repository, nk->repository, 16);
	memcpy(c.family, nk->family_id, 16);
	fmt_key_config(key, 1);
	if (fmt_config_encode(&obj, &c, err) == 0 &&
	    fmt_sign_append(&obj, nk->repository, key, NULL, nk->admin,
	        err) == 0)
		r = store_object_put(be, key, obj.p, obj.len, err);
	buf_release(&obj);
	if (r > 0)
		return err_set(err, ERR_EXISTS,
		    "%s: someone else made a repository there just now",
		    be->name);
	return r;
}

/* All that is drawn for a new repository; in secret memory. */
struct new_repository {
	uint8_t root[32], family[32];
	struct fmt_epoch_keys epoch;
	struct fmt_domain_keys domain;
	struct fmt_secret half;
};

/* A family of its own, or that of another repository. */
static int init_family(struct store *of, uint8_t ret_id[16],
    uint8_t ret_secret[32], struct err *err)
{
	const struct store_family *f;

	if (of == NULL) {
		rand_bytes(ret_id, 16);
		rand_bytes(ret_secret, 32);
		return 0;
	}
	if (store_need(of, STORE_ADMIN, "to make a repository of its family",
	        err) != 0)
		return -1;
	/* Writers there may use a newer secret than of has opened with. */
	if (store_config_refresh(of, err) != 0)
		return -1;
	f = store_family_at(of, store_config_now(of)->c.epoch);
	if (f == NULL || !f->has_family)
		return err_set(err, ERR_BUG, "no family secret");
	memcpy(ret_id, of->info.family, 16);
	memcpy(ret_secret, f->sec->family, 32);
	return 0;
}

static int init_put(struct backend *be, const struct store_init_options *opt,
    const struct store_secret *secret, bool weak, struct new_repository *nr,
    char ret_slot[17], struct err *err)
{
	struct fmt_list_buf epochs = FMT_LIST_BUF_INIT, families = epochs;
	uint8_t repository[16], family_id[16];
	struct store_new_key nk = {
		.rights = STORE_WRITE | STORE_READ | STORE_ADMIN,
		.domain = opt->domain == NULL ? "" : opt->domain,
		.label = opt->label == NULL ? "first" : opt->label,
		.secret = secret,
		.argon_memory = opt->memory == 0 ? (size_t)512 << 20 :
		    opt->memory,
		.epoch = 1,
		.admin = nr->epoch.admin,
		.repository = repository,
		.family_id = family_id,
		.half = &nr->half,
	};
	struct fmt_grant_epoch ge = {
		.epoch = 1,
		.content_pub = nr->epoch.content_pub,
		.admin_pub = nr->epoch.admin_pub,
		.index = nr->epoch.index,
		.content = nr->epoch.content,
		.root = nr->root,
	};
	struct fmt_grant_family gf = {
		.from = 1,
		.family = nr->family,
		.id = nr->domain.id,
		.order = nr->domain.order,
		.cut = nr->domain.cut,
	};
	int r = -1;

	rand_bytes(repository, sizeof(repository));
	rand_bytes(nr->root, 32);
	if (init_family(opt->family_of, family_id, nr->family, err) != 0)
		return -1;
	fmt_epoch_derive(&nr->epoch, nr->root);
	if (fmt_domain_derive(&nr->domain, nr->family, fmt_str(nk.domain),
	        err) != 0)
		return -1;
	fmt_list_add_grant_epoch(&epochs, nk.rights, &ge);
	fmt_list_add_grant_family(&families, nk.rights, &gf);
	nk.grant = (struct fmt_grant){
		.n = 1,
		.families = fmt_list_of(&families),
		.epochs = fmt_list_of(&epochs),
	};
	if (buf_check(&epochs.b, "a grant", err) == 0 &&
	    buf_check(&families.b, "a grant", err) == 0 &&
	    store_key_create(be, &nk, err) == 0)
		r = put_config(be, opt, &nk, weak, err);
	if (r == 0)
		hex_encode(ret_slot, nk.slot, STORE_SLOT_LEN);
	store_grant_lists_wipe(&families, &epochs);
	return r;
}

static int init_checks(struct backend *be, const struct store_init_options *opt,
    const struct store_secret *secret, struct err *err)
{
	struct store_keys keys = { 0 };
	size_t n;

	if (secret->passphrase == NULL)
		return err_set(err, ERR_USAGE,
		    "the first credential needs a passphrase");
	if (opt->pack_size != 0 && (opt->pack_size % PACK_STEP != 0 ||
	        opt->pack_size < PACK_MIN || opt->pack_size > PACK_MAX))
		return err_set(err, ERR_USAGE,
		    "a pack size of %u bytes (256 KiB to 128 MiB, in steps of "
		    "64 KiB)", opt->pack_size);
	if (opt->parity > STORE_PARITY_MAX)
		return err_set(err, ERR_USAGE, "parity of %u percent (at most "
		    "%u)", opt->parity, STORE_PARITY_MAX);
	if (store_keys_list(be, "config/", &keys, err) != 0)
		return -1;
	n = keys.n;
	store_keys_release(&keys);
	if (n > 0)
		return err_set(err, ERR_EXISTS,
		    "there is a repository at %s already", be->name);
	return 0;
}

int store_init(struct backend *be, const struct store_init_options *opt,
    const struct store_secret *secret, char ret_slot[17], struct err *err)
{
	struct new_repository *nr;
	int weak, r;

	if (crypto_init(err) != 0 || init_checks(be, opt, secret, err) != 0)
		return -1;
	weak = store_probe(be, err);
	if (weak < 0)
		return -1;
	if (weak > 0 && !opt->allow_weak_store)
		return err_set(err, ERR_UNSUPPORTED, "%s does not create "
		    "objects atomically, so two programs could overwrite each "
		    "other's (--allow-weak-store makes a repository there all "
		    "the same)", be->name);
	nr = crypto_secret_new(sizeof(*nr), err);
	if (nr == NULL)
		return -1;
	r = init_put(be, opt, secret, weak > 0, nr, ret_slot, err);
	crypto_secret_free(nr);
	return r;
}
