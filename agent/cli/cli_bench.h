#ifndef AGENT_CLI_CLI_BENCH_H
#define AGENT_CLI_CLI_BENCH_H

#include "agent/cli/cli.h"
#include "agent/engine/measure.h"

/* What 'wherry bench' found, for its three ways to show it. */
#define CLI_BENCH_SPEEDS 32
#define CLI_BENCH_CUTS 12

struct cli_bench {
	struct engine_sample_info sample;
	struct engine_speed speeds[CLI_BENCH_SPEEDS];
	size_t nspeeds;
	struct engine_cuts cuts[CLI_BENCH_CUTS]; /* each mode's together, ascending */
	size_t ncuts;
	const char *what; /* the paths, or what was made */
};

/* One self-contained picture or page, for light and dark screens. */
void cli_chart_svg(struct buf *out, const struct cli_bench *b);
void cli_chart_html(struct buf *out, const struct cli_bench *b);

#endif
