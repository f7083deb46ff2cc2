/*
 * The readers that every decoder stands on: no read passes the end, and what
 * a number or hex string decodes to encodes to the same bytes again.
 */

#include <stdlib.h>

#include "repo/base/buf.h"
#include "repo/base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void try_var(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	uint8_t again[10];

	while (!r.bad && r.left > 0) {
		const uint8_t *at = r.p;
		uint64_t v = rd_var(&r);

		if (r.bad)
			break;
		size_t len = var_put(again, v);

		must(len == (size_t)(r.p - at) && len == var_len(v));
		must(memcmp(again, at, len) == 0);
		must((uint64_t)zigzag(unzigzag(v)) == v);
	}
	must(rd_done(&r) == (!r.bad && r.left == 0));
}

/* The first bytes choose reads of a mixture of sizes. */
static void try_reads(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	size_t before = size;

	while (!r.bad && r.left > 0) {
		uint8_t what = rd_u8(&r);

		switch (what & 7) {
		case 0: rd_u16(&r); break;
		case 1: rd_u24(&r); break;
		case 2: rd_u32(&r); break;
		case 3: rd_u64(&r); break;
		case 4: rd_var(&r); break;
		case 5: rd_bytes(&r, (size_t)1 << (what >> 3)); break;
		default: rd_bytes(&r, what >> 3); break;
		}
		must(r.left < before);
		before = r.left;
	}
	if (r.bad)
		must(rd_u64(&r) == 0 && rd_bytes(&r, 0) == NULL);
}

static void try_hex(const uint8_t *data, size_t size)
{
	char *s = malloc(size + 1);
	uint8_t *bin = malloc(size / 2 + 1);
	char *again = malloc(size + 2);

	if (s != NULL && bin != NULL && again != NULL) {
		memcpy(s, data, size);
		s[size] = '\0';
		if (hex_decode(bin, size / 2, s) == 0) {
			hex_encode(again, bin, size / 2);
			must(strcmp(again, s) == 0);
		}
	}
	free(s);
	free(bin);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_var(data, size);
	try_reads(data, size);
	try_hex(data, size);
	return 0;
}
