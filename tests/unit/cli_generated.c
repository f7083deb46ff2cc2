#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_bench.h"

/* Man pages, completions and charts: complete, and what their readers take. */

/* Run argv with text as standard input; its exit code, 127 when it is absent. */
static int feed(const char *const *argv, const struct buf *text)
{
	posix_spawn_file_actions_t actions;
	char path[] = "/tmp/wherry-cli-XXXXXX";
	int fd = mkstemp(path), status;
	pid_t pid;

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, text->p, text->len), (ssize_t)text->len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);

	int e = posix_spawnp(&pid, argv[0], &actions, NULL,
	    (char *const *)argv, environ);

	posix_spawn_file_actions_destroy(&actions);
	close(fd);
	if (e != 0)
		return 127;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Each shell that is here reads its script without a complaint. */
static void shells_take_their_completion(void **state)
{
	static const char *const shells[] = { "bash", "zsh", "fish" };
	int tried = 0;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *argv[] = { shells[i], "-n", NULL };
		struct buf b = BUF_INIT;

		assert_int_equal(cli_completion(&b, shells[i]), 0);
		assert_false(b.failed);

		int code = feed(argv, &b);

		tried += code != 127;
		assert_true(code == 0 || code == 127);
		buf_release(&b);
	}
	if (tried == 0)
		skip();
}

static void an_unknown_shell_has_none(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(cli_completion(&b, "csh"), -1);
	buf_release(&b);
}

static bool holds(const struct buf *b, const char *text)
{
	return memmem(b->p, b->len, text, strlen(text)) != NULL;
}

/* Call fn for every option of every verb. */
static void each(void (*fn)(const struct cli_verb *v,
    const struct cli_option *o, void *ctx), void *ctx)
{
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		const struct cli_verb *v = cli_verbs[i];

		for (const struct cli_option *o = v->options;
		    o != NULL && o->name != NULL; o++)
			fn(v, o, ctx);
		for (unsigned g = 1; g <= CLI_G_LAST; g <<= 1) {
			if (!(v->groups & g))
				continue;
			for (const struct cli_option *o = cli_group_options(
			    (enum cli_group)g); o->name != NULL; o++)
				fn(v, o, ctx);
		}
	}
}

struct scripts { struct buf bash, zsh, fish; };

static void in_scripts(const struct cli_verb *v, const struct cli_option *o,
    void *ctx)
{
	struct scripts *s = ctx;
	char text[128];

	(void)v;
	snprintf(text, sizeof(text), "--%s", o->name);
	assert_true(holds(&s->bash, text));
	snprintf(text, sizeof(text), "'--%s", o->name);
	assert_true(holds(&s->zsh, text) ||
	    (snprintf(text, sizeof(text), "'*--%s", o->name) > 0 &&
	    holds(&s->zsh, text)));
	snprintf(text, sizeof(text), " -l %s ", o->name);
	assert_true(holds(&s->fish, text));
}

static void completions_know_every_option(void **state)
{
	struct scripts s = { BUF_INIT, BUF_INIT, BUF_INIT };

	(void)state;
	cli_completion(&s.bash, "bash");
	cli_completion(&s.zsh, "zsh");
	cli_completion(&s.fish, "fish");
	each(in_scripts, &s);
	assert_true(holds(&s.bash, "auto uring threads"));
	assert_true(holds(&s.zsh, "(auto uring threads)"));
	assert_true(holds(&s.fish, "'auto uring threads'"));
	buf_release(&s.bash);
	buf_release(&s.zsh);
	buf_release(&s.fish);
}

/* Completing a line in bash gives what is wanted. */
static void bash_completes(const char *words, unsigned at, const char *want)
{
	const char *argv[] = { "bash", NULL };
	struct buf b = BUF_INIT;

	cli_completion(&b, "bash");
	buf_printf(&b, "compopt() { :; }\nCOMP_WORDS=(%s)\nCOMP_CWORD=%u\n"
	    "_wherry\n[[ \" ${COMPREPLY[*]} \" == *' %s '* ]]\n", words, at,
	    want);

	int code = feed(argv, &b);

	buf_release(&b);
	if (code == 127)
		skip();
	assert_int_equal(code, 0);
}

static void bash_completes_verbs_options_and_values(void **state)
{
	(void)state;
	bash_completes("wherry ba", 1, "backup");
	bash_completes("wherry k", 1, "key");
	bash_completes("wherry key ''", 2, "passwd");
	bash_completes("wherry key add --new-k", 3, "--new-key-file=");
	bash_completes("wherry backup --excl", 2, "--exclude-caches");
	bash_completes("wherry backup --io ''", 3, "uring");
	bash_completes("wherry backup --io = th", 4, "threads");
	bash_completes("wherry completion ''", 2, "fish");
	bash_completes("wherry help ''", 2, "restore");
}

static void in_page(const struct cli_verb *v, const struct cli_option *o,
    void *ctx)
{
	struct buf page = BUF_INIT;
	char text[128], *p = text;

	(void)ctx;
	cli_man_page(&page, v);
	p += snprintf(text, sizeof(text), "\\fB\\-\\-");
	for (const char *s = o->name; *s != '\0'; s++) {
		if (*s == '-')
			*p++ = '\\';
		*p++ = *s;
	}
	snprintf(p, 8, "\\fR");
	assert_true(holds(&page, text));
	buf_release(&page);
}

