#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_care.h"
#include "agent/cli/cli_text.h"
#include "repo/base/bytes.h"
#include "repo/base/rand.h"
#include "repo/crypto/crypto.h"

/*
 * Damage as it is told: an object once, however many look at it, and a path in
 * full for the first snapshot that has it.
 */

/* So many are remembered (1 MiB); what comes after them is told each time. */
#define SLOTS (1u << 17)
#define MOST (SLOTS / 4 * 3)

struct cli_told {
	struct cli *cli;
	bool repair;
	uint8_t seed[16];
	uint32_t n;
	uint64_t paths;          /* names that differ */
	char snapshot[40];       /* of the last path */
	uint64_t again;          /* paths of it that others had before */
	uint64_t *slots;         /* 0: free */
};

struct cli_told *cli_told_new(struct cli *cli, bool repair)
{
	struct cli_told *t = calloc(1, sizeof(*t));

	if (t == NULL)
		cli_nomem();
	t->slots = calloc(SLOTS, sizeof(*t->slots));
	if (t->slots == NULL)
		cli_nomem();
	t->cli = cli;
	t->repair = repair;
	rand_bytes(t->seed, sizeof(t->seed));
	return t;
}

void cli_told_free(struct cli_told *t)
{
	free(t->slots);
	free(t);
}

/* Is it new?  Then it is remembered, if there is room. */
static bool first(struct cli_told *t, const void *p, size_t len)
{
	uint64_t h = crypto_siphash(t->seed, p, len) | 1;
	uint32_t at = (uint32_t)(h >> 40) % SLOTS;

	for (; t->slots[at] != 0; at = (at + 1) % SLOTS)
		if (t->slots[at] == h)
			return false;
	if (t->n < MOST) {
		t->slots[at] = h;
		t->n++;
	}
	return true;
}

void cli_told_object(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	struct cli_told *t = ctx;
	char hex[2 * STORE_ID_LEN + 1] = "";
	struct buf name = BUF_INIT;
	bool fresh;

	if (id != NULL)
		hex_encode(hex, id, STORE_ID_LEN);
	buf_printf(&name, "object %s %s", key, hex);
	if (name.failed)
		cli_nomem();
	cli_output_lock();
	fresh = first(t, name.p, name.len);
	cli_output_unlock();
	buf_release(&name);
	if (!fresh)
		return;
	cli_warn("damage in %s%s%s: %s", key, id ? ", blob " : "", hex,
	    cli_after_name(key, what));
	if (!t->cli->json)
		return;

	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string("damaged_object"));
	json_object_set_new(o, "key", cli_json_text(key));
	if (id != NULL)
		json_object_set_new(o, "blob", json_string(hex));
	json_object_set_new(o, "message", cli_json_text(what));
	cli_json_print(o);
}

/* The paths of a snapshot have all come. */
static void end_snapshot(struct cli_told *t)
{
	if (t->again > 0)
		cli_warn("snapshot %s%s %s", t->snapshot,
		    t->repair ? " has lost" : ":", t->again == 1 ?
		    "one of the paths above, too" : CLI_COUNTED(t->again, "",
		    "of the paths above, too"));
	t->again = 0;
}

static void path_json(struct cli_told *t, const char *snapshot,
    const char *name, const char *what)
{
	json_t *o = json_object();

	json_object_set_new(o, "message_type", json_string(t->repair ?
	    "lost_path" : "damaged_path"));
	json_object_set_new(o, "snapshot_id", cli_json_text(snapshot));
	cli_json_set_bytes(o, "path", name, strlen(name));
	json_object_set_new(o, "message", cli_json_text(what));
	cli_json_print(o);
}

void cli_told_path(void *ctx, const char *snapshot, const char *name,
    const char *what)
{
	struct cli_told *t = ctx;
	struct buf b = BUF_INIT;
	bool fresh;
	char *text;

	buf_printf(&b, "path %s %s", name, what);
	if (b.failed)
		cli_nomem();
	fresh = first(t, b.p, b.len);
	buf_release(&b);
	t->paths += fresh;
	if (t->cli->json) {
		path_json(t, snapshot, name, what);
		return;
	}
	if (strcmp(snapshot, t->snapshot) != 0) {
		end_snapshot(t);
		snprintf(t->snapshot, sizeof(t->snapshot), "%s", snapshot);
	}
	if (!fresh && t->cli->verbose == 0) {
		t->again++;
		return;
	}
	text = cli_escaped(name);
	cli_warn("snapshot %s%s %s: %s", snapshot,
	    t->repair ? " has lost" : ":", text, what);
	free(text);
}

void cli_told_ranges(void *ctx, const char *key, const char *what, bool healable)
{
	const struct cli_told *t = ctx;

	if (!t->cli->json) {
		cli_warn("%s: %s: %s", key, what, healable ? "'wherry repair' can "
		    "put them back by parity" : "more than parity can put back; "
		    "'wherry repair' saves what can be had");
		return;
	}
	cli_json_print(json_pack("{s:s, s:o, s:o, s:b}", "message_type",
	    "damaged_ranges", "key", cli_json_text(key), "message",
	    cli_json_text(what), "healable", healable));
}

uint64_t cli_told_paths(struct cli_told *t)
{
	end_snapshot(t);
	return t->paths;
}
