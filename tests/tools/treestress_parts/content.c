/* What is in files, and the metadata of everything. */

#include <err.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/tools/treestress_parts/stress.h"

static uint64_t choose_size(void)
{
	static const unsigned edges[] = { 4096, 65536, 1048576, 512, 131072 };
	unsigned k = (unsigned)below(100);
	uint64_t size;

	if (k < 8)
		size = 0;
	else if (k < 50)
		size = below(8192);
	else if (k < 70)
		size = edges[below(k < 66 ? 2 : 5)] + below(3) - 1;
	else if (k < 92)
		size = below(131072);
	else
		size = below(k < 98 ? 1 << 20 : 3 << 20);
	return size < max_size ? size : max_size;
}

/* Fill a buffer with one of several sorts of data. */
static void fill(unsigned char *p, size_t len)
{
	unsigned sort = (unsigned)below(6);
	/* Content that other files have too. */
	uint64_t saved = state;

	if (sort == 0)
		state = below(8);
	for (size_t i = 0; i < len;) {
		uint64_t v = rnd();

		if (sort == 1)
			v = 0;
		if (sort == 2)
			v = 0x6f6c6c6568206120u + (v & 15);
		for (int k = 0; k < 8 && i < len; k++, v >>= 8)
			p[i++] = sort == 3 ? (unsigned char)('a' + (v & 7)) :
			    (unsigned char)v;
		if (sort == 4 && i >= 4096) {
			memcpy(p + i, p, len - i < 4096 ? len - i : 4096);
			i += 4096;
		}
	}
	state = mix(saved);
}

bool write_at(int fd, uint64_t off, size_t len)
{
	unsigned char *p = malloc(len ? len : 1);
	bool ok = true;

	if (p == NULL)
		err(1, NULL);
	fill(p, len);
	for (size_t at = 0; at < len && ok;) {
		ssize_t n = pwrite(fd, p + at, len - at, (off_t)(off + at));

		ok = n > 0;
		at += ok ? (size_t)n : 0;
	}
	free(p);
	if (!ok)
		warn("write");
	return ok;
}

/* Islands of data in a large file; perhaps a hole at the end. */
static bool write_sparse(int fd, uint64_t size)
{
	unsigned islands = (unsigned)below(6);
	bool ok = ftruncate(fd, (off_t)size) == 0;

	for (unsigned i = 0; i < islands && ok; i++) {
		uint64_t len = 1 + below(100000);

		if (len < size)
			ok = write_at(fd, below(size - len), (size_t)len);
	}
	return ok;
}

bool make_file(int dir, const char *name, bool huge)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return false;
	if (huge)
		ok = write_sparse(fd, (5ull << 30) + below(100000));
	else if (!no[NO_SPARSE] && chance(6))
		ok = write_sparse(fd, 1 + below(64 << 20));
	else
		ok = write_at(fd, 0, (size_t)choose_size());
	close(fd);
	if (!ok)
		errx(1, "a file cannot be written");
	return true;
}

static void put16(unsigned char **p, unsigned v)
{
	*(*p)++ = (unsigned char)v;
	*(*p)++ = (unsigned char)(v >> 8);
}

static void put32(unsigned char **p, uint32_t v)
{
	put16(p, v & 0xffff);
	put16(p, v >> 16);
}

/* The kernel's form of an ACL with one named user and one named group. */
static size_t make_acl(unsigned char acl[64])
{
	static const struct { unsigned tag; uint32_t id; } rows[] = {
		{ 0x01, UINT32_MAX }, { 0x02, 1000 }, { 0x04, UINT32_MAX },
		{ 0x08, 100 }, { 0x10, UINT32_MAX }, { 0x20, UINT32_MAX },
	};
	unsigned char *p = acl;

	put32(&p, 2);
	for (size_t i = 0; i < 6; i++) {
		put16(&p, rows[i].tag);
		put16(&p, (unsigned)below(8));
		put32(&p, rows[i].id == UINT32_MAX ? rows[i].id :
		    rows[i].id + (uint32_t)below(100));
	}
	return (size_t)(p - acl);
}

/* An attribute of an entry that is not followed, named through /proc. */
static void set_xattr(const char *at, int what, const char *name,
    const void *value, size_t len)
{
	tally(what, lsetxattr(at, name, value, len, 0) == 0);
}

