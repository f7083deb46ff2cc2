#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"

/*
 * The other repository of a verb that has two.  Its options and variables are
 * those of the first with a word before them.
 */

/* The secret by its own options; *ret_text is what must be wiped after. */
static int other_secret(const struct cli_other *o, struct store_secret *ret,
    char **ret_text, struct err *err)
{
	char env[32], prompt[80];

	*ret = (struct store_secret){ .slot = o->slot };
	if (o->key_file != NULL && o->password_file != NULL)
		return err_set(err, ERR_USAGE, "--%s-key-file and "
		    "--%s-password-file are both given (give one)", o->name,
		    o->name);
	if (o->key_file != NULL) {
		*ret_text = cli_secret_from_file(o->key_file, err);
		ret->key_file = *ret_text;
		return *ret_text == NULL ? -1 : 0;
	}
	snprintf(env, sizeof(env), "WHERRY_%s_", o->name);
	for (char *p = env; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	snprintf(prompt, sizeof(prompt), "passphrase of the repository of %s: ",
	    o->url_option);
	*ret_text = cli_secret_passphrase_of(o->password_file, env, prompt,
	    false, err);
	ret->passphrase = *ret_text;
	if (*ret_text != NULL)
		ret->passphrase_len = strlen(*ret_text);
	return *ret_text == NULL ? -1 : 0;
}

/* What to do says which of the two repositories is meant. */
static void other_advice(const struct cli_other *o, struct err *err)
{
	struct err was = *err;
	size_t n = strlen(was.msg);

	if ((n > 0 && was.msg[n - 1] == ')') || was.errnum != 0)
		return;
	if (was.class == ERR_NOTFOUND)
		err_set(err, was.class, "%.900s (look at %s, or make one with "
		    "'wherry init')", was.msg, o->url_option);
	else if (was.class == ERR_AUTH)
		err_set(err, was.class, "%.900s (look at --%s-password-file or "
		    "--%s-key-file, and at --%s-slot)", was.msg, o->name,
		    o->name, o->name);
}

int cli_other_open(struct cli *cli, const struct cli_other *o, unsigned rights,
    const char *what, unsigned flags, struct store **ret)
{
	struct store_secret secret;
	struct err err = ERR_INIT;
	char *text = NULL;

	*ret = NULL;
	if (other_secret(o, &secret, &text, &err) < 0)
		return cli_fail(cli, &err, CLI_AT_WORK, "get the secret of %s",
		    o->url);
	*ret = cli_store_open(cli, o->url, flags | CLI_OPEN_HALF, &secret,
	    &err);
	cli_secret_free(text);
	if (*ret == NULL) {
		other_advice(o, &err);
		return cli_fail(cli, &err, CLI_AT_OPEN,
		    "open the repository %s", o->url);
	}
	if (store_need(*ret, rights, what, &err) < 0) {
		int code = cli_fail(cli, &err, CLI_AT_WORK, "use %s", o->url);

		store_close(*ret);
		*ret = NULL;
		return code;
	}
	cli_seen_compare(cli, *ret);
	return CLI_OK;
}

void cli_other_close(struct cli *cli, struct store *st)
{
	if (st != NULL)
		cli_seen_remember(cli, st);
	store_close(st);
}
