/*
 * Preloaded into a program: the call with the number FAIL_AT of a kind fails.
 * FAIL_KIND: "memory" (malloc, calloc, realloc, aligned_alloc, anonymous
 * mmap) with ENOMEM, or "write" (write, pwrite, fsync, fdatasync, linkat,
 * ftruncate, mkdirat) with ENOSPC; FAIL_ALL=1: all that follow, too.  With
 * FAIL_COUNT=FILE the number of calls is written there at the end.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_ulong calls;
static unsigned long fail_at;
static bool memory, writes, all;
static atomic_bool ready;

/* The C library's own, which needs no look-up that would allocate. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

__attribute__((constructor)) static void begin(void)
{
	const char *kind = getenv("FAIL_KIND"), *at = getenv("FAIL_AT");

	fail_at = at ? strtoul(at, NULL, 10) : 0;
	memory = kind && strcmp(kind, "memory") == 0;
	writes = kind && strcmp(kind, "write") == 0;
	all = getenv("FAIL_ALL") != NULL;
	/* What a program began does not go on in those that it begins. */
	unsetenv("LD_PRELOAD");
	atomic_store(&ready, true);
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("FAIL_COUNT");

	if (path == NULL)
		return;
	atomic_store(&ready, false);

	char text[32];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int n = snprintf(text, sizeof(text), "%lu\n", atomic_load(&calls));

	if (fd >= 0) {
		if (write(fd, text, (size_t)n) != n)
			_exit(99);
		close(fd);
	}
}

static bool fails(bool kind)
{
	if (!kind || !atomic_load(&ready))
		return false;

	unsigned long n = atomic_fetch_add(&calls, 1) + 1;

	return fail_at > 0 && (n == fail_at || (all && n > fail_at));
}

/* --- memory ----------------------------------------------------------------------*/

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

void *malloc(size_t n)
{
	return fails(memory) ? no_memory() : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(memory) ? no_memory() : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails(memory) ? no_memory() : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fails(memory) ? no_memory() : __libc_memalign(align, n);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
	void *p = fails(memory) ? NULL : __libc_memalign(align, n);

	if (p == NULL)
		return ENOMEM;
	*ret = p;
	return 0;
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	static void *(*real)(void *, size_t, int, int, int, off_t);

	if (real == NULL)
		real = (void *(*)(void *, size_t, int, int, int, off_t))
		    dlsym(RTLD_NEXT, "mmap");
	if ((flags & MAP_ANONYMOUS) && fails(memory)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return real(at, len, prot, flags, fd, off);
}

/* --- writing ---------------------------------------------------------------------*/

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define OR_FULL(call) do { \
	if (fails(writes)) { \
		errno = ENOSPC; \
		return -1; \
	} \
	return call; \
} while (0)

ssize_t write(int fd, const void *p, size_t n)
{
	REAL(write);
	/* What is said is not to be lost. */
	if (fd <= 2)
		return real(fd, p, n);
	OR_FULL(real(fd, p, n));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	REAL(pwrite);
	OR_FULL(real(fd, p, n, off));
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
	REAL(pwrite64);
	OR_FULL(real(fd, p, n, off));
}

int fsync(int fd)
{
	REAL(fsync);
	OR_FULL(real(fd));
}

int fdatasync(int fd)
{
	REAL(fdatasync);
	OR_FULL(real(fd));
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
	REAL(linkat);
	OR_FULL(real(from, a, to, b, flags));
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	REAL(mkdirat);
	OR_FULL(real(dir, name, mode));
}

int ftruncate(int fd, off_t len)
{
	REAL(ftruncate);
	OR_FULL(real(fd, len));
}

int ftruncate64(int fd, off64_t len)
{
	REAL(ftruncate64);
	OR_FULL(real(fd, len));
}
