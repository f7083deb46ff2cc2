#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_aws_internal.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

#define SEC INT64_C(1000000000)
/* So long before their end credentials are renewed. */
#define EARLY_NS (300 * SEC)
/*
 * What just came is used for so long whatever its end, and a renewal that
 * failed is not tried again sooner: a clock that is wrong, or roles that last a
 * few minutes, do not make every request ask for new ones.
 */
#define PAUSE_NS (30 * SEC)

struct backend_aws_place {
	const char *name;
	int (*get)(struct backend_aws *a, struct backend_aws_set **ret_set,
	    struct buf *why, struct err *err);
};

static const struct backend_aws_place places[] = {
	{ "the environment", backend_aws_from_environment },
	{ "the profile", backend_aws_from_profile },
	{ "a web identity", backend_aws_from_web_identity },
	{ "the container's service", backend_aws_from_container },
	{ "the machine's metadata service", backend_aws_from_machine },
};
#define PLACES (sizeof(places) / sizeof(places[0]))

/* --- sets ------------------------------------------------------------------*/

struct backend_aws_set {
	struct backend_aws_credentials c; /* first: it is what is lent */
	atomic_uint held;
	char text[];
};

static const char *put_text(char **at, const char *s)
{
	size_t len = strlen(s) + 1;
	char *p = *at;

	memcpy(p, s, len);
	*at += len;
	return p;
}

struct backend_aws_set *backend_aws_set_new(const char *access_key,
    const char *secret_key, const char *session_token, int64_t expires_ns,
    struct err *err)
{
	const char *token = session_token ? session_token : "";
	/* libsodium puts a guard behind the last byte, so memory begins odd. */
	size_t len = sizeof(struct backend_aws_set) + strlen(access_key) +
	    strlen(secret_key) + strlen(token) + 3;
	size_t round = _Alignof(max_align_t);
	struct backend_aws_set *s = crypto_secret_new(
	    (len + round - 1) / round * round, err);

	if (s == NULL)
		return NULL;

	char *at = s->text;

	s->c.access_key = put_text(&at, access_key);
	s->c.secret_key = put_text(&at, secret_key);
	if (token[0] != '\0')
		s->c.session_token = put_text(&at, token);
	s->c.expires_ns = expires_ns;
	s->held = 1;
	return s;
}

const struct backend_aws_credentials *backend_aws_set_credentials(
    struct backend_aws_set *s)
{
	return &s->c;
}

void backend_aws_release(const struct backend_aws_credentials *c)
{
	/* It is the first member of a set. */
	struct backend_aws_set *s = (struct backend_aws_set *)(uintptr_t)c;

	if (s != NULL && atomic_fetch_sub(&s->held, 1) == 1)
		crypto_secret_free(s);
}

static const struct backend_aws_credentials *lend(struct backend_aws_set *s)
{
	atomic_fetch_add(&s->held, 1);
	return &s->c;
}

static bool are_same(const struct backend_aws_credentials *a,
    const struct backend_aws_credentials *b)
{
	const char *ta = a->session_token ? a->session_token : "";
	const char *tb = b->session_token ? b->session_token : "";

	return strcmp(a->access_key, b->access_key) == 0 &&
	    strcmp(a->secret_key, b->secret_key) == 0 && strcmp(ta, tb) == 0;
}

/* --- looking ---------------------------------------------------------------*/

const char *backend_aws_env(const char *name)
{
	const char *s = getenv(name);

	return s != NULL && s[0] != '\0' ? s : NULL;
}

