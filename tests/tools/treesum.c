/*
 * treesum - one digest of a tree with all that a file system keeps of it.
 *
 * usage: treesum [-vH] [-x WHAT,...] PATH
 *
 * Each entry is one line of text, in the order of names, parents before
 * children; the digest is SHA-256 over the lines.  -v prints the lines, so
 * that diff shows how two trees differ.  -H adds where the data lies, in
 * blocks of 64 KiB.  -x leaves things out: root (the entry PATH itself), mode,
 * uid, gid, rdev, mtime, links, flags, project, xattrs, acl, security,
 * trusted, data.  The exit status is 1 when something cannot be read.
 *
 * It shares no code with the program that it judges.
 */

#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BLOCK 65536
#define XATTR_MAX (1 << 20)

enum {
	X_ROOT, X_MODE, X_UID, X_GID, X_RDEV, X_MTIME, X_LINKS, X_FLAGS,
	X_PROJECT, X_XATTRS, X_ACL, X_SECURITY, X_TRUSTED, X_DATA, X_COUNT,
};

static const char *const x_names[X_COUNT] = {
	"root", "mode", "uid", "gid", "rdev", "mtime", "links", "flags",
	"project", "xattrs", "acl", "security", "trusted", "data",
};

static const struct {
	unsigned bit;
	const char *name;
} flag_names[] = {
	{ FS_SECRM_FL, "secrm" },
	{ FS_UNRM_FL, "unrm" },
	{ FS_COMPR_FL, "compr" },
	{ FS_SYNC_FL, "sync" },
	{ FS_IMMUTABLE_FL, "immutable" },
	{ FS_APPEND_FL, "append" },
	{ FS_NODUMP_FL, "nodump" },
	{ FS_NOATIME_FL, "noatime" },
	{ FS_NOCOMP_FL, "nocomp" },
	{ FS_JOURNAL_DATA_FL, "journal" },
	{ FS_NOTAIL_FL, "notail" },
	{ FS_DIRSYNC_FL, "dirsync" },
	{ FS_TOPDIR_FL, "topdir" },
	{ FS_NOCOW_FL, "nocow" },
	{ FS_PROJINHERIT_FL, "projinherit" },
	{ FS_CASEFOLD_FL, "casefold" },
};

/* A file with several names, by the first of them. */
struct linked {
	dev_t dev;
	ino_t ino;
	char *path;
};

static bool left_out[X_COUNT];
static bool verbose, show_holes, failed;
static EVP_MD_CTX *total;
static struct linked *links;
static size_t links_count, links_cap;
static char *path;      /* of the entry at hand, from the top */
static size_t path_len, path_cap;

static void *grow(void *p, size_t size)
{
	p = realloc(p, size);
	if (p == NULL)
		err(1, NULL);
	return p;
}

static void cannot(const char *what)
{
	warn("%.200s%s: %s", path, path_len > 200 ? "..." : "", what);
	failed = true;
}

static void put_escaped(FILE *to, const void *p, size_t len)
{
	const unsigned char *s = p;

	for (size_t i = 0; i < len; i++)
		if (isgraph(s[i]) && s[i] < 127 && s[i] != '\\')
			putc(s[i], to);
		else
			fprintf(to, "\\x%02x", s[i]);
}

static void put_digest(FILE *to, EVP_MD_CTX *ctx, size_t bytes)
{
	unsigned char d[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(ctx, d, NULL) != 1)
		errx(1, "digest");
	for (size_t i = 0; i < bytes; i++)
		fprintf(to, "%02x", d[i]);
}

static EVP_MD_CTX *new_digest(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		errx(1, "digest");
	return ctx;
}

/* --- files with several names --------------------------------------------- */

static size_t link_slot(dev_t dev, ino_t ino)
{
	size_t at = (size_t)((ino ^ dev << 32) * 0x9e3779b97f4a7c15u >> 20);

	at &= links_cap - 1;
	while (links[at].path != NULL &&
	    (links[at].dev != dev || links[at].ino != ino))
		at = (at + 1) & (links_cap - 1);
	return at;
}

