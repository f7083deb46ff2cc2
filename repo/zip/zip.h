#ifndef REPO_ZIP_ZIP_H
#define REPO_ZIP_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/* How a blob's bytes are stored; the number stands in the sealed blob. */
enum zip_method {
	ZIP_RAW = 0,
	/* One zstd frame (RFC 8878): single segment, no checksum, no dictionary. */
	ZIP_ZSTD = 1,
};

/* How hard to try; what users name off, fast, default and max. */
enum zip_level { ZIP_OFF, ZIP_FAST, ZIP_DEFAULT, ZIP_MAX };

/* Contexts for one thread at a time, reused over many blobs. */
struct zip;

/*
 * A compressor and decompressor for plaintexts of at most max_len bytes.
 * What it holds is bounded and allocated here: zip_memory(level, max_len)
 * bytes, of which the last max_len are touched only when zip_pack verifies.
 * With ZIP_OFF it unpacks and packs everything as ZIP_RAW.  NULL with err of
 * class FULL, or BUG when max_len is above 128 MiB.
 */
struct zip *zip_new(enum zip_level level, size_t max_len, struct err *err);
void zip_free(struct zip *z);
size_t zip_memory(enum zip_level level, size_t max_len);

/* Return the room that dst needs for zip_pack of len bytes. */
size_t zip_bound(size_t len);

/*
 * Compress len bytes at src into dst, which has room for zip_bound(len).
 * Write what is to be stored of it: *ret_method and *ret_len.  With ZIP_RAW
 * what stands in dst is of no use and *ret_len is len: the caller stores src.
 * Return 0, or -1 with class BUG (an encoder fault, or len above max_len).
 * Data of which head, middle and tail all look incompressible is not tried;
 * a result not smaller than src is ZIP_RAW.  With verify, what was packed is
 * unpacked and compared first (class BUG when it differs).
 */
int zip_pack(struct zip *z, const void *src, size_t len, bool verify,
    void *dst, enum zip_method *ret_method, size_t *ret_len, struct err *err);

/*
 * Unpack len bytes at src, packed with method, into exactly plain_len bytes
 * at dst, whatever max_len is.  Return 0, or -1 with class CORRUPT when they
 * are anything else (any form of frame that zip_pack does not make, trailing
 * bytes), or UNSUPPORTED for an unknown method.
 */
int zip_unpack(struct zip *z, unsigned method, const void *src, size_t len,
    void *dst, size_t plain_len, struct err *err);

/*
 * Return true when data looks as if compressing it would gain nothing: a 4 KiB
 * sample of its head, of its middle and of its tail all do.  Below 16 KiB the
 * answer is always false.
 */
bool zip_looks_random(const void *data, size_t len);

#endif
