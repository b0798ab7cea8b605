// SPDX-License-Identifier: MIT
/*
 * The model of an NVMe controller: the device, its properties, its life, its rings; and images that are
 * no disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_nvme_rig.h"

#define IDENTIFY                                                                                             \
	((struct sqe){ .opcode = nvme_admin_identify, .prp1 = RIG_ANSWER, .cdw10 = NVME_IDENTIFY_CNS_CTRL })

/* The device -------------------------------------------------------------------------------------------- */

UNIT(sim_nvme, is_what_qemu_calls_nvme)
{
	struct rig *rig = rig_new(t, NULL);
	const struct weir_sim_model *model = &rig->bench->model;

	EXPECT_EQ(model->vendor_id, 0x1b36);
	EXPECT_EQ(model->device_id, 0x0010);
	EXPECT_EQ(model->class_code, 0x010802);
	EXPECT_EQ(model->flags, WEIR_SIM_FLR | WEIR_SIM_PCIE | WEIR_SIM_INTX | WEIR_SIM_WAITS);
	EXPECT_EQ(model->msix_vectors, 65);
	EXPECT_EQ(model->bars[0].len, 0x4000);
	EXPECT_EQ(model->bars[2].len, 0);
}

UNIT(sim_nvme, capabilities_are_as_promised)
{
	struct rig *rig = rig_new(t, NULL);
	uint64_t cap = bench_read64(rig->bench, NVME_REG_CAP);

	EXPECT_EQ(NVME_CAP_MQES(cap), 2047);
	EXPECT_EQ(NVME_CAP_CQR(cap), 1);
	EXPECT_EQ(NVME_CAP_DSTRD(cap), 0);
	EXPECT_EQ(NVME_CAP_CSS(cap), NVME_CAP_CSS_NVM);
	EXPECT_EQ(NVME_CAP_MPSMIN(cap), 0);
	EXPECT_EQ(NVME_CAP_MPSMAX(cap), 4);
	EXPECT_EQ(NVME_CAP_CMBS(cap), 0);
	EXPECT_EQ(bench_read32(rig->bench, NVME_REG_CAP + 4), cap >> 32);
	EXPECT_EQ(bench_read32(rig->bench, NVME_REG_VS), 0x10400);
	EXPECT_EQ(rig->bench->model.read(rig->bench->device.state, 0, NVME_REG_VS + 1, 1), 4);
	EXPECT_EQ(bench_read32(rig->bench, 0x1000), 0);
	bench_write64(rig->bench, NVME_REG_CAP, 0);
	EXPECT_EQ(bench_read64(rig->bench, NVME_REG_CAP), cap);
}

UNIT(sim_nvme, needs_a_step_to_become_ready)
{
	struct rig *rig = rig_new(t, NULL);

	rig->bench->device.hangs = true;
	EXPECT_EQ(rig_start(rig, RIG_CC | 1), 0);
	rig->bench->device.hangs = false;
	EXPECT_EQ(bench_run(rig->bench), 1);
	EXPECT_EQ(bench_read32(rig->bench, NVME_REG_CSTS), RIG_RDY);
	EXPECT_EQ(rig_do(rig, 0, IDENTIFY, NULL), 0);
}

UNIT(sim_nvme, what_it_cannot_do_is_fatal)
{
	static const struct {
		uint32_t cc, aqa;
		uint64_t asq;
	} rows[] = {
		{ RIG_CC | 1 | 5 << 7, 0x1f001f, RIG_ADMIN },  /* pages of 128 KiB */
		{ RIG_CC | 1 | 6 << 4, 0x1f001f, RIG_ADMIN },  /* all command sets */
		{ RIG_CC | 1 | 1 << 11, 0x1f001f, RIG_ADMIN }, /* weighted round robin */
		{ RIG_CC | 1, 0x1f0000, RIG_ADMIN },           /* queues of one entry */
		{ RIG_CC | 1, 0x00001f, RIG_ADMIN },
		{ RIG_CC | 1 | 1 << 7, 0x1f001f, RIG_ADMIN + 0x1000 }, /* half a page of 8 KiB */
	};
	struct rig *rig = rig_new(t, NULL);
	struct bench *bench = rig->bench;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		bench_write32(bench, NVME_REG_AQA, rows[i].aqa);
		bench_write64(bench, NVME_REG_ASQ, rows[i].asq);
		bench_write64(bench, NVME_REG_ACQ, RIG_ADMIN + 0x2000);
		bench_write32(bench, NVME_REG_CC, rows[i].cc);
		bench_run(bench);
		EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), RIG_CFS);
		bench_write32(bench, NVME_REG_CC, 0);
		bench_run(bench);
		EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), 0);
		EXPECT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
		bench_write32(bench, NVME_REG_CC, 0);
		bench_run(bench);
	}
}

