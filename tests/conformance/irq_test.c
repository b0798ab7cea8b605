// SPDX-License-Identifier: MIT
/* Interrupts: enabled, raised by the device, triggered, masked, refused. */
#include "conformance/dma.h"
#include "conformance/machine.h"
#include "conformance/os.h"

#include <errno.h>
#include <poll.h>

enum {
	SOON_MS = 2000,   /* what must come, comes within */
	NEVER_MS = 30,    /* how long to look for what must not come */
	MANY_VECTORS = 5, /* fewer than an NVMe controller has, more than two */
	EDU_IRQ_RAISE = 0x60,
	EDU_IRQ_ACK = 0x64,
};

static struct weir_irq *enabled(struct weir_device *device, enum weir_irq_kind kind, uint32_t count)
{
	struct weir_irq *irq;

	ASSERT_OK(weir_irq_enable(device, kind, count, &irq));
	return irq;
}

/* What there is --------------------------------------------------------------------------------------------------- */

static void expect_counts(struct t *t, const char *name, const uint32_t *expected)
{
	struct weir_device *device = new_device(t, new_ioas(t), name, 0);
	uint32_t count;

	for (unsigned int kind = WEIR_IRQ_INTX; kind <= WEIR_IRQ_REQ; kind++) {
		t_note(t, "%s", weir_irq_kind_name(kind));
		count = UINT32_MAX;
		EXPECT_OK(weir_irq_count(device, kind, &count));
		EXPECT_EQ(count, expected[kind]);
	}
	EXPECT_ERR(-EINVAL, weir_irq_count(device, WEIR_IRQ_REQ + 1, &count));
}

/* A conventional device: it has no way to report errors. */
CONFORMANCE(irq, edu_has_a_pin_and_one_message, NEEDS(EDU0))
{
	static const uint32_t expected[] = { 1, 1, 0, 0, 1 };

	expect_counts(t, "EDU0", expected);
}

CONFORMANCE(irq, nvme_has_a_table_of_vectors_and_error_reports, NEEDS(NVME0))
{
	static const uint32_t expected[] = { 1, 0, 65, 1, 1 };

	expect_counts(t, "NVME0", expected);
}

/* From the device ------------------------------------------------------------------------------------------------- */

CONFORMANCE(irq, device_raises_its_message, NEEDS(EDU0))
{
	struct edu *edu = new_edu(t, new_ioas(t), "EDU0", EDU_INTERRUPTS);
	uint32_t bits = 0;

	EXPECT_EQ(edu_irq_wait(edu, 0, &bits), -ETIMEDOUT);
	for (uint32_t raised = 0x10; raised < 0x100; raised <<= 1) {
		t_note(t, "bit %#x", raised);
		ASSERT_EQ(edu_raise(edu, raised), 0);
		ASSERT_EQ(edu_irq_wait(edu, SOON_MS, &bits), 0);
		EXPECT_EQ(bits, raised);
	}
	EXPECT_EQ(edu_irq_wait(edu, NEVER_MS, &bits), -ETIMEDOUT);
}

CONFORMANCE(irq, descriptor_becomes_readable, NEEDS(EDU0))
{
	struct edu *edu = new_edu(t, new_ioas(t), "EDU0", EDU_INTERRUPTS);
	struct pollfd poll_fd = { .fd = weir_irq_fd(edu_irq(edu), 0), .events = POLLIN };
	uint32_t bits;

	ASSERT_GE(poll_fd.fd, 0);
	EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
	ASSERT_EQ(edu_raise(edu, 0x10), 0);
	EXPECT_EQ(poll(&poll_fd, 1, SOON_MS), 1);
	ASSERT_EQ(edu_irq_wait(edu, 0, &bits), 0);
	EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
}

CONFORMANCE(irq, factorial_ends_by_interrupt, NEEDS(EDU0))
{
	struct edu *edu = new_edu(t, new_ioas(t), "EDU0", EDU_INTERRUPTS);
	uint32_t product = 0;

	ASSERT_EQ(edu_factorial(edu, 12, EDU_BY_INTERRUPT, SOON_MS, &product), 0);
	EXPECT_EQ(product, 479001600);
}

