#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend.h"
#include "repo/backend/backend_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

/* Tries of backend_get_all while the object is replaced under its eyes. */
#define GET_ALL_TRIES 16

/*
 * Look at the len bytes of one component.  Whole: it cannot grow any more, so
 * it must not be one of the forbidden names.
 */
static bool component_valid(const char *s, size_t len, bool first, bool whole)
{
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return false;
	}
	if (!whole)
		return true;
	if (len == 0 || (len == 1 && s[0] == '.'))
		return false;
	if (len == 2 && s[0] == '.' && s[1] == '.')
		return false;
	return !(first && len == 3 && memcmp(s, BACKEND_LOCAL_TMP, 3) == 0);
}

static bool path_valid(const char *s, bool whole)
{
	if (s == NULL || strnlen(s, BACKEND_KEY_MAX + 1) > BACKEND_KEY_MAX)
		return false;
	for (bool first = true;; first = false) {
		size_t len = strcspn(s, "/");

		if (s[len] == '\0')
			return component_valid(s, len, first, whole);
		if (!component_valid(s, len, first, true))
			return false;
		s += len + 1;
	}
}

bool backend_key_valid(const char *key)
{
	return path_valid(key, true);
}

bool backend_prefix_valid(const char *prefix)
{
	return path_valid(prefix, false);
}

static int check_key(const struct backend *be, const char *key,
    struct err *err)
{
	if (backend_key_valid(key))
		return 0;
	return err_set(err, ERR_BUG, "malformed key \"%.*s\" for %s",
	    BACKEND_KEY_MAX + 1, key ? key : "(null)", be->name);
}

int backend_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct err own = ERR_INIT;

	err = err ? err : &own;
	if (check_key(be, key, err) < 0)
		return -1;
	return be->ops->put(be, key, data, len, err);
}

int backend_put_over(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct err own = ERR_INIT;

	err = err ? err : &own;
	if (check_key(be, key, err) < 0)
		return -1;
	return be->ops->put_over(be, key, data, len, err);
}

int backend_get(struct backend *be, const char *key, uint64_t off, void *dst,
    size_t len, struct err *err)
{
	struct err own = ERR_INIT;

	err = err ? err : &own;
	if (check_key(be, key, err) < 0)
		return -1;
	/* Offsets of files are signed, so the upper half is out, too. */
	if (len == 0 || off > INT64_MAX || len > INT64_MAX - off)
		return err_set(err, ERR_BUG,
		    "a read of %zu bytes at %llu of %s in %s", len,
		    (unsigned long long)off, key, be->name);
	return be->ops->get(be, key, off, dst, len, err);
}

int backend_stat(struct backend *be, const char *key,
    struct backend_stat *ret_st, struct err *err)
{
	struct err own = ERR_INIT;

	err = err ? err : &own;
	if (check_key(be, key, err) < 0)
		return -1;
	return be->ops->stat(be, key, ret_st, err);
}

int backend_list(struct backend *be, const char *prefix, backend_list_fn *fn,
    void *ctx, struct err *err)
{
	struct err own = ERR_INIT;

	err = err ? err : &own;
	if (!backend_prefix_valid(prefix))
		return err_set(err, ERR_BUG, "malformed prefix \"%.*s\" for %s",
		    BACKEND_KEY_MAX + 1, prefix ? prefix : "(null)", be->name);
	return be->ops->list(be, prefix, fn, ctx, err);
}

int backend_del(struct backend *be, const char *key, struct err *err)
{
	struct err own = ERR_INIT;

	err = err ? err : &own;
	if (check_key(be, key, err) < 0)
		return -1;
	return be->ops->del(be, key, err);
}

int backend_del_many(struct backend *be, const char *const *keys, size_t n,
    struct err *err)
{
	struct err own = ERR_INIT;

	err = err ? err : &own;
	for (size_t i = 0; i < n; i++)
		if (check_key(be, keys[i], err) < 0)
			return -1;
	return n == 0 ? 0 : backend_pass_del_many(be, keys, n, err);
}

int backend_pass_del_many(struct backend *be, const char *const *keys,
    size_t n, struct err *err)
{
	if (be->ops->del_many != NULL)
		return be->ops->del_many(be, keys, n, err);
	for (size_t i = 0; i < n; i++)
		if (be->ops->del(be, keys[i], err) < 0)
			return -1;
	return 0;
}

