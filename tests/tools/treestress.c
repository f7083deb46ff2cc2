/*
 * treestress - trees that have all that file systems allow, from a seed.
 *
 * usage: treestress [-s SEED] [-n ENTRIES] [-D DEPTH] [-z BYTES] [-F LIST] DIR
 *        treestress -m [-s SEED] [-n CHANGES] [-z BYTES] [-F LIST] DIR
 *        treestress -d DIR
 *
 * The first form fills DIR (made if missing) with about ENTRIES (1000)
 * entries and a chain of DEPTH (1000; 0: none) directories, files of at most
 * BYTES (3 MiB).  -m changes the tree in DIR: writes inside, appends, cuts,
 * renames, replaces, removes, adds, touches.  -d removes DIR and all in it,
 * flags and depth notwithstanding.
 *
 * -F leaves things out: no-devices, no-special (fifos, sockets), no-deep,
 * no-huge, no-sparse, no-links, no-symlinks, no-names (only plain ones),
 * no-xattrs, no-acls, no-caps, no-flags, no-project, no-owner, no-times,
 * no-modes.  What the file system or our rights do not allow is left out
 * too, and counted: the last line of output tells what was made.
 *
 * The same seed gives the same tree: times included, and also after -m when
 * the tree before was the same.
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/tools/treestress_parts/stress.h"

static const char *const no_names[NO_COUNT] = {
	"no-devices", "no-special", "no-deep", "no-huge", "no-sparse",
	"no-links", "no-symlinks", "no-names", "no-xattrs", "no-acls",
	"no-caps", "no-flags", "no-project", "no-owner", "no-times",
	"no-modes",
};

static const char *const did_names[DID_COUNT] = {
	"directories", "files", "hard links", "symlinks", "fifos and sockets",
	"devices", "xattrs", "ACLs", "capabilities", "flags", "projects",
	"owners", "modes", "times", "changes",
};

static bool make_symlink(int dir, const char *name)
{
	char target[4096];
	size_t len;

	switch (below(5)) {
	case 0:
		return symlinkat("/nonexistent/absolute", dir, name) == 0;
	case 1:
		return symlinkat("../..", dir, name) == 0;
	case 2:
		make_name(target, below(100));
		return symlinkat(target, dir, name) == 0;
	case 3:
		return symlinkat("with\nnewline \xff\x01", dir, name) == 0;
	default:
		/* 4095 is the most of Linux, 1023 of some file systems. */
		len = chance(50) ? 4095 : 1000;
		memset(target, 'x', len);
		for (size_t i = 100; i < len; i += 101)
			target[i] = '/';
		target[len] = '\0';
		if (symlinkat(target, dir, name) == 0)
			return true;
		target[1000] = '\0';
		return symlinkat(target, dir, name) == 0;
	}
}