CONFORMANCE(irq, dma_ends_by_interrupt, NEEDS(EDU0))
{
	struct weir_map_opts low = WEIR_OPTS(weir_map_opts, .address_bits = 32);
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", EDU_INTERRUPTS);
	unsigned char *memory = new_memory(t, 4096, 0x5a);
	uint64_t iova = weir_map_iova(new_map(t, ioas, memory, 4096, &low));

	ASSERT_EQ(edu_dma(edu, EDU_FROM_MEMORY, iova, 0, 2048, EDU_BY_INTERRUPT, SOON_MS), 0);
	ASSERT_EQ(edu_dma(edu, EDU_TO_MEMORY, iova + 2048, 0, 2048, EDU_BY_INTERRUPT, SOON_MS), 0);
	EXPECT_TRUE(all_bytes(memory, 0x5a, 4096));
	for (int i = 0; i < 2048; i++)
		memory[i] = (unsigned char)i;
	ASSERT_EQ(edu_dma(edu, EDU_FROM_MEMORY, iova, 0, 2048, EDU_BY_INTERRUPT, SOON_MS), 0);
	ASSERT_EQ(edu_dma(edu, EDU_TO_MEMORY, iova + 2048, 0, 2048, EDU_BY_INTERRUPT, SOON_MS), 0);
	EXPECT_MEMEQ(memory + 2048, memory, 2048);
}

/* The pin --------------------------------------------------------------------------------------------------------- */

struct pin {
	struct weir_region *registers;
	struct weir_irq *irq;
};

static struct pin edu_pin(struct t *t)
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct pin pin;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &pin.registers));
	/* The device may still hold its pin up for an earlier user. */
	ASSERT_OK(weir_region_write32(pin.registers, EDU_IRQ_ACK, UINT32_MAX));
	pin.irq = enabled(device, WEIR_IRQ_INTX, 1);
	return pin;
}

static void raise_pin(const struct pin *pin)
{
	ASSERT_OK(weir_region_write32(pin->registers, EDU_IRQ_RAISE, 0x10));
}

static void lower_pin(const struct pin *pin)
{
	ASSERT_OK(weir_region_write32(pin->registers, EDU_IRQ_ACK, 0x10));
}

/* It is a level: while the kernel has it masked, it says nothing, however often the device asks. */
CONFORMANCE(irq, pin_is_masked_until_it_is_unmasked, NEEDS(EDU0))
{
	struct pin pin = edu_pin(t);
	uint64_t count = 0;

	for (int i = 0; i < 3; i++) {
		t_note(t, "interrupt %d", i);
		raise_pin(&pin);
		ASSERT_OK(weir_irq_wait(pin.irq, 0, SOON_MS, &count));
		EXPECT_EQ(count, 1);
		lower_pin(&pin);
		raise_pin(&pin);
		EXPECT_ERR(-ETIMEDOUT, weir_irq_wait(pin.irq, 0, NEVER_MS, NULL));
		lower_pin(&pin);
		ASSERT_OK(weir_irq_unmask(pin.irq));
		EXPECT_ERR(-ETIMEDOUT, weir_irq_wait(pin.irq, 0, NEVER_MS, NULL));
	}
}

CONFORMANCE(irq, pin_that_is_still_up_fires_when_unmasked, NEEDS(EDU0))
{
	struct pin pin = edu_pin(t);

	raise_pin(&pin);
	ASSERT_OK(weir_irq_wait(pin.irq, 0, SOON_MS, NULL));
	ASSERT_OK(weir_irq_unmask(pin.irq));
	EXPECT_OK(weir_irq_wait(pin.irq, 0, SOON_MS, NULL));
	lower_pin(&pin);
}

CONFORMANCE(irq, masked_pin_waits, NEEDS(EDU0))
{
	struct pin pin = edu_pin(t);

	ASSERT_OK(weir_irq_mask(pin.irq));
	raise_pin(&pin);
	EXPECT_ERR(-ETIMEDOUT, weir_irq_wait(pin.irq, 0, NEVER_MS, NULL));
	ASSERT_OK(weir_irq_unmask(pin.irq));
	EXPECT_OK(weir_irq_wait(pin.irq, 0, SOON_MS, NULL));
	lower_pin(&pin);
}

