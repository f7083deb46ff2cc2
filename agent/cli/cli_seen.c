#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "agent/cli/cli_text.h"
#include "repo/base/buf.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_seen.h"

/*
 * What this machine remembers of a repository: a line of text for the config
 * and for each chain of snapshots.  It is believed for one thing only, to warn
 * that an older state was put in place of a newer one; what is wrong in it is
 * passed over.
 */

#define FILE_MAX_BYTES (8u << 20)
#define LINE_MAX_BYTES 256

struct memory {
	char *path;
	uint32_t number, epoch;  /* of the config */
	struct store_seen *v;
	size_t n, cap;
	bool changed;
};

static void memory_release(struct memory *m)
{
	free(m->path);
	free(m->v);
	*m = (struct memory){ 0 };
}

/* Make the folders of a path, but for its last part. */
static int make_parents(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';

		int r = mkdir(path, 0700);

		*p = '/';
		if (r != 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

char *cli_cache_path(const struct cli *cli, const char *below)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	struct buf b = BUF_INIT;

	if (cli->cache_dir != NULL)
		buf_printf(&b, "%s", cli->cache_dir);
	else if (xdg != NULL && xdg[0] == '/')
		buf_printf(&b, "%s/wherry", xdg);
	else if (home != NULL && home[0] == '/')
		buf_printf(&b, "%s/.cache/wherry", home);
	else
		return NULL;
	buf_str(&b, below);
	buf_u8(&b, '\0');
	if (b.failed) {
		buf_release(&b);
		return NULL;
	}
	return (char *)b.p;
}

/* Where it is; NULL when nothing says where such things belong. */
static char *memory_path(const struct cli *cli, const struct store_info *info)
{
	char below[sizeof("/seen/") + 2 * sizeof(info->repository)] = "/seen/";

	hex_encode(below + strlen(below), info->repository,
	    sizeof(info->repository));
	return cli_cache_path(cli, below);
}

/* Remember the higher of what is there and this. */
static void memory_add(struct memory *m, const struct store_seen *s)
{
	struct store_seen *v;

	for (size_t i = 0; i < m->n; i++) {
		if (memcmp(m->v[i].slot, s->slot, sizeof(s->slot)) != 0 ||
		    memcmp(m->v[i].volume_hash, s->volume_hash, 32) != 0)
			continue;
		if (s->counter > m->v[i].counter) {
			m->v[i] = *s;
			m->changed = true;
		}
		return;
	}
	if (m->n == m->cap) {
		m->cap = m->cap == 0 ? 16 : m->cap * 2;
		v = realloc(m->v, m->cap * sizeof(*v));
		if (v == NULL)
			cli_nomem();
		m->v = v;
	}
	m->v[m->n++] = *s;
	m->changed = true;
}

static void memory_line(struct memory *m, const char *line)
{
	char slot[17], hash[65], session[STORE_SESSION_MAX];
	struct store_seen s = { .counter = 0 };
	uint32_t number, epoch;

	if (sscanf(line, "config %" SCNu32 " %" SCNu32, &number, &epoch) == 2) {
		m->number = number;
		m->epoch = epoch;
		return;
	}
	if (sscanf(line, "chain %16[0-9a-f] %64[0-9a-f] %" SCNu64
	        " %47[0-9a-f-]", slot, hash, &s.counter, session) != 4 ||
	    hex_decode(s.slot, sizeof(s.slot), slot) != 0 ||
	    hex_decode(s.volume_hash, sizeof(s.volume_hash), hash) != 0)
		return;
	memcpy(s.session, session, sizeof(session));
	memory_add(m, &s);
}

static void memory_read(struct memory *m)
{
	char line[LINE_MAX_BYTES];
	struct stat sb;
	FILE *f = fopen(m->path, "re");

	if (f == NULL)
		return;
	if (fstat(fileno(f), &sb) == 0 && S_ISREG(sb.st_mode) &&
	    sb.st_size <= (off_t)FILE_MAX_BYTES)
		while (fgets(line, sizeof(line), f) != NULL)
			memory_line(m, line);
	fclose(f);
	m->changed = false;
}

static int memory_write(struct memory *m)
{
	CLEANUP_FREE char *part = NULL;
	struct buf b = BUF_INIT;
	FILE *f;
	int fd, r = -1;

	buf_printf(&b, "%s.%ld", m->path, (long)getpid());
	buf_u8(&b, '\0');
	if (b.failed || make_parents(m->path) != 0)
		goto out;
	part = strdup((char *)b.p);
	fd = part == NULL ? -1 : open(part, O_WRONLY | O_CREAT | O_TRUNC |
	    O_CLOEXEC | O_NOFOLLOW, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (f == NULL)
		goto out;
	fprintf(f, "config %" PRIu32 " %" PRIu32 "\n", m->number, m->epoch);
	for (size_t i = 0; i < m->n; i++) {
		char slot[17], hash[65];

		hex_encode(slot, m->v[i].slot, sizeof(m->v[i].slot));
		hex_encode(hash, m->v[i].volume_hash, 32);
		fprintf(f, "chain %s %s %" PRIu64 " %s\n", slot, hash,
		    m->v[i].counter, m->v[i].session);
	}
	r = ferror(f) ? -1 : 0;
	if (fclose(f) != 0)
		r = -1;
	if (r == 0)
		r = rename(part, m->path);
	if (r != 0)
		unlink(part);
out:
	buf_release(&b);
	return r;
}

/* --- at the beginning and the end of a run ---------------------------------------*/

/* So many are named, unless --verbose. */
#define NAMED_MAX 3

static void name_one(struct buf *b, const struct store_seen *s)
{
	char slot[17];

	hex_encode(slot, s->slot, sizeof(s->slot));
	buf_printf(b, "%s%s/%s", b->len > 0 ? ", " : "", slot,
	    strrchr(s->session, '-') + 1);
}

/* The n of them are gone; names says which, or some of them. */
static void warn_gone(const struct memory *m, size_t n, const struct buf *names,
    bool all)
{
	if (n == 0)
		return;
	cli_warn("%s %.*s%s %s here and %s gone, with no note that %s forgotten, "
	    "and no later one of %s is here: an older state of the repository "
	    "may have been put in its place (remove %s if all is well)",
	    n == 1 ? "snapshot" : CLI_COUNTED(n, "snapshot:", "snapshots:"),
	    (int)names->len, (const char *)names->p, all ? "" : ", ... (-v names "
	    "them)", n == 1 ? "was" : "were", n == 1 ? "is" : "are",
	    n == 1 ? "it was" : "they were", n == 1 ? "its volume" :
	    "their volumes", m->path);
}

static void compare_chains(struct memory *m, struct store *st, bool verbose)
{
	CLEANUP_FREE enum store_seen_state *state = NULL;
	struct buf names = BUF_INIT;
	struct err err = ERR_INIT;
	size_t kept = 0, gone = 0;

	state = calloc(m->n + 1, sizeof(*state));
	if (state == NULL)
		cli_nomem();
	if (store_seen_compare(st, m->v, m->n, state, &err) != 0) {
		log_msg(LOG_INFO, "what was seen before cannot be compared: %s",
		    err.msg);
		return;
	}
	for (size_t i = 0; i < m->n; i++) {
		if (state[i] == STORE_SEEN_GONE &&
		    (gone++ < NAMED_MAX || verbose))
			name_one(&names, &m->v[i]);
		if (state[i] != STORE_SEEN_FORGOTTEN)
			m->v[kept++] = m->v[i];
	}
	m->changed |= kept < m->n;
	m->n = kept;
	if (names.failed)
		cli_nomem();
	warn_gone(m, gone, &names, gone <= NAMED_MAX || verbose);
	buf_release(&names);
}

void cli_seen_compare(struct cli *cli, struct store *st)
{
	struct memory m = { .path = memory_path(cli, store_info(st)) };
	uint32_t number, epoch;

	if (m.path == NULL)
		return;
	memory_read(&m);
	store_seen_config(st, &number, &epoch);
	if (epoch < m.epoch || (epoch == m.epoch && number < m.number))
		cli_warn("the repository's keys were of epoch %" PRIu32
		    " (config %" PRIu32 ") when this machine saw them last, and "
		    "are of epoch %" PRIu32 " (config %" PRIu32 ") now: an "
		    "older state may have been put in their place, in which "
		    "removed credentials count again (remove %s if all is "
		    "well)", m.epoch, m.number, epoch, number, m.path);
	compare_chains(&m, st, cli->verbose > 0);
	/* What was forgotten on purpose need not be remembered. */
	if (m.changed && memory_write(&m) != 0)
		log_msg(LOG_INFO, "%s: %s", m.path, strerror(errno));
	memory_release(&m);
}

static int add_seen(void *ctx, const struct store_seen *s)
{
	memory_add(ctx, s);
	return 0;
}

void cli_seen_remember(struct cli *cli, struct store *st)
{
	struct memory m = { .path = memory_path(cli, store_info(st)) };
	uint32_t number, epoch;

	if (m.path == NULL)
		return;
	/* Read again: other runs have gone on meanwhile. */
	memory_read(&m);
	store_seen_each(st, add_seen, &m);
	store_seen_config(st, &number, &epoch);
	if (epoch > m.epoch || (epoch == m.epoch && number > m.number)) {
		m.epoch = epoch;
		m.number = number;
		m.changed = true;
	}
	if (m.changed && memory_write(&m) != 0)
		log_msg(LOG_INFO, "%s: what was seen is not remembered: %s",
		    m.path, strerror(errno));
	memory_release(&m);
}
