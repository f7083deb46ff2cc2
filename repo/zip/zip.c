/*
 * zstd (RFC 8878) with all memory taken at the start.
 *
 * The contexts live in memory that is mapped once, by the ZSTD_initStatic and
 * ZSTD_estimate calls.  zstd.h lists them as "static linking only" because
 * they may change between versions; they are exported all the same, and they
 * are the only way to a bound that holds: a context that allocates for itself
 * grows and shrinks with the inputs and can fail in the middle of a backup.
 */
#define ZSTD_STATIC_LINKING_ONLY

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/zip/zip.h"

/* As far as a window can go that decoders take without being told to. */
#define MAX_LEN_LIMIT ((size_t)1 << ZSTD_WINDOWLOG_LIMIT_DEFAULT)

/* The frame header descriptor without its two bits of size-field length. */
#define DESCRIPTOR_MASK 0x3f
#define DESCRIPTOR_SINGLE_SEGMENT 0x20 /* no checksum, no dictionary id */

struct region {
	void *p;
	size_t len; /* bytes, as mapped */
};

struct zip {
	size_t max_len;
	ZSTD_CCtx *cctx; /* in cspace; NULL when the level is ZIP_OFF */
	ZSTD_DCtx *dctx; /* in dspace */
	struct region cspace;
	struct region dspace;
	struct region check; /* room to unpack again; touched by verify only */
};

/* Where the memory of a struct zip goes, in bytes. */
struct plan {
	size_t cspace;
	size_t dspace;
	size_t check;
};

/* Why these: README.md, "Levels". */
static int zstd_level(enum zip_level level)
{
	switch (level) {
	case ZIP_FAST:
		return 1;
	case ZIP_MAX:
		return 9;
	default:
		return 2;
	}
}

/*
 * Half of level 9's hash table, and of its chains no more than the inputs need
 * that have any (the row finder of the others has none): as small a result
 * for half the memory.
 */
#define MAX_HASH_LOG 20
#define MAX_CHAIN_LOG 17

/* The window that holds any input whole, so that every frame is one segment. */
static int window_log(size_t max_len)
{
	int log = ZSTD_WINDOWLOG_MIN;

	while (((size_t)1 << log) < max_len)
		log++;
	return log;
}

static size_t whole_pages(size_t len)
{
	return (len + 4095) & ~(size_t)4095;
}

static size_t estimate_cctx(enum zip_level level, size_t max_len)
{
	/* zstd has tables of parameters for these input sizes and for more. */
	static const uint64_t tiers[] = {
		16 << 10, 128 << 10, 256 << 10, ZSTD_CONTENTSIZE_UNKNOWN,
	};
	size_t most = 0;

	for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		ZSTD_compressionParameters c =
		    ZSTD_getCParams(zstd_level(level), tiers[i], 0);
		size_t need;

		c.windowLog = (unsigned)window_log(max_len);
		if (level == ZIP_MAX) {
			c.hashLog = MAX_HASH_LOG;
			c.chainLog = MAX_CHAIN_LOG;
		}
		need = ZSTD_estimateCCtxSize_usingCParams(c);
		if (need > most)
			most = need;
	}
	return most;
}

static struct plan make_plan(enum zip_level level, size_t max_len)
{
	struct plan p = { 0, whole_pages(ZSTD_estimateDCtxSize()), 0 };

	if (level != ZIP_OFF) {
		p.cspace = whole_pages(estimate_cctx(level, max_len));
		p.check = whole_pages(max_len);
	}
	return p;
}

size_t zip_memory(enum zip_level level, size_t max_len)
{
	struct plan p = make_plan(level, max_len);

	return sizeof(struct zip) + p.cspace + p.dspace + p.check;
}

static int region_map(struct region *r, size_t len, struct err *err)
{
	if (len == 0)
		return 0;
	r->p = mem_pages(len, "compression", err);
	if (r->p == NULL)
		return -1;
	r->len = len;
	return 0;
}

/* Make the compressor in its region.  Return 0 or -1 with err. */
static int init_cctx(struct zip *z, enum zip_level level, struct err *err)
{
	const struct {
		ZSTD_cParameter name;
		int value; /* 0: as the level has it, or no */
	} set[] = {
		{ ZSTD_c_compressionLevel, zstd_level(level) },
		{ ZSTD_c_windowLog, window_log(z->max_len) },
		{ ZSTD_c_hashLog, level == ZIP_MAX ? MAX_HASH_LOG : 0 },
		{ ZSTD_c_chainLog, level == ZIP_MAX ? MAX_CHAIN_LOG : 0 },
		{ ZSTD_c_contentSizeFlag, 1 },
		{ ZSTD_c_checksumFlag, 0 },
		{ ZSTD_c_dictIDFlag, 0 },
	};

	z->cctx = ZSTD_initStaticCCtx(z->cspace.p, z->cspace.len);
	if (z->cctx == NULL)
		return err_set(err, ERR_BUG, "zstd does not fit its own estimate");
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
		size_t r = ZSTD_CCtx_setParameter(z->cctx, set[i].name,
		    set[i].value);

		if (ZSTD_isError(r))
			return err_set(err, ERR_BUG, "zstd refuses a parameter: %s",
			    ZSTD_getErrorName(r));
	}
	return 0;
}

