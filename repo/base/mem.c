#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "repo/base/mem.h"

void *mem_zalloc(size_t len, const char *what, struct err *err)
{
	void *p = calloc(1, len ? len : 1);

	if (p == NULL)
		err_nomem(err, what);
	return p;
}

void *mem_array(size_t n, size_t size, const char *what, struct err *err)
{
	void *p = calloc(n ? n : 1, size);

	if (p == NULL)
		err_nomem(err, what);
	return p;
}

void *mem_pages(size_t len, const char *what, struct err *err)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		err_nomem(err, what);
		return NULL;
	}
	return p;
}

void mem_pages_free(void *p, size_t len)
{
	if (p != NULL)
		munmap(p, len);
}

char *mem_strdup(const char *s, struct err *err)
{
	return mem_memdup0(s, strlen(s), err);
}

char *mem_memdup0(const void *p, size_t len, struct err *err)
{
	char *d = malloc(len + 1);

	if (d == NULL) {
		err_nomem(err, "a string");
		return NULL;
	}
	memcpy(d, p, len);
	d[len] = '\0';
	return d;
}

void mem_wipe(void *p, size_t len)
{
	explicit_bzero(p, len);
}
