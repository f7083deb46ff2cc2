#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"

/* Append text with what troff would take for a command made harmless. */
static void text(struct buf *out, const char *s, size_t len)
{
	bool line_start = out->len == 0 || out->p[out->len - 1] == '\n';

	for (size_t i = 0; i < len; i++) {
		if (line_start && (s[i] == '.' || s[i] == '\''))
			buf_str(out, "\\&");
		if (s[i] == '\\')
			buf_str(out, "\\e");
		else if (s[i] == '-')
			buf_str(out, "\\-");
		else if (s[i] == '\'')
			buf_str(out, "\\(aq");
		else
			buf_u8(out, (uint8_t)s[i]);
		line_start = s[i] == '\n';
	}
}

static void str(struct buf *out, const char *s)
{
	text(out, s, strlen(s));
}

/* Paragraphs with an empty line between them. */
static void paragraphs(struct buf *out, const char *s)
{
	while (*s != '\0') {
		const char *end = strstr(s, "\n\n");
		size_t n = end ? (size_t)(end - s) : strlen(s);

		text(out, s, n);
		buf_str(out, "\n");
		s += n;
		if (end == NULL)
			break;
		s += 2;
		buf_str(out, ".PP\n");
	}
}

/* Lines as they are. */
static void verbatim(struct buf *out, const char *s)
{
	buf_str(out, ".PP\n.nf\n");
	for (const char *p = s; *p != '\0';) {
		size_t n = strcspn(p, "\n");

		text(out, p, n);
		buf_str(out, "\n");
		p += n + (p[n] == '\n');
	}
	buf_str(out, ".fi\n");
}

static void option(struct buf *out, const struct cli_option *o)
{
	buf_str(out, ".TP\n");
	if (o->letter)
		buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
	buf_str(out, "\\fB\\-\\-");
	str(out, o->name);
	buf_str(out, "\\fR");
	if (o->arg != NULL) {
		bool maybe = o->type == CLI_PERCENT;

		buf_str(out, maybe ? "[=\\fI" : "=\\fI");
		str(out, o->arg);
		buf_str(out, maybe ? "\\fR]" : "\\fR");
	}
	buf_str(out, "\n");
	str(out, o->help);
	buf_str(out, ".\n");
}

static void options(struct buf *out, const struct cli_option *o)
{
	for (; o != NULL && o->name != NULL; o++)
		option(out, o);
}

static void page_name(struct buf *out, const struct cli_verb *v)
{
	buf_str(out, "wherry");
	for (const char *p = v ? v->name : ""; *p != '\0'; p++) {
		if (v && p == v->name)
			buf_str(out, "\\-");
		if (*p == ' ')
			buf_str(out, "\\-");
		else
			buf_u8(out, (uint8_t)*p);
	}
}

static const struct { int code; const char *what; } codes[] = {
	{ CLI_OK, "done" },
	{ CLI_FAILED, "failed" },
	{ CLI_USAGE, "wrong usage" },
	{ CLI_PARTLY, "done, but some paths could not be read (backup) or not "
	    "wholly restored (restore); they are named" },
	{ CLI_NO_REPOSITORY, "there is no repository" },
	{ CLI_EXISTS, "there is a repository already" },
	{ CLI_AUTH, "wrong secret, or not allowed with this credential" },
	{ CLI_DAMAGE, "damage was found" },
	{ CLI_INTERRUPTED, "interrupted" },
};

static const struct { const char *name, *what; } variables[] = {
	{ "WHERRY_REPOSITORY", "the repository when \\-\\-repo is not given" },
	{ "WHERRY_PASSWORD", "the passphrase" },
	{ "WHERRY_PASSWORD_FILE", "a file that holds it" },
	{ "WHERRY_PASSWORD_COMMAND", "a shell command that prints it" },
	{ "XDG_CONFIG_HOME", "where wherry/NAME.conf is looked for instead of "
	    "~/.config" },
	{ "NO_COLOR", "when set: no colours" },
};

