/* SPDX-License-Identifier: MIT */
/*
 * Stage-1 tables: page tables that the program writes itself, in the format of an IOMMU.
 *
 *     struct weir_stage1 *tables;
 *     weir_stage1_open(memory, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4), &tables);
 *     weir_stage1_map(tables, iova, ipa, 4096, WEIR_MAP_READ | WEIR_MAP_WRITE, changes);
 *
 * They translate what a device says (an IOVA) into an address of stage 2 (an intermediate physical address, IPA: here, an IOVA of the
 * address space that the nesting parent belongs to). Where that leads is stage 2's business: a table can name any address and
 * still reaches only what is mapped there.
 *
 * The tables lie in a weir_memory of the stage-2 space, so that the IOMMU can read them. Changes are stores. What a device or the IOMMU may
 * hold of the old is noted in a batch (weir/inval.h), and is over when weir_inval_run() has returned: the caller keeps the memory that he took
 * away, and the range, until then. The tables keep their own pages likewise.
 *
 * Threads: any number may map, unmap and protect ranges that do not overlap, and find what they like, each with a batch of its own, or one that they lock themselves. Devices
 * may walk the tables all the time.
 */
#ifndef WEIR_STAGE1_H
#define WEIR_STAGE1_H

#include <weir/inval.h>
#include <weir/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_stage1;

struct weir_stage1_opts {
	size_t size;           /* sizeof(struct weir_stage1_opts); set by WEIR_OPTS() */
	uint32_t format;       /* enum weir_stage1_format */
	uint32_t address_bits; /* of IOVAs, fewer than the format has; 0: as many as it has */
	uint32_t output_bits;  /* of IPAs; 0: as many as the format has */
	uint32_t asid;         /* WEIR_STAGE1_ARM64_4K: the address space id of its context descriptor */
	uint32_t
		largest_page; /* in bits: 12, 21 or 30, for pages up to 4 KiB, 2 MiB, 1 GiB; 0: what all hardware has, see below */
	uint32_t reserved; /* 0 */
};

/*
 * Make empty tables in @memory, which outlives them.
 *
 * Pages of 1 GiB are part of AArch64, but not of all VT-d hardware (FS1GP, bit 56 of the capability register, which weir_device_iommu_info() has in its
 * data). So the x86 formats take pages up to 2 MiB if nothing else is asked for.
 *
 * Returns 0 and the tables in @ret_tables, which the caller closes with weir_stage1_close(); or
 *   -EINVAL   unknown format; address_bits or output_bits that it has not; another largest_page; asid above 65535, or one with another format
 *   -ERANGE   a page of @memory is beyond output_bits
 *   -E2BIG    options newer than this library
 *   and those of weir_memory_alloc()
 * Since 0.1.
 */
WEIR_API int weir_stage1_open(struct weir_memory *memory, const struct weir_stage1_opts *opts,
			      struct weir_stage1 **ret_tables);

/*
 * Take tables again that a predecessor of this process made in @memory, with @opts (weir/handover.h): what is there is read, and nothing written. @root and @descriptor are
 * those that weir_stage1_info() told (descriptor: 0, if the format has none). Each page of tables is claimed, as by weir_memory_claim(), and checked to be one,
 * as if it were a stranger's.
 *
 * A predecessor that was killed may have left large pages half divided (AArch64). Then @changes has to have an entry for everything, and is run before devices see these again;
 * without it (NULL) such tables are refused.
 *
 * Returns 0 and the tables in @ret_tables; or, with nothing changed,
 *   -EPROTO  a table leads to a page that is none of @memory's, that has another use already, or out of what @opts allow; or one is half divided, and @changes is NULL
 *   and those of weir_stage1_open()
 * Since 0.1.
 */
WEIR_API int weir_stage1_claim(struct weir_memory *memory, const struct weir_stage1_opts *opts, uint64_t root,
			       uint64_t descriptor, struct weir_inval *changes,
			       struct weir_stage1 **ret_tables);

/*
 * Give the tables back. No domain uses them any more, and no batch has changes of theirs that were not run. NULL is allowed. Since 0.1.
 */
WEIR_API void weir_stage1_close(struct weir_stage1 *tables);

/* Of a host that was handed over: the tables go on, and the handle ends here. Batches with changes of theirs are dropped before. NULL is allowed. Since 0.1. */
WEIR_API void weir_stage1_forget(struct weir_stage1 *tables);

