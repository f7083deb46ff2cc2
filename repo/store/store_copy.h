#ifndef REPO_STORE_STORE_COPY_H
#define REPO_STORE_STORE_COPY_H

#include "repo/store/store.h"

/*
 * Copying between two repositories.  Within a family ids are equal, so that a
 * blob is taken over as it was packed; it is opened and its id verified all the
 * same, for whoever reads the copy has nothing else.
 */

/*
 * Has what sn needs the same ids and order in `to`: are both of one family
 * secret?  Return 1 yes, 0 no; -1 with err: class AUTH when `to` has no
 * credential of sn's domain, or its ids cannot be made with this one.
 */
int store_copy_same(struct store *from, const struct store_snapshot *sn,
    struct store *to, struct err *err);

/*
 * The origin that a copy of sn names, as in struct store_snapshot: sn itself,
 * or what an administrator made it a copy of.  dst: at least
 * STORE_ORIGIN_MAX bytes.
 */
#define STORE_ORIGIN_MAX (33 + 17 + STORE_SESSION_MAX)
void store_copy_origin(const struct store *from,
    const struct store_snapshot *sn, char dst[STORE_ORIGIN_MAX]);
/*
 * May the origin that sn, a snapshot of st, names be believed?  Anybody can
 * claim one who may write; it counts when st's own slot says it, or one with
 * the admin right.
 */
bool store_copy_believed(const struct store *st,
    const struct store_snapshot *sn);

/*
 * Open the sealed blob of `from` (loc->sealed_len bytes, read from loc) into
 * plain, which has room for loc->plain_len bytes, verify its id, and make sure
 * that it will be there when s commits, packed as it is.  w: of `from`, made
 * for the snapshot's domain.  Return 0; 1 with err when this copy of the blob
 * is no good (s goes on); -1 when s has failed.
 */
int store_copy_blob(struct store_session *s, struct store *from,
    struct store_worker *w, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], const struct store_loc *loc,
    const void *sealed, void *plain, struct store_put_result *ret,
    struct err *err);

/*
 * The same for bytes that are opened and of which w has verified the id: they
 * are packed anew, by w's level.  0 or -1.
 */
int store_copy_plain(struct store_session *s, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN], const void *data,
    size_t len, struct store_put_result *ret, struct err *err);

/* Is id that of these bytes in w's repository and domain, by any secret? */
bool store_copy_is(struct store_worker *w, enum store_kind kind,
    const void *data, size_t len, const uint8_t id[STORE_ID_LEN]);

/*
 * End s without a snapshot, but store what is in its open packs, so that the
 * next run finds all that was copied.  s is freed.  0 or -1.
 */
int store_copy_leave(struct store_session *s, struct err *err);

#endif
