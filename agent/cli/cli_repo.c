#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

/*
 * The largest chunk of a repository made with the default averages, for the
 * budget that must be known before the repository can say its own.
 */
#define DEFAULT_MAX_CHUNK (4u << 20)

#define DEFAULT_MEMORY (512u << 20)

/* How long a store is tried that has not answered yet. */
#define CONTACT_MS 20000

/* A budget for smaller packs overrides what the repository says. */
#define STANDARD_PACK (16u << 20)

/* Requests that are made ahead at once, to stores that are far away. */
#define READERS 32
/* What is kept of such stores on this machine. */
#define CACHE_BYTES ((uint64_t)1 << 30)

const char *cli_repo_url(struct cli *cli)
{
	const char *url = cli->repo ? cli->repo : getenv("WHERRY_REPOSITORY");

	if (url != NULL && *url != '\0')
		return url;
	cli_usage(cli, "no repository is named (give --repo, or set "
	    "WHERRY_REPOSITORY)");
	return NULL;
}

static bool give_up(void *ctx)
{
	(void)ctx;
	return cli_interrupted();
}

struct backend *cli_backend_open(struct cli *cli, const char *url, bool create,
    bool write, struct err *err)
{
	struct backend_options opt = {
		.local = { .create = create, .read_only = !write },
		.ca_file = cli->ca_file,
		.up = cli->limit_upload,
		.down = cli->limit_download,
		.cancelled = give_up,
	};
	/* A name or port that is wrong never answers: that is told soon. */
	struct backend_retry_options retry = { .cancelled = give_up,
		.contact_ms = CONTACT_MS };
	struct backend *be = backend_open(url, &opt, err);
	const char *ms = getenv("WHERRY_TEST_RETRY_MS");

	/* What stays wrong, seen by tests without a quarter of an hour. */
	if (ms != NULL && ms[0] >= '1' && ms[0] <= '9')
		retry.budget_ms = (unsigned)strtoul(ms, NULL, 10);
	if (be != NULL)
		be = backend_retry_new(be, &retry, err);
	if (be != NULL && (cli->debug || cli->verbose > 1))
		be = backend_log_new(be, err);
	return be;
}

int cli_budget(const struct cli *cli, uint32_t max_chunk,
    struct engine_budget *ret, struct err *err)
{
	struct engine_options opt = {
		.memory = cli->memory ? (size_t)cli->memory : DEFAULT_MEMORY,
		.cpus = cli->cpus,
		.io = cli->io ? (enum engine_io_mode)(cli->io - 1) :
		    ENGINE_IO_AUTO,
		.far = cli->far,
	};

	return engine_budget(&opt, max_chunk, ret, err);
}

/* Fill secret from the options; *ret_text is what must be wiped after. */
static int find_secret(struct cli *cli, struct store_secret *secret,
    char **ret_text, struct err *err)
{
	memset(secret, 0, sizeof(*secret));
	secret->slot = cli->slot;
	if (cli->key_file != NULL) {
		*ret_text = cli_secret_from_file(cli->key_file, err);
		secret->key_file = *ret_text;
	} else {
		*ret_text = cli_secret_passphrase(cli, false, err);
		secret->passphrase = *ret_text;
		if (*ret_text != NULL)
			secret->passphrase_len = strlen(*ret_text);
	}
	return *ret_text == NULL ? -1 : 0;
}

struct store *cli_store_open(struct cli *cli, const char *url, unsigned flags,
    const struct store_secret *secret, struct err *err)
{
	CLEANUP_FREE char *cache = NULL;
	bool write = flags & CLI_OPEN_WRITE, strict = flags & CLI_OPEN_STRICT;
	struct engine_budget budget;
	struct backend *be = cli_backend_open(cli, url, false, write, err);
	struct backend_caps caps;

	if (be == NULL)
		return NULL;
	backend_caps(be, &caps);
	cli->far |= !caps.local;
	if (cli_budget(cli, DEFAULT_MAX_CHUNK, &budget, err) < 0) {
		backend_close(be);
		return NULL;
	}
	if (!strict && !cli->no_cache)
		cache = cli_cache_path(cli, "");

	struct store_options opt = {
		.memory = flags & CLI_OPEN_HALF ? budget.index / 2 :
		    budget.index,
		.argon_memory = budget.argon,
		.pack_size = budget.pack_size < STANDARD_PACK ?
		    budget.pack_size : 0,
		.readers = READERS,
		.reads = !write && !strict,
		.cache_dir = cache,
		.cache_bytes = cli->cache_size ? cli->cache_size : CACHE_BYTES,
	};

	return store_open(be, secret, &opt, err);
}

