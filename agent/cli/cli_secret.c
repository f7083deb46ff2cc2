#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "repo/base/cleanup.h"
#include "repo/crypto/crypto.h"

/* Longer ones are refused, never cut. */
#define SECRET_MAX 4096

void cli_secret_free(char *s)
{
	crypto_secret_free(s);
}

/*
 * Read to the end of fd; one line end at the end is not part of the secret.
 * what names the source in messages.
 */
static char *read_all(int fd, const char *what, struct err *err)
{
	char *s = crypto_secret_new(SECRET_MAX + 2, err);
	size_t len = 0;

	if (s == NULL)
		return NULL;
	for (;;) {
		ssize_t n = read(fd, s + len, SECRET_MAX + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_sys(err, errno, "%s", what);
			goto fail;
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > SECRET_MAX) {
			err_set(err, ERR_USAGE, "%s is longer than %d bytes "
			    "(is it the right file?)", what, SECRET_MAX);
			goto fail;
		}
	}
	if (len > 0 && s[len - 1] == '\n')
		len--;
	if (len > 0 && s[len - 1] == '\r')
		len--;
	s[len] = '\0';
	if (len == 0 || strlen(s) != len) {
		err_set(err, ERR_USAGE, "%s %s", what, len == 0 ?
		    "is empty (put the secret on its first line)" :
		    "holds a zero byte (a secret is text)");
		goto fail;
	}
	return s;
fail:
	crypto_secret_free(s);
	return NULL;
}

char *cli_secret_from_file(const char *path, struct err *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		err_sys(err, errno, "%s", path);
		return NULL;
	}
	return read_all(fd, path, err);
}

/* Run `sh -c command` with its output in a pipe.  Return the pipe's end. */
static int spawn(const char *command, pid_t *ret_pid, struct err *err)
{
	const char *argv[] = { "sh", "-c", command, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, errno, "a pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);

	int e = posix_spawn(ret_pid, "/bin/sh", &actions, &attr,
	    (char *const *)argv, environ);

	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (e != 0) {
		close(fds[0]);
		return err_sys(err, e, "/bin/sh");
	}
	return fds[0];
}

char *cli_secret_from_command(const char *command, const char *name,
    struct err *err)
{
	char what[80];
	pid_t pid;
	int fd = spawn(command, &pid, err), status = 0;

	if (fd < 0)
		return NULL;
	snprintf(what, sizeof(what), "what %s prints", name);

	char *s = read_all(fd, what, err);

	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return s;
	crypto_secret_free(s);
	if (WIFEXITED(status))
		err_set(err, ERR_USAGE, "the command of %s ended with %d (run "
		    "it alone to see why)", name, WEXITSTATUS(status));
	else
		err_set(err, ERR_USAGE, "the command of %s was killed by "
		    "signal %d (run it alone to see why)", name,
		    WTERMSIG(status));
	return NULL;
}

static void tell(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	(void)n; /* the read that follows tells that the terminal is gone */
}

/* Read one line with the echo off. */
static char *ask(int fd, const char *prompt, struct err *err)
{
	struct termios saved, silent;
	char *s = crypto_secret_new(SECRET_MAX + 2, err);
	size_t len = 0;
	ssize_t n;

	if (s == NULL)
		return NULL;
	if (tcgetattr(fd, &saved) < 0) {
		err_sys(err, errno, "the terminal");
		crypto_secret_free(s);
		return NULL;
	}
	cli_signals_terminal(fd, &saved);
	silent = saved;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	silent.c_lflag |= ICANON | ISIG;
	tcsetattr(fd, TCSAFLUSH, &silent);
	tell(fd, prompt);
	while ((n = read(fd, s + len, 1)) == 1 && s[len] != '\n' &&
	    len < SECRET_MAX)
		len++;
	tcsetattr(fd, TCSANOW, &saved);
	cli_signals_terminal(-1, NULL);
	tell(fd, "\n");
	if (n == 1 && len < SECRET_MAX && len > 0) {
		s[len] = '\0';
		return s;
	}
	crypto_secret_free(s);
	if (n < 0)
		err_sys(err, errno, "the terminal");
	else
		err_set(err, ERR_USAGE, "the passphrase is %s (give one)",
		    len == 0 ? "empty" : "too long");
	return NULL;
}

char *cli_secret_from_terminal(const char *prompt, bool twice, struct err *err)
{
	CLEANUP_CLOSE int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd < 0) {
		err_set(err, ERR_USAGE, "there is no secret and no terminal to "
		    "ask on (give --password-file or --key-file, or set "
		    "WHERRY_PASSWORD_FILE)");
		return NULL;
	}

	char *s = ask(fd, prompt, err);

	if (s == NULL || !twice)
		return s;

	char *again = ask(fd, "once more: ", err);

	if (again != NULL && strcmp(s, again) == 0) {
		crypto_secret_free(again);
		return s;
	}
	if (again != NULL)
		err_set(err, ERR_USAGE, "the two passphrases differ (try "
		    "again)");
	crypto_secret_free(again);
	crypto_secret_free(s);
	return NULL;
}