UNIT(sim_nvme, disabling_ends_all_queues)
{
	struct rig *rig = rig_open(t, NULL);
	struct bench *bench = rig->bench;
	struct cqe entry;

	rig_create(rig, 1);
	rig_put(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
	rig_ring(rig, 1);
	bench_write32(bench, NVME_REG_CC, RIG_CC);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), RIG_RDY);
	bench_run(bench);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), 0);
	EXPECT_FALSE(rig_look(rig, 1, &entry));
	EXPECT_EQ(bench_read64(bench, NVME_REG_ASQ), RIG_ADMIN);
	EXPECT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
	rig_create(rig, 1);
}

UNIT(sim_nvme, disabled_and_enabled_in_one_go)
{
	struct rig *rig = rig_open(t, NULL);

	bench_write32(rig->bench, NVME_REG_CC, RIG_CC);
	EXPECT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
	EXPECT_EQ(rig_do(rig, 0, IDENTIFY, NULL), 0);
}

UNIT(sim_nvme, shuts_down_in_order)
{
	struct rig *rig = rig_open(t, NULL);
	struct bench *bench = rig->bench;
	struct cqe entry;

	bench_write32(bench, NVME_REG_CC, RIG_CC | 1 | 1 << 14);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), RIG_RDY | 1 << 2);
	bench_run(bench);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), RIG_RDY | 2 << 2);
	rig_put(rig, 0, IDENTIFY);
	rig_ring(rig, 0);
	EXPECT_EQ(bench_run(bench), 0);
	EXPECT_FALSE(rig_look(rig, 0, &entry));
	bench_write32(bench, NVME_REG_CC, RIG_CC);
	bench_run(bench);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), 0);
	EXPECT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
	EXPECT_EQ(rig_do(rig, 0, IDENTIFY, NULL), 0);
}

UNIT(sim_nvme, function_reset_is_like_power_on)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 1));
	struct bench *bench = rig->bench;

	bench_write64(bench, NVME_REG_CMBMSC, RIG_DATA | 3);
	bench_write32(bench, NVME_REG_INTMS, 7);
	rig_create(rig, 1);
	bench->model.reset(bench->device.state);
	for (uint32_t offset = NVME_REG_INTMS; offset <= NVME_REG_CMBSTS; offset += 4) {
		t_note(t, "property 0x%02x", offset);
		EXPECT_EQ(bench_read32(bench, offset), 0);
	}
	EXPECT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
	rig_create(rig, 1);
}

/* Rings ------------------------------------------------------------------------------------------------- */

