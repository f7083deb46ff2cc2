#include <sodium.h>
#include <string.h>

#include "repo/crypto/crypto.h"

void *crypto_secret_new(size_t len, struct err *err)
{
	/*
	 * sodium_malloc asks for locked pages and goes on without them: the
	 * limit in a container is often 64 KiB or none at all, and not to run
	 * there would protect nobody.
	 */
	void *p = sodium_malloc(len);

	if (p == NULL) {
		err_nomem(err, "a secret");
		return NULL;
	}
	if (len > 0)
		memset(p, 0, len);
	return p;
}

void crypto_secret_free(void *p)
{
	sodium_free(p);
}
