#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_text.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"

void cli_json_line(struct buf *out, json_t *o)
{
	CLEANUP_FREE char *text = o ? json_dumps(o, JSON_COMPACT |
	    JSON_REAL_PRECISION(9)) : NULL;

	/* The setters fail only without memory, and leave an object short. */
	if (text == NULL)
		cli_nomem();
	cli_escape_json(out, text, strlen(text));
	buf_u8(out, '\n');
	if (out->failed)
		cli_nomem();
	json_decref(o);
}

void cli_json_print(json_t *o)
{
	struct buf b = BUF_INIT;

	cli_json_line(&b, o);
	cli_output_lock();
	fwrite(b.p, 1, b.len, stdout);
	fflush(stdout);
	cli_output_unlock();
	buf_release(&b);
}

json_t *cli_json_text(const char *s)
{
	size_t len = strlen(s);

	if (cli_utf8_valid(s, len))
		return json_stringn(s, len);

	CLEANUP_FREE char *text = cli_escaped(s);

	return json_string(text);
}

static json_t *base64(const unsigned char *p, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;
		size_t left = len - i;

		v |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		v |= left > 2 ? p[i + 2] : 0u;
		buf_u8(&b, (uint8_t)digits[v >> 18]);
		buf_u8(&b, (uint8_t)digits[v >> 12 & 63]);
		buf_u8(&b, left > 1 ? (uint8_t)digits[v >> 6 & 63] : '=');
		buf_u8(&b, left > 2 ? (uint8_t)digits[v & 63] : '=');
	}
	if (b.failed)
		cli_nomem();

	json_t *s = json_stringn((const char *)b.p, b.len);

	buf_release(&b);
	return s;
}

void cli_json_set_bytes(json_t *o, const char *key, const char *p, size_t len)
{
	if (cli_utf8_valid(p, len)) {
		json_object_set_new(o, key, json_stringn(p, len));
		return;
	}

	struct buf b = BUF_INIT;
	char name[64];

	cli_escape(&b, p, len);
	if (b.failed)
		cli_nomem();
	json_object_set_new(o, key, json_stringn((const char *)b.p, b.len));
	buf_release(&b);
	snprintf(name, sizeof(name), "%s_base64", key);
	json_object_set_new(o, name, base64((const unsigned char *)p, len));
}

json_t *cli_json_time(int64_t t_ns)
{
	int64_t s = t_ns / 1000000000, ns = t_ns % 1000000000;
	char day[40], text[64];
	struct tm tm;

	if (ns < 0) {
		ns += 1000000000;
		s--;
	}

	time_t t = (time_t)s;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return json_null();
	snprintf(text, sizeof(text), "%s.%09" PRId64 "Z", day, ns);
	return json_string(text);
}

json_t *cli_json_strings(const char *const *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, cli_json_text(v[i]));
	return a;
}

json_t *cli_json_snapshot(const struct store_snapshot *sn)
{
	json_t *o = json_object();
	char slot[2 * STORE_SLOT_LEN + 1];

	hex_encode(slot, sn->slot, STORE_SLOT_LEN);
	json_object_set_new(o, "id", json_string(sn->id));
	json_object_set_new(o, "slot", json_string(slot));
	json_object_set_new(o, "session", json_string(sn->session));
	json_object_set_new(o, "content",
	    json_string(sn->content == STORE_BLOCK ? "block" : "tree"));
	json_object_set_new(o, "checkpoint", json_boolean(sn->checkpoint));
	json_object_set_new(o, "start_time", cli_json_time(sn->start_ns));
	json_object_set_new(o, "end_time", cli_json_time(sn->end_ns));
	json_object_set_new(o, "incomplete",
	    json_boolean(sn->flags & STORE_INCOMPLETE));
	json_object_set_new(o, "inodes_ignored",
	    json_boolean(sn->flags & STORE_INODES_IGNORED));
	json_object_set_new(o, "ctimes_ignored",
	    json_boolean(sn->flags & STORE_CTIME_IGNORED));
	json_object_set_new(o, "counter", json_integer((json_int_t)sn->counter));
	json_object_set_new(o, "parent_session",
	    json_string(sn->parent ? sn->parent : ""));
	json_object_set_new(o, "origin",
	    json_string(sn->origin ? sn->origin : ""));
	json_object_set_new(o, "size_bytes", json_integer((json_int_t)sn->size));
	json_object_set_new(o, "entries", json_integer((json_int_t)sn->entries));
	json_object_set_new(o, "sealed", json_boolean(sn->sealed));
	if (sn->sealed)
		return o;
	json_object_set_new(o, "volume", cli_json_text(sn->volume));
	json_object_set_new(o, "host", cli_json_text(sn->host));
	json_object_set_new(o, "user", cli_json_text(sn->user));
	json_object_set_new(o, "program", cli_json_text(sn->program));
	json_object_set_new(o, "paths", cli_json_strings(
	    (const char *const *)sn->paths.v, sn->paths.n));
	json_object_set_new(o, "tags", cli_json_strings(
	    (const char *const *)sn->tags.v, sn->tags.n));
	json_object_set_new(o, "files", json_integer((json_int_t)sn->files));
	json_object_set_new(o, "directories",
	    json_integer((json_int_t)sn->dirs));
	json_object_set_new(o, "others", json_integer((json_int_t)sn->others));
	json_object_set_new(o, "read_bytes",
	    json_integer((json_int_t)sn->bytes_read));
	json_object_set_new(o, "new_bytes",
	    json_integer((json_int_t)sn->bytes_new));
	json_object_set_new(o, "stored_bytes",
	    json_integer((json_int_t)sn->bytes_stored));
	return o;
}