CONFORMANCE(irq, only_the_pin_can_be_masked, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_irq *irq = enabled(device, WEIR_IRQ_MSI, 1);

	EXPECT_ERR(-EOPNOTSUPP, weir_irq_mask(irq));
	EXPECT_ERR(-EOPNOTSUPP, weir_irq_unmask(irq));
	EXPECT_CONTAINS(weir_error(), "MSI");
}

/* Vectors --------------------------------------------------------------------------------------------------------- */

CONFORMANCE(irq, triggered_vector_alone_fires, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_irq *irq = enabled(device, WEIR_IRQ_MSIX, MANY_VECTORS);
	uint64_t count;

	for (uint32_t fired = 0; fired < MANY_VECTORS; fired++) {
		ASSERT_OK(weir_irq_trigger(irq, fired));
		for (uint32_t vector = 0; vector < MANY_VECTORS; vector++) {
			t_note(t, "%u triggered, %u looked at", fired, vector);
			count = 0;
			EXPECT_EQ(weir_irq_wait(irq, vector, 0, &count), vector == fired ? 0 : -ETIMEDOUT);
			EXPECT_EQ(count, vector == fired);
		}
	}
}

CONFORMANCE(irq, wait_tells_how_often_it_fired, NEEDS(EDU0))
{
	struct weir_irq *irq = enabled(new_device(t, new_ioas(t), "EDU0", 0), WEIR_IRQ_MSI, 1);
	uint64_t count = 0;

	for (int i = 0; i < 3; i++)
		ASSERT_OK(weir_irq_trigger(irq, 0));
	ASSERT_OK(weir_irq_wait(irq, 0, SOON_MS, &count));
	EXPECT_EQ(count, 3);
	EXPECT_ERR(-ETIMEDOUT, weir_irq_wait(irq, 0, 0, &count));
	EXPECT_EQ(count, 3);
}

CONFORMANCE(irq, all_vectors_can_be_enabled, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_irq *irq;
	uint32_t count = 0;

	ASSERT_OK(weir_irq_count(device, WEIR_IRQ_MSIX, &count));
	irq = enabled(device, WEIR_IRQ_MSIX, count);
	ASSERT_OK(weir_irq_trigger(irq, count - 1));
	EXPECT_OK(weir_irq_wait(irq, count - 1, SOON_MS, NULL));
}

CONFORMANCE(irq, vectors_that_are_not_there_are_refused, NEEDS(EDU0))
{
	static const struct {
		enum weir_irq_kind kind;
		uint32_t count;
		const char *says;
	} rows[] = {
		{ WEIR_IRQ_MSI, 2, "1 MSI vector" },          { WEIR_IRQ_MSI, 0, "1 MSI vector" },
		{ WEIR_IRQ_MSI, UINT32_MAX, "1 MSI vector" }, { WEIR_IRQ_MSIX, 1, "0 MSI-X vectors" },
		{ WEIR_IRQ_INTX, 2, "1 INTx vector" },        { WEIR_IRQ_ERR, 1, "0 ERR vectors" },
		{ WEIR_IRQ_REQ, 2, "1 REQ vector" },          { WEIR_IRQ_REQ + 1, 1, "kind 5" },
	};
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_irq *irq = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%u of %s", rows[i].count, weir_irq_kind_name(rows[i].kind));
		EXPECT_ERR(-EINVAL, weir_irq_enable(device, rows[i].kind, rows[i].count, &irq));
		EXPECT_CONTAINS(weir_error(), rows[i].says);
		EXPECT_TRUE(irq == NULL);
	}
	/* Nothing of that is in the way of what is there. */
	enabled(device, WEIR_IRQ_MSI, 1);
}

CONFORMANCE(irq, vector_that_is_not_enabled_is_refused, NEEDS(NVME0))
{
	struct weir_irq *irq = enabled(new_device(t, new_ioas(t), "NVME0", 0), WEIR_IRQ_MSIX, 2);

	EXPECT_ERR(-EINVAL, weir_irq_fd(irq, 2));
	EXPECT_ERR(-EINVAL, weir_irq_wait(irq, 2, 0, NULL));
	EXPECT_ERR(-EINVAL, weir_irq_trigger(irq, UINT32_MAX));
	EXPECT_CONTAINS(weir_error(), "2 MSI-X vectors");
}