static void man_pages_know_every_option(void **state)
{
	(void)state;
	each(in_page, NULL);
}

static void pages_have_all_sections_and_no_stray_commands(void **state)
{
	static const char *const parts[] = {
		"\n.SH NAME\n", "\n.SH SYNOPSIS\n", "\n.SH DESCRIPTION\n",
		"\n.SH OPTIONS\n", "\n.SH EXAMPLES\n", "\n.SH EXIT STATUS\n",
		"\n.SH ENVIRONMENT\n", "\n.SH SEE ALSO\n",
	};
	static const char *const commands[] = {
		".TH ", ".SH ", ".SS ", ".TP", ".PP", ".B ", ".I ", ".nf",
		".fi",
	};

	(void)state;
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		struct buf b = BUF_INIT;

		cli_man_page(&b, cli_verbs[i]);
		for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); k++)
			assert_true(holds(&b, parts[k]));
		buf_u8(&b, '\0');
		for (char *p = (char *)b.p; p != NULL && *p != '\0';
		    p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
			bool known = *p != '.' && *p != '\'';

			for (size_t k = 0; k < sizeof(commands) /
			    sizeof(*commands); k++)
				known |= strncmp(p, commands[k],
				    strlen(commands[k])) == 0;
			assert_true(known);
		}
		buf_release(&b);
	}
}

static void text_is_never_a_command(void **state)
{
	const struct cli_verb v = {
		.name = "odd", .summary = "s", .text = ".so x\n'br\n\nback\\slash",
		.examples = ".sy rm\n",
	};
	struct buf b = BUF_INIT;

	(void)state;
	cli_man_page(&b, &v);
	assert_true(holds(&b, "\n\\&.so x\n\\&\\(aqbr\n"));
	assert_true(holds(&b, "\n\\&.sy rm\n"));
	assert_true(holds(&b, "back\\eslash"));
	buf_release(&b);
}

static void troff_takes_the_pages(void **state)
{
	const char *argv[] = { "sh", "-c", "command -v groff >/dev/null || "
	    "exit 127; out=$(groff -man -Tutf8 -ww 2>&1 >/dev/null); "
	    "test -z \"$out\" || { echo \"$out\"; exit 1; }", NULL };
	struct buf b = BUF_INIT;

	(void)state;
	cli_man_page(&b, NULL);

	int code = feed(argv, &b);

	buf_release(&b);
	if (code == 127)
		skip();
	assert_int_equal(code, 0);
	for (size_t i = 0; cli_verbs[i]->name != NULL; i++) {
		cli_man_page(&b, cli_verbs[i]);
		assert_int_equal(feed(argv, &b), 0);
		buf_release(&b);
	}
}

static void charts_are_well_formed(void **state)
{
	const char *argv[] = { "python3", "-c", "import sys, "
	    "xml.dom.minidom as m; m.parse(sys.stdin.buffer)", NULL };
	struct cli_bench b = {
		.sample = { .bytes = 1 << 20, .files = 3 },
		.nspeeds = 3, .ncuts = 4, .what = "a<b>&\"c\"",
		.speeds = {
			{ ENGINE_STAGE_COPY, "memcpy", 1e10, 0, 0, 1 },
			{ ENGINE_STAGE_COMPRESS, "zstd <1>", 4e8, 0, 2.5, 1 },
			{ ENGINE_STAGE_WHOLE, "all", 1e3, 2e8, 0, 2 },
		},
		.cuts = {
			{ CHUNKER_STREAM, 65536, 20, 10, 1 << 20, 0, 1 << 19,
			    1 << 18 },
			{ CHUNKER_STREAM, 131072, 10, 10, 1 << 20, 0, 1 << 20,
			    1 << 19 },
			{ CHUNKER_BLOCK, 65536, 20, 10, 1 << 20, 1, 1 << 19,
			    1 << 18 },
			{ CHUNKER_BLOCK, 131072, 0, 0, 0, 0, 0, 0 },
		},
	};
	struct buf out = BUF_INIT;

	(void)state;
	cli_chart_svg(&out, &b);
	assert_true(holds(&out, "a&lt;b&gt;&amp;&quot;c&quot;"));
	assert_true(holds(&out, "prefers-color-scheme:dark"));
	assert_false(holds(&out, "nan"));
	assert_false(holds(&out, "http://www.w3.org/2000/svg\" xlink"));

	int code = feed(argv, &out);

	buf_reset(&out);
	cli_chart_html(&out, &b);
	assert_true(holds(&out, "<svg "));
	assert_true(holds(&out, "zstd &lt;1&gt;"));
	/* Nothing is fetched from elsewhere. */
	assert_false(holds(&out, "src="));
	assert_false(holds(&out, "href="));
	buf_release(&out);
	if (code == 127)
		skip();
	assert_int_equal(code, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shells_take_their_completion),
		cmocka_unit_test(an_unknown_shell_has_none),
		cmocka_unit_test(completions_know_every_option),
		cmocka_unit_test(bash_completes_verbs_options_and_values),
		cmocka_unit_test(man_pages_know_every_option),
		cmocka_unit_test(pages_have_all_sections_and_no_stray_commands),
		cmocka_unit_test(text_is_never_a_command),
		cmocka_unit_test(troff_takes_the_pages),
		cmocka_unit_test(charts_are_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
