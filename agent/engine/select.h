#ifndef AGENT_ENGINE_SELECT_H
#define AGENT_ENGINE_SELECT_H

#include <stddef.h>

/* A node of the wanted paths: all below it when it has no children. */
struct select {
	char *name;
	struct select *children;
	size_t n;
};

#endif
