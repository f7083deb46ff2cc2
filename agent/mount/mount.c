#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/mount/mount_internal.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"

#define MIB ((size_t)1 << 20)
#define TOOLS_MIN 3u
#define TOOLS_MAX 12u
#define READAHEAD_MAX (16 * MIB)
/* What a bundle of small files has at most, whatever the chunks. */
#define BUNDLE_BLOB MIB
/* Pages of a cursor, one a level; counted as what is usual. */
#define CURSOR_BYTES (MIB / 2)

/* --- options ----------------------------------------------------------------*/

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p != NULL && *p != '\0';) {
		size_t len = strcspn(p, ",");

		if (len == n && memcmp(p, word, n) == 0)
			return true;
		p += len + (p[len] == ',');
	}
	return false;
}

static int add_option(struct fuse_args *a, const char *text, struct err *err)
{
	if (fuse_opt_add_arg(a, "-o") == 0 && fuse_opt_add_arg(a, text) == 0)
		return 0;
	return err_nomem(err, "the options of the mount");
}

static int make_session(struct mount *m, struct err *err)
{
	static const char *const fixed = "ro,subtype=wherry,fsname=wherry";
	struct fuse_args a = FUSE_ARGS_INIT(0, NULL);
	const char *o = m->opt.options;
	int r;

	if (has_word(o, "rw"))
		return err_set(err, ERR_USAGE, "snapshots cannot be written to (leave out "
		    "'rw')");
	m->others = has_word(o, "allow_other");
	r = fuse_opt_add_arg(&a, "wherry") == 0 ? 0 : err_nomem(err, "the mount");
	if (r == 0)
		r = add_option(&a, fixed, err);
	if (r == 0 && o != NULL && *o != '\0')
		r = add_option(&a, o, err);
	if (r == 0 && m->others)
		r = add_option(&a, "default_permissions", err);
	if (r == 0) {
		m->se = fuse_session_new(&a, &mount_ops, sizeof(mount_ops), m);
		if (m->se == NULL)
			r = err_set(err, ERR_USAGE, "libfuse does not take the options '%s'",
			    o != NULL ? o : "");
	}
	fuse_opt_free_args(&a);
	return r;
}