/* Return the path under which the file was seen first, perhaps this one. */
static const char *first_path(const struct stat *st)
{
	if (links_count * 2 >= links_cap) {
		struct linked *old = links;
		size_t n = links_cap;

		links_cap = n ? n * 2 : 1024;
		links = calloc(links_cap, sizeof(*links));
		if (links == NULL)
			err(1, NULL);
		for (size_t i = 0; i < n; i++)
			if (old[i].path != NULL)
				links[link_slot(old[i].dev, old[i].ino)] =
				    old[i];
		free(old);
	}
	struct linked *l = &links[link_slot(st->st_dev, st->st_ino)];

	if (l->path == NULL) {
		l->dev = st->st_dev;
		l->ino = st->st_ino;
		l->path = strdup(path);
		if (l->path == NULL)
			err(1, NULL);
		links_count++;
	}
	return l->path;
}

/* --- parts of a line ------------------------------------------------------ */

static bool all_zero(const unsigned char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static ssize_t read_block(int fd, unsigned char *p, off_t off)
{
	size_t got = 0;

	while (got < BLOCK) {
		ssize_t n = pread(fd, p + got, BLOCK - got, off + (off_t)got);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/*
 * The digest of a file's content is over the number and the bytes of each
 * block that is not all zeros, so that a hole and written zeros are the same
 * and a hole of terabytes costs nothing.
 */
static void put_data(FILE *line, int fd, off_t size)
{
	static unsigned char block[BLOCK];
	EVP_MD_CTX *ctx = new_digest();
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA);

		if (data < 0 && errno == ENXIO)
			break;
		if (data > at)
			at = data & ~(off_t)(BLOCK - 1);
		ssize_t n = read_block(fd, block, at);

		if (n < 0) {
			cannot("read");
			break;
		}
		if (n == 0)
			break;
		if (!all_zero(block, (size_t)n)) {
			uint64_t no = htole64((uint64_t)at / BLOCK);

			EVP_DigestUpdate(ctx, &no, sizeof(no));
			EVP_DigestUpdate(ctx, block, (size_t)n);
		}
		at += BLOCK;
	}
	fputs(" data=", line);
	put_digest(line, ctx, 16);
	EVP_MD_CTX_free(ctx);
}

/* Which blocks hold data: "0-3,7-7". */
static void put_holes(FILE *line, int fd, off_t size)
{
	off_t from = -1, to = -1, at = 0;

	fputs(" blocks=", line);
	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA);

		if (data < 0)
			break;
		off_t hole = lseek(fd, data, SEEK_HOLE);

		if (hole <= data)
			break;
		if (to >= 0 && data / BLOCK <= to + 1) {
			to = (hole - 1) / BLOCK;
		} else {
			if (to >= 0)
				fprintf(line, "%jd-%jd,", (intmax_t)from,
				    (intmax_t)to);
			from = data / BLOCK;
			to = (hole - 1) / BLOCK;
		}
		at = hole;
	}
	if (to >= 0)
		fprintf(line, "%jd-%jd", (intmax_t)from, (intmax_t)to);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool xattr_wanted(const char *name)
{
	if (strncmp(name, "system.posix_acl_", 17) == 0)
		return !left_out[X_ACL];
	if (strncmp(name, "security.", 9) == 0)
		return !left_out[X_SECURITY];
	if (strncmp(name, "trusted.", 8) == 0)
		return !left_out[X_TRUSTED];
	return strncmp(name, "system.", 7) != 0;
}

