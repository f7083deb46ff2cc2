#include <sodium.h>
#include <string.h>

#include "repo/crypto/crypto.h"

void crypto_base64(struct buf *dst, const void *data, size_t len)
{
	size_t n = sodium_base64_ENCODED_LEN(len,
	    sodium_base64_VARIANT_ORIGINAL);

	if (buf_reserve(dst, n) < 0)
		return;
	sodium_bin2base64((char *)dst->p + dst->len, n, data, len,
	    sodium_base64_VARIANT_ORIGINAL);
	dst->len += n - 1; /* without its NUL */
}

int crypto_unbase64(void *dst, size_t cap, const char *text, size_t *ret_len)
{
	const char *end;

	if (sodium_base642bin(dst, cap, text, strlen(text), NULL, ret_len,
	        &end, sodium_base64_VARIANT_ORIGINAL) != 0)
		return -1;
	return *end == '\0' ? 0 : -1;
}