UNIT(sim_nvme, full_completion_queue_stops_posting)
{
	struct rig *rig = rig_open(t, NULL);
	struct cqe entry;

	rig_create(rig, 1);
	for (int round = 0; round < 3; round++) { /* with each of them the phase changes once */
		for (int i = 0; i < RIG_ENTRIES - 1; i++)
			rig_put(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
		rig_ring(rig, 1);
		bench_run(rig->bench);
		/* All were posted, none was taken: the next stays where it is. */
		rig_put(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
		rig_ring(rig, 1);
		EXPECT_EQ(bench_run(rig->bench), 0);
		for (int i = 0; i < RIG_ENTRIES; i++) {
			ASSERT_TRUE(rig_take(rig, 1, &entry));
			EXPECT_EQ(entry.cid, (uint16_t)(rig->next_cid - RIG_ENTRIES + 1 + i));
			bench_run(rig->bench);
		}
		EXPECT_FALSE(rig_take(rig, 1, &entry));
	}
}

UNIT(sim_nvme, queues_take_turns)
{
	struct rig *rig = rig_open(t, NULL);
	struct bench *bench = rig->bench;
	struct cqe entry;

	for (unsigned int qid = 1; qid <= 4; qid++)
		rig_create(rig, qid);
	for (unsigned int qid = 1; qid <= 4; qid++) {
		for (int i = 0; i < 8; i++)
			rig_put(rig, qid, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
		rig_ring(rig, qid);
	}
	EXPECT_TRUE(bench->model.step(bench->device.state)); /* 8 of 32: two of each */
	for (unsigned int qid = 1; qid <= 4; qid++) {
		EXPECT_TRUE(rig_take(rig, qid, &entry));
		EXPECT_TRUE(rig_take(rig, qid, &entry));
		EXPECT_EQ(entry.sq_head, 2);
		EXPECT_FALSE(rig_take(rig, qid, &entry));
	}
	EXPECT_EQ(bench_run(bench), 3);
}

UNIT(sim_nvme, interrupts_once_a_step_on_the_queues_vector)
{
	struct rig *rig = rig_open(t, NULL);
	struct bench *bench = rig->bench;
	struct sqe cq = rig_create_cq(2, RIG_ENTRIES);

	cq.cdw11 &= ~2u; /* no interrupts */
	ASSERT_EQ(rig_do(rig, 0, cq, NULL), 0);
	EXPECT_EQ(rig_do(rig, 0, rig_create_sq(2, RIG_ENTRIES), NULL), 0);
	rig->rings[2] = (struct rig_ring){
		bench_at(bench, RIG_QUEUES + 0x20000), bench_at(bench, cq.prp1), RIG_ENTRIES, 0, 0, 1
	};
	rig_create(rig, 1);
	EXPECT_EQ(bench->messages[0], 4);
	for (int i = 0; i < 3; i++) {
		rig_put(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
		rig_put(rig, 2, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
	}
	rig_ring(rig, 1);
	rig_ring(rig, 2);
	EXPECT_EQ(bench_run(bench), 1);
	EXPECT_EQ(bench->messages[1], 1);
	EXPECT_EQ(bench->messages[2], 0);
}

UNIT(sim_nvme, pin_is_up_while_there_is_something_to_read)
{
	struct rig *rig = rig_open(t, NULL);
	struct bench *bench = rig->bench;
	struct cqe entry;

	rig_create(rig, 1);
	EXPECT_FALSE(bench->pin);
	rig_put(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
	rig_put(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
	rig_ring(rig, 1);
	bench_run(bench);
	EXPECT_TRUE(bench->pin);
	bench_write32(bench, NVME_REG_INTMS, 1 << 1);
	EXPECT_FALSE(bench->pin);
	EXPECT_EQ(bench_read32(bench, NVME_REG_INTMC), 1 << 1);
	bench_write32(bench, NVME_REG_INTMC, 1 << 1);
	EXPECT_TRUE(bench->pin);
	EXPECT_TRUE(rig_take(rig, 1, &entry));
	EXPECT_TRUE(bench->pin);
	EXPECT_TRUE(rig_take(rig, 1, &entry));
	EXPECT_FALSE(bench->pin);
}

UNIT(sim_nvme, unreachable_rings_are_fatal)
{
	struct rig *rig = rig_new(t, NULL);
	struct bench *bench = rig->bench;
	static const uint64_t rings[] = { RIG_ADMIN, RIG_ADMIN + 0x2000 };

	for (size_t i = 0; i < 2; i++) {
		t_note(t, "ring %zu", i);
		bench->blocked = rings[i];
		bench->blocked_len = 4096;
		ASSERT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
		rig_put(rig, 0, IDENTIFY);
		rig_ring(rig, 0);
		bench_run(bench);
		EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), RIG_RDY | RIG_CFS);
		rig_put(rig, 0, IDENTIFY);
		rig_ring(rig, 0);
		EXPECT_EQ(bench_run(bench), 0); /* it does nothing more */
		bench_write32(bench, NVME_REG_CC, 0);
		bench_run(bench);
		EXPECT_EQ(bench_read32(bench, NVME_REG_CSTS), 0);
	}
}

/* Images ------------------------------------------------------------------------------------------------ */

static char image_path[] = "/tmp/weir-sim-nvme-XXXXXX";

static void remove_image(void *path)
{
	unlink(path);
	memcpy(strrchr(path, '-') + 1, "XXXXXX", 6);
}

/* A file of @len bytes; byte i is i / 512. */
static const char *an_image(struct t *t, size_t len)
{
	int fd = mkstemp(image_path);
	unsigned char block[512];
	size_t done;

	ASSERT_GE(fd, 0);
	t_defer(t, remove_image, image_path);
	for (done = 0; done < len; done += sizeof(block)) {
		memset(block, (int)(done / 512), sizeof(block));
		ASSERT_GT(write(fd, block, len - done < 512 ? len - done : 512), 0);
	}
	close(fd);
	return image_path;
}

static int add(struct bench *bench, const char *image, uint32_t block_size, bool read_only)
{
	return weir_sim_add_nvme(bench_sim(bench),
				 &WEIR_OPTS(weir_sim_nvme_opts, .image = image, .block_size = block_size,
					    .read_only = read_only),
				 NULL, NULL);
}

UNIT(sim_nvme_image, what_is_no_disk_is_refused)
{
	struct bench *bench = bench_open(t);

	EXPECT_ERR(-ENOENT, add(bench, "/tmp/no/such/image", 0, false));
	EXPECT_CONTAINS(weir_error(), "/tmp/no/such/image");
	EXPECT_ERR(-EINVAL, add(bench, "/tmp", 0, false));
	EXPECT_CONTAINS(weir_error(), "directory");
	EXPECT_ERR(-EINVAL, add(bench, "/tmp", 0, true));
	EXPECT_ERR(-EINVAL, add(bench, "/dev/null", 0, false));
	EXPECT_CONTAINS(weir_error(), "neither a file nor a block device");
	EXPECT_FALSE(bench->plugged);
}

UNIT(sim_nvme_image, empty_is_refused)
{
	EXPECT_ERR(-EINVAL, add(bench_open(t), an_image(t, 0), 0, false));
	EXPECT_CONTAINS(weir_error(), "is empty");
}

UNIT(sim_nvme_image, half_a_block_is_refused)
{
	const char *image = an_image(t, 4096 + 512);

	EXPECT_ERR(-EINVAL, add(bench_open(t), image, 4096, false));
	EXPECT_CONTAINS(weir_error(), "4608 bytes, which is no multiple of its block size, 4096");
	EXPECT_OK(add(bench_open(t), image, 512, false));
}

UNIT(sim_nvme_image, that_may_not_be_opened_is_refused)
{
	const char *image = an_image(t, 4096);
	struct bench *bench = bench_open(t);
	int status;
	pid_t child;

	ASSERT_OK(chmod(image, 0444));
	child = fork();
	if (child == 0) {
		/* root may open everything, and nobody else may become nobody */
		if (geteuid() == 0 && setuid(65534) != 0)
			_exit(99);
		EXPECT_ERR(-EACCES, add(bench, image, 0, false));
		EXPECT_CONTAINS(weir_error(), "read_only would do without");
		EXPECT_OK(add(bench, image, 0, true));
		_exit(0);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}

UNIT(sim_nvme_image, impossible_options_are_refused)
{
	static const struct {
		struct weir_sim_nvme_opts opts;
		const char *word;
	} rows[] = {
		{ WEIR_OPTS(weir_sim_nvme_opts, .block_size = 1024), "1024" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .capacity = 1000), "1000" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .capacity = UINT64_MAX & ~511ull), "capacity" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .capacity = 512, .image = "/dev/zero"), "capacity" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .max_queues = 256), "at most 255" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .mdts = 13), "2^13" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 3), "3 MiB" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 2048), "2048 MiB" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .serial = "123456789012345678901"), "20 characters" },
		{ WEIR_OPTS(weir_sim_nvme_opts, .serial = "new\nline"), "20 characters" },
	};
	struct bench *bench = bench_open(t);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_ERR(-EINVAL, weir_sim_add_nvme(bench_sim(bench), &rows[i].opts, NULL, NULL));
		EXPECT_CONTAINS(weir_error(), rows[i].word);
	}
	bench->adding_fails = true;
	EXPECT_ERR(-EEXIST, weir_sim_add_nvme(bench_sim(bench), NULL, NULL, NULL));
}

