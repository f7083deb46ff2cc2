/* Grants: what an administrator lets a slot have of epochs and family secrets. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

static const struct store_epoch *epoch_in(const struct store_epoch *e,
    uint32_t n)
{
	while (e != NULL && e->n != n)
		e = e->next;
	return e;
}

/* The next family secret after `from` that epoch n or an earlier one uses. */
static const struct store_family *family_after(const struct store_family *f,
    uint32_t from, uint32_t n)
{
	const struct store_family *best = NULL;

	for (; f != NULL; f = f->next)
		if (f->from > from && f->from <= n &&
		    (best == NULL || f->from < best->from))
			best = f;
	return best;
}

/*
 * Family secrets in the slot's domain.  Who may not read needs none but the
 * last: with an earlier one it could only confirm guesses.
 */
static int add_families(const struct store_grant_for *to,
    struct fmt_list_buf *l, struct err *err)
{
	const struct store_family *f, *next;
	struct fmt_domain_keys dk;
	int r = 0;

	for (f = family_after(to->families, 0, to->n); f != NULL && r == 0;
	    f = next) {
		struct fmt_grant_family g = { .from = f->from, .id = dk.id,
			.order = dk.order, .cut = dk.cut };

		next = family_after(to->families, f->from, to->n);
		if (next != NULL && !(to->rights & (STORE_READ | STORE_ADMIN)))
			continue;
		if (!f->has_family)
			return err_set(err, ERR_BUG, "an administrator without "
			    "the family secret of epoch %u", f->from);
		g.family = f->sec->family;
		r = fmt_domain_derive(&dk, f->sec->family, fmt_str(to->domain),
		    err);
		if (r == 0)
			fmt_list_add_grant_family(l, to->rights, &g);
	}
	mem_wipe(&dk, sizeof(dk));
	return r;
}

static int add_epochs(const struct store_grant_for *to, struct fmt_list_buf *l,
    struct err *err)
{
	for (uint32_t n = 1; n <= to->n; n++) {
		const struct store_epoch *e = epoch_in(to->epochs, n);
		struct fmt_grant_epoch g;

		if (e == NULL || !e->sec->has_root || !e->sec->has_content)
			return err_set(err, ERR_BUG, "an administrator without "
			    "the keys of epoch %u", n);
		g = (struct fmt_grant_epoch){
			.epoch = n,
			.content_pub = e->content_pub,
			.admin_pub = e->admin_pub,
			.index = e->sec->index,
			.content = e->sec->content,
			.root = e->sec->root,
		};
		fmt_list_add_grant_epoch(l, to->rights, &g);
	}
	return 0;
}

int store_grant_lists(struct store *st, const struct store_grant_for *to,
    struct fmt_list_buf *families, struct fmt_list_buf *epochs,
    struct err *err)
{
	size_t most = (size_t)to->n * (4 + 5 * 32);

	(void)st;
	/* Reserved at once, so that no copy is left behind by growing. */
	if (buf_reserve(&epochs->b, most) != 0 ||
	    buf_reserve(&families->b, most) != 0)
		return err_nomem(err, "a grant");
	if (add_families(to, families, err) != 0 ||
	    add_epochs(to, epochs, err) != 0 ||
	    buf_check(&families->b, "a grant", err) != 0)
		return -1;
	return buf_check(&epochs->b, "a grant", err);
}

void store_grant_lists_wipe(struct fmt_list_buf *families,
    struct fmt_list_buf *epochs)
{
	if (families->b.p != NULL)
		mem_wipe(families->b.p, families->b.cap);
	if (epochs->b.p != NULL)
		mem_wipe(epochs->b.p, epochs->b.cap);
	fmt_list_release(families);
	fmt_list_release(epochs);
}

int store_grant_put(struct store *st, const struct store_grant_for *to,
    char ret_key[FMT_KEY_MAX], struct err *err)
{
	struct fmt_list_buf families = FMT_LIST_BUF_INIT, epochs = families;
	const struct store_epoch *e = epoch_in(to->epochs, to->n);
	uint8_t tag[FMT_TAG_LEN];
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	struct fmt_grant g = {
		.n = to->n,
		.rights = (uint8_t)to->rights,
		.domain = fmt_str(to->domain),
	};
	int r = e == NULL ? err_set(err, ERR_BUG, "no epoch %u", to->n) :
	    store_grant_lists(st, to, &families, &epochs, err);

	if (r == 0) {
		fmt_epoch_tag(tag, e->admin_pub);
		fmt_key_grant(key, to->n, tag, to->slot);
		g.families = fmt_list_of(&families);
		g.epochs = fmt_list_of(&epochs);
		r = fmt_grant_encode(&obj, to->signer->n, to->slot, to->box_pub,
		    &g, err);
	}
	store_grant_lists_wipe(&families, &epochs);
	if (r == 0)
		r = fmt_sign_append(&obj, st->info.repository, key, NULL,
		    to->signer->sec->admin, err);
	if (r == 0)
		r = store_object_put(st->be, key, obj.p, obj.len, err);
	if (r >= 0 && ret_key != NULL)
		memcpy(ret_key, key, sizeof(key));
	buf_release(&obj);
	return r < 0 && e != NULL ? err_wrap(err, "granting epoch %u", to->n) :
	    r;
}

int store_grant_stands(struct store *st, const uint8_t slot[STORE_SLOT_LEN],
    const struct store_epoch *epoch, struct err *err)
{
	const struct store_epoch *by;
	uint8_t tag[FMT_TAG_LEN], signer[FMT_SLOT_LEN];
	char key[FMT_KEY_MAX];
	uint8_t *obj = NULL;
	uint32_t n;
	size_t len;
	int r;

	fmt_epoch_tag(tag, epoch->admin_pub);
	fmt_key_grant(key, epoch->n, tag, slot);
	r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len, err);
	if (r > 0 || (r < 0 && err->class != ERR_CORRUPT))
		return r;
	if (r == 0 && fmt_header_read(obj, len, FMT_GRANT, &n, err) == 0 &&
	    (n == epoch->n || n + 1 == epoch->n) &&
	    (by = store_epoch_known(st, n)) != NULL &&
	    fmt_signed_signer(obj, len, signer, err) == 1 &&
	    fmt_signed_check(obj, len, st->info.repository, key, by->admin_pub,
	        err) == 0) {
		free(obj);
		return 0;
	}
	free(obj);
	return 1;
}
