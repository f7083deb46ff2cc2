#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli_bench.h"
#include "agent/cli/cli_text.h"

/* Geometry, in pixels of the picture. */
#define WIDTH 920
#define LABEL 230           /* where the bars begin */
#define PLOT 500            /* how long the longest may be */
#define ROW 24
#define TOP 92
#define CHART 300           /* height of the line chart's plot */

/* Speeds span three decades: the axis is logarithmic, from 10 MB/s. */
#define SPEED_LEAST 1e7
#define DECADES 3.5

static const char style[] =
    "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;"
    "fill:#1f2933}"
    ".h{font-size:16px;font-weight:600}.m{fill:#5d6874}"
    ".e{text-anchor:end}.c{text-anchor:middle}"
    ".bg{fill:#fff}.g{stroke:#e1e6eb}.ax{stroke:#9aa5b1}"
    ".b{fill:#2563eb}.w{fill:#0f766e}.k{fill:#94a3b8}"
    ".l{stroke:#b91c1c;stroke-width:2}"
    ".s1{stroke:#2563eb}.s2{stroke:#c2570c}.d1{fill:#2563eb}.d2{fill:#c2570c}"
    /* The first line is wider, to be seen where both run together. */
    ".ln{fill:none;stroke-width:2}.ln.s1{stroke-width:5}.da{stroke-dasharray:5 4}"
    "@media(prefers-color-scheme:dark){text{fill:#e6eaee}.m{fill:#a3adb8}"
    ".bg{fill:#14181d}.g{stroke:#2b333c}.ax{stroke:#66727f}"
    ".b{fill:#60a5fa}.w{fill:#2dd4bf}.k{fill:#64748b}.l{stroke:#f87171}"
    ".s1{stroke:#60a5fa}.s2{stroke:#fb923c}.d1{fill:#60a5fa}"
    ".d2{fill:#fb923c}}";

static void xml(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++) {
		switch (*s) {
		case '&': buf_str(out, "&amp;"); break;
		case '<': buf_str(out, "&lt;"); break;
		case '>': buf_str(out, "&gt;"); break;
		case '"': buf_str(out, "&quot;"); break;
		default: buf_u8(out, (uint8_t)*s);
		}
	}
}

/* log10 of v >= 1 by halving: libm is not linked for one picture. */
static double decades(double v)
{
	double whole = 0, part = 0, step = 0.5;

	while (v >= 10) {
		v /= 10;
		whole++;
	}
	for (int i = 0; i < 20; i++, step /= 2) {
		v *= v;
		if (v >= 10) {
			v /= 10;
			part += step;
		}
	}
	return whole + part;
}

static double x_of(double speed)
{
	double d = speed <= SPEED_LEAST ? 0 : decades(speed / SPEED_LEAST);

	return LABEL + PLOT * (d > DECADES ? 1 : d / DECADES);
}

static void speed_axis(struct buf *out, size_t rows)
{
	static const struct { double v; const char *name; } ticks[] = {
		{ 1e7, "10 MB/s" }, { 1e8, "100 MB/s" }, { 1e9, "1 GB/s" },
		{ 1e10, "10 GB/s" },
	};

	for (size_t i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
		double x = x_of(ticks[i].v);

		buf_printf(out, "<line class=\"g\" x1=\"%.1f\" x2=\"%.1f\" "
		    "y1=\"%d\" y2=\"%zu\"/><text class=\"m c\" x=\"%.1f\" "
		    "y=\"%d\">%s</text>\n", x, x, TOP - 4,
		    TOP + rows * ROW, x, TOP - 12, ticks[i].name);
	}
}

static void speed_text(char *dst, size_t cap, const struct engine_speed *s)
{
	int n = s->speed >= 1e9 ?
	    snprintf(dst, cap, "%.2f GB/s", s->speed / 1e9) :
	    snprintf(dst, cap, "%.0f MB/s", s->speed / 1e6);

	if (n < 0 || (size_t)n >= cap)
		return;
	if (s->ratio > 0)
		snprintf(dst + n, cap - (size_t)n, ", %.2f : 1", s->ratio);
	else if (s->stage == ENGINE_STAGE_WHOLE && s->limit > 0)
		snprintf(dst + n, cap - (size_t)n, ", %.0f %% of limit",
		    100 * s->speed / s->limit);
}

