/* Where a bucket is: endpoint, region, the form of its URL. */
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_s3_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"

/* AWS keeps China apart. */
static const char *aws_domain(const char *region)
{
	return strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" :
	    "amazonaws.com";
}

/* Make the string of b, which is released; NULL with err. */
static char *string_of(struct buf *b, struct err *err)
{
	buf_u8(b, 0);
	if (buf_check(b, "a URL", err) == 0)
		return (char *)b->p;
	buf_release(b);
	return NULL;
}

static int fill(struct backend_s3_place *p, const struct backend_s3 *s,
    const struct net_url *u, struct err *err)
{
	const char *host = u->host;
	bool v6 = strchr(host, ':') != NULL;
	struct buf b = BUF_INIT;

	if (!s->path_style)
		buf_printf(&b, "%s.", s->bucket);
	buf_printf(&b, "%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "");
	if (u->port != 0 && u->port != (u->tls ? 443 : 80))
		buf_printf(&b, ":%u", u->port);
	p->host = string_of(&b, err);
	if (p->host == NULL)
		return -1;
	b = (struct buf)BUF_INIT;
	buf_printf(&b, "%s://%s", u->tls ? "https" : "http", p->host);
	p->base = string_of(&b, err);
	if (p->base == NULL)
		return -1;
	b = (struct buf)BUF_INIT;
	buf_printf(&b, "%s/", u->path);
	if (s->path_style) {
		net_escape(&b, s->bucket, false);
		buf_str(&b, "/");
	}
	p->path = string_of(&b, err);
	return p->path == NULL ? -1 : 0;
}

struct backend_s3_place *backend_s3_place_new(const struct backend_s3 *s,
    const char *region, struct err *err)
{
	struct backend_s3_place *p = mem_zalloc(sizeof(*p), "a URL", err);
	CLEANUP_FREE char *aws = NULL;
	struct buf b = BUF_INIT;
	struct net_url u = { 0 };

	if (p == NULL)
		return NULL;
	p->region = mem_strdup(region, err);
	if (s->endpoint == NULL) {
		buf_printf(&b, "https://s3.%s.%s", region, aws_domain(region));
		aws = string_of(&b, err);
	}
	if (p->region == NULL || (s->endpoint == NULL && aws == NULL))
		goto fail;
	if (net_url_parse(aws != NULL ? aws : s->endpoint, &u, err) < 0) {
		err_wrap(err, "the endpoint of %s", s->be.name);
		goto fail;
	}
	if (fill(p, s, &u, err) < 0)
		goto fail;
	net_url_release(&u);
	return p;
fail:
	net_url_release(&u);
	backend_s3_place_free(p);
	return NULL;
}

void backend_s3_place_free(struct backend_s3_place *p)
{
	if (p == NULL)
		return;
	free(p->region);
	free(p->base);
	free(p->host);
	free(p->path);
	free(p);
}

const struct backend_s3_place *backend_s3_place(const struct backend_s3 *s)
{
	return atomic_load(&s->places[atomic_load(&s->place)]);
}

bool backend_s3_region_valid(const char *region)
{
	size_t n = strlen(region);

	return n > 0 && n < 64 && strspn(region, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
}

bool backend_s3_move(struct backend_s3 *s,
    const struct backend_s3_place *used, const char *region)
{
	struct err err = ERR_INIT;
	bool moved;

	if (!backend_s3_region_valid(region))
		return false;
	pthread_mutex_lock(&s->lock);

	unsigned at = atomic_load(&s->place);
	const struct backend_s3_place *now = atomic_load(&s->places[at]);

	moved = now != used; /* by another thread */
	if (!moved && strcmp(now->region, region) != 0 &&
	    at + 1 < BACKEND_S3_PLACES) {
		struct backend_s3_place *p = backend_s3_place_new(s, region,
		    &err);

		if (p != NULL) {
			log_msg(LOG_INFO, "%s is in the region %s, not %s",
			    s->be.name, region, now->region);
			atomic_store(&s->places[at + 1], p);
			atomic_store(&s->place, at + 1);
			moved = true;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return moved;
}
