#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/engine/spill.h"

int spill_open(struct err *err)
{
	const char *tmpdir = getenv("TMPDIR");
	const char *places[] = { tmpdir, "/var/tmp", "/tmp" };
	int e = ENOENT;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (places[i] == NULL || places[i][0] == '\0')
			continue;

		int fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

		if (fd >= 0)
			return fd;
		e = errno;
	}
	return err_sys(err, e, "cannot make a temporary file in TMPDIR, /var/tmp or /tmp");
}

int spill_read(int fd, void *dst, size_t len, uint64_t off, struct err *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)dst + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO,
			    "cannot read the temporary file");
		done += (size_t)n;
	}
	return 0;
}

int spill_write(int fd, const void *src, size_t len, uint64_t off, struct err *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, (const char *)src + done, len - done,
		    (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot write the temporary file");
		done += (size_t)n;
	}
	return 0;
}
