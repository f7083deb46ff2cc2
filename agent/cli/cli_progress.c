#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"

#define TICK_NS 200000000         /* five times a second */
#define LINE_NS 30000000000       /* plain lines */
#define OBJECT_NS 1000000000      /* JSON objects */
#define SMOOTH_S 5.0              /* speeds are averages over about so long */

/*
 * What is printed goes through one lock, for the workers report paths while
 * the line is shown.  shown says that stderr's last line is the bar.
 */
static pthread_mutex_t output = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static bool shown;

static struct {
	struct cli *cli;
	struct engine *engine;
	enum cli_direction dir;
	pthread_t thread;
	bool started, terminal;
	atomic_bool stop;
	int64_t begin_ns, last_ns;
	uint64_t last_in, last_out;
	double in, out;
} progress;

void cli_output_lock(void)
{
	pthread_mutex_lock(&output);
	if (shown) {
		/* Back to the first column, and nothing to the right of it. */
		fputs("\r\033[K", stderr);
		fflush(stderr);
		shown = false;
	}
}

void cli_output_unlock(void)
{
	pthread_mutex_unlock(&output);
}

void cli_report(void *ctx, const char *path, const struct err *why)
{
	struct cli *cli = ctx;
	CLEANUP_FREE char *text = cli_escaped(path);

	cli_warn("%s: %s", text, why->msg);
	if (!cli->json)
		return;

	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string("problem"));
	cli_json_set_bytes(o, "path", path, strlen(path));
	json_object_set_new(o, "class",
	    json_string(err_class_name(why->class)));
	json_object_set_new(o, "message", cli_json_text(why->msg));
	cli_json_print(o);
}

/* Append text when it still fits; what comes first matters most. */
static void append(char *dst, size_t cap, size_t width, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void append(char *dst, size_t cap, size_t width, const char *fmt, ...)
{
	size_t len = strlen(dst);
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(text) && len + (size_t)n < cap &&
	    len + (size_t)n <= width)
		memcpy(dst + len, text, (size_t)n + 1);
}

static void bar(char *dst, size_t cells, double part)
{
	size_t full = (size_t)(part * (double)cells);

	dst[0] = '[';
	for (size_t i = 0; i < cells; i++)
		dst[i + 1] = i < full ? '=' : i == full ? '>' : ' ';
	dst[cells + 1] = ']';
	dst[cells + 2] = '\0';
}

/* The time that is left, or that has passed when that is all one knows. */
static void append_time(char *dst, size_t cap, size_t width,
    const struct cli_moment *m)
{
	char a[CLI_TEXT_MAX];
	double left = m->in >= 1 && m->total_known &&
	    m->bytes < m->bytes_total ?
	    (double)(m->bytes_total - m->bytes) / m->in : -1;

	/* What was read last has yet to be compressed, sent and committed. */
	if (m->total_known && m->out >= 0 && m->bytes >= m->bytes_total)
		append(dst, cap, width, "  read, storing the rest");
	if (left > 1e7)
		append(dst, cap, width, "  long to go");
	else if (left >= 0)
		append(dst, cap, width, "  %s left",
		    cli_duration_text(a, sizeof(a), (int64_t)(left * 1e9)));
	else
		append(dst, cap, width, "  %s",
		    cli_duration_text(a, sizeof(a), m->elapsed_ns));
}

void cli_progress_line(char *dst, size_t cap, size_t width,
    const struct cli_moment *m)
{
	char a[CLI_TEXT_MAX], b[CLI_TEXT_MAX], cells[32];

	dst[0] = '\0';
	if (m->total_known && m->bytes_total > 0) {
		double part = (double)m->bytes / (double)m->bytes_total;

		part = part > 1 ? 1 : part;
		/* It is over when the snapshot is there, not when all is read. */
		if (m->out >= 0 && part > 0.99)
			part = 0.99;
		bar(cells, width >= 100 ? 20 : 8, part);
		if (width >= 60)
			append(dst, cap, width, "%s ", cells);
		append(dst, cap, width, "%3.0f %%  %s/%s", part * 100,
		    cli_size_text(a, sizeof(a), (double)m->bytes),
		    cli_size_text(b, sizeof(b), (double)m->bytes_total));
	} else {
		append(dst, cap, width, "%s",
		    cli_size_text(a, sizeof(a), (double)m->bytes));
	}
	append_time(dst, cap, width, m);
	if (m->total_known && m->files_total > 0)
		append(dst, cap, width, "  %s/%s files",
		    cli_count_text(a, sizeof(a), m->files),
		    cli_count_text(b, sizeof(b), m->files_total));
	else
		append(dst, cap, width, "  %s file%s",
		    cli_count_text(a, sizeof(a), m->files),
		    m->files == 1 ? "" : "s");
	append(dst, cap, width, "  %s", cli_rate_text(a, sizeof(a), m->in));
	if (m->errors > 0)
		append(dst, cap, width, "  %s error%s",
		    cli_count_text(a, sizeof(a), m->errors),
		    m->errors == 1 ? "" : "s");
	if (m->out >= 0)
		append(dst, cap, width, "  stored %s",
		    cli_rate_text(a, sizeof(a), m->out));
}

