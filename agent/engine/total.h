#ifndef AGENT_ENGINE_TOTAL_H
#define AGENT_ENGINE_TOTAL_H

#include "agent/engine/backup_internal.h"

/*
 * Counts the files and bytes of the source in a thread of its own, beside the
 * backup, so that progress can be told against a total.  What it cannot see it
 * leaves out: the backup reports that.
 */
struct total;

/* Start to count.  NULL when it cannot be started: then there is no total. */
struct total *total_start(struct backup *b);

/* Stop, counted or not; NULL is fine. */
void total_stop(struct total *t);

#endif