static void set_xattrs(const char *at, mode_t type)
{
	static const char *const spaces[] = { "user.", "trusted.", "security." };
	static const unsigned sizes[] = { 0, 1, 12, 64, 200, 900, 1500 };
	unsigned char value[1500], *p = value;
	unsigned n = chance(30) ? 1 + (unsigned)below(4) : 0;
	char name[256];

	for (unsigned i = 0; i < n && !no[NO_XATTRS]; i++) {
		unsigned space = (unsigned)below(3), len = sizes[below(7)];
		int at_len = snprintf(name, sizeof(name), "%st%u.%llx",
		    spaces[space], i, (unsigned long long)below(1000));

		if (chance(10))
			for (; at_len < 255; at_len++)
				name[at_len] = (char)('a' + below(26));
		name[at_len] = '\0';
		fill(value, len);
		if (space != 0 || S_ISREG(type) || S_ISDIR(type))
			set_xattr(at, DID_XATTR, name, value, len);
	}
	if (chance(8) && !no[NO_ACLS] && !S_ISLNK(type))
		set_xattr(at, DID_ACL, "system.posix_acl_access", value,
		    make_acl(value));
	if (S_ISDIR(type) && chance(15) && !no[NO_ACLS])
		set_xattr(at, DID_ACL, "system.posix_acl_default", value,
		    make_acl(value));
	if (S_ISREG(type) && chance(5) && !no[NO_CAPS]) {
		put32(&p, 0x02000001);
		for (int i = 0; i < 4; i++)
			put32(&p, i < 2 ? (uint32_t)rnd() : 0);
		set_xattr(at, DID_CAP, "security.capability", value, 20);
	}
}

struct timespec choose_time(void)
{
	static const int64_t bases[] = {
		0, -1, -86400 * 365, -2147483648, 2147483647, 4294967295,
		4294967296 + 1000000, 9000000000, 1,
	};
	struct timespec t = { .tv_sec = 1577836800 + (time_t)below(150000000) };

	if (chance(20))
		t.tv_sec = bases[below(9)];
	t.tv_nsec = chance(10) ? 0 : (long)below(1000000000);
	return t;
}

static void set_flags(int fd)
{
	static const int bits[] = {
		FS_NODUMP_FL, FS_NOATIME_FL, FS_NODUMP_FL | FS_NOATIME_FL,
		FS_SYNC_FL, FS_IMMUTABLE_FL, FS_APPEND_FL, FS_NODUMP_FL,
	};
	struct fsxattr fsx;
	int flags;

	if (chance(4) && !no[NO_PROJECT]) {
		bool ok = ioctl(fd, FS_IOC_FSGETXATTR, &fsx) == 0;

		fsx.fsx_projid = 1 + (uint32_t)below(100000);
		tally(DID_PROJECT,
		    ok && ioctl(fd, FS_IOC_FSSETXATTR, &fsx) == 0);
	}
	if (chance(10) && !no[NO_FLAGS]) {
		bool ok = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;

		flags |= bits[below(7)];
		tally(DID_FLAG, ok && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
	}
}

static mode_t choose_mode(mode_t type)
{
	static const mode_t odd[] = {
		0, 0200, 0111, 0777, 04755, 02755, 06711, 02644, 01777, 07777,
	};

	if (chance(20) && !no[NO_MODES])
		return odd[below(10)];
	if (S_ISDIR(type))
		return chance(70) ? 0755 : 0700;
	return chance(70) ? 0644 : 0640;
}

/*
 * Set all metadata of a node: after this nothing may be written to it.  The
 * entry is named through /proc/self/fd, as its path may be too long.
 */
static void finish_node(struct node *n, uint64_t i)
{
	static const uint32_t ids[] = { 0, 1000, 65534, 100000, 4294967290u };
	int dir = n->parent ? open_dir(n->parent) : top_fd;
	const char *name = n->parent ? n->name : ".";
	struct timespec t[2];
	char at[320];

	if (dir < 0)
		return;
	begin('M', i);
	snprintf(at, sizeof(at), "/proc/self/fd/%d/%s", dir, name);
	if (chance(30) && !no[NO_OWNER]) {
		uid_t uid = ids[below(5)];
		gid_t gid = ids[below(5)];

		tally(DID_OWNER, fchownat(dir, name, uid, gid,
		    AT_SYMLINK_NOFOLLOW) == 0);
	}
	mode_t mode = choose_mode(n->type);

	if (!S_ISLNK(n->type))
		tally(DID_MODE, fchmodat(dir, name, mode, 0) == 0);
	set_xattrs(at, n->type);
	t[0] = choose_time();
	t[1] = choose_time();
	if (!no[NO_TIMES] || n->parent == NULL)
		tally(DID_TIME, utimensat(dir, name, t,
		    AT_SYMLINK_NOFOLLOW) == 0);
	if (n->parent != NULL && (S_ISREG(n->type) || S_ISDIR(n->type))) {
		int fd = openat(dir, name,
		    O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0) {
			set_flags(fd);
			close(fd);
		}
	}
}

/* Metadata last and from the bottom up: it must survive what comes after. */
void finish_all(void)
{
	for (size_t i = count; i-- > 0;)
		if (nodes[i]->touched && !nodes[i]->link && !is_gone(nodes[i]))
			finish_node(nodes[i], i);
}
