#ifndef CHUNKER_CHUNKER_H
#define CHUNKER_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where to cut.  A chunk ends where a pseudo-random function of its last bytes
 * says so, hence equal content is cut alike wherever it stands.  For given
 * bytes, key and parameters the cuts are the same on every CPU, code path and
 * version of the program: README.md defines them to the bit, and a change of
 * them would lose the deduplication of every repository there is.
 *
 * The room allocates nothing, keeps no state between calls and calls nothing
 * but memcpy and its like.
 */

/* Bytes of a cutting key; README.md says which sub-keys come of it. */
#define CHUNKER_KEY_LEN 32

/* Bounds of an average, in bytes, in either mode. */
#define CHUNKER_AVG_MIN 4096u
#define CHUNKER_AVG_MAX (2u << 20)

/* In stream mode a cut is this many times as likely from CHUNKER_TURN on. */
#define CHUNKER_LOOSER 64u
#define CHUNKER_TURN(avg) ((avg) - (avg) / 16 * 3)

/* The grain of block mode: its cuts are multiples of this many bytes. */
#define CHUNKER_BLOCK_LEN 4096u

enum chunker_mode {
	CHUNKER_STREAM = 1, /* a cut after any byte: content of files */
	CHUNKER_BLOCK = 2,  /* a cut after any 4 KiB block: block volumes */
};

/*
 * Sizes in bytes.  A place is cut if the first eight bytes of its
 * pseudo-random value, as a little-endian number, are below a limit: threshold,
 * and in stream mode CHUNKER_LOOSER times that from 13/16 of avg on.  These
 * four numbers and the mode are all that a repository has to remember.
 */
struct chunker_params {
	uint32_t avg;
	uint32_t min;
	uint32_t max;
	uint64_t threshold;
};

/* The ways to compute one and the same cut. */
enum chunker_path {
	CHUNKER_PATH_AUTO = 0, /* the fastest that this CPU has */
	CHUNKER_PATH_SCALAR,   /* tables; any CPU */
	CHUNKER_PATH_AESNI,    /* x86-64 with AES, PCLMULQDQ and SSE4.2 */
	CHUNKER_PATH_VAES256,  /* x86-64 with AVX2, VAES and VPCLMULQDQ */
	CHUNKER_PATH_VAES512,  /* the same with AVX-512 F and BW */
	CHUNKER_PATH_ARM64,    /* arm64 with AES and PMULL */
};
#define CHUNKER_PATH_MAX CHUNKER_PATH_ARM64

struct chunker;

/* The first length from, ..., to at which p is cut below limit; 0 if none. */
typedef size_t chunker_scan_fn(const struct chunker *c, const uint8_t *p,
    size_t from, size_t to, uint64_t limit);

/*
 * A key made ready.  The caller provides the memory; the fields are private.
 * Nothing is written after chunker_init, so any number of threads may share
 * one.  It holds secrets: wipe it when done, as the key itself.
 */
struct chunker {
	_Alignas(64) uint8_t rk[11][16]; /* AES-128 round keys of the mode */
	union {
		uint32_t te[4][256];       /* stream, scalar: AES tables */
		uint64_t mul[32][16][2];   /* block, scalar: nibble times H */
		uint8_t pow[256][16];      /* block, others: H^256 .. H^1 */
	} t;
	chunker_scan_fn *scan;
	uint64_t strict; /* the limit below turn, and the one from there on */
	uint64_t loose;
	uint32_t min;
	uint32_t turn;
	uint32_t max;
	enum chunker_mode mode;
	enum chunker_path path;
};

/*
 * Fill ret_params with the parameters whose chunks of random data measure avg
 * bytes on average: min is half of avg and max four times avg; in block mode
 * min is rounded up to whole blocks.  Integer arithmetic only, so the threshold
 * is the same everywhere.  Return 0, or -1 if mode is none or avg is out of
 * bounds, odd, or (in block mode) no multiple of CHUNKER_BLOCK_LEN.
 */
int chunker_params_default(enum chunker_mode mode, uint32_t avg,
    struct chunker_params *ret_params);

/*
 * Return true if chunker_init takes these parameters in mode: avg within its
 * bounds, 64 <= min <= avg <= max <= 16 x avg, threshold not 0, and in block
 * mode min and max multiples of CHUNKER_BLOCK_LEN.  For parameters that were
 * read from somewhere.
 */
bool chunker_params_valid(enum chunker_mode mode,
    const struct chunker_params *params);

/*
 * Make c ready to cut in mode under key and params, by the fastest path of
 * this CPU.  Return 0, or -1 if params are not valid.
 */
int chunker_init(struct chunker *c, enum chunker_mode mode,
    const uint8_t key[CHUNKER_KEY_LEN], const struct chunker_params *params);

/*
 * The same by the given path, for tests and measurements.  Return 0, or -1 if
 * params are not valid or this CPU does not have the path.
 */
int chunker_init_path(struct chunker *c, enum chunker_mode mode,
    const uint8_t key[CHUNKER_KEY_LEN], const struct chunker_params *params,
    enum chunker_path path);

/*
 * Return the length of the first chunk of the len bytes at p, where p is the
 * start of a chunk and final says that nothing follows these bytes:
 *  - a cut, at least min and at most max of the parameters;
 *  - else len if final is true (which may be less than min, and 0 if len is);
 *  - else 0: more bytes are needed to decide.  Never so if len is max or more.
 * Call again with the same p and more bytes, or with p moved on by the length
 * returned.  The answer depends on nothing but the chunk's own bytes.  A caller
 * that offers at least max bytes each time has nothing scanned twice.
 */
size_t chunker_next(const struct chunker *c, const uint8_t *p, size_t len,
    bool final);

/* Return true if this CPU (and its operating system) has the path. */
bool chunker_path_available(enum chunker_path path);

/* Return the path that c uses; never CHUNKER_PATH_AUTO. */
enum chunker_path chunker_path_of(const struct chunker *c);

/* Return the name of path, a static string such as "vaes512". */
const char *chunker_path_name(enum chunker_path path);

/*
 * Return how many of the len bytes at p are zero before the first that is not
 * (len if all are).  Ends at once where data does not begin with zeroes.
 */
size_t chunker_zero_prefix(const uint8_t *p, size_t len);

#endif
