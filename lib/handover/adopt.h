/* SPDX-License-Identifier: MIT */
/* What the files that make objects of a description have in common. */
#ifndef WEIR_HANDOVER_ADOPT_H
#define WEIR_HANDOVER_ADOPT_H

#include "backend/follow.h"
#include "handover/handover.h"
#include "kernel/vfio_device.h"

/* A file that came: nobody's yet, a chunk's, or held for mappings. */
struct adopted_file {
	int *fd; /* in the description; NULL: none came */
	struct weir_held *held;
	struct weir_chunk chunk; /* of a memory, until that has it */
	bool is_chunk;
};

/* By their numbers in the journal. */
struct adoption {
	struct weir_description *description;
	struct weir_host *host;
	struct weir_ioas **spaces;
	struct weir_device **devices;
	struct weir_memory **memories;
	struct adopted_file *files;
	struct weir_domain **domains;
	struct weir_faultq **faultqs;
};

/* adopt.c: a descriptor that has to be there, and is its object's from now on. Is it an anonymous file of the kernel's, of that name? */
int weir_adoption_take_fd(const struct adoption *adoption, enum weir_fd_kind kind, uint32_t owner,
			  uint32_t index, const char *what, int *ret_fd);
bool weir_adoption_is_anon(const struct adoption *adoption, int fd, const char *name);

struct weir_ioas *weir_adoption_space(const struct adoption *adoption, uint32_t number);

/* adopt_maps.c: memories, files and mappings. */
int weir_adoption_maps(struct adoption *adoption);

/*
 * adopt_nested.c: nested spaces, of parts that are there; the one that a part belongs to for devices (itself, if it is none; NULL: none can be in it); their tables, when
 * mappings and domains are there, of which what was only begun is taken out.
 */
int weir_adoption_nested_spaces(struct adoption *adoption);
struct weir_ioas *weir_adoption_outer(const struct adoption *adoption, struct weir_ioas *ioas);
int weir_adoption_nested_tables(struct adoption *adoption);

/*
 * adopt_faults.c: queues of page requests; what is outstanding in them, when it is known what is attached; and what was being answered, or nobody is there any more who asked for it, is
 * answered.
 */
int weir_adoption_faultqs(struct adoption *adoption);
struct weir_faultq *weir_adoption_faultq(const struct adoption *adoption, uint32_t number);
int weir_adoption_requests(struct adoption *adoption);
void weir_adoption_clear_faults(struct adoption *adoption);

/* adopt_domains.c: domains, and what is attached to them; devices that were on their way are put where these say. */
int weir_adoption_domains(struct adoption *adoption);

/* adopt_domains.c: what is described of domains, but nobody can rely on, is taken out of the kernel. Runs to its end. */
void weir_adoption_clear_domains(struct adoption *adoption);

/* A slot that may be in the kernel, though nobody relies on it. */
static inline bool weir_described_half(const void *slot)
{
	enum weir_slot_state state = weir_slot_state(slot);

	return state == WEIR_SLOT_INTENDED || state == WEIR_SLOT_LEAVING;
}

/* adopt_maps.c: files that no object has got are let go of. */
void weir_adoption_end_files(struct adoption *adoption);

/* adopt_rest.c: what is described, but nobody can rely on, is taken out of the kernel. Runs to its end. */
void weir_adoption_clear_rest(struct adoption *adoption);

#endif