/*
 * Let IOVAs from @iova on lead to IPAs from @ipa on, @len bytes. @prot: WEIR_MAP_READ, WEIR_MAP_WRITE; neither means both; a format
 * that cannot forbid reading what may be written allows it.
 *
 * Takes the largest pages that fit, where no table of smaller ones is left (see weir_stage1_unmap()). Nothing may be mapped in the range. New entries need no invalidation on hardware that does not
 * remember that there was nothing (the formats here, as the kernel runs them); a shadow (weir/domain.h) has to hear of them: @changes has them noted, and is run.
 * It may be NULL if no shadow is made of these tables.
 *
 * Returns 0; or, with nothing changed,
 *   -EINVAL    not a multiple of 4096 (of the format's smallest page), zero length, unknown @prot
 *   -ERANGE    beyond address_bits or output_bits, or not canonical; weir_error() says which
 *   -EEXIST    part of the range is mapped; weir_error() says where
 *   -EOVERFLOW @iova + @len or @ipa + @len is beyond the end of the 64-bit space
 *   -ENOMEM and those of weir_memory_alloc(), for a table's page
 * Since 0.1.
 */
WEIR_API int weir_stage1_map(struct weir_stage1 *tables, uint64_t iova, uint64_t ipa, uint64_t len,
			     uint32_t prot, struct weir_inval *changes);

/*
 * Take @len bytes from @iova on out. Holes are allowed. Large pages that stick out are divided. AArch64 wants them broken before the pieces are made: there
 * the rest of such a page is away, for devices, until @changes has been run.
 *
 * Devices may go on using what was there until @changes has been run. One entry is added to it, for all that changed; none if nothing did.
 *
 * Tables' pages are given back when it has been, if all that they could translate (2 MiB on the last level, then 1 GiB, 512 GiB) lies in the range. Others stay
 * for what is mapped there next, though they may be empty: a neighbour could map there before @changes has been run, while the IOMMU
 * remembers the way to the old table. To be rid of these, unmap a larger range that is one's own.
 *
 * Returns 0; or, with nothing changed, -EINVAL, -ERANGE, -EOVERFLOW as above, and -EINVAL without @changes; -ENOMEM and those of weir_memory_alloc() for the
 * pages of a division; those of weir_inval_range(). Since 0.1.
 */
WEIR_API int weir_stage1_unmap(struct weir_stage1 *tables, uint64_t iova, uint64_t len,
			       struct weir_inval *changes);

/*
 * Change what is allowed in @len bytes from @iova on, all of which are mapped. Until @changes has been run, devices may go by the old. Large pages that
 * stick out are divided, as by weir_stage1_unmap(). Where nothing changes, none is, and nothing is noted.
 *
 * Returns as weir_stage1_unmap(), and -ENOENT, part of the range is not mapped. Since 0.1.
 */
WEIR_API int weir_stage1_protect(struct weir_stage1 *tables, uint64_t iova, uint64_t len, uint32_t prot,
				 struct weir_inval *changes);

/*
 * Let @len bytes from @iova on, all of which are mapped, lead to IPAs from @ipa on instead. Each page changes in one store: a device sees the old or the
 * new, and never nothing. Until @changes has been run, it may go by the old.
 *
 * Returns 0; or, with nothing changed, -EINVAL, -ERANGE, -EOVERFLOW as weir_stage1_map(); -ENOENT, part of the range is not mapped; -EOPNOTSUPP, the architecture
 * does not allow it (AArch64: an entry is made invalid first), or a page that is mapped is too large for @ipa, or sticks out of the range: then unmap and map;
 * those of weir_inval_range(). Since 0.1.
 */
WEIR_API int weir_stage1_replace(struct weir_stage1 *tables, uint64_t iova, uint64_t ipa, uint64_t len,
				 uint32_t prot, struct weir_inval *changes);

/*
 * What the tables say of @iova, as the IOMMU walks them once batches have been run: the IPA, in @ret_left (may be NULL) how many bytes from there on
 * follow each other with the same @ret_prot (may be NULL), within a page of the tables. Any thread may ask about any address. It takes a lock that mapping
 * does not take. Returns 0 or -ENOENT. Since 0.1.
 */
WEIR_API int weir_stage1_find(const struct weir_stage1 *tables, uint64_t iova, uint64_t *ret_ipa,
			      uint64_t *ret_left, uint32_t *ret_prot);

struct weir_stage1_info {
	uint32_t format;
	uint32_t address_bits;
	uint32_t output_bits;
	uint32_t asid;
	uint64_t root; /* IPA of the first table */
	uint64_t
		descriptor; /* WEIR_STAGE1_ARM64_4K: IPA of the context descriptor, which leads to it; else 0 */
	uint64_t num_pages; /* of 4096 bytes, that the tables take */
	uint64_t
		waiting; /* of these, not in the tables any more, but not given back before a batch has been run */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_stage1_info(const struct weir_stage1 *tables, struct weir_stage1_info *ret_info,
			      size_t size);

#ifdef __cplusplus
}
#endif

#endif