static void bars(struct buf *out, const struct cli_bench *b)
{
	buf_printf(out, "<text class=\"h\" x=\"16\" y=\"30\">Speed of each "
	    "stage, one thread unless said otherwise</text>\n"
	    "<text class=\"m\" x=\"16\" y=\"50\">Logarithmic. Grey: what memory "
	    "allows. Red marks: what the stages of the whole add up to."
	    "</text>\n");
	speed_axis(out, b->nspeeds);
	for (size_t i = 0; i < b->nspeeds; i++) {
		const struct engine_speed *s = &b->speeds[i];
		int y = TOP + (int)i * ROW;
		double x = x_of(s->speed);
		char text[64];

		speed_text(text, sizeof(text), s);
		buf_printf(out, "<text class=\"e\" x=\"%d\" y=\"%d\">",
		    LABEL - 10, y + 16);
		xml(out, s->name);
		buf_printf(out, "</text><rect class=\"%s\" x=\"%d\" y=\"%d\" "
		    "width=\"%.1f\" height=\"14\" rx=\"2\"/>",
		    s->stage <= ENGINE_STAGE_ZERO ? "k" :
		    s->stage == ENGINE_STAGE_WHOLE ? "w" : "b", LABEL, y + 4,
		    x - LABEL > 1 ? x - LABEL : 1);
		if (s->limit > 0)
			buf_printf(out, "<line class=\"l\" x1=\"%.1f\" "
			    "x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>",
			    x_of(s->limit), x_of(s->limit), y + 2, y + 20);
		buf_printf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n",
		    LABEL + PLOT + 14, y + 16, text);
	}
}

/* Part of the data, in percent, that one configuration stores. */
static double percent(const struct engine_cuts *c, bool packed)
{
	return c->bytes == 0 ? 0 : 100.0 *
	    (double)(packed ? c->packed_bytes : c->unique_bytes) /
	    (double)c->bytes;
}

static double chart_x(const struct cli_bench *b, const struct engine_cuts *c)
{
	double least = decades((double)b->cuts[0].avg);
	double most = decades((double)b->cuts[b->ncuts - 1].avg);

	return LABEL + (PLOT + 60) * (most > least ?
	    (decades((double)c->avg) - least) / (most - least) : 0);
}

/* The top of the scale: the largest value, to the next ten percent. */
static double chart_top(const struct cli_bench *b)
{
	double top = 0;

	for (size_t i = 0; i < b->ncuts; i++) {
		if (percent(&b->cuts[i], false) > top)
			top = percent(&b->cuts[i], false);
	}
	return top > 100 ? 10 * (double)(int)(top / 10 + 1) :
	    top < 10 ? 10 : 10 * (double)(int)((top + 9.999) / 10);
}

static void one_line(struct buf *out, const struct cli_bench *b, int y0,
    double top, enum chunker_mode mode, bool packed)
{
	int n = mode == CHUNKER_STREAM ? 1 : 2;

	buf_printf(out, "<polyline class=\"ln s%d%s\" points=\"", n,
	    packed ? "" : " da");
	for (size_t i = 0; i < b->ncuts; i++) {
		if (b->cuts[i].mode == mode)
			buf_printf(out, "%.1f,%.1f ", chart_x(b, &b->cuts[i]),
			    y0 + CHART - CHART *
			    percent(&b->cuts[i], packed) / top);
	}
	buf_str(out, "\"/>\n");
	for (size_t i = 0; i < b->ncuts; i++) {
		const struct engine_cuts *c = &b->cuts[i];

		if (c->mode == mode)
			buf_printf(out, "<circle class=\"d%d\" cx=\"%.1f\" "
			    "cy=\"%.1f\" r=\"%s\"><title>%.1f %%</title>"
			    "</circle>\n", n, chart_x(b, c), y0 + CHART -
			    CHART * percent(c, packed) / top,
			    n == 1 ? "5" : "3", percent(c, packed));
	}
}

static void legend(struct buf *out, int y)
{
	static const struct { int n; bool packed; const char *name; } e[] = {
		{ 1, false, "files, deduplicated" },
		{ 1, true, "and compressed" },
		{ 2, false, "blocks, deduplicated" },
		{ 2, true, "and compressed" },
	};
	int x = LABEL;

	for (size_t i = 0; i < sizeof(e) / sizeof(e[0]); i++) {
		buf_printf(out, "<line class=\"ln s%d%s\" x1=\"%d\" x2=\"%d\" "
		    "y1=\"%d\" y2=\"%d\"/><text x=\"%d\" y=\"%d\">%s</text>\n",
		    e[i].n, e[i].packed ? "" : " da", x, x + 28, y, y, x + 34,
		    y + 5, e[i].name);
		x += i % 2 ? 150 : 180;
	}
}

