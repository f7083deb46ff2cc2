#ifndef REPO_BASE_CLOCK_H
#define REPO_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Return the time since 1970-01-01 UTC in ns, by the system's clock. */
int64_t clock_real_ns(void);

/* Return ns on a clock that never goes back and stands still in suspend. */
int64_t clock_mono_ns(void);

/* Return ns on a clock that never goes back and counts suspended time. */
int64_t clock_boot_ns(void);

/*
 * Write t (ns since 1970 UTC) as "2026-11-01T12:00:00Z" with a NUL to dst of
 * at least 21 bytes for the years 0 to 9999.
 */
void clock_format_utc(char *dst, size_t cap, int64_t t_ns);

#endif
