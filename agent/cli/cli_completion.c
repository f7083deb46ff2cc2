#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"

/* Call fn for each option of a verb, its own and those of its groups. */
static void each_option(const struct cli_verb *v,
    void (*fn)(struct buf *out, const struct cli_verb *v,
        const struct cli_option *o), struct buf *out)
{
	for (const struct cli_option *o = v->options;
	    o != NULL && o->name != NULL; o++)
		fn(out, v, o);
	for (unsigned g = 1; g <= CLI_G_LAST; g <<= 1) {
		if (!(v->groups & g))
			continue;
		for (const struct cli_option *o =
		    cli_group_options((enum cli_group)g); o->name != NULL; o++)
			fn(out, v, o);
	}
}

/* The words of "a|b|c" with sep between them. */
static void choices(struct buf *out, const char *words, const char *sep)
{
	for (; *words != '\0'; words++) {
		if (*words == '|')
			buf_str(out, sep);
		else
			buf_u8(out, (uint8_t)*words);
	}
}

/* Text inside of single quotes, as bash, zsh and fish read it. */
static void quoted(struct buf *out, const char *s, bool fish)
{
	buf_u8(out, '\'');
	for (; *s != '\0'; s++) {
		if (*s == '\'')
			buf_str(out, fish ? "\\'" : "'\\''");
		else if (*s == '\\' && fish)
			buf_str(out, "\\\\");
		else
			buf_u8(out, (uint8_t)*s);
	}
	buf_u8(out, '\'');
}

/* The first words of all verbs, each once, with sep between them. */
static void first_words(struct buf *out, const char *sep)
{
	size_t before = 0;

	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const char *name = cli_verbs[i]->name;
		size_t n = strcspn(name, " ");

		if (n == before && i > 0 &&
		    strncmp(name, cli_verbs[i - 1]->name, n) == 0 &&
		    cli_verbs[i - 1]->name[n] == ' ')
			continue;
		if (i > 0)
			buf_str(out, sep);
		buf_add(out, name, n);
		before = n;
	}
}

/* The second words of verbs that begin with "word ". */
static void second_words(struct buf *out, const char *word, size_t n)
{
	const char *sep = "";

	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const char *name = cli_verbs[i]->name;

		if (strncmp(name, word, n) != 0 || name[n] != ' ')
			continue;
		buf_printf(out, "%s%s", sep, name + n + 1);
		sep = " ";
	}
}

/* The first of the verbs that have two words and share the first one. */
static bool begins_group(size_t i)
{
	const char *name = cli_verbs[i]->name;
	size_t n = strcspn(name, " ");

	return name[n] == ' ' && (i == 0 ||
	    strncmp(cli_verbs[i - 1]->name, name, n + 1) != 0);
}

/* --- bash --------------------------------------------------------------------*/

static void bash_name(struct buf *out, const struct cli_verb *v,
    const struct cli_option *o)
{
	(void)v;
	buf_printf(out, " --%s%s", o->name,
	    o->arg != NULL && o->type != CLI_PERCENT ? "=" : "");
}

static void bash_value(struct buf *out, const struct cli_verb *v,
    const struct cli_option *o)
{
	(void)v;
	if (o->arg == NULL || o->type == CLI_PERCENT)
		return;
	buf_printf(out, "\t\t--%s", o->name);
	if (o->letter)
		buf_printf(out, "|-%c", o->letter);
	buf_str(out, ") ");
	switch (o->type) {
	case CLI_FILE:
	case CLI_FILES:
		buf_str(out, "compopt -o filenames; "
		    "COMPREPLY=($(compgen -f -- \"$cur\"))");
		break;
	case CLI_DIR:
		buf_str(out, "compopt -o filenames; "
		    "COMPREPLY=($(compgen -d -- \"$cur\"))");
		break;
	case CLI_CHOICE:
		buf_str(out, "COMPREPLY=($(compgen -W '");
		choices(out, o->arg, " ");
		buf_str(out, "' -- \"$cur\"))");
		break;
	default:
		buf_str(out, "COMPREPLY=()");
	}
	buf_str(out, "; return ;;\n");
}

static void bash_verb(struct buf *out, const struct cli_verb *v)
{
	buf_printf(out, "\t'%s')\n\t\tcase \"$prev\" in\n", v->name);
	each_option(v, bash_value, out);
	buf_str(out, "\t\tesac\n\t\tcase \"$cur\" in\n\t\t-*) COMPREPLY=("
	    "$(compgen -W '");
	each_option(v, bash_name, out);
	buf_str(out, "' -- \"$cur\"))\n\t\t\t[[ ${COMPREPLY[0]} == *= ]] && "
	    "compopt -o nospace ;;\n\t\t*) ");
	if (v->words == CLI_W_PATH)
		buf_str(out, "compopt -o filenames; "
		    "COMPREPLY=($(compgen -f -- \"$cur\"))");
	else if (v->words == CLI_W_SHELL)
		buf_str(out, "COMPREPLY=($(compgen -W 'bash zsh fish' -- "
		    "\"$cur\"))");
	else if (v->words == CLI_W_VERB) {
		buf_str(out, "COMPREPLY=($(compgen -W '");
		first_words(out, " ");
		buf_str(out, "' -- \"$cur\"))");
	} else
		buf_str(out, "COMPREPLY=()");
	buf_str(out, " ;;\n\t\tesac ;;\n");
}

