#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"

enum cli_exit cli_exit_code(const struct err *err, enum cli_where where)
{
	switch (err->class) {
	case ERR_NONE:
		return CLI_OK;
	case ERR_USAGE:
		return CLI_USAGE;
	case ERR_NOTFOUND:
		return where == CLI_AT_OPEN ? CLI_NO_REPOSITORY : CLI_FAILED;
	case ERR_EXISTS:
		return where == CLI_AT_INIT ? CLI_EXISTS : CLI_FAILED;
	case ERR_AUTH:
		/*
		 * With an errno it was the system that refused, not a key; but
		 * credentials of a store are keys, too.
		 */
		return err->errnum == 0 || err->errnum == EKEYREJECTED ?
		    CLI_AUTH : CLI_FAILED;
	case ERR_CORRUPT:
		return CLI_DAMAGE;
	case ERR_CANCELLED:
		return CLI_INTERRUPTED;
	default:
		return CLI_FAILED;
	}
}

/* What a person can do about it; NULL when only the message can say. */
static const char *advice(const struct err *err, enum cli_where where)
{
	if (err->errnum == EROFS)
		return "the file system is mounted read-only: verbs that write "
		    "need it writable";
	switch (err->class) {
	case ERR_BUG:
		return "this is a fault of wherry: please report it";
	case ERR_NOTFOUND:
		return where == CLI_AT_OPEN ?
		    "look at --repo, or make one with 'wherry init'" : NULL;
	case ERR_EXISTS:
		return where == CLI_AT_INIT ?
		    "use it, or name another place" : NULL;
	case ERR_CONFLICT:
		return "another run was first: run it again";
	case ERR_CORRUPT:
		/* A check cannot open it either. */
		return where == CLI_AT_OPEN ? "bring that object back from a copy "
		    "of the repository, or try another credential" :
		    "run 'wherry check'";
	case ERR_AUTH:
		if (err->errnum == EKEYREJECTED)
			return "look at the credentials for the store and at "
			    "what they may do there";
		if (err->errnum != 0)
			return "look at the permissions, or run it as another "
			    "user";
		return where == CLI_AT_OPEN ?
		    "look at the passphrase or key file, and at --slot" :
		    "take a credential that has the right; 'wherry key list' "
		    "shows them";
	case ERR_FULL:
		return err->errnum == 0 ? NULL : "make room and run it again";
	case ERR_TRANSIENT:
		return "run it again later";
	default:
		return NULL;
	}
}

static void print_object(const struct err *err, int code, const char *text)
{
	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string("error"));
	json_object_set_new(o, "class",
	    json_string(err_class_name(err->class)));
	json_object_set_new(o, "message", cli_json_text(text));
	json_object_set_new(o, "exit_code", json_integer(code));
	cli_json_print(o);
}

const char *cli_after_name(const char *what, const char *msg)
{
	size_t n = strlen(what);

	for (const char *p = strstr(msg, ": "); p != NULL; p = strstr(p + 1, ": ")) {
		size_t len = (size_t)(p - msg);

		if (len <= n && memcmp(what + n - len, msg, len) == 0 &&
		    (len == n || what[n - len - 1] == ' '))
			return p + 2;
	}
	return msg;
}

int cli_fail(struct cli *cli, const struct err *err, enum cli_where where,
    const char *fmt, ...)
{
	int code = cli_exit_code(err, where);
	struct buf b = BUF_INIT;
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	buf_str(&b, "cannot ");
	buf_str(&b, what);
	buf_str(&b, ": ");
	buf_str(&b, cli_after_name(what, err->msg));

	/* A message that ends with its own advice needs no other. */
	const char *todo = advice(err, where);
	size_t n = strlen(err->msg);

	if (todo != NULL && (n == 0 || err->msg[n - 1] != ')'))
		buf_printf(&b, " (%s)", todo);
	buf_u8(&b, '\0');
	if (b.failed)
		cli_nomem();
	cli_warn("%s", (char *)b.p);
	if (cli->json)
		print_object(err, code, (char *)b.p);
	buf_release(&b);
	return code;
}

char *cli_message(const char *fmt, va_list ap)
{
	struct buf b = BUF_INIT;
	char text[2 * ERR_MSG_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);

	/*
	 * Messages of libraries hold names as they are in the source or in the
	 * repository.  Backslashes stay: what was escaped is not twice.
	 */
	for (const char *p = text; *p != '\0';) {
		size_t plain = strcspn(p, "\\");

		cli_escape(&b, p, plain);
		p += plain;
		if (*p == '\\') {
			buf_u8(&b, '\\');
			p++;
		}
	}
	buf_u8(&b, '\0');
	if (b.failed)
		cli_nomem();
	return (char *)b.p;
}

void cli_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);

	CLEANUP_FREE char *text = cli_message(fmt, ap);

	va_end(ap);
	cli_output_lock();
	fprintf(stderr, "wherry: %s\n", text);
	cli_output_unlock();
}

_Noreturn void cli_nomem(void)
{
	static const char text[] = "wherry: out of memory (free some)\n";

	fwrite(text, 1, sizeof(text) - 1, stderr);
	_Exit(CLI_FAILED);
}

static void to_stderr(void *ctx, enum log_level level, const char *msg)
{
	(void)ctx;
	if (level == LOG_WARN)
		cli_warn("warning: %s", msg);
	else
		cli_warn("%s", msg);
}

void cli_log_to_stderr(const struct cli *cli)
{
	enum log_level level = cli->debug || cli->verbose > 1 ? LOG_DEBUG :
	    cli->verbose > 0 ? LOG_INFO : LOG_WARN;

	log_set_sink(cli->quiet ? NULL : to_stderr, NULL, level);
}
