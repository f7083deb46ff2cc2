/* Chance, what is in the tree, and names. */

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tools/treestress_parts/stress.h"

bool no[NO_COUNT];
unsigned long did[DID_COUNT], could_not[DID_COUNT];
uint64_t seed = 1;
uint64_t max_size = 3 << 20;
struct node **nodes;
size_t count;
int top_fd = -1;

static size_t cap;
static struct node *cur; /* the directory that cur_fd is open on */
static int cur_fd = -1;

uint64_t state;

uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t rnd(void)
{
	return mix(state += 0x9e3779b97f4a7c15u);
}

uint64_t below(uint64_t n)
{
	return rnd() % n;
}

bool chance(unsigned percent)
{
	return below(100) < percent;
}

void begin(uint64_t kind, uint64_t i)
{
	state = mix(mix(seed) ^ kind << 56 ^ i);
}

bool tally(int what, bool done)
{
	if (done)
		did[what]++;
	else
		could_not[what]++;
	return done;
}

struct node *add_node(struct node *parent, const char *name, mode_t type)
{
	struct node *n = calloc(1, sizeof(*n));

	if (count == cap) {
		cap = cap ? cap * 2 : 1024;
		nodes = realloc(nodes, cap * sizeof(*nodes));
	}
	if (n == NULL || nodes == NULL || (n->name = strdup(name)) == NULL)
		err(1, NULL);
	n->parent = parent;
	n->type = type;
	n->touched = true;
	nodes[count++] = n;
	return n;
}

bool is_gone(const struct node *n)
{
	while (n != NULL && !n->gone)
		n = n->parent;
	return n != NULL;
}

bool is_under(const struct node *n, const struct node *top)
{
	while (n != NULL && n != top)
		n = n->parent;
	return n != NULL;
}

/*
 * Return a descriptor of the directory, kept until the next call.  It goes
 * down from the last one where it can: the chain would cost a walk each time.
 */
int open_dir(struct node *d)
{
	struct node *chain = d;
	size_t depth = 0;

	if (d == cur)
		return cur_fd;
	for (; chain != NULL && chain != cur; chain = chain->parent)
		depth++;
	struct node **way = calloc(depth + 1, sizeof(*way));

	if (way == NULL)
		err(1, NULL);
	chain = d;
	for (size_t i = depth; i > 0; chain = chain->parent)
		way[--i] = chain;
	int fd = dup(chain == cur && cur_fd >= 0 ? cur_fd : top_fd);

	for (size_t i = 0; i < depth && fd >= 0; i++) {
		if (way[i]->parent == NULL)
			continue;
		int next = openat(fd, way[i]->name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		close(fd);
		fd = next;
	}
	free(way);
	if (fd < 0)
		return -1;
	if (cur_fd >= 0)
		close(cur_fd);
	cur_fd = fd;
	cur = d;
	return fd;
}

void forget_dir(void)
{
	if (cur_fd >= 0)
		close(cur_fd);
	cur_fd = -1;
	cur = NULL;
}

struct node *pick(bool dir)
{
	for (int i = 0; i < 200; i++) {
		struct node *n = nodes[below(count)];

		if (S_ISDIR(n->type) == dir && n->parent != NULL && !is_gone(n))
			return n;
	}
	return dir ? nodes[0] : NULL;
}

void make_name(char name[256], uint64_t i)
{
	static const char *const odd[] = {
		"-rf", "new\nline", "tab\there", " leading", "trailing ",
		"quote'\"`", "back\\slash", "*?[x]", "$HOME", "~", "...",
		"\xc3\xa4\xc3\xb6\xc3\xbc", "a\xcc\x88", "\xff\xfe", "\x7f\x1b[1m",
		"\xf0\x9f\x93\xa6", "\xe2\x80\xaenam", "con", "a:b", "%s%n",
	};
	unsigned kind = no[NO_NAMES] ? 0 : (unsigned)below(10);
	size_t len;

	if (kind < 4) {
		snprintf(name, 256, "%c%llx.%s", (char)('a' + below(26)),
		    (unsigned long long)i, chance(50) ? "txt" : "dat");
	} else if (kind < 6) {
		snprintf(name, 256, "%s%llu", odd[below(20)],
		    (unsigned long long)i);
	} else {
		len = kind == 6 ? 255 : kind == 7 ? 1 + below(3) :
		    1 + below(kind == 8 ? 40 : 255);
		for (size_t k = 0; k < len; k++)
			do
				name[k] = (char)(1 + below(255));
			while (name[k] == '/');
		name[len] = '\0';
	}
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		name[0] = '_';
}