static void bash(struct buf *out)
{
	buf_str(out, "# bash completion for wherry, made by 'wherry completion "
	    "bash'\n_wherry()\n{\n"
	    "\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" "
	    "prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
	    "\tlocal verb=\"${COMP_WORDS[1]}\"\n\tCOMPREPLY=()\n"
	    "\t# \"--name=value\" comes as three words.\n"
	    "\tif [[ $cur == '=' ]]; then cur=\n"
	    "\telif [[ $prev == '=' ]]; then "
	    "prev=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n"
	    "\tif ((COMP_CWORD == 1)); then\n\t\tCOMPREPLY=($(compgen -W '");
	first_words(out, " ");
	buf_str(out, " --help --version' -- \"$cur\"))\n\t\treturn\n\tfi\n");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const char *name = cli_verbs[i]->name;
		size_t n = strcspn(name, " ");

		if (!begins_group(i))
			continue;
		buf_printf(out, "\tif [[ $verb == %.*s ]]; then\n"
		    "\t\tif ((COMP_CWORD == 2)); then\n"
		    "\t\t\tCOMPREPLY=($(compgen -W '", (int)n, name);
		second_words(out, name, n);
		buf_str(out, "' -- \"$cur\"))\n\t\t\treturn\n\t\tfi\n"
		    "\t\tverb=\"$verb ${COMP_WORDS[2]}\"\n\tfi\n");
	}
	buf_str(out, "\tcase \"$verb\" in\n");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++)
		bash_verb(out, cli_verbs[i]);
	buf_str(out, "\tesac\n}\ncomplete -F _wherry wherry\n");
}

/* --- zsh ----------------------------------------------------------------------*/

/* Text within [...] of an _arguments specification. */
static void zsh_help(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '[' || *s == ']' || *s == ':')
			buf_u8(out, '\\');
		if (*s == '\'')
			buf_str(out, "'\\''");
		else
			buf_u8(out, (uint8_t)*s);
	}
}

static void zsh_spec(struct buf *out, const struct cli_option *o,
    const char *name)
{
	bool many = o->type == CLI_LIST || o->type == CLI_FILES ||
	    o->type == CLI_COUNT;

	buf_printf(out, " \\\n\t\t\t'%s%s%s[", many ? "*" : "", name,
	    o->arg == NULL || o->type == CLI_PERCENT ? "" :
	    name[1] == '-' ? "=" : "+");
	zsh_help(out, o->help);
	buf_u8(out, ']');
	if (o->arg != NULL && o->type != CLI_PERCENT) {
		buf_u8(out, ':');
		zsh_help(out, o->arg);
		if (o->type == CLI_FILE || o->type == CLI_FILES) {
			buf_str(out, ":_files");
		} else if (o->type == CLI_DIR) {
			buf_str(out, ":_files -/");
		} else if (o->type == CLI_CHOICE) {
			buf_str(out, ":(");
			choices(out, o->arg, " ");
			buf_u8(out, ')');
		} else {
			buf_str(out, ": ");
		}
	}
	buf_u8(out, '\'');
}

static void zsh_option(struct buf *out, const struct cli_verb *v,
    const struct cli_option *o)
{
	char name[64];

	(void)v;
	snprintf(name, sizeof(name), "--%s", o->name);
	zsh_spec(out, o, name);
	if (o->letter) {
		snprintf(name, sizeof(name), "-%c", o->letter);
		zsh_spec(out, o, name);
	}
}

static void zsh_described(struct buf *out, const char *name, size_t skip,
    const char *summary)
{
	buf_str(out, "\t\t\t'");
	buf_str(out, name + skip);
	buf_u8(out, ':');
	zsh_help(out, summary);
	buf_str(out, "'\n");
}

