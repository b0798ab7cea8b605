/* SPDX-License-Identifier: MIT */
/*
 * What an iommufd must answer, after kernel-interface A.3, A.4 and A.9: arrays and loops, and nothing that is kept which can be
 * worked out.
 *
 * Each function does a command on the model and says how it ends. Where the reference gives no order of the checks, any of the
 * errors that apply will do: a verdict is all of them.
 */
#ifndef TESTS_FUZZ_IOAS_MODEL_H
#define TESTS_FUZZ_IOAS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/iommufd_abi.h"

enum { MODEL_IDS = 64, MODEL_AREAS = 128, MODEL_ALLOWED = 4, MODEL_DEVICES = 2, MOST_ERRORS = 8 };

enum model_kind { MODEL_FREE, MODEL_DEVICE, MODEL_HWPT, MODEL_IOAS, MODEL_QUEUE };

struct model_area {
	uint64_t iova, last;
	uint64_t address; /* in memory, or in the file, of the first byte */
	bool file;
	bool readable, writable; /* by devices */
	bool may_write;          /* the memory was first mapped to be written */
	int pin_error;           /* that of all that was first mapped with it */
};

struct model_object {
	enum model_kind kind;
	/* An IOAS. */
	struct model_area areas[MODEL_AREAS]; /* ascending */
	unsigned int num_areas;
	struct abi_iommu_iova_range allowed[MODEL_ALLOWED];
	unsigned int num_allowed;
	bool small_pages;
	/* A page table. */
	uint32_t ioas;
	uint32_t queue; /* of page faults; 0: none */
	bool automatic;
	/* A queue of page faults. */
	bool open;
};

struct model {
	uint32_t address_bits;
	bool one_group; /* all devices are in one */
	struct model_object objects[MODEL_IDS];
	struct {
		uint32_t id;   /* 0: not bound */
		uint32_t hwpt; /* 0: not attached */
	} devices[MODEL_DEVICES];
};

struct verdict {
	int errors[MOST_ERRORS];
	unsigned int num; /* 0: it succeeds */
};

bool verdict_allows(const struct verdict *verdict, int result);

/* A new object's id: the lowest that is free. */
uint32_t model_next_id(const struct model *model);
bool model_is_full(const struct model *model);

/* The devices' own calls. */
void model_bind(struct model *model, unsigned int device);
void model_close(struct model *model, unsigned int device);
struct verdict model_attach(struct model *model, unsigned int device, uint32_t *pt_id);
void model_detach(struct model *model, unsigned int device);

/* A queue of page faults and its descriptor: returns the id. */
uint32_t model_open_queue(struct model *model);
void model_close_queue(struct model *model, uint32_t id);

/* Commands. Outputs are filled in. */
struct verdict model_ioas_alloc(struct model *model, struct abi_iommu_ioas_alloc *cmd);
struct verdict model_destroy(struct model *model, const struct abi_iommu_destroy *cmd);
struct verdict model_hwpt_alloc(struct model *model, struct abi_iommu_hwpt_alloc *cmd);
struct verdict model_option(struct model *model, struct abi_iommu_option *cmd); /* HUGE_PAGES */
/* @pin_error: what the memory, or the file, is like when it is pinned; @fd_error: -EBADF */
struct verdict model_map(struct model *model, struct abi_iommu_ioas_map *cmd, int pin_error);
struct verdict model_map_file(struct model *model, struct abi_iommu_ioas_map_file *cmd, int fd_error,
			      int pin_error);
struct verdict model_copy(struct model *model, struct abi_iommu_ioas_copy *cmd);
struct verdict model_unmap(struct model *model, struct abi_iommu_ioas_unmap *cmd);
struct verdict model_allow(struct model *model, const struct abi_iommu_ioas_allow_iovas *cmd,
			   const struct abi_iommu_iova_range *ranges);

/* IOVA_RANGES: what nobody has reserved, ascending; and the alignment. -ENOENT */
int model_ranges(const struct model *model, uint32_t ioas, struct abi_iommu_iova_range ranges[4],
		 uint32_t *num, uint64_t *alignment);

/* What a device finds at an address: NULL when nothing. */
const struct model_area *model_reach(const struct model *model, unsigned int device, uint64_t iova);

#endif