static int start_engine(struct cli *cli, struct cli_repo *r, struct err *err)
{
	const struct store_info *info = store_info(r->store);
	uint32_t max = info->stream.max > info->block.max ? info->stream.max :
	    info->block.max;
	struct engine_options opt = {
		.memory = cli->memory ? (size_t)cli->memory : DEFAULT_MEMORY,
		.cpus = cli->cpus,
		.io = cli->io ? (enum engine_io_mode)(cli->io - 1) :
		    ENGINE_IO_AUTO,
		.far = cli->far,
	};
	struct engine_budget budget;

	if (info->parity_data > 0)
		opt.parity = 100u * info->parity_shards / info->parity_data;
	if (engine_budget(&opt, max, &budget, err) < 0)
		return -1;
	r->engine = engine_new(&opt, &budget, err);
	if (r->engine == NULL)
		return -1;
	cli_signals_engine(r->engine);
	return 0;
}

int cli_repo_open(struct cli *cli, unsigned rights, const char *what,
    unsigned flags, struct cli_repo *ret)
{
	const char *url = cli_repo_url(cli);
	struct store_secret secret;
	struct err err = ERR_INIT;
	char *text = NULL;
	int code;

	memset(ret, 0, sizeof(*ret));
	if (url == NULL)
		return CLI_USAGE;
	if (find_secret(cli, &secret, &text, &err) < 0)
		/* A missing file of a secret is no missing repository. */
		return cli_fail(cli, &err, CLI_AT_WORK, "get the secret");
	ret->store = cli_store_open(cli, url, flags, &secret, &err);
	cli_secret_free(text);
	if (ret->store == NULL)
		return cli_fail(cli, &err, CLI_AT_OPEN,
		    "open the repository %s", url);
	if (store_need(ret->store, rights, what, &err) < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "%s", what);
		goto fail;
	}
	ret->cli = cli;
	cli_seen_compare(cli, ret->store);
	if ((flags & CLI_OPEN_ENGINE) && start_engine(cli, ret, &err) < 0) {
		code = cli_fail(cli, &err, CLI_AT_WORK, "start");
		goto fail;
	}
	return CLI_OK;
fail:
	cli_repo_close(ret);
	return code;
}

void cli_repo_close(struct cli_repo *r)
{
	cli_signals_engine(NULL);
	engine_free(r->engine);
	if (r->store != NULL && r->cli != NULL)
		cli_seen_remember(r->cli, r->store);
	store_close(r->store);
	memset(r, 0, sizeof(*r));
}

/* --- which snapshot ---------------------------------------------------------------*/

/* The length of "@2026-11-01[T12:00[:SS]][Z]" at the start of s, or 0. */
static size_t time_length(const char *s)
{
	static const char form[] = "@0000-00-00T00:00:00";
	size_t n = 0, ok = 0;

	for (; form[n] != '\0'; n++) {
		if (n == 11 || n == 17)
			ok = n; /* a date, or hours and minutes, end here */
		if (form[n] == '0' ? s[n] < '0' || s[n] > '9' :
		    s[n] != form[n])
			break;
	}
	if (form[n] == '\0')
		ok = n;
	else if (n < 11)
		return 0;
	return ok + (s[ok] == 'Z');
}