static void endings(struct buf *out)
{
	buf_str(out, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		buf_printf(out, ".TP\n%d\n%s\n", codes[i].code, codes[i].what);
	buf_str(out, ".SH ENVIRONMENT\n");
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		buf_printf(out, ".TP\n.B %s\n%s\n", variables[i].name,
		    variables[i].what);
}

static void see_also(struct buf *out, const struct cli_verb *not)
{
	const char *sep = "";

	buf_str(out, ".SH SEE ALSO\n");
	if (not != NULL) {
		buf_str(out, "\\fBwherry\\fR(1)");
		sep = ",\n";
	}
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		if (cli_verbs[i] == not)
			continue;
		buf_str(out, sep);
		buf_str(out, "\\fB");
		page_name(out, cli_verbs[i]);
		buf_str(out, "\\fR(1)");
		sep = ",\n";
	}
	buf_str(out, "\n");
}

static void overview(struct buf *out)
{
	buf_str(out, ".TH WHERRY 1 \"\" \"wherry " WHERRY_VERSION "\"\n"
	    ".SH NAME\nwherry \\- back up and restore directories and block "
	    "volumes\n.SH SYNOPSIS\n.B wherry\n\\fIVERB\\fR [\\fIOPTION\\fR"
	    "...]\n.SH DESCRIPTION\n");
	str(out, "Wherry backs up directories, files and block volumes into a "
	    "repository: deduplicated, compressed, encrypted. Each verb has a "
	    "page of its own.\n");
	buf_str(out, ".SH VERBS\n");
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		buf_printf(out, ".TP\n\\fB%s\\fR\n", cli_verbs[i]->name);
		str(out, cli_verbs[i]->summary);
		buf_str(out, "\n");
	}
	endings(out);
	buf_str(out, ".SH FILES\n.TP\n.I ~/.config/wherry/NAME.conf\n");
	str(out, "A profile: one option a line, 'name = value' with the long "
	    "names of the command line, 'name' alone for those without a "
	    "value, '#' before a comment. Options that a verb does not have "
	    "are left to those that have them. The command line overrides the "
	    "profile, and the profile the environment.\n");
	see_also(out, NULL);
}

void cli_man_page(struct buf *out, const struct cli_verb *v)
{
	if (v == NULL) {
		overview(out);
		return;
	}
	buf_str(out, ".TH \"");
	for (const char *p = "WHERRY-"; *p != '\0'; p++)
		buf_u8(out, (uint8_t)*p);
	for (const char *p = v->name; *p != '\0'; p++)
		buf_u8(out, (uint8_t)(*p == ' ' ? '-' :
		    *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p));
	buf_str(out, "\" 1 \"\" \"wherry " WHERRY_VERSION "\"\n.SH NAME\n");
	page_name(out, v);
	buf_str(out, " \\- ");
	str(out, v->summary);
	buf_printf(out, "\n.SH SYNOPSIS\n.B wherry %s\n[\\fIOPTION\\fR...]",
	    v->name);
	if (v->args != NULL) {
		buf_str(out, " \\fI");
		str(out, v->args);
		buf_str(out, "\\fR");
	}
	buf_str(out, "\n.SH DESCRIPTION\n");
	paragraphs(out, v->text);
	buf_str(out, ".SH OPTIONS\n");
	options(out, v->options);
	for (unsigned g = CLI_G_LAST; g > 0; g >>= 1) {
		if (!(v->groups & g))
			continue;
		buf_str(out, ".SS ");
		str(out, cli_group_title((enum cli_group)g));
		buf_str(out, "\n");
		options(out, cli_group_options((enum cli_group)g));
	}
	if (v->json != NULL) {
		buf_str(out, ".SH JSON\n");
		verbatim(out, v->json);
	}
	buf_str(out, ".SH EXAMPLES\n");
	verbatim(out, v->examples);
	endings(out);
	see_also(out, v);
}