static void lines(struct buf *out, const struct cli_bench *b, int y)
{
	double top = chart_top(b);
	int y0 = y + 92;

	buf_printf(out, "<text class=\"h\" x=\"16\" y=\"%d\">What would be "
	    "stored, by average chunk size</text>\n<text class=\"m\" x=\"16\" "
	    "y=\"%d\">In percent of the data: less is better. %s</text>\n",
	    y + 20, y + 40, b->sample.generated ? "This data was made: name "
	    "paths of your own to learn about them." : "");
	legend(out, y + 64);
	for (int i = 0; i <= 5; i++) {
		double v = top * i / 5, py = y0 + CHART - CHART * i / 5.0;

		buf_printf(out, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" "
		    "y1=\"%.1f\" y2=\"%.1f\"/><text class=\"m e\" x=\"%d\" "
		    "y=\"%.1f\">%.0f %%</text>\n", i ? "g" : "ax", LABEL,
		    LABEL + PLOT + 60, py, py, LABEL - 10, py + 4, v);
	}
	for (size_t i = 0; i < b->ncuts; i++) {
		char text[CLI_TEXT_MAX];

		if (b->cuts[i].mode != CHUNKER_STREAM)
			continue;
		snprintf(text, sizeof(text), b->cuts[i].avg >= 1u << 20 ?
		    "%u MiB" : "%u KiB", b->cuts[i].avg >= 1u << 20 ?
		    b->cuts[i].avg >> 20 : b->cuts[i].avg >> 10);
		buf_printf(out, "<text class=\"m c\" x=\"%.1f\" y=\"%d\">%s"
		    "</text>\n", chart_x(b, &b->cuts[i]), y0 + CHART + 22,
		    text);
	}
	for (int m = CHUNKER_STREAM; m <= CHUNKER_BLOCK; m++) {
		one_line(out, b, y0, top, (enum chunker_mode)m, false);
		one_line(out, b, y0, top, (enum chunker_mode)m, true);
	}
}

void cli_chart_svg(struct buf *out, const struct cli_bench *b)
{
	int y = TOP + (int)b->nspeeds * ROW + 20;
	int height = y + 92 + CHART + 70;
	char size[CLI_TEXT_MAX];

	buf_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" "
	    "viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
	    "aria-label=\"wherry bench\">\n<style>%s</style>\n"
	    "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", WIDTH,
	    height, WIDTH, height, style, WIDTH, height);
	bars(out, b);
	if (b->ncuts > 0)
		lines(out, b, y);
	buf_printf(out, "<text class=\"m\" x=\"16\" y=\"%d\">wherry "
	    WHERRY_VERSION ", %s of ", height - 14,
	    cli_size_text(size, sizeof(size), (double)b->sample.bytes));
	xml(out, b->what);
	buf_str(out, "</text>\n</svg>\n");
}

static void cuts_table(struct buf *out, const struct cli_bench *b)
{
	char x[5][CLI_TEXT_MAX];

	buf_str(out, "<h2>Chunk sizes</h2>\n<table><tr><th>cut as<th>average"
	    "<th>mean<th>chunks<th>unique<th>compressed<th>of the data\n");
	for (size_t i = 0; i < b->ncuts; i++) {
		const struct engine_cuts *c = &b->cuts[i];
		uint64_t cut = c->bytes - c->zero_bytes;

		buf_printf(out, "<tr><td>%s<td>%s<td>%s<td>%s<td>%s<td>%s<td>"
		    "%.1f %%\n", c->mode == CHUNKER_STREAM ? "files" :
		    "blocks", cli_size_text(x[0], CLI_TEXT_MAX, c->avg),
		    cli_size_text(x[1], CLI_TEXT_MAX, c->chunks ?
		    (double)cut / (double)c->chunks : 0),
		    cli_count_text(x[2], CLI_TEXT_MAX, c->chunks),
		    cli_size_text(x[3], CLI_TEXT_MAX, (double)c->unique_bytes),
		    cli_size_text(x[4], CLI_TEXT_MAX, (double)c->packed_bytes),
		    percent(c, true));
	}
	buf_str(out, "</table>\n");
}

void cli_chart_html(struct buf *out, const struct cli_bench *b)
{
	char text[64];

	buf_str(out, "<!doctype html>\n<html lang=\"en\"><meta "
	    "charset=\"utf-8\">\n<meta name=\"viewport\" "
	    "content=\"width=device-width\">\n"
	    "<meta name=\"color-scheme\" content=\"light dark\">\n"
	    "<title>wherry bench</title>\n<style>\n"
	    "body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;"
	    "max-width:960px;margin:2em auto;padding:0 1em;"
	    "background:#fff;color:#1f2933}\n"
	    "svg{max-width:100%;height:auto}\n"
	    "table{border-collapse:collapse;margin:1em 0}"
	    "th,td{padding:.25em .8em;text-align:right;"
	    "border-bottom:1px solid #e1e6eb}"
	    "th:first-child,td:first-child{text-align:left}\n"
	    "@media(prefers-color-scheme:dark){body{background:#14181d;"
	    "color:#e6eaee}th,td{border-color:#2b333c}}\n</style>\n"
	    "<h1>wherry bench</h1>\n");
	cli_chart_svg(out, b);
	buf_str(out, "<h2>Speeds</h2>\n<table><tr><th>stage<th>speed and "
	    "ratio<th>of the limit\n");
	for (size_t i = 0; i < b->nspeeds; i++) {
		const struct engine_speed *s = &b->speeds[i];

		speed_text(text, sizeof(text), s);
		buf_str(out, "<tr><td>");
		xml(out, s->name);
		buf_printf(out, "<td>%s<td>", text);
		if (s->limit > 0)
			buf_printf(out, "%.0f %%", 100 * s->speed / s->limit);
		buf_str(out, "\n");
	}
	buf_str(out, "</table>\n");
	if (b->ncuts > 0)
		cuts_table(out, b);
	buf_str(out, "</html>\n");
}