int backend_aws_from_environment(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct buf *why, struct err *err)
{
	const char *id = backend_aws_env("AWS_ACCESS_KEY_ID");
	const char *key = backend_aws_env("AWS_SECRET_ACCESS_KEY");

	if (a->profile_asked) {
		buf_str(why, "passed over, for a profile was asked for");
		return 1;
	}
	if (id == NULL && key == NULL) {
		buf_str(why, "AWS_ACCESS_KEY_ID is not set");
		return 1;
	}
	if (id == NULL || key == NULL)
		return err_set(err, ERR_USAGE, "%s is set, but %s is not",
		    id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		    id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	*ret_set = backend_aws_set_new(id, key,
	    backend_aws_env("AWS_SESSION_TOKEN"), 0, err);
	return *ret_set ? 0 : -1;
}

static int look_everywhere(struct backend_aws *a,
    struct backend_aws_set **ret_set, struct err *err)
{
	struct buf why = BUF_INIT;
	int rc = 1;

	for (size_t i = 0; i < PLACES && rc == 1; i++) {
		buf_printf(&why, "%s%s (", i ? "; " : "", places[i].name);
		rc = places[i].get(a, ret_set, &why, err);
		buf_str(&why, ")");
		if (rc == 0)
			a->place = &places[i];
		else if (rc < 0)
			err_wrap(err, "AWS credentials from %s", places[i].name);
	}
	buf_u8(&why, 0);
	if (rc == 1 && buf_check(&why, "a message", err) == 0)
		err_set(err, ERR_USAGE, "no AWS credentials were found; looked "
		    "in: %s", (char *)why.p);
	buf_release(&why);
	return rc == 0 ? 0 : -1;
}

/* Fetch from the place that had some, or look for one.  Return 0 or -1. */
static int fetch(struct backend_aws *a, struct backend_aws_set **ret_set,
    struct err *err)
{
	struct buf why = BUF_INIT;

	if (a->place == NULL)
		return look_everywhere(a, ret_set, err);

	int rc = a->place->get(a, ret_set, &why, err);

	if (rc == 1) {
		buf_u8(&why, 0);
		if (buf_check(&why, "a message", err) == 0)
			err_set(err, ERR_USAGE, "there are none any more: %s",
			    (char *)why.p);
	}
	buf_release(&why);
	if (rc != 0)
		err_wrap(err, "AWS credentials from %s", a->place->name);
	return rc == 0 ? 0 : -1;
}

/* --- lending and renewing --------------------------------------------------*/

static bool is_good(const struct backend_aws *a, int64_t now_ns)
{
	return a->now != NULL && (a->now->c.expires_ns == 0 ||
	    now_ns < a->now->c.expires_ns || now_ns < a->fetched_ns + a->pause_ns);
}

static bool is_due(const struct backend_aws *a, int64_t now_ns)
{
	return a->now->c.expires_ns != 0 &&
	    now_ns > a->now->c.expires_ns - EARLY_NS &&
	    now_ns >= a->not_before_ns;
}

/* Wait, with the lock held, for the renewal under way.  Return 0 or -1. */
static int wait_renewed(struct backend_aws *a, struct err *err)
{
	uint64_t seen = a->renewals;

	while (a->renewals == seen)
		pthread_cond_wait(&a->cond, &a->lock);
	if (a->failed.class == ERR_NONE)
		return 0;
	*err = a->failed;
	return -1;
}

/*
 * Fetch others, with the lock held, which is given up meanwhile; nobody renews.
 * Return 0 when they came, -1 with err.
 */
static int renew(struct backend_aws *a, struct err *err)
{
	struct backend_aws_set *s = NULL, *old = NULL;

	a->renewing = true;
	pthread_mutex_unlock(&a->lock);

	int rc = fetch(a, &s, err);
	int64_t now_ns = clock_real_ns();

	pthread_mutex_lock(&a->lock);
	a->renewing = false;
	a->renewals++;
	a->not_before_ns = now_ns + a->pause_ns;
	if (rc == 0) {
		old = a->now;
		a->now = s;
		a->fetched_ns = now_ns;
		err_clear(&a->failed);
	} else {
		a->failed = *err;
	}
	pthread_cond_broadcast(&a->cond);
	if (old != NULL)
		backend_aws_release(&old->c);
	return rc;
}

/* With the lock held: see that a->now is there and good.  Return 0 or -1. */
static int have_good(struct backend_aws *a, struct err *err)
{
	int64_t now_ns = clock_real_ns();

	while (!is_good(a, now_ns)) {
		if ((a->renewing ? wait_renewed(a, err) : renew(a, err)) < 0)
			return -1;
		now_ns = clock_real_ns();
	}
	if (!is_due(a, now_ns) || a->renewing)
		return 0;
	if (renew(a, err) < 0) {
		log_msg(LOG_WARN, "%s; going on with those that are there",
		    err->msg);
		err_clear(err);
		return is_good(a, clock_real_ns()) ? 0 : have_good(a, err);
	}
	return 0;
}

const struct backend_aws_credentials *backend_aws_get(struct backend_aws *a,
    struct err *err)
{
	const struct backend_aws_credentials *c = NULL;
	struct err mine = ERR_INIT;

	pthread_mutex_lock(&a->lock);
	if (have_good(a, &mine) == 0)
		c = lend(a->now);
	pthread_mutex_unlock(&a->lock);
	if (c == NULL && err != NULL)
		*err = mine;
	return c;
}

int backend_aws_refresh(struct backend_aws *a,
    const struct backend_aws_credentials *refused, struct err *err)
{
	struct err mine = ERR_INIT;
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	if (a->now == NULL || are_same(&a->now->c, refused))
		rc = a->renewing ? wait_renewed(a, &mine) : renew(a, &mine);
	if (rc == 0 && are_same(&a->now->c, refused))
		rc = 1;
	pthread_mutex_unlock(&a->lock);
	if (rc < 0 && err != NULL)
		*err = mine;
	return rc;
}

/* --- beginning and ending --------------------------------------------------*/

/* What files say, looked at once: the region, and that they can be read. */
static int look_at_files(struct backend_aws *a,
    const struct backend_aws_options *opt, struct err *err)
{
	struct backend_aws_files *f = backend_aws_files_read(err);
	const char *region = opt->region;
	int rc = 0;

	if (f == NULL)
		return -1;
	if (region == NULL)
		region = backend_aws_env("AWS_REGION");
	if (region == NULL)
		region = backend_aws_env("AWS_DEFAULT_REGION");
	if (region == NULL)
		region = backend_aws_files_get(f, a->profile, "region");
	if (a->profile_named && !backend_aws_files_has(f, a->profile))
		rc = err_set(err, ERR_USAGE, "there is no AWS profile %s in %s",
		    a->profile, backend_aws_files_names(f));
	else if (region != NULL &&
	    (a->region = mem_strdup(region, err)) == NULL)
		rc = -1;
	backend_aws_files_free(f);
	return rc;
}

struct backend_aws *backend_aws_new(const struct backend_aws_options *opt,
    struct err *err)
{
	if (crypto_init(err) < 0)
		return NULL;

	struct backend_aws *a = mem_zalloc(sizeof(*a), "AWS credentials", err);
	const char *named = backend_aws_env("AWS_PROFILE");

	if (a == NULL)
		return NULL;
	/* With default attributes these cannot fail on Linux. */
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
	a->net = opt->net;
	a->pause_ns = PAUSE_NS;
	a->profile_asked = opt->profile != NULL;
	if (opt->profile != NULL)
		named = opt->profile;
	a->profile_named = named != NULL;
	a->profile = mem_strdup(named ? named : "default", err);
	if (a->profile == NULL)
		goto fail;
	a->signer = backend_sigv4_new(err);
	if (a->signer == NULL || look_at_files(a, opt, err) < 0)
		goto fail;
	return a;
fail:
	backend_aws_free(a);
	return NULL;
}

void backend_aws_free(struct backend_aws *a)
{
	if (a == NULL)
		return;
	if (a->now != NULL)
		backend_aws_release(&a->now->c);
	backend_sigv4_free(a->signer);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->cond);
	free(a->profile);
	free(a->region);
	free(a);
}

const char *backend_aws_region(const struct backend_aws *a)
{
	return a->region;
}