static bool make_socket(int dir, const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = false;

	/* A socket's path is short, so it is bound elsewhere and moved. */
	snprintf(un.sun_path, sizeof(un.sun_path),
	    "/proc/self/fd/%d/.treestress", dir);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0) {
		struct stat st;

		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			ok = renameat(dir, ".treestress", dir, name) == 0;
		if (!ok)
			unlinkat(dir, ".treestress", 0);
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

void make_entry(struct node *parent, const char *name, bool huge)
{
	int dir = open_dir(parent);
	unsigned k = (unsigned)below(100);
	mode_t type = S_IFREG;
	bool link = false, ok = false;

	if (dir < 0)
		return;
	if (huge || (k >= 16 && k < 76)) {
		ok = tally(DID_FILE, make_file(dir, name, huge));
	} else if (k < 16) {
		type = S_IFDIR;
		ok = tally(DID_DIR, mkdirat(dir, name, 0700) == 0);
	} else if (k < 84 && !no[NO_LINKS]) {
		struct node *to = pick(false);
		int from = to ? open_dir(to->parent) : -1;

		from = from < 0 ? -1 : dup(from);
		dir = open_dir(parent);
		link = true;
		if (from >= 0 && dir >= 0) {
			type = to->type;
			ok = linkat(from, to->name, dir, name, 0) == 0;
		}
		if (from >= 0)
			close(from);
		tally(DID_LINK, ok);
	} else if (k < 94 && !no[NO_SYMLINKS]) {
		type = S_IFLNK;
		ok = tally(DID_SYMLINK, make_symlink(dir, name));
	} else if (k < 97 && !no[NO_SPECIAL]) {
		type = chance(50) ? S_IFIFO : S_IFSOCK;
		ok = tally(DID_SPECIAL, type == S_IFIFO ?
		    mkfifoat(dir, name, 0600) == 0 : make_socket(dir, name));
	} else if (!no[NO_DEVICES]) {
		type = chance(50) ? S_IFCHR : S_IFBLK;
		ok = tally(DID_DEVICE, mknodat(dir, name, type | 0600,
		    chance(50) ? makedev(1, 3) : makedev((unsigned)below(4096),
		    (unsigned)below(1048576))) == 0);
	}
	if (ok)
		add_node(parent, name, type)->link = link;
}

/* A directory with a file for each byte that a name may be. */
static void make_bytes(void)
{
	struct node *d;
	char name[2] = "";
	int dir;

	if (mkdirat(top_fd, "bytes", 0700) != 0)
		return;
	d = add_node(nodes[0], "bytes", S_IFDIR);
	dir = open_dir(d);
	for (int c = 1; c < 256 && dir >= 0; c++) {
		name[0] = (char)c;
		if (c == '/' || c == '.')
			continue;
		int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

		if (tally(DID_FILE, fd >= 0)) {
			close(fd);
			add_node(d, name, S_IFREG);
		}
	}
}

/* Directories in directories, far beyond the longest path. */
static void make_chain(unsigned depth)
{
	struct node *d = nodes[0];
	char name[256];

	for (unsigned i = 0; i < depth; i++) {
		int dir = open_dir(d);

		begin('D', i);
		if (i == 0)
			snprintf(name, sizeof(name), "deep");
		else if (i % 7 == 0 && !no[NO_NAMES])
			make_name(name, i);
		else
			snprintf(name, sizeof(name), "%u", i);
		if (dir < 0 || !tally(DID_DIR, mkdirat(dir, name, 0700) == 0))
			return;
		d = add_node(d, name, S_IFDIR);
	}
	make_entry(d, "bottom", false);
}

static void make_tree(size_t entries, unsigned depth)
{
	char name[256];

	add_node(NULL, ".", S_IFDIR);
	if (entries >= 500 && !no[NO_NAMES])
		make_bytes();
	for (uint64_t i = count; i < entries; i++) {
		begin('E', i);
		make_name(name, i);
		/* Most stay near the top, some go where others went. */
		struct node *d = chance(15) ? nodes[0] : pick(true);

		make_entry(d, name, false);
	}
	begin('H', 0);
	if (!no[NO_HUGE] && !no[NO_SPARSE] && entries >= 200)
		make_entry(nodes[0], "huge", true);
	if (!no[NO_DEEP] && depth > 0)
		make_chain(depth);
}

static void leave_out(char *list)
{
	for (char *p = list, *save = NULL;
	    (p = strtok_r(p, ",", &save)) != NULL; p = NULL) {
		size_t i = 0;

		while (i < NO_COUNT && strcmp(p, no_names[i]) != 0)
			i++;
		if (i == NO_COUNT)
			errx(2, "-F: there is no '%s'", p);
		no[i] = true;
	}
}

static void tell(void)
{
	const char *comma = "";

	for (int i = 0; i < DID_COUNT; i++) {
		if (did[i] == 0 && could_not[i] == 0)
			continue;
		printf("%s%lu %s", comma, did[i], did_names[i]);
		if (could_not[i] > 0)
			printf(" (%lu not possible)", could_not[i]);
		comma = ", ";
	}
	putchar('\n');
}

static uint64_t number(const char *s)
{
	char *end;
	uint64_t v = strtoull(s, &end, 10);

	if (*s == '\0' || *end != '\0')
		errx(2, "'%s' is no number", s);
	return v;
}

int main(int argc, char **argv)
{
	size_t entries = 1000;
	unsigned depth = 1000;
	bool mutate = false, removes = false;
	int c;

	while ((c = getopt(argc, argv, "s:n:D:z:F:md")) != -1)
		switch (c) {
		case 's': seed = number(optarg); break;
		case 'n': entries = (size_t)number(optarg); break;
		case 'D': depth = (unsigned)number(optarg); break;
		case 'z': max_size = number(optarg); break;
		case 'F': leave_out(optarg); break;
		case 'm': mutate = true; break;
		case 'd': removes = true; break;
		default: optind = argc + 1;
		}
	if (optind != argc - 1 || (mutate && removes)) {
		fprintf(stderr, "usage: treestress [-m] [-s SEED] [-n COUNT] "
		    "[-D DEPTH] [-z BYTES] [-F LIST] DIR\n"
		    "       treestress -d DIR\n");
		return 2;
	}
	umask(022);
	if (removes) {
		remove_entry(AT_FDCWD, argv[optind]);
		return 0;
	}
	if (!mutate && mkdir(argv[optind], 0755) != 0 && errno != EEXIST)
		err(1, "%s", argv[optind]);
	top_fd = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top_fd < 0)
		err(1, "%s", argv[optind]);
	if (mutate) {
		scan_tree();
		for (uint64_t i = 0; i < entries; i++)
			change_one(i);
	} else {
		make_tree(entries, depth);
	}
	finish_all();
	tell();
	return 0;
}
