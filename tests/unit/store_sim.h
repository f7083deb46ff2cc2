#ifndef TESTS_UNIT_STORE_SIM_H
#define TESTS_UNIT_STORE_SIM_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "repo/base/clock.h"
#include "repo/base/rand.h"

/*
 * Simulated time and randomness, in place of repo/base's clock.c and rand.c,
 * which are then not linked: so runs repeat, and an hour takes no time.  A
 * program includes this once.
 */

static struct {
	pthread_mutex_t lock;
	int64_t ns;           /* since 1970: the store's clock */
	uint64_t rand;
} sim = { PTHREAD_MUTEX_INITIALIZER, 0, 1 };

#define SIM_MS INT64_C(1000000)
#define SIM_S (1000 * SIM_MS)
#define SIM_MIN (60 * SIM_S)
#define SIM_DAY (1440 * SIM_MIN)

/* What this thread's clock of the day is wrong by. */
static _Thread_local int64_t sim_skew_ns;

/* Begin anew, always at the same moment. */
static void sim_reset(uint64_t seed)
{
	pthread_mutex_lock(&sim.lock);
	sim.ns = INT64_C(1800000000) * SIM_S;
	sim.rand = seed * 0xd1342543de82ef95u + 1;
	pthread_mutex_unlock(&sim.lock);
}

static void sim_pass(int64_t ns)
{
	pthread_mutex_lock(&sim.lock);
	sim.ns += ns;
	pthread_mutex_unlock(&sim.lock);
}

int64_t clock_mono_ns(void)
{
	int64_t ns;

	pthread_mutex_lock(&sim.lock);
	ns = sim.ns;
	pthread_mutex_unlock(&sim.lock);
	return ns;
}

int64_t clock_boot_ns(void)
{
	return clock_mono_ns();
}

int64_t clock_real_ns(void)
{
	return clock_mono_ns() + sim_skew_ns;
}

void clock_format_utc(char *dst, size_t cap, int64_t t_ns)
{
	snprintf(dst, cap, "%lld", (long long)(t_ns / SIM_S));
}

uint64_t rand_u64(void)
{
	uint64_t x;

	pthread_mutex_lock(&sim.lock);
	sim.rand += 0x9e3779b97f4a7c15u;
	x = sim.rand;
	pthread_mutex_unlock(&sim.lock);
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void rand_bytes(void *dst, size_t len)
{
	uint8_t *p = dst;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(rand_u64() >> 56);
}

/* Return a number below n. */
static inline unsigned draw(unsigned n)
{
	return (unsigned)(rand_u64() % n);
}

#endif
