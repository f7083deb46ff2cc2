#ifndef REPO_BASE_MEM_H
#define REPO_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "repo/base/err.h"

/*
 * Return len bytes that are zeroed, or NULL with err of class FULL naming
 * what they were for.  Free with free().
 */
void *mem_zalloc(size_t len, const char *what, struct err *err);

/* The same for an array of n elements of size bytes; overflow is FULL. */
void *mem_array(size_t n, size_t size, const char *what, struct err *err);

/*
 * Return len bytes aligned to 4096 and given by mmap, fit for O_DIRECT and
 * returned to the system by mem_pages_free(p, len).  NULL with err else.
 */
void *mem_pages(size_t len, const char *what, struct err *err);
void mem_pages_free(void *p, size_t len);

/* Return a copy of the string s, or NULL with err of class FULL. */
char *mem_strdup(const char *s, struct err *err);

/* Return a copy of len bytes with a NUL behind, or NULL with err. */
char *mem_memdup0(const void *p, size_t len, struct err *err);

/* Overwrite len bytes with zeros in a way that the compiler keeps. */
void mem_wipe(void *p, size_t len);

#endif
