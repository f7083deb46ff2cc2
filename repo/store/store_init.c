/* Making a repository: probe the store, one credential, then config. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_probe.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_internal.h"

#define PACK_STEP ((uint32_t)64 << 10)
#define PACK_MIN ((uint32_t)256 << 10)
#define PACK_MAX ((uint32_t)128 << 20)
#define PARITY_DATA 100u /* shards of a pack, so the others are percent */

/* Return 0 when the store creates atomically (R12), 1 when not, -1. */
int store_probe(struct backend *be, struct err *err)
{
	struct backend_probe p;

	if (backend_probe(be, &p, err) < 0)
		return -1;
	if (!p.atomic_create)
		log_msg(LOG_WARN, "%s does not create objects atomically: %s",
		    be->name, p.why);
	return !p.atomic_create;
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
	struct backend_probe probe;
	struct new_repository *nr;
	int r;

	if (crypto_init(err) != 0 || init_checks(be, opt, secret, err) != 0)
		return -1;
	if (backend_probe(be, &probe, err) < 0)
		return -1;
	if (opt->ret_probe != NULL)
		*opt->ret_probe = probe;
	if (!probe.atomic_create && !opt->allow_weak_store)
		return err_set(err, ERR_UNSUPPORTED, "%s does not create "
		    "objects atomically (%s), so two programs could overwrite "
		    "each other's (--allow-weak-store makes a repository there "
		    "all the same)", be->name, probe.why);
	nr = crypto_secret_new(sizeof(*nr), err);
	if (nr == NULL)
		return -1;
	r = init_put(be, opt, secret, !probe.atomic_create, nr, ret_slot,
	    err);
	crypto_secret_free(nr);
	return r;
}
