// SPDX-License-Identifier: MIT
/*
 * What is known of RDMA devices by their kernel drivers (kernels up to 7.2). Whether a device takes a window is tried, never looked up here;
 * what it makes of a withdrawal cannot be tried, so the one that is known to recover is named, and all others are registered anew,
 * which is right for any.
 */
#include <string.h>

#include "rdma/rdma.h"

enum weir_rdma_way weir_provider_way(const char *driver)
{
	return !strcmp(driver, "mlx5_core") ? WEIR_RDMA_RECOVERS : WEIR_RDMA_ANEW;
}

static const char no_dmabuf[] = "its driver takes no dma-bufs at all, only ordinary memory";
static const char pins[] = "its driver pins what it imports and cannot let go of it, and vfio-pci gives "
			   "windows only to those who can";
static const char paging[] = "mlx5 takes windows only on hardware with on-demand paging and UMR, with "
			     "CONFIG_INFINIBAND_ON_DEMAND_PAGING";

static const char old_irdma[] =
	"the kernel's irdma takes windows, but this rdma-core's part of it knows no dma-bufs "
	"(that of Debian 12 does not)";

const char *weir_provider_refusal(const char *driver)
{
	static const struct {
		const char *driver, *text;
	} known[] = {
		{ "rdma_rxe", no_dmabuf },  { "siw", no_dmabuf },
		{ "mlx5_core", paging },    { "efa", pins },
		{ "bnxt_en", pins },        { "mana", pins },
		{ "ionic", pins },          { "ionic_rdma", pins },
		{ "cxgb4", no_dmabuf },     { "hns3", no_dmabuf },
		{ "qede", no_dmabuf },      { "erdma", no_dmabuf },
		{ "mlx4_core", no_dmabuf }, { "vmw_pvrdma", no_dmabuf },
		{ "hfi1", no_dmabuf },      { "ice", old_irdma },
		{ "i40e", old_irdma },      { "idpf", old_irdma },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(driver, known[i].driver))
			return known[i].text;
	return "its driver takes no dma-bufs, or none that it would have to let go of when asked";
}