static void put_xattrs(FILE *line, const char *entry)
{
	static char list[XATTR_MAX], value[XATTR_MAX];
	ssize_t len = llistxattr(entry, list, sizeof(list));
	char **names;
	size_t n = 0;

	if (len < 0) {
		if (errno != EOPNOTSUPP)
			cannot("list of attributes");
		return;
	}
	names = grow(NULL, (size_t)(len + 1) * sizeof(*names));
	for (char *p = list; p < list + len; p += strlen(p) + 1)
		if (xattr_wanted(p))
			names[n++] = p;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		ssize_t vlen = lgetxattr(entry, names[i], value,
		    sizeof(value));

		if (vlen < 0) {
			cannot(names[i]);
			continue;
		}
		putc(' ', line);
		put_escaped(line, names[i], strlen(names[i]));
		fprintf(line, "[%zd]=", vlen);
		if (vlen <= 64) {
			put_escaped(line, value, (size_t)vlen);
			continue;
		}
		EVP_MD_CTX *ctx = new_digest();

		EVP_DigestUpdate(ctx, value, (size_t)vlen);
		put_digest(line, ctx, 16);
		EVP_MD_CTX_free(ctx);
	}
	free(names);
}

/* What only an open file tells: flags, project, content. */
static void put_inside(FILE *line, const char *entry, const struct stat *st)
{
	int fd = open(entry, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct fsxattr fsx;
	int flags;

	if (fd < 0) {
		cannot("open");
		return;
	}
	if (!left_out[X_FLAGS] && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0)
		for (size_t i = 0;
		    i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
			if ((unsigned)flags & flag_names[i].bit)
				fprintf(line, " %s", flag_names[i].name);
	if (!left_out[X_PROJECT] && ioctl(fd, FS_IOC_FSGETXATTR, &fsx) == 0 &&
	    fsx.fsx_projid != 0)
		fprintf(line, " project=%u", fsx.fsx_projid);
	if (S_ISREG(st->st_mode) && !left_out[X_DATA])
		put_data(line, fd, st->st_size);
	if (S_ISREG(st->st_mode) && show_holes)
		put_holes(line, fd, st->st_size);
	close(fd);
}

static void put_target(FILE *line, const char *entry)
{
	static char target[65536];
	ssize_t n = readlink(entry, target, sizeof(target));

	if (n < 0) {
		cannot("readlink");
		return;
	}
	fputs(" to=", line);
	put_escaped(line, target, (size_t)n);
}

static char type_letter(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return 'f';
	case S_IFDIR: return 'd';
	case S_IFLNK: return 'l';
	case S_IFCHR: return 'c';
	case S_IFBLK: return 'b';
	case S_IFIFO: return 'p';
	case S_IFSOCK: return 's';
	default: return '?';
	}
}

/* Add the line of the entry of this name in the current directory. */
static void sum_entry(const char *entry, const struct stat *st)
{
	char *text = NULL;
	size_t len = 0;
	FILE *line = open_memstream(&text, &len);

	if (line == NULL)
		err(1, NULL);
	put_escaped(line, path, path_len);
	fprintf(line, " %c", type_letter(st->st_mode));
	if (!left_out[X_MODE] && !S_ISLNK(st->st_mode))
		fprintf(line, " %04o", (unsigned)(st->st_mode & 07777));
	if (!left_out[X_UID])
		fprintf(line, " uid=%u", st->st_uid);
	if (!left_out[X_GID])
		fprintf(line, " gid=%u", st->st_gid);
	if (!left_out[X_RDEV] && (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)))
		fprintf(line, " rdev=%u:%u", major(st->st_rdev),
		    minor(st->st_rdev));
	if (S_ISREG(st->st_mode))
		fprintf(line, " size=%jd", (intmax_t)st->st_size);
	if (!left_out[X_MTIME])
		fprintf(line, " mtime=%jd+%09ld", (intmax_t)st->st_mtim.tv_sec,
		    st->st_mtim.tv_nsec);
	if (!left_out[X_LINKS] && !S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		const char *first = first_path(st);

		fputs(" same=", line);
		put_escaped(line, first, strlen(first));
	}
	if (S_ISLNK(st->st_mode))
		put_target(line, entry);
	if (!left_out[X_XATTRS])
		put_xattrs(line, entry);
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		put_inside(line, entry, st);
	putc('\n', line);
	if (fclose(line) != 0)
		err(1, NULL);
	EVP_DigestUpdate(total, text, len);
	if (verbose)
		fwrite(text, 1, len, stdout);
	free(text);
}

