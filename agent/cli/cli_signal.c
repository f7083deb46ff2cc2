#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "agent/cli/cli.h"

static _Atomic(struct engine *) running;
static void (*_Atomic stop_fn)(void *ctx, bool again);
static const char *_Atomic stop_text = CLI_STOPPING;
static void *_Atomic stop_ctx;
static atomic_uint stops; /* how often we were asked to stop */
static volatile sig_atomic_t terminal_fd = -1;
static struct termios terminal_saved;

static void say(const char *text)
{
	ssize_t n = write(STDERR_FILENO, text, strlen(text));

	(void)n; /* nothing can be done when the terminal is gone */
}

static void on_stop(int sig)
{
	struct engine *e = atomic_load(&running);
	void (*stop)(void *ctx, bool again) = atomic_load(&stop_fn);
	unsigned before = atomic_fetch_add(&stops, 1);
	int saved = errno;

	(void)sig;
	if (terminal_fd >= 0)
		tcsetattr(terminal_fd, TCSANOW, &terminal_saved);
	if (stop != NULL && before < 2)
		stop(atomic_load(&stop_ctx), before > 0);
	if (stop != NULL && before == 0) {
		errno = saved;
		return;
	}
	if (e == NULL || before > 0) {
		if (e != NULL || stop != NULL || terminal_fd >= 0)
			say("\n");
		_exit(CLI_INTERRUPTED);
	}
	say("\nwherry: ");
	say(atomic_load(&stop_text));
	say(" (once more: stop at once)\n");
	engine_cancel(e);
	/* It came between somebody's failed call and the look at why. */
	errno = saved;
}

void cli_signals_init(void)
{
	struct sigaction sa = { .sa_handler = on_stop };
	sigset_t set;

	sigemptyset(&sa.sa_mask);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);

	/* Threads inherit this; the progress thread waits for the signal. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

void cli_signals_engine(struct engine *e)
{
	atomic_store(&running, e);
}

void cli_signals_say(const char *text)
{
	atomic_store(&stop_text, text);
}

void cli_signals_stop(void (*fn)(void *ctx, bool again), void *ctx)
{
	atomic_store(&stop_ctx, ctx);
	atomic_store(&stop_fn, fn);
}

bool cli_interrupted(void)
{
	return atomic_load(&stops) > 0;
}

void cli_signals_terminal(int fd, const struct termios *saved)
{
	if (saved != NULL) {
		terminal_saved = *saved;
		terminal_fd = fd;
	} else {
		terminal_fd = -1;
	}
}
