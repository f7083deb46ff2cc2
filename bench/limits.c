#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/err.h"
#include "repo/zip/zip.h"

/*
 * What this machine allows, by the plainest calls that could do the work, on
 * one thread. Each command prints one JSON object.
 *
 * usage: limits walk PATH        list and statx each entry
 *        limits read PATH        the same, and open, read and close each file
 *        limits write PATH DIR   make in DIR the directories, files (of the
 *                                same sizes) and metadata of PATH
 *        limits zip PATH         pack and unpack a sample of the files' bytes
 *        limits disk FILE BYTES  write and read FILE sequentially, unbuffered
 *
 * walk, read and write tell CPU seconds: they are added to what ids, cuts and
 * the like cost, and divided by the number of cores.
 */

#define READ_SIZE ((size_t)256 << 10)
#define DISK_SIZE ((size_t)16 << 20)
#define SAMPLES 64
#define SAMPLE_SIZE ((size_t)1 << 20)
#define ROUNDS 5

static void die(const char *what)
{
	fprintf(stderr, "limits: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *pages(size_t len)
{
	void *p;

	errno = posix_memalign(&p, 4096, len);
	if (errno != 0)
		die("memory");
	return p;
}

/* One walk over a tree: what to do with each entry, and what came of it. */
struct job {
	enum { WALK, READ, WRITE, SAMPLE } what;
	uint64_t entries, bytes;
	uint8_t *buf;
	uint64_t step, next; /* SAMPLE: bytes between two samples */
	size_t sampled, due; /* bytes taken; still to be taken */
};

static void read_file(struct job *j, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	while ((n = read(fd, j->buf, READ_SIZE)) > 0)
		j->bytes += (uint64_t)n;
	close(fd);
}

/*
 * Each time another step of bytes is passed a sample is due: a piece of this
 * file, and if it is small the files after it, as a bundle would have them.
 */
static void sample_file(struct job *j, int dir, const char *name, uint64_t size)
{
	size_t want, room = SAMPLES * SAMPLE_SIZE - j->sampled;
	ssize_t n;
	int fd;

	j->bytes += size;
	if (j->bytes >= j->next) {
		j->due = SAMPLE_SIZE;
		j->next += ((j->bytes - j->next) / j->step + 1) * j->step;
	}
	want = j->due < room ? j->due : room;
	if (want == 0)
		return;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	n = pread(fd, j->buf + j->sampled, want, size > SAMPLE_SIZE ?
	    (off_t)(size / 2) : 0);
	if (n > 0) {
		j->sampled += (size_t)n;
		j->due -= (size_t)n;
	}
	close(fd);
}

/* Owner, mode and times, as every restore must set them. */
static void set_metadata(int fd, const struct statx *x)
{
	struct timespec t[2] = {
		{ x->stx_atime.tv_sec, x->stx_atime.tv_nsec },
		{ x->stx_mtime.tv_sec, x->stx_mtime.tv_nsec },
	};

	/* Without the right to it, the call costs the same. */
	if (fchown(fd, x->stx_uid, x->stx_gid) < 0 && errno != EPERM)
		die("fchown");
	if (fchmod(fd, x->stx_mode & 07777) < 0 || futimens(fd, t) < 0)
		die("metadata");
}

static void make_file(struct job *j, int to, const char *name,
    const struct statx *x)
{
	int fd = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		die(name);
	for (uint64_t left = x->stx_size; left > 0;) {
		ssize_t n = write(fd, j->buf, left < READ_SIZE ? (size_t)left :
		    READ_SIZE);

		if (n <= 0)
			die(name);
		left -= (uint64_t)n;
		j->bytes += (uint64_t)n;
	}
	set_metadata(fd, x);
	close(fd);
}

static void walk(struct job *j, int dir, int to);

static void enter(struct job *j, int dir, int to, const char *name,
    const struct statx *x)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int made = -1;

	if (fd < 0)
		return;
	if (j->what == WRITE) {
		if (mkdirat(to, name, 0700) < 0)
			die(name);
		made = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (made < 0)
			die(name);
	}
	walk(j, fd, made);
	if (made >= 0) {
		set_metadata(made, x);
		close(made);
	}
}

/* Go through the directory, which is closed afterwards. */
static void walk(struct job *j, int dir, int to)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;

	if (d == NULL)
		die("fdopendir");
	while ((e = readdir(d)) != NULL) {
		struct statx x;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (statx(dir, e->d_name, AT_SYMLINK_NOFOLLOW,
		    STATX_BASIC_STATS, &x) < 0)
			continue;
		j->entries++;
		if (S_ISDIR(x.stx_mode))
			enter(j, dir, to, e->d_name, &x);
		else if (!S_ISREG(x.stx_mode))
			continue;
		else if (j->what == READ)
			read_file(j, dir, e->d_name);
		else if (j->what == WRITE)
			make_file(j, to, e->d_name, &x);
		else if (j->what == SAMPLE && x.stx_size > 0)
			sample_file(j, dir, e->d_name, x.stx_size);
		else
			j->bytes += x.stx_size;
	}
	closedir(d);
}

static void run(struct job *j, const char *path, const char *target)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), to = -1;

	if (fd < 0)
		die(path);
	if (target != NULL) {
		to = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (to < 0)
			die(target);
	}
	walk(j, fd, to);
	if (to >= 0)
		close(to);
}

