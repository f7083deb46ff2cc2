/*
 * Pages of the three maps.  The first byte chooses the type and whether the
 * reader has the order key.  A page that is walked to its end must be made
 * again alike: one value has one encoding.
 */

#include <stdlib.h>

#include "repo/crypto/crypto.h"
#include "tests/unit/format_codecs.h"
#include "tests/unit/format_pages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum fmt_page_type types[] = {
		FMT_PAGE_CATALOG, FMT_PAGE_STATE, FMT_PAGE_MAP,
	};
	static struct page_walk x;
	static bool started;
	struct err err = ERR_INIT;

	if (!started) {
		started = true;
		if (crypto_init(NULL) < 0)
			abort();
		page_walk_init(&x);
	}
	if (size == 0)
		return 0;

	int rc = page_again(&x, data + 1, size - 1, types[data[0] % 3],
	    data[0] & 0x80 ? codec_order_key : NULL, &err);

	if (rc == -2 || (rc == -1 && err.class != ERR_CORRUPT))
		abort();
	return 0;
}
