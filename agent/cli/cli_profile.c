#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/cli/cli.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"

#define PROFILE_MAX (1 << 20) /* bytes; no profile of a person is longer */

static const struct cli_option *find(const struct cli_option *o,
    const char *name, size_t len)
{
	for (; o != NULL && o->name != NULL; o++) {
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

/* The option of that name that the verb has, its own or a group's. */
static const struct cli_option *find_in(const struct cli_verb *verb,
    const char *name, size_t len)
{
	const struct cli_option *o = find(verb->options, name, len);

	for (unsigned g = 1; o == NULL && g <= CLI_G_LAST; g <<= 1) {
		if (verb->groups & g)
			o = find(cli_group_options((enum cli_group)g), name,
			    len);
	}
	return o;
}

static bool known_anywhere(const char *name, size_t len)
{
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		if (find_in(cli_verbs[i], name, len) != NULL)
			return true;
	}
	return false;
}

/* A growing argument vector; the strings are owned. */
struct vector { char **v; int n; };

static int append(struct vector *a, char *s, struct err *err)
{
	char **v = realloc(a->v, ((size_t)a->n + 2) * sizeof(*v));

	if (v == NULL || s == NULL) {
		free(s);
		if (v != NULL)
			a->v = v;
		return err_nomem(err, "a profile");
	}
	v[a->n++] = s;
	v[a->n] = NULL;
	a->v = v;
	return 0;
}

/* One line without its end: "name", "name = value", "# comment" or "". */
static int add_line(struct vector *a, const char *file, unsigned number,
    const char *p, size_t len, const struct cli_verb *verb, struct err *err)
{
	while (len > 0 && isspace((unsigned char)p[len - 1]))
		len--;
	while (len > 0 && isspace((unsigned char)*p)) {
		p++;
		len--;
	}
	if (len == 0 || *p == '#')
		return 0;
	if (memchr(p, '\0', len) != NULL)
		return err_set(err, ERR_USAGE, "%s:%u: a zero byte (a profile "
		    "is text)", file, number);

	const char *eq = memchr(p, '=', len);
	size_t nname = eq ? (size_t)(eq - p) : len;

	while (nname > 0 && isspace((unsigned char)p[nname - 1]))
		nname--;

	const struct cli_option *o = find_in(verb, p, nname);

	if (o == NULL && !known_anywhere(p, nname))
		return err_set(err, ERR_USAGE, "%s:%u: no option is called "
		    "'%.*s' (write long names as on the command line, without "
		    "'--')", file, number, (int)nname, p);
	if (o == NULL)
		return 0; /* another verb's */
	if (o->type == CLI_HELP || o->type == CLI_SYNOPSIS ||
	    strcmp(o->name, "profile") == 0)
		return err_set(err, ERR_USAGE, "%s:%u: %s does nothing in a "
		    "profile (remove it)", file, number, o->name);
	if (eq != NULL && o->arg == NULL)
		return err_set(err, ERR_USAGE, "%s:%u: %s takes no value "
		    "(write the name alone)", file, number, o->name);
	if (eq == NULL && o->arg != NULL && o->type != CLI_PERCENT)
		return err_set(err, ERR_USAGE, "%s:%u: %s needs a value (write "
		    "%s = %s)", file, number, o->name, o->name, o->arg);

	char *s;
	int n;

	if (eq == NULL) {
		n = asprintf(&s, "--%s", o->name);
	} else {
		const char *value = eq + 1;

		while (value < p + len && isspace((unsigned char)*value))
			value++;
		n = asprintf(&s, "--%s=%.*s", o->name,
		    (int)(p + len - value), value);
	}
	return append(a, n < 0 ? NULL : s, err);
}

int cli_profile_parse(const char *file, const char *text, size_t len,
    const struct cli_verb *verb, char ***ret_argv, int *ret_argc,
    struct err *err)
{
	struct vector a = { NULL, 0 };
	unsigned number = 1;

	if (append(&a, strdup(file), err) < 0)
		return -1;
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		if (add_line(&a, file, number++, text, n, verb, err) < 0) {
			cli_profile_free(a.v);
			return -1;
		}
		n += end != NULL;
		text += n;
		len -= n;
	}
	*ret_argv = a.v;
	*ret_argc = a.n;
	return 0;
}

void cli_profile_free(char **argv)
{
	for (size_t i = 0; argv != NULL && argv[i] != NULL; i++)
		free(argv[i]);
	free(argv);
}

static int path_of(const char *name, char **ret, struct err *err)
{
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	int n;

	if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL)
		return err_set(err, ERR_USAGE, "'%s' is no name of a profile "
		    "(give NAME for ~/.config/wherry/NAME.conf)", name);
	if (xdg != NULL && xdg[0] == '/')
		n = asprintf(ret, "%s/wherry/%s.conf", xdg, name);
	else if (home != NULL)
		n = asprintf(ret, "%s/.config/wherry/%s.conf", home, name);
	else
		return err_set(err, ERR_USAGE, "HOME is not set (set it, or "
		    "XDG_CONFIG_HOME)");
	return n < 0 ? err_nomem(err, "a profile") : 0;
}

int cli_profile_read(const char *name, const struct cli_verb *verb,
    char ***ret_argv, int *ret_argc, struct err *err)
{
	CLEANUP_FREE char *path = NULL, *text = NULL;
	size_t len = 0;

	if (path_of(name, &path, err) < 0)
		return -1;

	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	text = mem_zalloc(PROFILE_MAX, "a profile", err);
	if (text == NULL)
		return -1;
	for (;;) {
		ssize_t n = read(fd, text + len, PROFILE_MAX - len);

		if (n < 0)
			return err_sys(err, errno, "%s", path);
		if (n == 0)
			break;
		len += (size_t)n;
		if (len == PROFILE_MAX)
			return err_set(err, ERR_USAGE, "%s is longer than "
			    "1 MiB (it is no profile)", path);
	}
	return cli_profile_parse(path, text, len, verb, ret_argv, ret_argc,
	    err);
}
