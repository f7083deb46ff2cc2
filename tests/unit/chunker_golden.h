#ifndef TESTS_UNIT_CHUNKER_GOLDEN_H
#define TESTS_UNIT_CHUNKER_GOLDEN_H

/* Printed by tests/scripts/chunker_reference.py. */

#include "chunker/chunker.h"
#include "tests/unit/chunker_data.h"

static const uint8_t golden_keys[][CHUNKER_KEY_LEN] = {
	{
		0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
		0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
		0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
		0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
	},
	{
		0xff, 0xfc, 0xf9, 0xf6, 0xf3, 0xf0, 0xed, 0xea,
		0xe7, 0xe4, 0xe1, 0xde, 0xdb, 0xd8, 0xd5, 0xd2,
		0xcf, 0xcc, 0xc9, 0xc6, 0xc3, 0xc0, 0xbd, 0xba,
		0xb7, 0xb4, 0xb1, 0xae, 0xab, 0xa8, 0xa5, 0xa2,
	},
};

static const struct {
	enum chunker_mode mode;
	uint32_t avg, min, max;
	uint64_t threshold;
} golden_params[] = {
	{ CHUNKER_STREAM, 4096, 2048, 16384,
	    0x000145d6b7e2dd90u },
	{ CHUNKER_STREAM, 8192, 4096, 32768,
	    0x0000a3048119c573u },
	{ CHUNKER_STREAM, 12288, 6144, 49152,
	    0x00006cb342fec395u },
	{ CHUNKER_STREAM, 65536, 32768, 262144,
	    0x0000146350f94e1fu },
	{ CHUNKER_STREAM, 1048576, 524288, 4194304,
	    0x000001463af6d252u },
	{ CHUNKER_STREAM, 2097152, 1048576, 8388608,
	    0x000000a31d949993u },
	{ CHUNKER_BLOCK, 4096, 4096, 16384,
	    0xffffffffffffffffu },
	{ CHUNKER_BLOCK, 8192, 4096, 32768,
	    0x7f7bcf6df9bdc125u },
	{ CHUNKER_BLOCK, 12288, 8192, 49152,
	    0x7fefe9d3977aad8au },
	{ CHUNKER_BLOCK, 65536, 32768, 262144,
	    0x1c68dbc16b99230cu },
	{ CHUNKER_BLOCK, 1048576, 524288, 4194304,
	    0x01fb8e38949037a1u },
	{ CHUNKER_BLOCK, 2097152, 1048576, 8388608,
	    0x00fec47e5b1baf2fu },
};

/* The first eight bytes of the value of a block. */
static const struct {
	int key;
	enum data_kind kind;
	uint64_t seed, value;
} golden_values[] = {
	{ 0, DATA_RANDOM, 6, 0x243dfc1a5b59d263u },
	{ 1, DATA_BITS, 7, 0xca167483dc81d4c4u },
	{ 0, DATA_ZERO, 0, 0x03c6b0619aa33751u },
};

/* Lengths of chunks, to a 0. */
static const struct {
	enum chunker_mode mode;
	int key;
	uint32_t avg;
	enum data_kind kind;
	uint64_t seed;
	size_t len;
	uint32_t cuts[40];
} golden_cuts[] = {
	{ CHUNKER_STREAM, 0, 4096, DATA_RANDOM, 1, 60000, {
		5194, 3496, 3518, 3528, 3527, 3892, 3751, 3887,
		4697, 3756, 3969, 3646, 5628, 3896, 3615,
		0 } },
	{ CHUNKER_STREAM, 1, 4096, DATA_RANDOM, 1, 40000, {
		3671, 4881, 3604, 2626, 4493, 3113, 3393, 3772,
		5652, 2677, 2118,
		0 } },
	{ CHUNKER_STREAM, 0, 6002, DATA_BITS, 2, 40001, {
		5599, 7144, 5242, 5375, 5567, 5169, 5905,
		0 } },
	{ CHUNKER_STREAM, 0, 4096, DATA_ZERO, 0, 40000, {
		16384, 16384, 7232,
		0 } },
	{ CHUNKER_BLOCK, 0, 4096, DATA_RANDOM, 3, 20000, {
		4096, 4096, 4096, 4096, 3616,
		0 } },
	{ CHUNKER_BLOCK, 0, 8192, DATA_RANDOM, 3, 262144, {
		4096, 20480, 8192, 8192, 8192, 8192, 4096, 8192,
		16384, 12288, 4096, 4096, 4096, 8192, 8192, 8192,
		8192, 4096, 8192, 4096, 4096, 4096, 4096, 4096,
		8192, 4096, 4096, 12288, 4096, 32768, 4096, 4096,
		8192, 4096,
		0 } },
	{ CHUNKER_BLOCK, 1, 8192, DATA_BITS, 3, 200001, {
		8192, 4096, 8192, 8192, 4096, 8192, 4096, 4096,
		8192, 8192, 4096, 4096, 4096, 4096, 4096, 4096,
		12288, 12288, 4096, 12288, 4096, 16384, 8192, 4096,
		4096, 4096, 8192, 8192, 8192, 3393,
		0 } },
	{ CHUNKER_BLOCK, 0, 12288, DATA_RANDOM, 4, 262144, {
		20480, 24576, 16384, 8192, 12288, 8192, 16384, 8192,
		8192, 12288, 12288, 16384, 8192, 16384, 8192, 32768,
		8192, 12288, 12288,
		0 } },
	{ CHUNKER_BLOCK, 0, 65536, DATA_RANDOM, 5, 524288, {
		40960, 61440, 172032, 40960, 69632, 90112, 45056, 4096,
		0 } },
	{ CHUNKER_BLOCK, 0, 8192, DATA_ZERO, 0, 100000, {
		4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096,
		4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096,
		4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096,
		1696,
		0 } },
};

#endif
