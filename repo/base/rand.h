#ifndef REPO_BASE_RAND_H
#define REPO_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/*
 * Fill len bytes with the kernel's cryptographic randomness.  It cannot fail
 * on the kernels the program runs on; were it to, the process ends, for
 * nothing secret may be made from less.
 */
void rand_bytes(void *dst, size_t len);

/* Return 64 such bits. */
uint64_t rand_u64(void);

#endif
