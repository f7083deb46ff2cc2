#ifndef TESTS_TOOLS_BADPROXY_PARTS_BAD_H
#define TESTS_TOOLS_BADPROXY_PARTS_BAD_H

/* What the files of badproxy share; see badproxy.c for what it does. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HEAD_MAX 65536
#define BODY_MAX (64 << 20) /* of those that are kept whole */
#define RULES_MAX 32

/* --- rules --- */

/*
 * What one request has to suffer: the sum of the rules that hold for it.
 * A member is its type's zero, or -1 where zero is a value, when there is none.
 */
struct plan {
	long wait_ms;
	long hang_ms;
	long up_rate, down_rate;   /* bytes a second of this body */
	int status;                /* answer so, without asking the store */
	char code[48];             /* of the error in that answer */
	char location[256];
	long retry_after;          /* seconds */
	bool outage;               /* cut before anything is read of it */
	bool lose;                 /* ask the store, and cut then */
	bool close;                /* without notice, after the answer */
	bool garbage, shorten, flip_up, flip_down;
	long cut_up, cut_down;     /* after so many bytes of the body; -1 */
	long add_length;
	long date_s, age_s;
	uint64_t chance;           /* where bits flip */
};

/* Replace all rules by those of text.  NULL, or what is wrong (static). */
const char *rules_set(const char *text);

/* Fill *plan for a request that came now. */
void rules_plan(const char *method, const char *target, struct plan *plan);

/* How long a new connection waits, ms. */
long rules_connect_ms(void);

/* Wait until len bytes may pass, up or down, by the rule "rate". */
void rules_throttle(bool up, size_t len);

/* Write each rule's line and how often it held, as text.  Return its length. */
size_t rules_print(char *dst, size_t cap);

extern uint64_t rules_seed;

/* --- counting --- */

struct counted {
	int slot;           /* of the table of kinds */
	unsigned long link; /* its place in the chain of requests */
};

extern const char *stats_root; /* keys are what follows this path */

void stats_connection(void);
void stats_begin(const char *method, const char *target, struct counted *c);
void stats_end(const struct counted *c, int status, uint64_t up,
    uint64_t down);
void stats_reset(void);
size_t stats_print(char *dst, size_t cap); /* JSON */

/* --- HTTP --- */

struct conn {
	int fd;        /* -1: none */
	size_t at, len; /* what of buf is to be read yet */
	char buf[65536];
};

enum framing { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_CLOSE };

struct body {
	enum framing framing;
	uint64_t length; /* with BODY_LENGTH */
};

/* Read up to and with the empty line.  Return its length, 0 at the end, -1. */
ssize_t http_head(struct conn *c, char *dst, size_t cap);
/* Find a header's value; it ends at '\r'.  NULL when there is none. */
const char *http_find(const char *head, const char *name);
bool http_is(const char *head, const char *name, const char *value);
/* Remove a header; the head has room for cap bytes with its NUL. */
void http_remove(char *head, const char *name);
/* Set a header, in place of those of that name.  false: no room. */
bool http_set(char *head, size_t cap, const char *name, const char *value);
void http_body_of(const char *head, struct body *ret);
/* Up to cap bytes of what comes; 0 at the end, -1. */
ssize_t http_read(struct conn *c, void *dst, size_t cap);
bool http_write(int fd, const void *p, size_t len);
/* Read a whole body, chunks joined.  NULL when it breaks off.  free(). */
char *http_slurp(struct conn *c, const struct body *b, size_t *ret_len);
/* Close it so that the other side sees a reset. */
void http_reset(struct conn *c);
void http_close(struct conn *c);

/* --- relaying --- */

extern const char *relay_host, *relay_port;

/* Serve a connection until it ends; owns fd. */
void relay_serve(int fd);

/* Sleep. */
void relay_sleep(long ms);

/* In an answer: move its Last-Modified times s seconds into the past. */
void age_head(char *head, size_t cap, long s);
void age_body(char *body, size_t len, long s);
/* Replace a Date header by one that is s seconds later. */
void age_date(char *head, size_t cap, long s);

#endif