/* The passphrase that a variable holds. */
static char *from_variable(const char *text, const char *name, struct err *err)
{
	size_t len = strlen(text);
	char *s;

	if (len == 0 || len > SECRET_MAX) {
		err_set(err, ERR_USAGE, "%s is %s (set it to the passphrase, or "
		    "unset it)", name, len ? "too long" : "empty");
		return NULL;
	}
	s = crypto_secret_new(len + 1, err);
	if (s != NULL)
		memcpy(s, text, len + 1);
	return s;
}

char *cli_secret_passphrase_of(const char *file, const char *env,
    const char *prompt, bool fresh, struct err *err)
{
	static const char *const ends[] = {
		"PASSWORD", "PASSWORD_FILE", "PASSWORD_COMMAND",
	};
	const char *v[3];
	char names[3][48];

	if (file != NULL)
		return cli_secret_from_file(file, err);
	for (int i = 0; i < 3; i++) {
		snprintf(names[i], sizeof(names[i]), "%s%s", env, ends[i]);
		v[i] = getenv(names[i]);
	}
	if ((v[0] != NULL) + (v[1] != NULL) + (v[2] != NULL) > 1) {
		err_set(err, ERR_USAGE, "more than one of %s, _FILE and "
		    "_COMMAND is set (unset all but one)", names[0]);
		return NULL;
	}
	for (int i = 1; i < 3; i++) {
		if (v[i] == NULL || *v[i] != '\0')
			continue;
		err_set(err, ERR_USAGE, "%s is set, but empty (set it, or unset "
		    "it)", names[i]);
		return NULL;
	}
	if (v[1] != NULL)
		return cli_secret_from_file(v[1], err);
	if (v[2] != NULL)
		return cli_secret_from_command(v[2], names[2], err);
	if (v[0] != NULL)
		return from_variable(v[0], names[0], err);
	return cli_secret_from_terminal(prompt, fresh, err);
}

char *cli_secret_passphrase(const struct cli *cli, bool fresh, struct err *err)
{
	return cli_secret_passphrase_of(cli->password_file, "WHERRY_", fresh ?
	    "passphrase of the new repository: " : "passphrase: ", fresh, err);
}

int cli_secret_make_file(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0400);

	return fd < 0 ? err_sys(err, errno, "%s", path) : fd;
}

int cli_secret_write_key(int fd, const char *path, const char *line,
    struct err *err)
{
	size_t len = strlen(line), done = 0;

	while (done < len) {
		ssize_t n = write(fd, line + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "%s", path);
		done += (size_t)n;
	}
	if (fsync(fd) < 0)
		return err_sys(err, errno, "%s", path);
	return 0;
}
