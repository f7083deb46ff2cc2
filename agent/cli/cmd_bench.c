#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_bench.h"
#include "agent/cli/cli_text.h"
#include "agent/cli/cli_verbs.h"

#define DEFAULT_SIZE (256u << 20)
#define MADE_SIZE (64u << 20)
#define STAGE_NS 300000000 /* for each stage */

struct opts {
	uint64_t size;
	unsigned cpus;
	const char *html, *svg;
};

static const struct cli_option options[] = {
	{ "size", 0, "SIZE", "How much data to read at most; it is held in "
	    "memory (default 256M)", CLI_SIZE, offsetof(struct opts, size) },
	{ "cpus", 0, "N", "Threads that work (default: one a CPU)", CLI_NUMBER,
	    offsetof(struct opts, cpus) },
	{ "html", 0, "FILE", "Write a page with charts and tables", CLI_FILE,
	    offsetof(struct opts, html) },
	{ "svg", 0, "FILE", "Write the charts as a picture", CLI_FILE,
	    offsetof(struct opts, svg) },
	{ NULL, 0, NULL, NULL, 0, 0 },
};

static unsigned cpus_here(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ?
	    (unsigned)CPU_COUNT(&set) : 1;
}

static const char *const stages[] = {
	[ENGINE_STAGE_COPY] = "copy", [ENGINE_STAGE_ZERO] = "zero_test",
	[ENGINE_STAGE_STREAM] = "cut_stream", [ENGINE_STAGE_BLOCK] = "cut_block",
	[ENGINE_STAGE_ID] = "id", [ENGINE_STAGE_COMPRESS] = "compress",
	[ENGINE_STAGE_SEAL] = "seal", [ENGINE_STAGE_OPEN] = "open",
	[ENGINE_STAGE_WHOLE] = "whole",
};

struct show { struct cli *cli; struct cli_bench *b; };

static int on_speed(void *ctx, const struct engine_speed *s, struct err *err)
{
	struct show *show = ctx;
	char rate[CLI_TEXT_MAX], part[16] = "", ratio[16] = "";

	(void)err;
	if (show->b->nspeeds < CLI_BENCH_SPEEDS)
		show->b->speeds[show->b->nspeeds++] = *s;
	if (show->cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "message_type", json_string("speed"));
		json_object_set_new(o, "stage", json_string(stages[s->stage]));
		json_object_set_new(o, "name", json_string(s->name));
		json_object_set_new(o, "bytes_per_second", json_real(s->speed));
		if (s->limit > 0)
			json_object_set_new(o, "limit_bytes_per_second",
			    json_real(s->limit));
		if (s->ratio > 0)
			json_object_set_new(o, "compression_ratio",
			    json_real(s->ratio));
		json_object_set_new(o, "cpus", json_integer(s->cpus));
		cli_json_print(o);
		return 0;
	}
	if (show->cli->quiet)
		return 0;
	if (s->limit > 0)
		snprintf(part, sizeof(part), "%.0f %%",
		    100 * s->speed / s->limit);
	if (s->ratio > 0)
		snprintf(ratio, sizeof(ratio), "%.2f : 1", s->ratio);
	printf("%-28s %14s %8s  %s\n", s->name,
	    cli_rate_text(rate, sizeof(rate), s->speed), part, ratio);
	fflush(stdout);
	return 0;
}

