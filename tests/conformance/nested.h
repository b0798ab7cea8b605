/* SPDX-License-Identifier: MIT */
/*
 * A device behind tables of the case's own: numbered pages of data in stage 2, and a first stage in which the case maps them where it likes.
 */
#ifndef TESTS_CONFORMANCE_NESTED_H
#define TESTS_CONFORMANCE_NESTED_H

#include "conformance/dma.h"
#include "conformance/memory.h"

enum { DATA_PAGES = 300 };

struct nested {
	struct weir_ioas *ioas; /* stage 2 */
	struct edu *edu;
	struct weir_device *device;
	struct weir_memory *memory; /* of the tables */
	struct weir_stage1 *tables;
	struct weir_domain *parent, *domain;
	struct weir_inval *changes;
	unsigned char *data; /* each page is filled with the lower byte of its number, plus one */
	uint64_t ipa;        /* of the first of them */
	uint32_t iommu;      /* enum weir_iommu_kind */
};

/* With nothing attached; and to be attached, until the case ends. */
struct nested *prepare_nested(struct t *t, const char *name);
void attach_nested(struct t *t, struct nested *nested);

/* With the device attached to the domain, in which only its own window is mapped, where it is in stage 2 too. */
struct nested *new_nested(struct t *t, const char *name);

/* The format that the IOMMU in front of a device has; and a nested domain of it that nobody uses, closed by the case. */
uint32_t format_of(struct t *t, struct weir_device *device);
int open_nested(struct nested *nested, struct weir_device *device, struct weir_domain **ret_domain);

/* Let @iova lead to a page of data; likewise, instead of what it led to before, of which nobody is told. */
void map_page(struct t *t, struct nested *nested, uint64_t iova, uint32_t page);
void change_page(struct t *t, struct nested *nested, uint64_t iova, uint32_t page);

/* Does the device find that page there? */
bool finds(struct t *t, struct nested *nested, uint64_t iova, uint32_t page);

/* Run what has changed; a batch of one's own for the domain. */
void run_changes(struct t *t, struct nested *nested);
int run_batch(struct nested *nested, struct weir_inval *inval, const struct weir_inval_run_opts *opts);

struct weir_inval *new_batch(struct t *t);
struct weir_inval_outcome outcome_of(struct t *t, const struct weir_inval *inval, uint32_t entry);

/* A command that this IOMMU takes for an error. */
void add_bad_command(struct t *t, const struct nested *nested, struct weir_inval *inval);

struct weir_domain_info domain_info(struct weir_domain *domain);
void close_domain_later(struct t *t, struct weir_domain *domain);

/* Back to its space's own table, when the case ends. */
void detach_later(struct t *t, struct weir_device *device);

#endif
