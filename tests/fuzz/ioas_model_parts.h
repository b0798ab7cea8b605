/* SPDX-License-Identifier: MIT */
/* What the parts of the model of an iommufd know of each other. */
#ifndef TESTS_FUZZ_IOAS_MODEL_PARTS_H
#define TESTS_FUZZ_IOAS_MODEL_PARTS_H

#include "fuzz/ioas_model.h"

void verdict_add(struct verdict *verdict, int error);
struct verdict verdict_of(int error);

struct model_object *model_find(struct model *model, uint32_t id, enum model_kind kind);
unsigned int model_reserved(const struct model *model, uint32_t ioas,
			    struct abi_iommu_iova_range reserved[2]);
uint64_t model_alignment(const struct model *model, uint32_t ioas);
bool model_has_domain(const struct model *model, uint32_t ioas);

#endif
