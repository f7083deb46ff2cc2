/* What is to go wrong: rules, one a line, and what they mean for a request. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/tools/badproxy_parts/bad.h"

enum { LATENCY, CONNECT, RATE, SLOW, ANSWER, LOSE, CUT_UP, CUT_DOWN, SHORT,
	FLIP_UP, FLIP_DOWN, LENGTH, HANG, OUTAGE, DATE, AGE, GARBAGE, CLOSE,
	KINDS };

static const char *const kind_names[KINDS] = { "latency", "connect", "rate",
	"slow", "answer", "lose", "cut-up", "cut-down", "short", "flip-up",
	"flip-down", "length", "hang", "outage", "date", "age", "garbage",
	"close" };

struct rule {
	int kind;
	char text[512];
	char method[16], path[200];
	unsigned long from, count; /* not the first; no more of the rest */
	double p;                  /* and only that part of them */
	long ms, jitter, up, down, status, bytes, add, seconds, retry_after;
	long for_ms;               /* and so long after it was set */
	char code[48], location[256];
	unsigned long seen, held;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX];
static unsigned rules_n;
static long rate_up, rate_down;
static int64_t set_at, free_up, free_down; /* ns */
uint64_t rules_seed = 1;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Set one NAME=VALUE.  Return false when it is not known. */
static bool set_one(struct rule *r, const char *name, const char *value)
{
	const struct { const char *name; long *to; } numbers[] = {
		{ "ms", &r->ms }, { "jitter", &r->jitter }, { "up", &r->up },
		{ "down", &r->down }, { "status", &r->status },
		{ "bytes", &r->bytes }, { "add", &r->add },
		{ "seconds", &r->seconds }, { "for-ms", &r->for_ms },
		{ "retry-after", &r->retry_after },
		{ "from", (long *)&r->from }, { "count", (long *)&r->count },
	};
	const struct { const char *name; char *to; size_t cap; } texts[] = {
		{ "method", r->method, sizeof(r->method) },
		{ "path", r->path, sizeof(r->path) },
		{ "code", r->code, sizeof(r->code) },
		{ "location", r->location, sizeof(r->location) },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (strcmp(name, numbers[i].name) == 0) {
			*numbers[i].to = strtol(value, NULL, 10);
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (strcmp(name, texts[i].name) == 0) {
			snprintf(texts[i].to, texts[i].cap, "%s", value);
			return true;
		}
	}
	if (strcmp(name, "p") == 0) {
		r->p = strtod(value, NULL);
		return true;
	}
	return false;
}

/* Read "KIND NAME=VALUE ...".  NULL, or what is wrong. */
static const char *parse(struct rule *r, const char *text)
{
	char copy[512], *rest = copy, *word;

	*r = (struct rule){ .kind = KINDS, .p = 1, .bytes = -1, .status = 503 };
	if (strlen(text) >= sizeof(copy))
		return "a rule is too long";
	snprintf(r->text, sizeof(r->text), "%s", text);
	snprintf(copy, sizeof(copy), "%s", text);
	word = strsep(&rest, " ");
	for (int i = 0; i < KINDS; i++)
		if (strcmp(word, kind_names[i]) == 0)
			r->kind = i;
	if (r->kind == KINDS)
		return "no such kind of rule";
	while ((word = strsep(&rest, " ")) != NULL) {
		char *value = strchr(word, '=');

		if (*word == '\0')
			continue;
		if (value == NULL)
			return "a rule's word has no =";
		*value++ = '\0';
		if (!set_one(r, word, value))
			return "no such word in a rule";
	}
	return NULL;
}

const char *rules_set(const char *text)
{
	struct rule *fresh = calloc(RULES_MAX, sizeof(*fresh));
	char *copy = strdup(text), *rest = copy, *line;
	const char *wrong = fresh && copy ? NULL : "no memory";
	unsigned n = 0;

	while (wrong == NULL && (line = strsep(&rest, "\n")) != NULL) {
		line[strcspn(line, "\r")] = '\0';
		if (*line == '\0')
			continue;
		wrong = n == RULES_MAX ? "too many rules" :
		    parse(&fresh[n++], line);
	}
	if (wrong == NULL) {
		pthread_mutex_lock(&lock);
		memcpy(rules, fresh, sizeof(rules));
		rules_n = n;
		set_at = now_ns();
		rate_up = rate_down = 0;
		for (unsigned i = 0; i < n; i++) {
			if (rules[i].kind != RATE)
				continue;
			rate_up = rules[i].up;
			rate_down = rules[i].down;
		}
		pthread_mutex_unlock(&lock);
	}
	free(fresh);
	free(copy);
	return wrong;
}

/* Does it hold for this request, the one of those that match which comes now? */
static bool holds(struct rule *r, unsigned number, const char *method,
    const char *target, uint64_t *chance)
{
	if (r->kind == RATE || r->kind == CONNECT)
		return false;
	if (r->method[0] != '\0' && strcmp(r->method, method) != 0)
		return false;
	if (r->path[0] != '\0' && strstr(target, r->path) == NULL)
		return false;
	if (r->for_ms > 0 && now_ns() - set_at > r->for_ms * 1000000)
		return false;

	unsigned long n = r->seen++;

	if (n < r->from || (r->count > 0 && r->held >= r->count))
		return false;
	*chance = mix(rules_seed + mix(number * UINT64_C(1000003) + n));
	if ((double)(*chance >> 11) / (double)(UINT64_C(1) << 53) >= r->p)
		return false;
	r->held++;
	return true;
}

static void apply(const struct rule *r, uint64_t chance, struct plan *p)
{
	switch (r->kind) {
	case LATENCY:
		p->wait_ms += r->ms + (r->jitter > 0 ?
		    (long)(chance % (uint64_t)r->jitter) : 0);
		break;
	case SLOW:
		p->up_rate = r->up;
		p->down_rate = r->down;
		break;
	case ANSWER:
		p->status = (int)r->status;
		p->retry_after = r->retry_after;
		snprintf(p->code, sizeof(p->code), "%s", r->code);
		snprintf(p->location, sizeof(p->location), "%s", r->location);
		break;
	case LOSE: p->lose = true; break;
	case CUT_UP: p->cut_up = r->bytes < 0 ? 0 : r->bytes; break;
	case CUT_DOWN: p->cut_down = r->bytes < 0 ? 0 : r->bytes; break;
	case SHORT: p->shorten = true; break;
	case FLIP_UP: p->flip_up = true; break;
	case FLIP_DOWN: p->flip_down = true; break;
	case LENGTH: p->add_length = r->add; break;
	case HANG: p->hang_ms = r->ms; break;
	case OUTAGE: p->outage = true; break;
	case DATE: p->date_s = r->seconds; break;
	case AGE: p->age_s = r->seconds; break;
	case GARBAGE: p->garbage = true; break;
	case CLOSE: p->close = true; break;
	}
	p->chance = mix(chance);
}

void rules_plan(const char *method, const char *target, struct plan *plan)
{
	*plan = (struct plan){ .cut_up = -1, .cut_down = -1 };
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < rules_n; i++) {
		uint64_t chance;

		if (holds(&rules[i], i, method, target, &chance))
			apply(&rules[i], chance, plan);
	}
	pthread_mutex_unlock(&lock);
}

long rules_connect_ms(void)
{
	long ms = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < rules_n; i++) {
		if (rules[i].kind == CONNECT) {
			ms += rules[i].ms;
			rules[i].held++;
		}
	}
	pthread_mutex_unlock(&lock);
	return ms;
}

void rules_throttle(bool up, size_t len)
{
	int64_t now = now_ns(), until = now;

	pthread_mutex_lock(&lock);
	long rate = up ? rate_up : rate_down;
	int64_t *free_at = up ? &free_up : &free_down;

	if (rate > 0) {
		if (*free_at < now)
			*free_at = now;
		*free_at += (int64_t)((double)len * 1e9 / (double)rate);
		until = *free_at;
	}
	pthread_mutex_unlock(&lock);
	if (until > now)
		relay_sleep((until - now) / 1000000);
}

size_t rules_print(char *dst, size_t cap)
{
	size_t len = 0;

	dst[0] = '\0';
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < rules_n; i++) {
		int n = snprintf(dst + len, cap - len, "%lu %s\n",
		    rules[i].held, rules[i].text);

		if (n < 0 || (size_t)n >= cap - len)
			break;
		len += (size_t)n;
	}
	pthread_mutex_unlock(&lock);
	return len;
}
