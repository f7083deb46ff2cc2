#ifndef REPO_STORE_STORE_DISK_INTERNAL_H
#define REPO_STORE_STORE_DISK_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/format/fmt_snapshot.h"

/*
 * The local cache: ranges of objects that never change, as they are stored, so
 * nothing can be read in it without keys.  All may be called by any thread,
 * and with NULL, which is a cache that has nothing.  Nothing here fails: what
 * cannot be kept is not there.
 */
struct store_disk;

/*
 * In directory `path`, which is made, for the objects of this repository; at
 * most max bytes, of all repositories that are cached there.  Return NULL when
 * that cannot be (which is logged).
 */
struct store_disk *store_disk_open(const char *path, uint64_t max,
    const uint8_t repository[FMT_REPOSITORY_LEN]);
void store_disk_close(struct store_disk *d);

/*
 * Return true with len bytes from offset off of the object in dst, if just that
 * range was kept.  They have yet to be verified; when they are wrong, drop the
 * range and ask the store.
 */
bool store_disk_get(struct store_disk *d, const char *key, uint64_t off,
    void *dst, size_t len);
bool store_disk_has(struct store_disk *d, const char *key, uint64_t off,
    size_t len);
void store_disk_drop(struct store_disk *d, const char *key, uint64_t off,
    size_t len);
/* Keep a range; it was verified, or it is known to be what was stored. */
void store_disk_put(struct store_disk *d, const char *key, uint64_t off,
    const void *data, size_t len);

#endif