/* What libfuse says goes where all messages go. */
static void fuse_says(enum fuse_log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void fuse_says(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char *text = NULL;
	int n = vasprintf(&text, fmt, ap);

	if (n < 0)
		return;
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	log_msg(level <= FUSE_LOG_WARNING ? LOG_WARN : LOG_DEBUG, "%s", text);
	free(text);
}

/* --- where ------------------------------------------------------------------*/

static int check_place(const struct mount *m, struct err *err)
{
	struct stat st;

	if (stat(m->dir, &st) < 0)
		return err_sys(err, errno, "%s", m->dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "%s is no directory", m->dir);
	if (access("/dev/fuse", F_OK) < 0)
		return err_set(err, ERR_UNSUPPORTED, "there is no FUSE here: /dev/fuse is "
		    "missing (load the module fuse; to a container, give the device)");
	return 0;
}

/*
 * Divide the memory: a third at most for the threads' tools, a little for
 * pages, cursors, counts and open files, the rest for chunks.
 */
static int divide(struct mount *m, struct err *err)
{
	const struct store_info *info = store_info(m->st);
	size_t left = m->opt.memory, tool, tools, pages;
	int r;

	m->max_blob = BUNDLE_BLOB;
	if (m->max_blob < info->stream.max)
		m->max_blob = info->stream.max;
	if (m->max_blob < info->block.max)
		m->max_blob = info->block.max;
	/* Besides the tool: its cursors, and a buffer of libfuse. */
	tool = store_worker_memory(ZIP_OFF, m->max_blob) + MOUNT_READ_MAX +
	    3 * CURSOR_BYTES + MIB / 4;
	tools = left / 3 / tool;
	tools = tools < TOOLS_MIN ? TOOLS_MIN : tools > TOOLS_MAX ? TOOLS_MAX : tools;
	m->readers = (unsigned)tools / 3;
	m->threads = (unsigned)tools - m->readers;
	left -= tools * tool < left ? tools * tool : left;
	pages = left / 6;
	m->links.most = left / 32 / sizeof(uint64_t);
	m->open_most = left / 16;
	left -= pages + left / 32 + left / 16;
	/* Whatever is being read is held, however small the budget is. */
	if (left < tools * m->max_blob)
		return err_set(err, ERR_USAGE, "a memory budget (--memory) too small for "
		    "chunks of up to %zu MiB", m->max_blob / MIB);
	m->readahead = left / 4 < READAHEAD_MAX ? left / 4 : READAHEAD_MAX;
	r = mount_blobs_init(&m->pages, pages, err);
	if (r == 0)
		r = mount_blobs_init(&m->chunks, left, err);
	if (r == 0)
		r = mount_cursors_init(m, 3 * (unsigned)tools, err);
	return r;
}

struct mount *mount_new(struct store *st, const struct mount_options *opt,
    struct err *err)
{
	struct mount *m = mem_zalloc(sizeof(*m), "the mount", err);

	if (m == NULL)
		return NULL;
	m->st = st;
	m->opt = *opt;
	m->start_ns = clock_real_ns();
	sem_init(&m->stop, 0, 0);
	pthread_mutex_init(&m->tell_lock, NULL);
	pthread_mutex_init(&m->links.lock, NULL);
	m->dir = realpath(opt->dir, NULL);
	if (m->dir == NULL) {
		err_sys(err, errno, "%s", opt->dir);
		goto fail;
	}
	if (mount_list_init(&m->list, err) < 0 || store_need(st, STORE_READ,
	    "to mount snapshots", err) < 0 || check_place(m, err) < 0 ||
	    divide(m, err) < 0)
		goto fail;
	fuse_set_log_func(fuse_says);
	if (make_session(m, err) < 0 || mount_list_look(m, 0, err) < 0)
		goto fail;
	if (fuse_session_mount(m->se, m->dir) != 0) {
		err_set(err, ERR_IO, "the system does not mount it (see the message "
		    "before; who is not root needs fusermount3, of the package fuse3)");
		goto fail;
	}
	m->mounted = true;
	return m;
fail:
	mount_free(m);
	return NULL;
}

static void unmount(struct mount *m)
{
	if (m->mounted)
		fuse_session_unmount(m->se);
	m->mounted = false;
}

void mount_free(struct mount *m)
{
	if (m == NULL)
		return;
	unmount(m);
	if (m->se != NULL)
		fuse_session_destroy(m->se);
	mount_cursors_release(m);
	mount_blobs_release(&m->pages);
	mount_blobs_release(&m->chunks);
	mount_links_release(&m->links);
	mount_list_release(&m->list);
	pthread_mutex_destroy(&m->tell_lock);
	sem_destroy(&m->stop);
	free(m->dir);
	free(m);
}

/* --- answering --------------------------------------------------------------*/

struct server {
	struct mount *m;
	struct mount_tool tool;
	struct fuse_buf buf;
	pthread_t id;
};

/*
 * A thread that waits for the kernel can only be woken by ending it; only there
 * it may be.
 */
static void *serve(void *arg)
{
	struct server *s = arg;
	struct mount *m = s->m;
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	mount_this = &s->tool;
	for (;;) {
		int r;

		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
		r = fuse_session_receive_buf(m->se, &s->buf);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r <= 0)
			break; /* it was unmounted */
		fuse_session_process_buf(m->se, &s->buf);
		if (fuse_session_exited(m->se))
			break;
	}
	sem_post(&m->stop);
	return NULL;
}

static int start(struct mount *m, struct server *v, unsigned *n, struct err *err)
{
	for (; *n < m->threads; ++*n) {
		struct server *s = &v[*n];
		int e;

		s->m = m;
		if (mount_tool_init(&s->tool, m, true, err) < 0)
			return -1;
		e = pthread_create(&s->id, NULL, serve, s);
		if (e != 0)
			return err_sys(err, e, "cannot start a thread");
	}
	return 0;
}

int mount_serve(struct mount *m, struct err *err)
{
	struct server *v = mem_array(m->threads, sizeof(*v), "the mount's threads", err);
	unsigned n = 0;
	sigset_t all, old;
	int r = -1;

	/* Signals are for the thread that waits here. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (v != NULL)
		r = mount_ahead_start(m, m->readers, err);
	if (r == 0)
		r = start(m, v, &n, err);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	while (r == 0 && sem_wait(&m->stop) < 0 && errno == EINTR)
		;
	fuse_session_exit(m->se);
	for (unsigned i = 0; i < n; i++)
		pthread_cancel(v[i].id);
	for (unsigned i = 0; i < n; i++)
		pthread_join(v[i].id, NULL);
	mount_ahead_end(m);
	unmount(m);
	for (unsigned i = 0; v != NULL && i < m->threads; i++) {
		mount_tool_release(&v[i].tool);
		free(v[i].buf.mem);
	}
	free(v);
	return r;
}

void mount_stop(struct mount *m)
{
	sem_post(&m->stop);
}
