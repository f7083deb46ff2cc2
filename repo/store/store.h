#ifndef REPO_STORE_STORE_H
#define REPO_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/backend/backend.h"
#include "repo/base/buf.h"
#include "repo/base/err.h"
#include "repo/store/store_snapshot.h"
#include "repo/store/store_write.h"
#include "repo/zip/zip.h"

/*
 * A repository: blobs by id, snapshots by name, credentials.  It knows packs,
 * index segments and sessions; it knows nothing of files and volumes.
 *
 * An opened store may be used by any number of threads; what is for one
 * thread at a time says so.
 */

enum store_right { STORE_WRITE = 1, STORE_READ = 2, STORE_ADMIN = 4 };

/* What opens a credential.  All pointers are borrowed for the call. */
struct store_secret {
	const char *passphrase; /* not NUL-terminated; NULL: use key_file */
	size_t passphrase_len;
	const char *key_file;   /* the line of a key file, NUL-terminated */
	const char *slot;       /* 16 hex; NULL: the key file's, else try all */
};

/* Cutting parameters of one mode; as chunker_params. */
struct store_chunking {
	uint32_t avg, min, max; /* bytes */
	uint64_t threshold;
};

/* What is known of an opened repository; borrowed from the store. */
struct store_info {
	uint8_t repository[16], family[16];
	uint32_t epoch;
	uint8_t slot[STORE_SLOT_LEN];
	unsigned rights;        /* of this credential: enum store_right, or-ed */
	const char *domain;
	const char *label;
	int64_t created_ns;
	uint32_t pack_size;     /* bytes */
	struct store_chunking stream, block;
	/* Parity of each pack: at most so many data shards; 0, 0: none. */
	uint8_t parity_data, parity_shards;
	bool weak_store;
};

struct store_options {
	size_t memory;   /* bytes for index blocks, filters and page cache; 0: 64 MiB */
	size_t argon_memory; /* bound for Argon2id, bytes; 0: 256 MiB */
	uint32_t pack_size;  /* override, bytes (a small budget); 0: as configured */
	/*
	 * Where a request takes long, so many reads are made at once, before
	 * they are needed; 0: none.  Nothing for local directories.
	 */
	unsigned readers;
	bool reads;          /* snapshots and index will be read first */
	/*
	 * Directory of the local cache, for stores far away; borrowed for the
	 * call of store_open.  NULL: none.  What of it is read is verified as
	 * if the store had sent it; it may be removed at any time.
	 */
	const char *cache_dir;
	uint64_t cache_bytes; /* at most, of all repositories cached there */
};
/* For tests: reads are made ahead by who says that they will be needed. */
#define STORE_READERS_INLINE 0xffffffffu

struct store;

/*
 * Open the repository in be and take be over (also on failure).  Reads keys,
 * epochs and config; the index is read when it is first needed.  Creates
 * nothing.  NULL with err: NOTFOUND when there is no repository, AUTH when
 * the secret opens no credential or the slot has been removed, UNSUPPORTED
 * when it is newer than this program or needs a feature that this one lacks
 * (named), CORRUPT.
 */
struct store *store_open(struct backend *be, const struct store_secret *secret,
    const struct store_options *opt, struct err *err);
void store_close(struct store *st); /* NULL is fine */

const struct store_info *store_info(const struct store *st);

/* The backend, for those who count or list; it stays the store's. */
struct backend *store_backend(struct store *st);

/* 32-byte keys, valid until close.  NULL when the credential lacks the right. */
const uint8_t *store_cut_key(const struct store *st);   /* needs write */
const uint8_t *store_order_key(const struct store *st);

/* Class AUTH, naming the right and the slot, unless all of rights are held. */
int store_need(const struct store *st, unsigned rights, const char *what,
    struct err *err);

/* --- one thread's tools ------------------------------------------------------*/

/* Cipher, compressor and scratch memory of one thread at a time. */
struct store_worker;

/*
 * max_plain: longest plaintext in bytes that it puts (the largest chunk); what
 * is longer can still be read, with more memory.  NULL with err.
 * domain: whose ids are made and checked; NULL: the credential's own; another
 * one needs admin (class AUTH).
 */
struct store_worker *store_worker_new(struct store *st, enum zip_level level,
    size_t max_plain, const char *domain, struct err *err);
void store_worker_free(struct store_worker *w);
/* The id that a blob of these bytes has in w's domain. */
void store_blob_id(const struct store_worker *w, enum store_kind kind,
    const void *data, size_t len, uint8_t ret_id[STORE_ID_LEN]);
/* Bytes that such a worker holds. */
size_t store_worker_memory(enum zip_level level, size_t max_plain);

/* --- reading blobs -------------------------------------------------------------*/

/* Where a copy of a blob is.  pack is a number within this opened store. */
struct store_loc {
	uint32_t pack;
	uint32_t ordinal;
	uint32_t offset;     /* bytes from the pack's start */
	uint32_t sealed_len; /* bytes */
	uint32_t plain_len;  /* bytes */
};

/*
 * Find a copy of the blob.  Return 0, 1 when no segment names it (after the
 * index was listed once more), -1 with err.
 */
int store_locate(struct store *st, const uint8_t id[STORE_ID_LEN],
    struct store_loc *ret_loc, struct err *err);

/* Read len bytes from offset off of a pack, as they are stored. */
int store_pack_read(struct store *st, uint32_t pack, uint64_t off, void *dst,
    size_t len, struct err *err);

/* Write the object key of a pack for messages ("packs/aa/..."), NUL-terminated. */
void store_pack_name(struct store *st, uint32_t pack, char *dst, size_t cap);

/*
 * Open the sealed blob at `sealed` (loc->sealed_len bytes, as read from loc)
 * into dst, which has room for loc->plain_len bytes; the id is verified.
 * Return 0, or -1: CORRUPT naming pack and blob; AUTH without the read right
 * for data and catalog.
 */
int store_blob_open(struct store *st, struct store_worker *w,
    enum store_kind kind, const uint8_t id[STORE_ID_LEN],
    const struct store_loc *loc, const void *sealed, void *dst,
    struct err *err);

/*
 * Read a whole blob, trying every copy before calling it damaged.  The bytes
 * replace what ret_data holds.  Return 0; 1 when no segment names it; -1.
 */
int store_get(struct store *st, struct store_worker *w, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct buf *ret_data, struct err *err);

/*
 * Say that these blobs (pages, in this order) will probably be got soon: where
 * a request takes long they are read meanwhile, neighbours in a pack at once.
 * Nothing else happens, and nothing at all for a local directory.
 */
void store_get_ahead(struct store *st, const uint8_t (*ids)[STORE_ID_LEN],
    size_t n);

/* Does a request to the backend take long, so that many should be under way? */
bool store_is_far(const struct store *st);

#endif