static int tree(struct job *j, const char *path, const char *target)
{
	double c, w;

	j->buf = pages(READ_SIZE);
	memset(j->buf, 'x', READ_SIZE);
	c = cpu();
	w = wall();
	run(j, path, target);
	c = cpu() - c;
	w = wall() - w;
	printf("{\"entries\":%" PRIu64 ",\"bytes\":%" PRIu64
	    ",\"cpu_seconds\":%.6f,\"wall_seconds\":%.6f}\n", j->entries,
	    j->bytes, c, w);
	free(j->buf);
	return 0;
}

static int zip(const char *path)
{
	struct job j = { .what = WALK }, s = { .what = SAMPLE };
	struct err err = ERR_INIT;
	struct zip *z = zip_new(ZIP_DEFAULT, SAMPLE_SIZE, &err);
	uint8_t *packed, *plain = pages(SAMPLE_SIZE);
	double pack = 0, unpack = 0;
	size_t stored = 0;

	if (z == NULL) {
		fprintf(stderr, "limits: %s\n", err.msg);
		return 1;
	}
	packed = pages(zip_bound(SAMPLE_SIZE));
	run(&j, path, NULL);
	s.step = j.bytes / SAMPLES + 1;
	s.buf = pages(SAMPLES * SAMPLE_SIZE);
	run(&s, path, NULL);
	for (size_t at = 0; at < s.sampled; at += SAMPLE_SIZE) {
		size_t n = s.sampled - at < SAMPLE_SIZE ? s.sampled - at :
		    SAMPLE_SIZE, len = 0;
		enum zip_method method = ZIP_RAW;
		double t = cpu();

		if (zip_pack(z, s.buf + at, n, false, packed, &method, &len,
		    &err) < 0)
			break;
		pack += cpu() - t;
		t = cpu();
		if (zip_unpack(z, method, method == ZIP_RAW ? s.buf + at :
		    packed, len, plain, n, &err) < 0)
			break;
		unpack += cpu() - t;
		stored += len;
	}
	if (err.msg[0] != '\0') {
		fprintf(stderr, "limits: %s\n", err.msg);
		return 1;
	}
	printf("{\"sample_bytes\":%zu,\"packed_bytes\":%zu,"
	    "\"pack_bytes_per_second\":%.0f,"
	    "\"unpack_bytes_per_second\":%.0f}\n", s.sampled, stored,
	    pack > 0 ? (double)s.sampled / pack : 0,
	    unpack > 0 ? (double)s.sampled / unpack : 0);
	zip_free(z);
	free(packed);
	free(plain);
	free(s.buf);
	return 0;
}

/* The best of a few passes over the file; make: write, else read. */
static double pass(const char *path, bool make, void *buf, uint64_t bytes)
{
	double best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		int fd = open(path, O_CLOEXEC | O_DIRECT | (make ?
		    O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY), 0600);
		double t = wall();

		if (fd < 0 && errno == EINVAL)
			return 0; /* no unbuffered access here: not known */
		if (fd < 0)
			die(path);
		for (uint64_t at = 0; at < bytes; at += DISK_SIZE) {
			ssize_t n = make ? pwrite(fd, buf, DISK_SIZE, (off_t)at) :
			    pread(fd, buf, DISK_SIZE, (off_t)at);

			if (n != (ssize_t)DISK_SIZE)
				die(path);
		}
		if (make && fsync(fd) < 0)
			die(path);
		t = wall() - t;
		close(fd);
		if ((double)bytes / t > best)
			best = (double)bytes / t;
	}
	return best;
}

static int disk(const char *path, const char *size)
{
	uint64_t bytes = strtoull(size, NULL, 10) / DISK_SIZE * DISK_SIZE;
	uint64_t *buf = pages(DISK_SIZE), z = 1;

	for (size_t i = 0; i < DISK_SIZE / 8; i++) {
		z ^= z << 13;
		z ^= z >> 7;
		z ^= z << 17;
		buf[i] = z;
	}
	if (bytes == 0) {
		fprintf(stderr, "limits: less than %zu bytes tell nothing\n",
		    DISK_SIZE);
		return 2;
	}

	double w = pass(path, true, buf, bytes);
	double r = w > 0 ? pass(path, false, buf, bytes) : 0;

	unlink(path);
	printf("{\"write_bytes_per_second\":%.0f,"
	    "\"read_bytes_per_second\":%.0f}\n", w, r);
	free(buf);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc >= 3 ? argv[1] : "";
	struct job j = { .what = WALK };

	if (argc == 3 && strcmp(what, "walk") == 0)
		return tree(&j, argv[2], NULL);
	if (argc == 3 && strcmp(what, "zip") == 0)
		return zip(argv[2]);
	if (argc == 4 && strcmp(what, "disk") == 0)
		return disk(argv[2], argv[3]);
	j.what = READ;
	if (argc == 3 && strcmp(what, "read") == 0)
		return tree(&j, argv[2], NULL);
	j.what = WRITE;
	if (argc == 4 && strcmp(what, "write") == 0)
		return tree(&j, argv[2], argv[3]);
	fprintf(stderr, "usage: limits walk|read|zip PATH | write PATH DIR | "
	    "disk FILE BYTES\n");
	return 2;
}
