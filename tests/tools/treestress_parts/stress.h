#ifndef TESTS_TOOLS_TREESTRESS_PARTS_STRESS_H
#define TESTS_TOOLS_TREESTRESS_PARTS_STRESS_H

/* What the files of treestress share; see treestress.c for what it does. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* What is left out. */
enum {
	NO_DEVICES, NO_SPECIAL, NO_DEEP, NO_HUGE, NO_SPARSE, NO_LINKS,
	NO_SYMLINKS, NO_NAMES, NO_XATTRS, NO_ACLS, NO_CAPS, NO_FLAGS,
	NO_PROJECT, NO_OWNER, NO_TIMES, NO_MODES, NO_COUNT,
};

/* What was done, and what could not be done here. */
enum {
	DID_DIR, DID_FILE, DID_LINK, DID_SYMLINK, DID_SPECIAL, DID_DEVICE,
	DID_XATTR, DID_ACL, DID_CAP, DID_FLAG, DID_PROJECT, DID_OWNER,
	DID_MODE, DID_TIME, DID_CHANGE, DID_COUNT,
};

struct node {
	struct node *parent; /* NULL: the top */
	char *name;
	mode_t type;         /* S_IFMT bits */
	bool link;           /* another name of a file: has no metadata */
	bool touched;        /* its metadata is to be set */
	bool gone;
};

extern bool no[NO_COUNT];
extern unsigned long did[DID_COUNT], could_not[DID_COUNT];
extern uint64_t seed, max_size;
extern uint64_t state;       /* of the numbers of this step */
extern struct node **nodes;  /* the first is the top */
extern size_t count;
extern int top_fd;

/* --- nodes.c --- */

uint64_t mix(uint64_t x);

/*
 * Begin the numbers of step i of a kind.  Each step has its own, so that a
 * call that fails on one file system does not change what follows.
 */
void begin(uint64_t kind, uint64_t i);

/* The next number; one below n; true in so many of a hundred cases. */
uint64_t rnd(void);
uint64_t below(uint64_t n);
bool chance(unsigned percent);

/* Count that something was done, or could not be; return done. */
bool tally(int what, bool done);

struct node *add_node(struct node *parent, const char *name, mode_t type);
bool is_gone(const struct node *n);
bool is_under(const struct node *n, const struct node *top);

/* Return a descriptor of the directory, valid until the next call, or -1. */
int open_dir(struct node *d);

/* Forget the last directory: it may have been moved or removed. */
void forget_dir(void);

/* A living directory or other entry, by chance; NULL when none is found. */
struct node *pick(bool dir);

/* A name that has the number i in it, or one that is hard to have. */
void make_name(char name[256], uint64_t i);

/* --- content.c --- */

/* A time before, in or after the years that are usual. */
struct timespec choose_time(void);

bool write_at(int fd, uint64_t off, size_t len);
bool make_file(int dir, const char *name, bool huge);

/* Set the metadata of all that was touched, from the bottom up. */
void finish_all(void);

/* --- change.c --- */

/* Make an entry one that we may change: no flags, and rights for us. */
void unlock(int dir, const char *name);

/* Remove an entry with all that is in it, or end the program. */
void remove_entry(int dir, const char *name);

/* Make nodes of all that is in the tree, each directory sorted. */
void scan_tree(void);

/* Change something, by the numbers of step i. */
void change_one(uint64_t i);

/* --- treestress.c --- */

/* Make one entry of this name in a directory of the tree. */
void make_entry(struct node *parent, const char *name, bool huge);

#endif