bool cli_spec_split(const char *text, unsigned n, size_t *ret_len,
    const char **ret_path)
{
	size_t len = strlen(text), t = time_length(text);
	const char *end = text + len;

	if (t > 0 && (text[t] == '\0' || text[t] == ':')) {
		/* The colons of a time are not followed by a path. */
		*ret_len = t;
		*ret_path = text[t] ? text + t + 1 : end;
		return n == 0;
	}
	if (strchr(text, '@') == NULL) {
		size_t colon = strcspn(text, ":");

		*ret_len = colon;
		*ret_path = text[colon] ? text + colon + 1 : end;
		return n == 0;
	}

	/* A volume's name may hold colons: try the longest name first. */
	*ret_len = len;
	*ret_path = end;
	while (n-- > 0) {
		const char *at = memrchr(text, ':', *ret_len);

		if (at == NULL || strchr(text, '@') > at)
			return false;
		*ret_len = (size_t)(at - text);
		*ret_path = at + 1;
	}
	return true;
}

int cli_snapshot_find(struct store *st, const char *text,
    struct store_snapshot **ret_sn, const char **ret_path, struct err *err)
{
	size_t len;

	for (unsigned n = 0; cli_spec_split(text, n, &len, ret_path); n++) {
		CLEANUP_FREE char *spec = mem_memdup0(text, len, err);

		if (spec == NULL)
			return -1;
		if (store_snapshot_find(st, spec, ret_sn, err) == 0)
			return 0;
		if (err->class != ERR_NOTFOUND)
			return -1;
	}
	return -1;
}

static bool listed(const struct cli_list *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i], s) == 0)
			return true;
	}
	return l->n == 0;
}

bool cli_filter_match(const struct cli *cli, const struct store_snapshot *sn)
{
	bool tagged = cli->tags.n == 0;

	for (size_t i = 0; !tagged && i < sn->tags.n; i++)
		tagged = listed(&cli->tags, sn->tags.v[i]);
	return tagged && listed(&cli->hosts, sn->host ? sn->host : "") &&
	    listed(&cli->volumes, sn->volume ? sn->volume : "");
}

bool cli_filter_given(const struct cli *cli)
{
	return cli->hosts.n + cli->tags.n + cli->volumes.n > 0;
}

static void tell_filter(struct buf *b, const char *name, const struct cli_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		buf_printf(b, " --%s %s", name, l->v[i]);
}

int cli_filter_fail(struct cli *cli, const char *what)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	tell_filter(&b, "host", &cli->hosts);
	tell_filter(&b, "tag", &cli->tags);
	tell_filter(&b, "volume", &cli->volumes);
	err_set(&err, ERR_NOTFOUND, "no snapshot matches%.*s ('wherry "
	    "snapshots' shows what there is)", (int)b.len, (const char *)b.p);
	buf_release(&b);
	return cli_fail(cli, &err, CLI_AT_WORK, "%s", what);
}

struct gather { struct cli *cli; struct cli_snapshots *list; };

static int gather(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct gather *g = ctx;
	struct cli_snapshots *l = g->list;

	if (!cli_filter_match(g->cli, *sn))
		return 0;

	struct store_snapshot **v = realloc(l->v, (l->n + 1) * sizeof(*v));

	if (v == NULL)
		return err_nomem(err, "the list of snapshots");
	l->v = v;
	l->v[l->n++] = STEAL_PTR(*sn);
	return 0;
}

static void unreadable(void *ctx, const char *key, const struct err *why)
{
	struct gather *g = ctx;

	g->list->bad++;
	cli_warn("cannot read %s: %s (run 'wherry check')", key,
	    cli_after_name(key, why->msg));
}

int cli_snapshots_read(struct cli *cli, struct store *st,
    struct cli_snapshots *ret, struct err *err)
{
	struct gather g = { cli, ret };

	memset(ret, 0, sizeof(*ret));
	if (store_snapshots(st, cli->checkpoints, gather, unreadable, &g, err) == 0)
		return 0;
	cli_snapshots_release(ret);
	return -1;
}

void cli_snapshots_release(struct cli_snapshots *s)
{
	for (size_t i = 0; i < s->n; i++)
		store_snapshot_free(s->v[i]);
	free(s->v);
	memset(s, 0, sizeof(*s));
}
