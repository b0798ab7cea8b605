// SPDX-License-Identifier: MIT
/* The edu driver, unchanged, on the simulated host. */
#include <errno.h>
#include <string.h>

#include <edu/edu.h>

#include "sim_host.h"

enum { PAGE = 4096, TIMEOUT_MS = 5000 };

static void close_edu(void *edu)
{
	EXPECT_OK(edu_close(edu));
}

static struct edu *an_edu(struct t *t, struct sim_host *host)
{
	struct edu *edu;

	ASSERT_OK(weir_sim_add_edu(host->sim, NULL, NULL, NULL));
	if (edu_open(sim_host_device(t, host, NULL, 28), EDU_INTERRUPTS, &edu))
		FAIL("edu_open: %s", edu_error());
	t_defer(t, close_edu, edu);
	return edu;
}

UNIT(sim_edu_driver, computes)
{
	for (size_t i = 0; i < sizeof(sim_backends) / sizeof(sim_backends[0]); i++) {
		struct edu *edu = an_edu(t, sim_host_open(t, sim_backends[i]));
		uint32_t product;

		t_note(t, "%s", weir_backend_name(sim_backends[i]));
		EXPECT_EQ(edu_version(edu), 0x0100);
		EXPECT_OK(edu_liveness(edu, 0x12345678));
		EXPECT_OK(edu_factorial(edu, 10, EDU_BY_POLLING, TIMEOUT_MS, &product));
		EXPECT_EQ(product, 3628800);
		EXPECT_OK(edu_factorial(edu, 12, EDU_BY_INTERRUPT, TIMEOUT_MS, &product));
		EXPECT_EQ(product, 479001600);
	}
}

UNIT(sim_edu_driver, copies)
{
	static const enum edu_completion ways[] = { EDU_BY_POLLING, EDU_BY_INTERRUPT };

	for (size_t i = 0; i < sizeof(sim_backends) / sizeof(sim_backends[0]); i++) {
		struct sim_host *host = sim_host_open(t, sim_backends[i]);
		struct edu *edu = an_edu(t, host);
		uint64_t iova;
		unsigned char *memory = sim_host_memory(t, host, 2 * PAGE, &iova);

		t_note(t, "%s", weir_backend_name(sim_backends[i]));
		EXPECT_LT(iova + 2 * PAGE, 1 << 28);
		for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
			for (int byte = 0; byte < PAGE; byte++)
				memory[byte] = (unsigned char)(byte * 7 + (byte >> 8) + (int)k);
			EXPECT_OK(edu_dma(edu, EDU_FROM_MEMORY, iova, 0, PAGE, ways[k], TIMEOUT_MS));
			EXPECT_OK(edu_dma(edu, EDU_TO_MEMORY, iova + PAGE, 0, PAGE, ways[k], TIMEOUT_MS));
			EXPECT_MEMEQ(memory + PAGE, memory, PAGE);
		}
		EXPECT_EQ(weir_sim_num_faults(host->sim), 0);
	}
}

UNIT(sim_edu_driver, its_blocked_dma_is_reported)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct edu *edu = an_edu(t, host);
	uint64_t nowhere = sim_host_nowhere(t, host);
	struct weir_sim_fault faults[3];

	EXPECT_OK(edu_dma(edu, EDU_TO_MEMORY, nowhere, 0, 64, EDU_BY_INTERRUPT, TIMEOUT_MS));
	EXPECT_OK(edu_dma(edu, EDU_FROM_MEMORY, nowhere + 0x40, 0, 64, EDU_BY_POLLING, TIMEOUT_MS));
	EXPECT_EQ(weir_sim_num_faults(host->sim), 2);
	ASSERT_EQ(weir_sim_faults(host->sim, faults, 3), 2);
	EXPECT_STREQ(faults[0].address, "0000:00:01.0");
	EXPECT_EQ(faults[0].iova, nowhere);
	EXPECT_TRUE(faults[0].write);
	EXPECT_EQ(faults[1].iova, nowhere + 0x40);
	EXPECT_FALSE(faults[1].write);
}

UNIT(sim_edu_driver, its_pin_interrupts_too)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct weir_region *registers;
	struct weir_irq *irq;
	uint64_t count;

	ASSERT_OK(weir_sim_add_edu(host->sim, NULL, NULL, NULL));
	ASSERT_OK(weir_device_region(sim_host_device(t, host, NULL, 28), WEIR_REGION_BAR0, &registers));
	ASSERT_OK(weir_irq_enable(host->device, WEIR_IRQ_INTX, 1, &irq));
	EXPECT_OK(weir_region_write32(registers, 0x60, 1)); /* raise */
	EXPECT_OK(weir_irq_wait(irq, 0, TIMEOUT_MS, &count));
	EXPECT_EQ(count, 1);
	EXPECT_OK(weir_irq_unmask(irq)); /* nothing was acknowledged: once more */
	EXPECT_OK(weir_irq_wait(irq, 0, TIMEOUT_MS, NULL));
	EXPECT_OK(weir_region_write32(registers, 0x64, 1)); /* acknowledge */
	EXPECT_OK(weir_irq_unmask(irq));
	EXPECT_ERR(-ETIMEDOUT, weir_irq_wait(irq, 0, 0, NULL));
}

UNIT(sim_edu_driver, hanging_device_times_out)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct edu *edu = an_edu(t, host);
	uint32_t product;

	weir_sim_hang(weir_sim_find(host->sim, "0000:00:01.0"), true);
	EXPECT_EQ(edu_factorial(edu, 3, EDU_BY_POLLING, 20, &product), -ETIMEDOUT);
	EXPECT_CONTAINS(edu_error(), "not ready");
	weir_sim_hang(weir_sim_find(host->sim, "0000:00:01.0"), false);
	/* What it was doing it finishes: at the latest now. */
	ASSERT_OK(weir_sim_stop(host->sim));
	EXPECT_GE(weir_sim_step(host->sim), 0);
	ASSERT_OK(weir_sim_start(host->sim));
	EXPECT_OK(edu_factorial(edu, 0, EDU_BY_POLLING, TIMEOUT_MS, &product));
}