UNIT(sim_nvme_image, content_is_the_files)
{
	const char *image = an_image(t, 16 * 512);
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .image = image));
	unsigned char *data = bench_at(rig->bench, RIG_DATA), block[512];
	int fd = open(image, O_RDONLY | O_CLOEXEC);

	rig_create(rig, 1);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 7, 1, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(data[0], 7);
	EXPECT_EQ(data[511], 7);
	memset(data, 0xa5, 512);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, 15, 1, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(pread(fd, block, 512, 15 * 512), 512);
	EXPECT_MEMEQ(block, data, 512);
	close(fd);
}

UNIT(sim_nvme_image, that_became_shorter_is_a_media_error)
{
	const char *image = an_image(t, 16 * 512);
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .image = image));

	rig_create(rig, 1);
	ASSERT_OK(truncate(image, 4 * 512));
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 4, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 3, 2, RIG_DATA, 0), NULL),
		  RIG_MEDIA | NVME_SC_READ_ERROR);
}

UNIT(sim_nvme_image, read_only_refuses_what_would_change_it)
{
	const char *image = an_image(t, 16 * 512);
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .image = image, .read_only = true));
	const struct nvme_id_ns *id = bench_at(rig->bench, RIG_ANSWER);
	struct sqe dsm = { .opcode = nvme_cmd_dsm, .nsid = 1, .prp1 = RIG_DATA, .cdw11 = NVME_DSMGMT_AD };
	uint16_t protected = RIG_DNR | NVME_SC_NS_WRITE_PROTECTED;

	EXPECT_EQ(rig_do(rig, 0, (struct sqe){ .opcode = nvme_admin_identify, .nsid = 1, .prp1 = RIG_ANSWER },
			 NULL),
		  0);
	EXPECT_EQ(id->nsattr, NVME_NS_NSATTR_WRITE_PROTECTED);
	rig_create(rig, 1);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, 0, 1, RIG_DATA, 0), NULL), protected);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write_zeroes, 0, 1, 0, 0), NULL), protected);
	EXPECT_EQ(rig_do(rig, 1, dsm, NULL), protected);
	EXPECT_EQ(rig_do(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 }, NULL), 0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 1, RIG_DATA, 0), NULL), 0);
}