struct zip *zip_new(enum zip_level level, size_t max_len, struct err *err)
{
	if (max_len > MAX_LEN_LIMIT) {
		err_set(err, ERR_BUG, "%zu bytes are too much to compress at once",
		    max_len);
		return NULL;
	}

	struct plan p = make_plan(level, max_len);
	struct zip *z = mem_zalloc(sizeof(*z), "compression", err);

	if (z == NULL)
		return NULL;
	z->max_len = max_len;
	if (region_map(&z->cspace, p.cspace, err) < 0 ||
	    region_map(&z->dspace, p.dspace, err) < 0 ||
	    region_map(&z->check, p.check, err) < 0)
		goto fail;
	if (level != ZIP_OFF && init_cctx(z, level, err) < 0)
		goto fail;
	z->dctx = ZSTD_initStaticDCtx(z->dspace.p, z->dspace.len);
	if (z->dctx == NULL) {
		err_set(err, ERR_BUG, "zstd does not fit its own estimate");
		goto fail;
	}
	return z;
fail:
	zip_free(z);
	return NULL;
}

void zip_free(struct zip *z)
{
	if (z == NULL)
		return;
	/* The contexts own nothing outside their regions. */
	mem_pages_free(z->cspace.p, z->cspace.len);
	mem_pages_free(z->dspace.p, z->dspace.len);
	mem_pages_free(z->check.p, z->check.len);
	free(z);
}

size_t zip_bound(size_t len)
{
	return ZSTD_compressBound(len);
}

static int check_packed(struct zip *z, const void *packed, size_t packed_len,
    const void *src, size_t len, struct err *err)
{
	if (zip_unpack(z, ZIP_ZSTD, packed, packed_len, z->check.p, len,
	    err) < 0) {
		err_wrap(err, "what was just compressed does not unpack");
		if (err != NULL)
			err->class = ERR_BUG;
		return -1;
	}
	if (memcmp(z->check.p, src, len) != 0)
		return err_set(err, ERR_BUG,
		    "what was just compressed unpacks to other bytes: "
		    "faulty memory or a faulty zstd");
	return 0;
}

int zip_pack(struct zip *z, const void *src, size_t len, bool verify,
    void *dst, enum zip_method *ret_method, size_t *ret_len, struct err *err)
{
	*ret_method = ZIP_RAW;
	*ret_len = len;
	if (len > z->max_len)
		return err_set(err, ERR_BUG,
		    "%zu bytes to compress where %zu were agreed", len,
		    z->max_len);
	if (z->cctx == NULL || len == 0 || zip_looks_random(src, len))
		return 0;

	size_t n = ZSTD_compress2(z->cctx, dst, zip_bound(len), src, len);

	if (ZSTD_isError(n))
		return err_set(err, ERR_BUG, "zstd fails to compress: %s",
		    ZSTD_getErrorName(n));
	if (n >= len)
		return 0;
	if (verify && check_packed(z, dst, n, src, len, err) < 0)
		return -1;
	*ret_method = ZIP_ZSTD;
	*ret_len = n;
	return 0;
}

/* Return NULL when src is one frame of the form that zip_pack makes, or why not. */
static const char *frame_fault(const void *src, size_t len, size_t plain_len)
{
	const uint8_t *b = src;

	/* Also keeps out skippable frames and those of zstd before 0.8. */
	if (len < 5 || le32_get(b) != ZSTD_MAGICNUMBER)
		return "no zstd frame";
	if ((b[4] & DESCRIPTOR_MASK) != DESCRIPTOR_SINGLE_SEGMENT)
		return "a zstd frame of another form";
	if (ZSTD_getFrameContentSize(src, len) != plain_len)
		return "a zstd frame of another length";
	if (ZSTD_findFrameCompressedSize(src, len) != len)
		return "not exactly one zstd frame";
	return NULL;
}

int zip_unpack(struct zip *z, unsigned method, const void *src, size_t len,
    void *dst, size_t plain_len, struct err *err)
{
	if (method == ZIP_RAW) {
		if (len != plain_len)
			return err_set(err, ERR_CORRUPT,
			    "%zu bytes are stored where %zu should be", len,
			    plain_len);
		if (len > 0)
			memmove(dst, src, len);
		return 0;
	}
	if (method != ZIP_ZSTD)
		return err_set(err, ERR_UNSUPPORTED,
		    "compression method %u is not known here", method);

	const char *fault = frame_fault(src, len, plain_len);

	if (fault != NULL)
		return err_set(err, ERR_CORRUPT, "compressed bytes are %s", fault);

	size_t n = ZSTD_decompressDCtx(z->dctx, dst, plain_len, src, len);

	if (ZSTD_isError(n))
		return err_set(err, ERR_CORRUPT, "compressed bytes are damaged: %s",
		    ZSTD_getErrorName(n));
	if (n != plain_len)
		return err_set(err, ERR_CORRUPT,
		    "compressed bytes hold %zu bytes where %zu should be", n,
		    plain_len);
	return 0;
}