void backend_counters(struct backend *be, struct backend_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (be->ops->counters != NULL)
		be->ops->counters(be, ret);
}

void backend_caps(struct backend *be, struct backend_caps *ret_caps)
{
	be->ops->caps(be, ret_caps);
}

void backend_close(struct backend *be)
{
	if (be != NULL)
		be->ops->close(be);
}

static bool same_stat(const struct backend_stat *a,
    const struct backend_stat *b)
{
	return a->size == b->size && a->mtime_ns == b->mtime_ns;
}

/*
 * Read the size bytes that stat promised.  Return as backend_get_all, or 2
 * when the object was replaced meanwhile.
 */
static int get_as_stat(struct backend *be, const char *key,
    const struct backend_stat *st, uint8_t *dst, struct err *err)
{
	struct backend_stat now;
	struct err stat_err = ERR_INIT;
	int rc = st->size > 0 ?
	    be->ops->get(be, key, 0, dst, (size_t)st->size, err) : 0;

	if (rc > 0 || (rc < 0 && err->class != ERR_CORRUPT))
		return rc;
	/*
	 * One get sees one object, but it may be another than stat saw: then
	 * the size is wrong, and what was read is a part of it or too short.
	 */
	int again = be->ops->stat(be, key, &now, &stat_err);

	if (again == 0 && !same_stat(st, &now))
		return 2;
	if (rc == 0 && again != 0) {
		*err = stat_err;
		return again;
	}
	return rc;
}

int backend_get_by_stat(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	for (int i = 0; i < GET_ALL_TRIES; i++) {
		CLEANUP_FREE uint8_t *data = NULL;
		struct backend_stat st;
		int rc = be->ops->stat(be, key, &st, err);

		if (rc != 0)
			return rc;
		if (st.size > max)
			return err_set(err, ERR_CORRUPT, "%s in %s has %llu "
			    "bytes, more than the %zu it may have", key,
			    be->name, (unsigned long long)st.size, max);
		data = mem_zalloc((size_t)st.size, "an object", err);
		if (data == NULL)
			return -1;
		rc = get_as_stat(be, key, &st, data, err);
		if (rc == 2)
			continue;
		if (rc == 0) {
			*ret_data = STEAL_PTR(data);
			*ret_len = (size_t)st.size;
		}
		return rc;
	}
	return err_set(err, ERR_TRANSIENT,
	    "%s in %s is replaced faster than it can be read", key, be->name);
}

int backend_pass_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	return be->ops->get_all != NULL ?
	    be->ops->get_all(be, key, max, ret_data, ret_len, err) :
	    backend_get_by_stat(be, key, max, ret_data, ret_len, err);
}

int backend_get_all(struct backend *be, const char *key, size_t max,
    uint8_t **ret_data, size_t *ret_len, struct err *err)
{
	struct err own = ERR_INIT;

	err = err ? err : &own;
	if (check_key(be, key, err) < 0)
		return -1;
	return backend_pass_get_all(be, key, max, ret_data, ret_len, err);
}

int backend_base_init(struct backend *be, const struct backend_ops *ops,
    const char *name, struct err *err)
{
	be->ops = ops;
	be->name = mem_strdup(name, err);
	return be->name == NULL ? -1 : 0;
}

void backend_base_release(struct backend *be)
{
	free(be->name);
	be->name = NULL;
}

void *backend_deco_new(size_t size, const struct backend_ops *ops,
    struct backend *inner, struct err *err)
{
	struct backend_deco *d;

	if (inner == NULL)
		return NULL;
	d = mem_zalloc(size, "a backend", err);
	if (d == NULL || backend_base_init(&d->be, ops, inner->name,
	        err) < 0) {
		free(d);
		backend_close(inner);
		return NULL;
	}
	d->inner = inner;
	return d;
}

void backend_deco_caps(struct backend *be, struct backend_caps *ret_caps)
{
	backend_caps(backend_deco_inner(be), ret_caps);
}

void backend_deco_counters(struct backend *be, struct backend_counters *ret)
{
	backend_counters(backend_deco_inner(be), ret);
}

void backend_deco_close(struct backend *be)
{
	struct backend_deco *d = (struct backend_deco *)be;

	backend_close(d->inner);
	backend_base_release(be);
	free(d);
}
