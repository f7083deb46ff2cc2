/* What does not fit in memory: unnamed files. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/store/store_gc_internal.h"

#define SPILL_KEEP ((size_t)1 << 20)

int store_spill_file(const char *dir, struct err *err)
{
	const char *places[] = { dir, dir == NULL ? getenv("TMPDIR") : NULL,
		dir == NULL ? "/var/tmp" : NULL, dir == NULL ? "/tmp" : NULL };
	int e = ENOENT;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd;

		if (places[i] == NULL || places[i][0] == '\0')
			continue;
		fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
		e = errno;
	}
	return err_sys(err, e, "cannot make a temporary file in %s",
	    dir != NULL ? dir : "TMPDIR, /var/tmp or /tmp");
}

int store_spill_pread(int fd, void *dst, size_t len, uint64_t off,
    struct err *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)dst + done, len - done,
		    (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO,
			    "cannot read the temporary file");
		done += (size_t)n;
	}
	return 0;
}

int store_spill_pwrite(int fd, const void *src, size_t len, uint64_t off,
    struct err *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, (const char *)src + done, len - done,
		    (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno,
			    "cannot write the temporary file");
		done += (size_t)n;
	}
	return 0;
}

void store_spill_init(struct gc_spill *s, const char *dir)
{
	*s = (struct gc_spill){ .dir = dir, .fd = -1 };
}

void store_spill_release(struct gc_spill *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->buf);
	store_spill_init(s, s->dir);
}

/* Write what the buffer holds to the file. */
static int spill_flush(struct gc_spill *s, struct err *err)
{
	if (s->fd < 0)
		s->fd = store_spill_file(s->dir, err);
	if (s->fd < 0 || store_spill_pwrite(s->fd, s->buf, s->fill, s->on_disk,
	        err) != 0)
		return -1;
	s->on_disk += s->fill;
	s->fill = 0;
	return 0;
}

int store_spill_add(struct gc_spill *s, const void *p, size_t len,
    struct err *err)
{
	const uint8_t *src = p;

	if (s->buf == NULL) {
		s->buf = malloc(SPILL_KEEP);
		if (s->buf == NULL)
			return err_nomem(err, "a temporary file");
		s->cap = SPILL_KEEP;
	}
	s->len += len;
	while (len > 0) {
		size_t n = s->cap - s->fill < len ? s->cap - s->fill : len;

		memcpy(s->buf + s->fill, src, n);
		s->fill += n;
		src += n;
		len -= n;
		if (s->fill == s->cap && spill_flush(s, err) != 0)
			return -1;
	}
	return 0;
}

int store_spill_rewind(struct gc_spill *s, struct err *err)
{
	/* What fits in the buffer never sees a file. */
	if (s->fd >= 0 && s->on_disk < s->len && spill_flush(s, err) != 0)
		return -1;
	s->at = 0;
	s->pos = 0;
	if (s->fd >= 0)
		s->fill = 0;
	return 0;
}

int store_spill_get(struct gc_spill *s, void *dst, size_t len, struct err *err)
{
	uint8_t *to = dst;

	if (s->at == s->len)
		return 1;
	while (len > 0) {
		size_t n = s->fill - s->pos < len ? s->fill - s->pos : len;

		memcpy(to, s->buf + s->pos, n);
		s->pos += n;
		s->at += n;
		to += n;
		len -= n;
		if (len == 0)
			break;
		n = s->len - s->at < s->cap ? (size_t)(s->len - s->at) : s->cap;
		if (n == 0)
			return err_set(err, ERR_BUG,
			    "a temporary file ends too early");
		if (store_spill_pread(s->fd, s->buf, n, s->at, err) != 0)
			return -1;
		s->fill = n;
		s->pos = 0;
	}
	return 0;
}
