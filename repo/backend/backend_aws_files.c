#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_aws_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

#define FILES_MOST (1u << 20)

/* A line "key = value" in its section; the text is in the file's own. */
struct line {
	const char *section, *key, *value;
};

struct file {
	char name[PATH_MAX];
	bool config;       /* sections are called "profile NAME" */
	char *text;        /* in secret memory; NULL: there is no such file */
	struct line *lines;
	size_t n, cap;
};

struct backend_aws_files {
	struct file file[2]; /* credentials before config */
	char names[600];
};

/* --- reading ---------------------------------------------------------------*/

/*
 * Read at most most bytes of a file into secret memory, with a NUL.  Return 0,
 * 1 when it does not exist, -1 with err of class USAGE, FULL.
 */
static int read_secret(const char *path, size_t most, char **ret_text,
    struct err *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t r = 1;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 1;

	char *text = fd < 0 ? NULL : crypto_secret_new(most + 1, err);

	if (fd >= 0 && text == NULL)
		return -1;
	while (fd >= 0 && r > 0 && n <= most) {
		r = read(fd, text + n, most + 1 - n);
		n += r > 0 ? (size_t)r : 0;
	}
	if (fd < 0 || r < 0) {
		err_sys(err, errno, "cannot read %s", path);
		err->class = ERR_USAGE;
	} else if (n > most) {
		err_set(err, ERR_USAGE, "%s is longer than %zu KiB", path,
		    most >> 10);
	} else {
		text[n] = '\0';
		*ret_text = text;
		return 0;
	}
	crypto_secret_free(text);
	return -1;
}

char *backend_aws_token_read(const char *path, struct err *err)
{
	char *text = NULL;
	int rc = read_secret(path, BACKEND_AWS_MOST, &text, err);

	if (rc == 1)
		err_set(err, ERR_USAGE, "there is no file %s", path);
	if (rc != 0)
		return NULL;

	size_t len = strlen(text);

	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		text[--len] = '\0';
	if (len > 0 && strpbrk(text, "\r\n") == NULL)
		return text;
	crypto_secret_free(text);
	err_set(err, ERR_USAGE, "%s holds no token, or more than one line", path);
	return NULL;
}

static void find_name(struct file *f, const char *variable, const char *leaf)
{
	const char *s = backend_aws_env(variable);
	const char *home = backend_aws_env("HOME");

	if (s != NULL)
		snprintf(f->name, sizeof(f->name), "%s", s);
	else
		snprintf(f->name, sizeof(f->name), "%s/.aws/%s",
		    home ? home : "", leaf);
}

/* --- cutting into lines ----------------------------------------------------*/

static char *trim(char *s)
{
	s += strspn(s, " \t");

	size_t len = strlen(s);

	while (len > 0 && strchr(" \t\r", s[len - 1]) != NULL)
		s[--len] = '\0';
	return s;
}

/* A comment behind a value begins after a space. */
static void cut_comment(char *s)
{
	for (char *p = s; *p != '\0'; p++)
		if ((*p == '#' || *p == ';') &&
		    (p == s || p[-1] == ' ' || p[-1] == '\t')) {
			*p = '\0';
			return;
		}
}

/* The name of a section's profile, "" for sections of other kinds; NULL: bad. */
static const char *section_name(const struct file *f, char *s)
{
	char *end = strchr(s, ']');

	if (end == NULL)
		return NULL;
	*end = '\0';
	s = trim(s + 1);
	if (!f->config || strcmp(s, "default") == 0)
		return s;
	if (strncmp(s, "profile", 7) != 0 || (s[7] != ' ' && s[7] != '\t'))
		return "";
	return trim(s + 7);
}

static int add_line(struct file *f, const char *section, const char *key,
    const char *value, struct err *err)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 32;
		struct line *l = realloc(f->lines, cap * sizeof(*l));

		if (l == NULL)
			return err_nomem(err, "AWS profiles");
		f->lines = l;
		f->cap = cap;
	}
	f->lines[f->n++] = (struct line){ section, key, value };
	return 0;
}

static int bad_line(const struct file *f, unsigned number, struct err *err)
{
	/* What is in the line is not shown: it may be a key. */
	return err_set(err, ERR_USAGE, "%s:%u is neither [SECTION] nor "
	    "NAME = VALUE", f->name, number);
}

/* Take one line.  Return 0 or -1. */
static int take_line(struct file *f, char *s, unsigned number,
    const char **section, struct err *err)
{
	bool nested = *s == ' ' || *s == '\t';
	char *t = trim(s), *eq;

	if (*t == '\0' || *t == '#' || *t == ';')
		return 0;
	/* Settings within a setting ("s3 =") are of no concern here. */
	if (nested)
		return 0;
	if (*t == '[') {
		*section = section_name(f, t);
		/* A profile without any line is there, too. */
		return *section == NULL ? bad_line(f, number, err) :
		    add_line(f, *section, "", "", err);
	}
	eq = strchr(t, '=');
	if (eq == NULL || *section == NULL)
		return bad_line(f, number, err);
	*eq++ = '\0';
	cut_comment(eq);
	return add_line(f, *section, trim(t), trim(eq), err);
}

static int read_file(struct file *f, struct err *err)
{
	const char *section = NULL;
	unsigned number = 0;
	int rc = read_secret(f->name, FILES_MOST, &f->text, err);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	for (char *s = f->text, *next; s != NULL; s = next) {
		next = strchr(s, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (take_line(f, s, ++number, &section, err) < 0)
			return -1;
	}
	return 0;
}

struct backend_aws_files *backend_aws_files_read(struct err *err)
{
	struct backend_aws_files *f = mem_zalloc(sizeof(*f), "AWS profiles", err);

	if (f == NULL)
		return NULL;
	find_name(&f->file[0], "AWS_SHARED_CREDENTIALS_FILE", "credentials");
	find_name(&f->file[1], "AWS_CONFIG_FILE", "config");
	f->file[1].config = true;
	snprintf(f->names, sizeof(f->names), "%.290s and %.290s", f->file[0].name,
	    f->file[1].name);
	if (read_file(&f->file[0], err) < 0 || read_file(&f->file[1], err) < 0) {
		backend_aws_files_free(f);
		return NULL;
	}
	return f;
}

void backend_aws_files_free(struct backend_aws_files *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < 2; i++) {
		crypto_secret_free(f->file[i].text);
		free(f->file[i].lines);
	}
	free(f);
}

/* --- asking ----------------------------------------------------------------*/

bool backend_aws_files_has(const struct backend_aws_files *f,
    const char *profile)
{
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < f->file[i].n; k++)
			if (strcmp(f->file[i].lines[k].section, profile) == 0)
				return true;
	return false;
}

const char *backend_aws_files_get(const struct backend_aws_files *f,
    const char *profile, const char *key)
{
	for (size_t i = 0; i < 2; i++)
		/* The last of a file counts. */
		for (size_t k = f->file[i].n; k-- > 0;) {
			const struct line *l = &f->file[i].lines[k];

			if (strcmp(l->section, profile) == 0 &&
			    strcmp(l->key, key) == 0 && l->value[0] != '\0')
				return l->value;
		}
	return NULL;
}

const char *backend_aws_files_names(const struct backend_aws_files *f)
{
	return f->names;
}
