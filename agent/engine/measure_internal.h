#ifndef AGENT_ENGINE_MEASURE_INTERNAL_H
#define AGENT_ENGINE_MEASURE_INTERNAL_H

#include "agent/engine/measure.h"

/* Shared by the files of the measurement. */
struct engine_sample {
	uint8_t *p;
	size_t len, max;   /* bytes */
	size_t *ends;      /* where each piece ends, ascending */
	size_t n, cap;     /* pieces */
	uint64_t found_bytes, skipped;
	bool generated;
};

#endif