static void show_cuts(const struct cli *cli, const struct cli_bench *b)
{
	static const char *const heads[] = {
		"CUT AS", "AVERAGE", "MEAN", "CHUNKS", "UNIQUE", "COMPRESSED",
		"OF THE DATA", NULL,
	};
	struct cli_table *t = cli->json || cli->quiet ? NULL :
	    cli_table_new(heads, "lrrrrrr");

	for (size_t i = 0; i < b->ncuts; i++) {
		const struct engine_cuts *c = &b->cuts[i];
		bool stream = c->mode == CHUNKER_STREAM;
		double mean = c->chunks ? (double)(c->bytes - c->zero_bytes) /
		    (double)c->chunks : 0;
		char x[CLI_TEXT_MAX];

		if (t == NULL && !cli->json)
			continue;
		if (t == NULL) {
			json_t *o = json_pack("{s:s,s:s,s:I,s:f,s:I,s:I,s:I,"
			    "s:I,s:I}", "message_type", "cuts", "mode",
			    stream ? "stream" : "block", "average_bytes",
			    (json_int_t)c->avg, "mean_bytes", mean, "chunks",
			    (json_int_t)c->chunks, "data_bytes",
			    (json_int_t)c->bytes, "zero_bytes",
			    (json_int_t)c->zero_bytes, "unique_bytes",
			    (json_int_t)c->unique_bytes, "compressed_bytes",
			    (json_int_t)c->packed_bytes);

			cli_json_print(o);
			continue;
		}
		cli_table_cell(t, stream ? "files" : "blocks");
		cli_table_cell(t, cli_size_text(x, sizeof(x), c->avg));
		cli_table_cell(t, cli_size_text(x, sizeof(x), mean));
		cli_table_cell(t, cli_count_text(x, sizeof(x), c->chunks));
		cli_table_cell(t, cli_size_text(x, sizeof(x),
		    (double)c->unique_bytes));
		cli_table_cell(t, cli_size_text(x, sizeof(x),
		    (double)c->packed_bytes));
		snprintf(x, sizeof(x), "%.1f %%", c->bytes ? 100.0 *
		    (double)c->packed_bytes / (double)c->bytes : 0);
		cli_table_cell(t, x);
	}
	if (t != NULL) {
		printf("\n");
		cli_table_print(t);
	}
}

static void show_sample(const struct cli *cli, const struct cli_bench *b)
{
	const struct engine_sample_info *s = &b->sample;
	char a[CLI_TEXT_MAX], d[CLI_TEXT_MAX];

	if (cli->json) {
		cli_json_print(json_pack("{s:s,s:b,s:I,s:I,s:I,s:I}",
		    "message_type", "sample", "generated", s->generated,
		    "data_bytes", (json_int_t)s->bytes, "files",
		    (json_int_t)s->files, "found_bytes",
		    (json_int_t)s->found_bytes, "skipped",
		    (json_int_t)s->skipped));
		return;
	}
	if (cli->quiet)
		return;
	if (s->generated) {
		printf("data: %s, made; name paths of your own to choose a "
		    "chunk size for them\n\n",
		    cli_size_text(a, sizeof(a), (double)s->bytes));
		return;
	}
	printf("data: %s in %s",
	    cli_size_text(a, sizeof(a), (double)s->bytes),
	    CLI_COUNTED(s->files, "file", "files"));
	if (s->found_bytes > s->bytes)
		printf(", of %s (--size takes more)",
		    cli_size_text(d, sizeof(d), (double)s->found_bytes));
	printf("\n\n");
}

static int write_file(const char *path, const struct buf *b, struct err *err)
{
	FILE *f = fopen(path, "we");

	if (f == NULL)
		return err_sys(err, errno, "%s", path);

	bool ok = fwrite(b->p, 1, b->len, f) == b->len;

	if (fclose(f) != 0 || !ok)
		return err_sys(err, errno, "%s", path);
	return 0;
}

static int write_charts(const struct opts *o, const struct cli_bench *b,
    struct err *err)
{
	struct buf out = BUF_INIT;
	int r = 0;

	if (o->svg != NULL) {
		cli_chart_svg(&out, b);
		r = buf_check(&out, "a picture", err) < 0 ? -1 :
		    write_file(o->svg, &out, err);
	}
	buf_reset(&out);
	if (r == 0 && o->html != NULL) {
		cli_chart_html(&out, b);
		r = buf_check(&out, "a page", err) < 0 ? -1 :
		    write_file(o->html, &out, err);
	}
	buf_release(&out);
	return r;
}

static int fill(struct cli *cli, struct engine_sample *s, struct err *err)
{
	if (cli->argc == 0)
		return engine_sample_generate(s, err);
	return engine_sample_add(s, (const char *const *)cli->argv,
	    (size_t)cli->argc, cli_report, cli, err);
}

