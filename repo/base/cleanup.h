#ifndef REPO_BASE_CLEANUP_H
#define REPO_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

/*
 * Scope-bound release of what a function owns.  A function uses these or a
 * goto ladder, never both.
 */

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Frees the pointer when it goes out of scope. */
#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_p)))

/* Closes the file descriptor (when not negative) when it goes out of scope. */
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_p)))

/* Calls `void fn(T *)` on the variable when it goes out of scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Give the pointer away: its value, while the variable becomes NULL. */
#define STEAL_PTR(p) \
	({ __typeof__(p) stolen_ = (p); (p) = NULL; stolen_; })

/* Give the descriptor away: its value, while the variable becomes -1. */
#define STEAL_FD(fd) \
	({ int stolen_ = (fd); (fd) = -1; stolen_; })

#endif
