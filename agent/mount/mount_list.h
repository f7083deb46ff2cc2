#ifndef AGENT_MOUNT_MOUNT_LIST_H
#define AGENT_MOUNT_MOUNT_LIST_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "repo/archive/archive.h"
#include "repo/store/store.h"

struct mount;

/* What is kept of a snapshot: its place and its roots.  It stays where it is. */
struct mount_snap {
	struct mount_snap *chain;
	uint32_t number;
	uint32_t volume;
	uint8_t slot[STORE_SLOT_LEN];
	char session[STORE_SESSION_MAX];
	char id[40];             /* name in ids/, without ".img" */
	char time[64];           /* name in volumes/VOLUME/, likewise */
	int64_t start_ns;
	bool block;
	bool hidden;             /* not wanted */
	atomic_bool gone;
	uint64_t seen;           /* the last look that found it */
	const char *domain;      /* the list's */
	const uint8_t *order;    /* of its catalog; NULL: another domain's, closed to us */
	struct archive_ref root; /* catalog, or byte map of a block volume */
	uint64_t size;           /* of a block volume, bytes */
	uint64_t entries;
};

struct mount_volume {
	uint8_t slot[STORE_SLOT_LEN], id[32]; /* volume_id of its snapshots */
	char *plain;             /* as its snapshots say, made safe */
	char *name;              /* in volumes/; NULL: not given yet */
	struct mount_snap **v;   /* as they were found */
	size_t n, cap;
};

struct mount_list {
	pthread_rwlock_t lock;       /* of what follows */
	struct mount_snap **snap;
	size_t n, cap;
	struct mount_volume *volume;
	size_t nvolumes, volumecap;
	/* Only for who looks: */
	pthread_mutex_t look;
	struct mount_snap *bucket[1024];
	char **domain;
	size_t ndomains;
	uint64_t looks;
	int64_t last_ns;             /* clock_mono_ns of the last look; 0: none */
	bool told_full;
};

int mount_list_init(struct mount_list *l, struct err *err);
void mount_list_release(struct mount_list *l);

/*
 * Look for snapshots that came or went, unless somebody did less than age ns
 * ago.  Return 0 or -1; the list is what it was then.
 */
int mount_list_look(struct mount *m, int64_t age, struct err *err);

/* The rest needs list.lock for reading. */

/* The newest snapshot of a volume that is there, or NULL. */
struct mount_snap *mount_list_latest(const struct mount_volume *v);
/* A snapshot by its name in ids/, or in a volume's directory; NULL. */
struct mount_snap *mount_list_id(const struct mount_list *l, const char *name);
struct mount_snap *mount_list_time(const struct mount_volume *v, const char *name);
/* The number of a volume, or -1. */
ssize_t mount_list_volume(const struct mount_list *l, const char *name);
/* Is it to be shown? */
bool mount_snap_shown(const struct mount_snap *sn);

#endif