/* Kinds beside each other ----------------------------------------------------------------------------------------- */

CONFORMANCE(irq, second_kind_is_busy_while_one_is_on, NEEDS(EDU0))
{
	static const enum weir_irq_kind others[] = { WEIR_IRQ_INTX, WEIR_IRQ_MSI };
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_irq *msi = enabled(device, WEIR_IRQ_MSI, 1), *irq = NULL;

	for (size_t i = 0; i < 2; i++) {
		t_note(t, "%s", weir_irq_kind_name(others[i]));
		EXPECT_ERR(-EBUSY, weir_irq_enable(device, others[i], 1, &irq));
		EXPECT_CONTAINS(weir_error(), "MSI is enabled");
		EXPECT_TRUE(irq == NULL);
	}
	ASSERT_OK(weir_irq_trigger(msi, 0));
	EXPECT_OK(weir_irq_wait(msi, 0, SOON_MS, NULL));
}

CONFORMANCE(irq, disabled_kinds_make_room_for_others, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_irq *irq;

	for (unsigned int i = 0; i < 4; i++) {
		enum weir_irq_kind kind = i % 2 ? WEIR_IRQ_INTX : WEIR_IRQ_MSI;

		t_note(t, "time %u: %s", i, weir_irq_kind_name(kind));
		irq = enabled(device, kind, 1);
		ASSERT_OK(weir_irq_trigger(irq, 0));
		EXPECT_OK(weir_irq_wait(irq, 0, SOON_MS, NULL));
		EXPECT_OK(weir_irq_disable(irq));
	}
}

CONFORMANCE(irq, more_vectors_are_had_by_enabling_again, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_irq *irq = enabled(device, WEIR_IRQ_MSIX, 1);

	EXPECT_OK(weir_irq_disable(irq));
	irq = enabled(device, WEIR_IRQ_MSIX, MANY_VECTORS);
	ASSERT_OK(weir_irq_trigger(irq, MANY_VECTORS - 1));
	EXPECT_OK(weir_irq_wait(irq, MANY_VECTORS - 1, SOON_MS, NULL));
}

CONFORMANCE(irq, error_and_request_are_enabled_beside_the_others, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_irq *others[2], *again;

	enabled(device, WEIR_IRQ_MSIX, 2);
	for (int i = 0; i < 2; i++) {
		t_note(t, "%s", weir_irq_kind_name(WEIR_IRQ_ERR + i));
		others[i] = enabled(device, WEIR_IRQ_ERR + i, 1);
		EXPECT_ERR(-EBUSY, weir_irq_enable(device, WEIR_IRQ_ERR + i, 1, &again));
		ASSERT_OK(weir_irq_trigger(others[i], 0));
		EXPECT_OK(weir_irq_wait(others[i], 0, SOON_MS, NULL));
	}
	EXPECT_ERR(-ETIMEDOUT, weir_irq_wait(others[0], 0, 0, NULL));
	EXPECT_OK(weir_irq_disable(others[0]));
	EXPECT_OK(weir_irq_disable(others[1]));
}

CONFORMANCE(irq, kernel_asks_for_the_device_back, NEEDS(EDU1, ROOT))
{
	const char *address = address_of(t, "EDU1");
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device;
	struct weir_irq *irq;
	char path[128];
	pid_t writer;

	/* Unbound already is as good for the way back. */
	bind_until_end(t, "EDU1", "vfio-pci");
	ASSERT_OK(weir_device_open(ioas, address, NULL, &device));
	irq = enabled(device, WEIR_IRQ_REQ, 1);
	EXPECT_ERR(-ETIMEDOUT, weir_irq_wait(irq, 0, NEVER_MS, NULL));
	/* Somebody takes it from vfio-pci, and has to wait for us; what finds the group in its container is a matter of who is faster. */
	record_no_calls(t);
	sysfs_path(address, "driver/unbind", path, sizeof(path));
	writer = os_write_begin(path, address);
	EXPECT_OK(weir_irq_wait(irq, 0, SOON_MS, NULL));
	EXPECT_OK(weir_device_close(device));
	EXPECT_EQ(os_write_end(writer), 0);
}
