/* The cache of what hard-linked inodes became. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/engine/links.h"

static struct linked kept_with(uint8_t digest, uint32_t off)
{
	struct linked k = {
		.content = { .kind = FMT_CONTENT_SLICE, .off = off },
		.size = 7, .no_carry = true,
	};

	memset(k.digest, digest, sizeof(k.digest));
	return k;
}

static void what_was_kept_is_found_by_inode_and_state(void **state)
{
	struct links *l = links_new(NULL);
	struct linked k = kept_with(1, 40);
	uint8_t one[16], two[16];

	(void)state;
	memset(one, 1, sizeof(one));
	memset(two, 2, sizeof(two));
	assert_false(links_seen(l, 5, 6));
	links_add(l, 5, 6);
	assert_true(links_seen(l, 5, 6));
	assert_null(links_get(l, 5, 6, one));
	links_put(l, 5, 6, &k);
	assert_int_equal(k.content.kind, CONTENT_NONE);
	assert_int_equal(links_get(l, 5, 6, one)->content.off, 40);
	assert_int_equal(links_get(l, 5, 6, one)->size, 7);
	assert_true(links_get(l, 5, 6, one)->no_carry);
	/* The inode had changed when this name was looked at. */
	assert_null(links_get(l, 5, 6, two));
	assert_null(links_get(l, 6, 5, one));
	links_free(l);
}

static void a_later_state_takes_the_place(void **state)
{
	struct links *l = links_new(NULL);
	struct linked a = kept_with(1, 10), b = kept_with(2, 20);

	(void)state;
	links_add(l, 1, 1);
	links_put(l, 1, 1, &a);
	a = kept_with(1, 10);
	links_put(l, 1, 1, &b);
	b = kept_with(2, 20);
	assert_null(links_get(l, 1, 1, a.digest));
	assert_int_equal(links_get(l, 1, 1, b.digest)->content.off, 20);
	links_free(l);
}

static void an_inode_not_met_keeps_nothing(void **state)
{
	struct links *l = links_new(NULL);
	struct linked k = kept_with(1, 10);
	uint8_t one[16];

	(void)state;
	memset(one, 1, sizeof(one));
	k.content.kind = FMT_CONTENT_INLINE;
	k.content.bytes = malloc(7);
	links_put(l, 9, 9, &k);
	assert_null(k.content.bytes);
	assert_null(links_get(l, 9, 9, one));
	links_free(l);
}

static void a_full_table_forgets_and_goes_on(void **state)
{
	struct links *l = links_new(NULL);

	(void)state;
	for (uint64_t i = 0; i < 100000; i++) {
		links_add(l, 1, i);
		assert_true(links_seen(l, 1, i));
	}
	assert_false(links_seen(l, 1, 0));
	links_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_kept_is_found_by_inode_and_state),
		cmocka_unit_test(a_later_state_takes_the_place),
		cmocka_unit_test(an_inode_not_met_keeps_nothing),
		cmocka_unit_test(a_full_table_forgets_and_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