/* --- the walk ------------------------------------------------------------- */

/* Read the names in the current directory, sorted. */
static char **read_names(size_t *ret_n)
{
	DIR *d = opendir(".");
	char **names = NULL;
	size_t n = 0, cap = 0;
	struct dirent *e;

	*ret_n = 0;
	if (d == NULL) {
		cannot("open");
		return NULL;
	}
	while (errno = 0, (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (n == cap) {
			cap = cap ? cap * 2 : 64;
			names = grow(names, cap * sizeof(*names));
		}
		names[n] = strdup(e->d_name);
		if (names[n++] == NULL)
			err(1, NULL);
	}
	if (errno != 0)
		cannot("readdir");
	closedir(d);
	if (n > 1)
		qsort(names, n, sizeof(*names), by_name);
	*ret_n = n;
	return names;
}

/* Append "/name" to the path; return the length to go back to. */
static size_t push_name(const char *name)
{
	size_t before = path_len, len = strlen(name);

	if (path_len + len + 2 > path_cap) {
		path_cap = (path_len + len + 2) * 2;
		path = grow(path, path_cap);
	}
	path[path_len] = '/';
	memcpy(path + path_len + 1, name, len + 1);
	path_len += len + 1;
	return before;
}

/*
 * Sum what is in the current directory.  Going down and up by chdir needs
 * neither long paths nor an open file for each level.
 */
static void sum_directory(void)
{
	struct stat here, st, back;
	size_t n;
	char **names = read_names(&n);

	if (stat(".", &here) != 0)
		err(1, "stat");
	for (size_t i = 0; i < n; i++) {
		size_t before = push_name(names[i]);

		if (lstat(names[i], &st) != 0) {
			cannot("stat");
		} else {
			sum_entry(names[i], &st);
			if (S_ISDIR(st.st_mode) && chdir(names[i]) != 0) {
				cannot("chdir");
			} else if (S_ISDIR(st.st_mode)) {
				sum_directory();
				if (chdir("..") != 0 || stat(".", &back) != 0 ||
				    back.st_ino != here.st_ino ||
				    back.st_dev != here.st_dev)
					errx(1, "%.200s: moved while it was "
					    "read", path);
			}
		}
		path_len = before;
		path[path_len] = '\0';
		free(names[i]);
	}
	free(names);
}

static void parse_left_out(char *list)
{
	for (char *p = list, *save = NULL;
	    (p = strtok_r(p, ",", &save)) != NULL; p = NULL) {
		size_t i = 0;

		while (i < X_COUNT && strcmp(p, x_names[i]) != 0)
			i++;
		if (i == X_COUNT)
			errx(2, "-x: there is no '%s'", p);
		left_out[i] = true;
	}
}

int main(int argc, char **argv)
{
	struct stat st;
	int c;

	while ((c = getopt(argc, argv, "vHx:")) != -1) {
		if (c == 'v')
			verbose = true;
		else if (c == 'H')
			show_holes = true;
		else if (c == 'x')
			parse_left_out(optarg);
		else
			optind = argc + 1;
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: treesum [-vH] [-x WHAT,...] PATH\n");
		return 2;
	}
	total = new_digest();
	path_cap = 4096;
	path = grow(NULL, path_cap);
	memcpy(path, ".", 2);
	path_len = 1;
	if (stat(argv[optind], &st) != 0)
		err(1, "%s", argv[optind]);
	if (!left_out[X_ROOT])
		sum_entry(argv[optind], &st);
	if (S_ISDIR(st.st_mode)) {
		if (chdir(argv[optind]) != 0)
			err(1, "%s", argv[optind]);
		sum_directory();
	}
	put_digest(stdout, total, 16);
	putchar('\n');
	if (ferror(stdout) || fflush(stdout) != 0)
		err(1, "stdout");
	return failed;
}