static void zsh(struct buf *out)
{
	buf_str(out, "#compdef wherry\n# made by 'wherry completion zsh'\n"
	    "_wherry()\n{\n\tlocal -a verbs\n\tlocal verb=\"$words[2]\"\n"
	    "\tif ((CURRENT == 2)); then\n\t\tverbs=(\n");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const char *name = cli_verbs[i]->name;
		size_t n = strcspn(name, " ");

		if (name[n] == '\0')
			zsh_described(out, name, 0, cli_verbs[i]->summary);
		else if (begins_group(i)) {
			buf_printf(out, "\t\t\t'%.*s:", (int)n, name);
			second_words(out, name, n);
			buf_str(out, "'\n");
		}
	}
	buf_str(out, "\t\t)\n\t\t_describe verb verbs\n\t\treturn\n\tfi\n");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const char *name = cli_verbs[i]->name;
		size_t n = strcspn(name, " ");

		if (!begins_group(i))
			continue;
		buf_printf(out, "\tif [[ $verb == %.*s ]]; then\n"
		    "\t\tif ((CURRENT == 3)); then\n\t\t\tverbs=(\n", (int)n,
		    name);
		for (size_t k = i; cli_verbs[k]->name != NULL; k++) {
			if (strncmp(cli_verbs[k]->name, name, n + 1) == 0)
				zsh_described(out, cli_verbs[k]->name, n + 1,
				    cli_verbs[k]->summary);
		}
		buf_str(out, "\t\t\t)\n\t\t\t_describe verb verbs\n"
		    "\t\t\treturn\n\t\tfi\n\t\tverb=\"$verb $words[3]\"\n"
		    "\t\tshift words\n\t\t((CURRENT--))\n\tfi\n");
	}
	buf_str(out, "\tshift words\n\t((CURRENT--))\n\tcase \"$verb\" in\n");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const struct cli_verb *v = cli_verbs[i];

		buf_printf(out, "\t'%s')\n\t\t_arguments -s", v->name);
		each_option(v, zsh_option, out);
		if (v->words == CLI_W_PATH)
			buf_str(out, " \\\n\t\t\t'*:path:_files'");
		else if (v->words == CLI_W_SHELL)
			buf_str(out, " \\\n\t\t\t'*:shell:(bash zsh fish)'");
		else if (v->words == CLI_W_VERB) {
			buf_str(out, " \\\n\t\t\t'*:verb:(");
			first_words(out, " ");
			buf_str(out, ")'");
		}
		buf_str(out, " ;;\n");
	}
	buf_str(out, "\tesac\n}\n"
	    "if [[ $funcstack[1] == _wherry ]]; then _wherry \"$@\"; "
	    "else compdef _wherry wherry; fi\n");
}

/* --- fish -------------------------------------------------------------------------*/

static void fish_when(struct buf *out, const struct cli_verb *v)
{
	size_t n = strcspn(v->name, " ");

	buf_printf(out, "complete -c wherry -n '__fish_seen_subcommand_from "
	    "%.*s", (int)n, v->name);
	if (v->name[n] == ' ')
		buf_printf(out, "; and __fish_seen_subcommand_from %s",
		    v->name + n + 1);
	buf_u8(out, '\'');
}

static void fish_option(struct buf *out, const struct cli_verb *v,
    const struct cli_option *o)
{
	fish_when(out, v);
	buf_printf(out, " -l %s", o->name);
	if (o->letter)
		buf_printf(out, " -s %c", o->letter);
	buf_str(out, " -d ");
	quoted(out, o->help, true);
	if (o->arg != NULL && o->type != CLI_PERCENT) {
		if (o->type == CLI_FILE || o->type == CLI_FILES)
			buf_str(out, " -r -F");
		else if (o->type == CLI_DIR)
			buf_str(out, " -x -a '(__fish_complete_directories)'");
		else if (o->type == CLI_CHOICE) {
			buf_str(out, " -x -a '");
			choices(out, o->arg, " ");
			buf_u8(out, '\'');
		} else
			buf_str(out, " -x");
	}
	buf_u8(out, '\n');
}

static void fish(struct buf *out)
{
	buf_str(out, "# fish completion for wherry, made by 'wherry completion "
	    "fish'\ncomplete -c wherry -f\n");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const struct cli_verb *v = cli_verbs[i];
		size_t n = strcspn(v->name, " ");

		if (v->name[n] == '\0' || begins_group(i)) {
			buf_printf(out, "complete -c wherry -n "
			    "__fish_use_subcommand -a %.*s -d ", (int)n,
			    v->name);
			if (v->name[n] == '\0') {
				quoted(out, v->summary, true);
			} else {
				buf_u8(out, '\'');
				second_words(out, v->name, n);
				buf_u8(out, '\'');
			}
			buf_u8(out, '\n');
		}
		if (v->name[n] == ' ') {
			buf_printf(out, "complete -c wherry -n "
			    "'__fish_seen_subcommand_from %.*s' -a %s -d ",
			    (int)n, v->name, v->name + n + 1);
			quoted(out, v->summary, true);
			buf_u8(out, '\n');
		}
		each_option(v, fish_option, out);
		if (v->words == CLI_W_PATH) {
			fish_when(out, v);
			buf_str(out, " -F\n");
		} else if (v->words == CLI_W_SHELL) {
			fish_when(out, v);
			buf_str(out, " -a 'bash zsh fish'\n");
		} else if (v->words == CLI_W_VERB) {
			fish_when(out, v);
			buf_str(out, " -a '");
			first_words(out, " ");
			buf_str(out, "'\n");
		}
	}
}

int cli_completion(struct buf *out, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		bash(out);
	else if (strcmp(shell, "zsh") == 0)
		zsh(out);
	else if (strcmp(shell, "fish") == 0)
		fish(out);
	else
		return -1;
	return 0;
}
