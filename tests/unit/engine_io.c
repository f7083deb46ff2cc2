#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/engine/io.h"

/* Both ways to the kernel do the same. */

#define DEPTH 8u
#define LEN 100000u

static enum engine_io_mode mode;

static int open_file(void)
{
	char name[] = "/tmp/wherry-io-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	return fd;
}

static struct io *new_io(void)
{
	struct err err;
	struct io *io = io_new(mode, DEPTH, &err);

	if (io == NULL)
		fail_msg("%s", err.msg);
	return io;
}

/* Do all of n operations, with as many under way as there may be. */
static void do_all(struct io *io, struct io_op *ops, unsigned n)
{
	unsigned started = 0, ended = 0;
	struct io_op *op;

	while (ended < n) {
		while (started < n && started - ended < DEPTH)
			assert_int_equal(io_start(io, &ops[started++], NULL), 0);
		assert_int_equal(io_wait(io, &op, NULL), 0);
		assert_true(op >= ops && op < ops + n);
		ended++;
	}
	assert_int_equal(io_wait(io, &op, NULL), 1);
}

static void what_is_written_is_read(void **state)
{
	enum { N = 50 };
	static uint8_t in[N][LEN], out[N][LEN];
	struct io_op ops[N];
	struct io *io = new_io();
	int fd = open_file();

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		memset(in[i], (int)i + 1, LEN);
		ops[i] = (struct io_op){ .kind = IO_WRITE, .fd = fd, .off = (uint64_t)i * LEN,
		    .buf = in[i], .len = LEN };
	}
	do_all(io, ops, N);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(ops[i].result, LEN);
		ops[i] = (struct io_op){ .kind = IO_READ, .fd = fd, .off = (uint64_t)i * LEN,
		    .buf = out[i], .len = LEN };
	}
	do_all(io, ops, N);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(ops[i].result, LEN);
	assert_memory_equal(in, out, sizeof(in));
	close(fd);
	io_free(io);
}

static void reading_over_the_end_gives_what_is_there(void **state)
{
	uint8_t buf[1000];
	struct io *io = new_io();
	int fd = open_file();
	struct io_op ops[2] = {
		{ .kind = IO_READ, .fd = fd, .off = 100, .buf = buf, .len = sizeof(buf) },
		{ .kind = IO_READ, .fd = fd, .off = 5000, .buf = buf, .len = sizeof(buf) },
	};

	(void)state;
	assert_int_equal(ftruncate(fd, 700), 0);
	do_all(io, ops, 2);
	assert_int_equal(ops[0].result, 600);
	assert_int_equal(ops[1].result, 0);
	close(fd);
	io_free(io);
}

static void a_failure_is_the_operation_s(void **state)
{
	uint8_t buf[100] = { 0 };
	struct io *io = new_io();
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	int good = open_file();
	struct io_op ops[3] = {
		{ .kind = IO_READ, .fd = -1, .buf = buf, .len = sizeof(buf) },
		{ .kind = IO_WRITE, .fd = fd, .buf = buf, .len = sizeof(buf) },
		{ .kind = IO_WRITE, .fd = good, .buf = buf, .len = sizeof(buf) },
	};

	(void)state;
	do_all(io, ops, 3);
	assert_int_equal(ops[0].result, -EBADF);
	if (fd >= 0)
		assert_int_equal(ops[1].result, -ENOSPC);
	assert_int_equal(ops[2].result, sizeof(buf));
	close(good);
	if (fd >= 0)
		close(fd);
	io_free(io);
}

static void more_than_depth_is_refused(void **state)
{
	static uint8_t buf[DEPTH + 1][16];
	struct io_op ops[DEPTH + 1];
	struct io *io = new_io();
	int fd = open_file();
	struct io_op *op;
	struct err err;

	(void)state;
	for (unsigned i = 0; i <= DEPTH; i++) {
		ops[i] = (struct io_op){ .kind = IO_WRITE, .fd = fd, .off = i * 16u,
		    .buf = buf[i], .len = 16 };
		if (i < DEPTH)
			assert_int_equal(io_start(io, &ops[i], &err), 0);
	}
	assert_int_equal(io_start(io, &ops[DEPTH], &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	assert_int_equal(io_wait(io, &op, NULL), 0);
	assert_int_equal(io_start(io, &ops[DEPTH], &err), 0);
	/* Freed with operations under way, it waits for them. */
	io_free(io);
	assert_int_equal(lseek(fd, 0, SEEK_END), 16 * (DEPTH + 1));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(reading_over_the_end_gives_what_is_there),
		cmocka_unit_test(a_failure_is_the_operation_s),
		cmocka_unit_test(more_than_depth_is_refused),
	};
	char why[200] = "";
	int failed;

	mode = ENGINE_IO_THREADS;
	failed = cmocka_run_group_tests_name("threads", tests, NULL, NULL);
	if (io_uring_usable(why, sizeof(why))) {
		mode = ENGINE_IO_URING;
		failed += cmocka_run_group_tests_name("io_uring", tests, NULL, NULL);
	} else {
		printf("io_uring is left out: %s\n", why);
	}
	return failed ? 1 : 0;
}
