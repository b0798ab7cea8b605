// SPDX-License-Identifier: MIT
/* A device's memory in a nested space, with a sink that takes its place without a gap. */
#include "conformance/dma.h"
#include "conformance/target.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static void close_space(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static struct weir_ioas *new_nested_space(struct t *t)
{
	struct weir_ioas *ioas;

	ASSERT_OK(weir_nested_space_open(host_of(t), NULL, &ioas));
	t_defer(t, close_space, ioas);
	return ioas;
}

/* An edu that writes into a window as fast as it can. */
struct stream {
	struct edu *edu;
	uint64_t iova;
	_Atomic bool stop;
	_Atomic unsigned int copies;
};

static void *copy_on_and_on(void *arg)
{
	struct stream *stream = arg;

	while (!stream->stop) {
		if (edu_dma(stream->edu, EDU_TO_MEMORY, stream->iova, 0, 64, EDU_BY_POLLING, 2000))
			break;
		stream->copies++;
	}
	return NULL;
}

CONFORMANCE(nested_peer, a_sink_has_no_gaps, NEEDS(NESTED_VTD, PEER, DMA_DEVICE, RESET, FAULT_COUNT))
{
	enum { RESETS = 20 };
	struct weir_ioas *ioas = new_nested_space(t);
	struct target *target = new_target(t, new_ioas(t));
	struct stream stream = { .edu = new_edu(t, ioas, "EDU0", 0) };
	struct weir_map *map;
	pthread_t thread;

	record_no_calls(t);
	ASSERT_OK(weir_peer_map(target->peer, ioas, 0, WINDOW,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_SINK, .address_bits = EDU0_BITS),
				&map));
	stream.iova = weir_map_iova(map);
	faults_begin(t);
	ASSERT_EQ(pthread_create(&thread, NULL, copy_on_and_on, &stream), 0);
	for (int i = 0; i < RESETS; i++) {
		unsigned int copies = stream.copies;

		if (weir_device_reset(target->device))
			FAIL("weir_device_reset: %s", weir_error());
		enable_buffer(target);
		for (int wait = 0; wait < 200 && stream.copies == copies; wait++)
			usleep(1000);
	}
	stream.stop = true;
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	if (stream.copies < RESETS / 2)
		FAIL("the device made %u copies only", stream.copies);
	EXPECT_FALSE(faults_reported(t));
	ASSERT_OK(weir_map_close(map));
}
