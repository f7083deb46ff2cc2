#include "agent/engine/backup_internal.h"

/*
 * Where blobs are listed as damaged, what refers to them is not carried over:
 * the source is read for it, so that they are stored again.
 */

int backup_may_carry(struct backup *b, const uint8_t id[32], struct err *err)
{
	return b->carry ? store_carry(b->ss, id, err) : store_present(b->ss, id, err);
}

/* What a walk is ended with: something below must be read again. */
#define MUST_READ ERR_CONFLICT

static int on_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry, struct err *err)
{
	int r = backup_may_carry(ctx, id, err);

	(void)kind, (void)page, (void)dir, (void)entry;
	return r > 0 ? err_set(err, MUST_READ, "damaged") : r;
}

static int on_bad(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	(void)ctx, (void)kind, (void)id, (void)dir, (void)entry;
	if (why->class == ERR_CORRUPT || why->class == ERR_NOTFOUND)
		return err_set(err, MUST_READ, "damaged");
	*err = *why;
	return -1;
}

int backup_may_carry_map(struct backup *b, const struct archive_ref *root,
    struct err *err)
{
	const struct archive_walk walk = { on_blob, on_bad, b };
	struct err why = ERR_INIT;

	if (archive_walk_map(&b->io, root, &walk, &why) == 0)
		return 0;
	if (why.class == MUST_READ)
		return 1;
	*err = why;
	return -1;
}
