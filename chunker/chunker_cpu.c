#include "chunker/chunker_internal.h"

/*
 * Which paths this CPU has.  Asked of the CPU itself rather than of the C
 * library, which this room does not call.
 */

#ifdef CHUNKER_X86
#include <cpuid.h>

/* XCR0: which register files the operating system saves. */
static uint64_t saved_state(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

#define YMM_STATE 0x06u /* XMM, upper halves of YMM */
#define ZMM_STATE 0xe6u /* and mask registers, upper ZMM, ZMM 16-31 */

static bool cpu_has(enum chunker_path path)
{
	uint32_t a, b, c, d, b7 = 0, c7 = 0;
	uint32_t base = bit_AES | bit_PCLMUL | bit_SSE4_2;

	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & base) != base)
		return false;
	if (path == CHUNKER_PATH_AESNI)
		return true;
	if ((c & bit_OSXSAVE) == 0)
		return false;

	uint64_t saved = saved_state();
	uint32_t need_b = bit_AVX2, need_c = bit_VAES | bit_VPCLMULQDQ;
	uint64_t need_state = YMM_STATE;

	if (path == CHUNKER_PATH_VAES512) {
		need_b |= bit_AVX512F | bit_AVX512BW;
		need_state = ZMM_STATE;
	}
	if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d))
		return false;
	return (saved & need_state) == need_state &&
	    (b7 & need_b) == need_b && (c7 & need_c) == need_c;
}
#endif

#ifdef CHUNKER_ARM
/* Linux (4.11 on) lets a program read this register: bits 7:4 say AES, PMULL. */
static bool cpu_has(enum chunker_path path)
{
	uint64_t isar0;

	(void)path;
	__asm__("mrs %0, id_aa64isar0_el1" : "=r"(isar0));
	return (isar0 >> 4 & 0xf) >= 2;
}
#endif

bool chunker_path_available(enum chunker_path path)
{
	switch (path) {
	case CHUNKER_PATH_AUTO:
	case CHUNKER_PATH_SCALAR:
		return true;
#ifdef CHUNKER_X86
	case CHUNKER_PATH_AESNI:
	case CHUNKER_PATH_VAES256:
	case CHUNKER_PATH_VAES512:
		return cpu_has(path);
#endif
#ifdef CHUNKER_ARM
	case CHUNKER_PATH_ARM64:
		return cpu_has(path);
#endif
	default:
		return false;
	}
}

const char *chunker_path_name(enum chunker_path path)
{
	switch (path) {
	case CHUNKER_PATH_AUTO:
		return "auto";
	case CHUNKER_PATH_SCALAR:
		return "scalar";
	case CHUNKER_PATH_AESNI:
		return "aesni";
	case CHUNKER_PATH_VAES256:
		return "vaes256";
	case CHUNKER_PATH_VAES512:
		return "vaes512";
	case CHUNKER_PATH_ARM64:
		return "arm64";
	}
	return "unknown";
}