/* Read the counters and carry the smoothed speeds on. */
static struct cli_moment look(void)
{
	struct engine_progress *p = engine_progress(progress.engine);
	int64_t now = clock_mono_ns();
	uint64_t in = atomic_load(&p->bytes_done);
	uint64_t out = atomic_load(&p->bytes_stored);
	double dt = (double)(now - progress.last_ns) / 1e9;

	if (dt > 0.05) {
		double din = in > progress.last_in ?
		    (double)(in - progress.last_in) / dt : 0;
		double dout = out > progress.last_out ?
		    (double)(out - progress.last_out) / dt : 0;
		double age = (double)(now - progress.begin_ns) / 1e9;
		/* In the first seconds: the average since the start. */
		double weight = dt / (age < SMOOTH_S ? age : SMOOTH_S);

		if (weight > 1)
			weight = 1;
		progress.in += (din - progress.in) * weight;
		progress.out += (dout - progress.out) * weight;
		progress.last_in = in;
		progress.last_out = out;
		progress.last_ns = now;
	}
	return (struct cli_moment){
		.bytes = in,
		.bytes_total = atomic_load(&p->bytes_total),
		.files = atomic_load(&p->files_done),
		.files_total = atomic_load(&p->files_total),
		.errors = atomic_load(&p->errors),
		.in = progress.in,
		.out = progress.dir == CLI_READING ? progress.out : -1,
		.elapsed_ns = now - progress.begin_ns,
		.total_known = atomic_load(&p->total_known),
	};
}

static void show_line(void)
{
	struct cli_moment m = look();
	char text[512];

	cli_progress_line(text, sizeof(text), sizeof(text) - 1, &m);
	cli_output_lock();
	fprintf(stderr, "wherry: %s\n", text);
	cli_output_unlock();
}

static void show_bar(void)
{
	struct cli_moment m = look();
	struct winsize ws;
	size_t width = 80;
	char text[512];

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		width = ws.ws_col;
	/* The last column stays free: some terminals wrap when it is filled. */
	cli_progress_line(text, sizeof(text), width - 1, &m);
	pthread_mutex_lock(&output);
	fprintf(stderr, "\r%s\033[K", text);
	fflush(stderr);
	shown = true;
	pthread_mutex_unlock(&output);
}

static void show_object(void)
{
	struct cli_moment m = look();
	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string("status"));
	json_object_set_new(o, "elapsed_seconds",
	    json_real((double)m.elapsed_ns / 1e9));
	json_object_set_new(o, "done_bytes", json_integer((json_int_t)m.bytes));
	json_object_set_new(o, "done_files", json_integer((json_int_t)m.files));
	if (m.total_known) {
		json_object_set_new(o, "total_bytes",
		    json_integer((json_int_t)m.bytes_total));
		json_object_set_new(o, "total_files",
		    json_integer((json_int_t)m.files_total));
	}
	json_object_set_new(o, "bytes_per_second", json_real(m.in));
	if (m.out >= 0)
		json_object_set_new(o, "stored_bytes_per_second",
		    json_real(m.out));
	json_object_set_new(o, "errors", json_integer((json_int_t)m.errors));
	cli_json_print(o);
}

static void *run(void *arg)
{
	const struct timespec tick = { 0, TICK_NS };
	int64_t due = progress.begin_ns;
	const struct cli *cli = progress.cli;
	int64_t every = cli->json ? OBJECT_NS : LINE_NS;
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (!atomic_load(&progress.stop)) {
		bool asked = sigtimedwait(&set, NULL, &tick) == SIGUSR1;

		if (atomic_load(&progress.stop) || cli_interrupted())
			continue; /* the last word is the signal's */
		if (asked) {
			show_line();
			continue;
		}
		if (progress.terminal)
			show_bar();
		if (!cli->progress || (progress.terminal && !cli->json) ||
		    clock_mono_ns() - due < every)
			continue;
		due = clock_mono_ns();
		if (cli->json)
			show_object();
		else
			show_line();
	}
	return NULL;
}

bool cli_progress_wanted(const struct cli *cli)
{
	return cli->progress || (!cli->quiet && !cli->json && isatty(STDERR_FILENO));
}

void cli_progress_start(struct cli *cli, struct engine *e,
    enum cli_direction dir)
{
	memset(&progress, 0, sizeof(progress));
	progress.cli = cli;
	progress.engine = e;
	progress.dir = dir;
	progress.terminal = !cli->quiet && !cli->json && isatty(STDERR_FILENO);
	progress.begin_ns = progress.last_ns = clock_mono_ns();
	/* Without the thread there is no bar; the work is as good. */
	progress.started = pthread_create(&progress.thread, NULL, run,
	    NULL) == 0;
}

void cli_progress_stop(void)
{
	if (!progress.started)
		return;
	atomic_store(&progress.stop, true);
	pthread_kill(progress.thread, SIGUSR1);
	pthread_join(progress.thread, NULL);
	progress.started = false;
	cli_output_lock();
	cli_output_unlock();
}