static int measure(struct cli *cli, const struct opts *o,
    struct engine_sample *s, struct cli_bench *b, struct err *err)
{
	unsigned cpus = o->cpus ? o->cpus : cpus_here();
	struct show show = { cli, b };

	if (fill(cli, s, err) < 0)
		return -1;
	engine_sample_look(s, &b->sample);
	show_sample(cli, b);
	if (!cli->json && !cli->quiet)
		printf("%-28s %14s %8s  %s\n", "STAGE", "SPEED", "OF LIMIT",
		    "RATIO");
	if (engine_measure_stages(s, cpus, STAGE_NS, on_speed, &show, err) < 0)
		return -1;
	for (int m = CHUNKER_STREAM; m <= CHUNKER_BLOCK; m++) {
		for (uint32_t avg = 64u << 10; avg <= CHUNKER_AVG_MAX;
		    avg *= 2) {
			b->cuts[b->ncuts].mode = (enum chunker_mode)m;
			b->cuts[b->ncuts++].avg = avg;
		}
	}
	if (engine_measure_cuts(s, cpus, b->cuts, b->ncuts, err) < 0)
		return -1;
	show_cuts(cli, b);
	return write_charts(o, b, err);
}

static int run(struct cli *cli, void *opts)
{
	const struct opts *o = opts;
	uint64_t size = o->size ? o->size : cli->argc > 0 ? DEFAULT_SIZE :
	    MADE_SIZE;
	struct cli_bench b = { 0 };
	struct buf what = BUF_INIT;
	struct err err = ERR_INIT;
	struct engine_sample *s;
	int code = CLI_OK;

	if (size < 4u << 20)
		return cli_usage(cli, "so little data tells nothing (give "
		    "--size 4M or more)");
	for (int i = 0; i < cli->argc; i++) {
		buf_str(&what, i ? ", " : "");
		cli_escape(&what, cli->argv[i], strlen(cli->argv[i]));
	}
	if (cli->argc == 0)
		buf_str(&what, "made data");
	buf_u8(&what, '\0');
	if (what.failed)
		cli_nomem();
	b.what = (const char *)what.p;
	s = engine_sample_new(size, &err);
	if (s == NULL || measure(cli, o, s, &b, &err) < 0)
		code = cli_fail(cli, &err, CLI_AT_WORK, "measure");
	else if (b.sample.skipped > 0)
		code = CLI_PARTLY;
	engine_sample_free(s);
	buf_release(&what);
	return code;
}

const struct cli_verb cli_cmd_bench = {
	.name = "bench",
	.args = "[PATH...]",
	.summary = "Measure this machine, and what chunk sizes would save",
	.text = "Measures how fast each stage of a backup is on this machine, "
	    "and the whole, in memory. For averages from 64K to 2M, cut as "
	    "files and as block volumes are, it shows what deduplication and "
	    "compression leave of the given data: by that --chunk-size and "
	    "--block-size of 'wherry init' can be chosen. Without PATH, data "
	    "is made.\n\n"
	    "memcpy and the zero test show what memory allows; 'of limit' "
	    "compares the whole with what its stages add up to.",
	.json = "  {\"message_type\":\"sample\",\"generated\",\"data_bytes\","
	    "\"files\",\"found_bytes\",\n   \"skipped\"}\n"
	    "  {\"message_type\":\"speed\",\"stage\",\"name\","
	    "\"bytes_per_second\",\n   \"limit_bytes_per_second\","
	    "\"compression_ratio\",\"cpus\"}\n"
	    "  {\"message_type\":\"cuts\",\"mode\",\"average_bytes\","
	    "\"mean_bytes\",\"chunks\",\n   \"data_bytes\",\"zero_bytes\","
	    "\"unique_bytes\",\"compressed_bytes\"}",
	.examples = "wherry bench\n"
	    "wherry bench /srv/data --size 2G --html bench.html",
	.groups = CLI_G_JSON | CLI_G_TALK | CLI_G_HELP,
	.options = options,
	.opts_size = sizeof(struct opts),
	.max_args = -1,
	.words = CLI_W_PATH,
	.run = run,
};
