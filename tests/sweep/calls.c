// SPDX-License-Identifier: MIT
/* The library's functions, wrapped, and those of the drivers that allocate memory. */
#include <edu/edu.h>
#include <igb/igb.h>
#include <nvme/manage.h>
#include <weir/weir.h>

#include "sweep/attempt.h"
#include "sweep/inject.h"

#define CALL(name_, parameters, arguments, ...)                                                              \
	int __real_##name_ parameters;                                                                       \
	int __wrap_##name_ parameters;                                                                       \
	int __wrap_##name_ parameters                                                                        \
	{                                                                                                    \
		struct attempt attempt = { .name = #name_, __VA_ARGS__ };                                    \
		bool came_before = injected_here();                                                          \
		int result;                                                                                  \
                                                                                                             \
		attempt_begin(&attempt);                                                                     \
		result = __real_##name_ arguments;                                                           \
		if (attempt_failed(&attempt, result, came_before))                                           \
			result = __real_##name_ arguments;                                                   \
		attempt_end(&attempt, result);                                                               \
		return result;                                                                               \
	}

#define OF_DEVICE(device_) .device = (device_), .ioas = (device_) ? weir_device_ioas(device_) : NULL
#define GIVES(ret)         .ret_handle = (void **)(ret)

CALL(weir_host_open, (const struct weir_host_opts *opts, struct weir_host **ret), (opts, ret), GIVES(ret))
CALL(weir_host_close, (struct weir_host * host), (host), .releases = true)
CALL(weir_block_open, (struct weir_host * host, const char *name, size_t len, void **ret),
     (host, name, len, ret), GIVES(ret))
CALL(weir_ioas_open, (struct weir_host * host, const struct weir_ioas_opts *opts, struct weir_ioas **ret),
     (host, opts, ret), GIVES(ret))
CALL(weir_ioas_close, (struct weir_ioas * ioas), (ioas), .releases = true)
CALL(weir_ioas_info, (struct weir_ioas * ioas, struct weir_ioas_info *ret, size_t size), (ioas, ret, size),
     .ioas = NULL)
CALL(weir_ioas_map,
     (struct weir_ioas * ioas, void *addr, size_t len, const struct weir_map_opts *opts,
      struct weir_map **ret),
     (ioas, addr, len, opts, ret), GIVES(ret), .ioas = ioas, .maps = true)
CALL(weir_ioas_map_file,
     (struct weir_ioas * ioas, int fd, uint64_t offset, uint64_t len, const struct weir_map_opts *opts,
      struct weir_map **ret),
     (ioas, fd, offset, len, opts, ret), GIVES(ret), .ioas = ioas, .maps = true)
CALL(weir_ioas_map_batch,
     (struct weir_ioas * ioas, const struct weir_map_range *ranges, size_t num,
      const struct weir_map_opts *opts, uint64_t *ret_iovas, struct weir_map **ret),
     (ioas, ranges, num, opts, ret_iovas, ret), GIVES(ret), .ioas = ioas, .maps = true, .takes_back = true)
CALL(weir_map_share,
     (struct weir_map * map, struct weir_ioas *ioas, const struct weir_map_opts *opts, struct weir_map **ret),
     (map, ioas, opts, ret), GIVES(ret), .ioas = ioas, .maps = true, .takes_back = true)
CALL(weir_ioas_unmap, (struct weir_ioas * ioas, uint64_t iova, uint64_t len), (ioas, iova, len), .ioas = ioas,
     .releases = true)
CALL(weir_map_close, (struct weir_map * map), (map), .map = map, .releases = true)
CALL(weir_map_close_batch, (struct weir_map * *maps, size_t num), (maps, num), .releases = true)

CALL(weir_memory_open,
     (struct weir_ioas * ioas, const struct weir_memory_opts *opts, struct weir_memory **ret),
     (ioas, opts, ret), GIVES(ret), .ioas = ioas)
CALL(weir_memory_close, (struct weir_memory * memory), (memory), .releases = true)
CALL(weir_memory_alloc,
     (struct weir_memory * memory, uint64_t len, const struct weir_buffer_opts *opts,
      struct weir_buffer *ret),
     (memory, len, opts, ret), .ioas = NULL)
CALL(weir_memory_claim,
     (struct weir_memory * memory, uint32_t chunk, uint64_t offset, uint64_t len, struct weir_buffer *ret),
     (memory, chunk, offset, len, ret), .ioas = NULL)
CALL(weir_memory_free, (struct weir_memory * memory, const struct weir_buffer *buffer), (memory, buffer),
     .ioas = NULL)
CALL(weir_memory_share, (struct weir_memory * memory, struct weir_ioas *ioas), (memory, ioas), .ioas = ioas)
CALL(weir_memory_unshare, (struct weir_memory * memory, struct weir_ioas *ioas), (memory, ioas),
     .releases = true)

CALL(weir_stage1_open,
     (struct weir_memory * memory, const struct weir_stage1_opts *opts, struct weir_stage1 **ret),
     (memory, opts, ret), GIVES(ret))
CALL(weir_stage1_map,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot,
      struct weir_inval *changes),
     (tables, iova, ipa, len, prot, changes), .ioas = NULL)
CALL(weir_stage1_unmap,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t len, struct weir_inval *changes),
     (tables, iova, len, changes), .ioas = NULL)
CALL(weir_stage1_protect,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t len, uint32_t prot, struct weir_inval *changes),
     (tables, iova, len, prot, changes), .ioas = NULL)

CALL(weir_cache_open, (struct weir_ioas * ioas, const struct weir_cache_opts *opts, struct weir_cache **ret),
     (ioas, opts, ret), GIVES(ret), .ioas = ioas)
CALL(weir_cache_close, (struct weir_cache * cache), (cache), .releases = true)
CALL(weir_cache_get,
     (struct weir_cache * cache, const void *addr, uint64_t len, uint32_t flags, struct weir_cached *ret),
     (cache, addr, len, flags, ret), .ioas = NULL)
CALL(weir_cache_get_file,
     (struct weir_cache * cache, int fd, uint64_t offset, uint64_t len, uint32_t flags,
      struct weir_cached *ret),
     (cache, fd, offset, len, flags, ret), .ioas = NULL)
CALL(weir_cache_put, (struct weir_cache * cache, const struct weir_cached *cached), (cache, cached),
     .releases = true)
CALL(weir_cache_invalidate, (struct weir_cache * cache, const void *addr, uint64_t len, uint64_t *ret),
     (cache, addr, len, ret), .releases = true)
CALL(weir_cache_invalidate_file,
     (struct weir_cache * cache, int fd, uint64_t offset, uint64_t len, uint64_t *ret),
     (cache, fd, offset, len, ret), .ioas = NULL)
CALL(weir_cache_trim, (struct weir_cache * cache, uint64_t bytes), (cache, bytes), .releases = true)
CALL(weir_cache_watch, (struct weir_cache * cache, int timeout_ms), (cache, timeout_ms), .ioas = NULL)

CALL(weir_device_open,
     (struct weir_ioas * ioas, const char *address, const struct weir_device_opts *opts,
      struct weir_device **ret),
     (ioas, address, opts, ret), GIVES(ret), .ioas = ioas)
CALL(weir_device_close, (struct weir_device * device), (device), .releases = true)
CALL(weir_device_attach, (struct weir_device * device, struct weir_ioas *ioas), (device, ioas),
     .device = device, .ioas = ioas)
CALL(weir_device_info, (struct weir_device * device, struct weir_device_info *ret, size_t size),
     (device, ret, size), OF_DEVICE(device))
CALL(weir_device_set_bus_master, (struct weir_device * device, bool enable), (device, enable),
     OF_DEVICE(device))
CALL(weir_device_set_memory, (struct weir_device * device, bool enable), (device, enable), OF_DEVICE(device))
CALL(weir_device_reset, (struct weir_device * device), (device), OF_DEVICE(device))
CALL(weir_device_hot_reset, (struct weir_device * device), (device), OF_DEVICE(device))
CALL(weir_device_hot_reset_targets,
     (struct weir_device * device, struct weir_hot_reset_target *targets, size_t *num),
     (device, targets, num), OF_DEVICE(device), .num = num)
CALL(weir_device_resync, (struct weir_device * device), (device), OF_DEVICE(device))
CALL(weir_device_sleep, (struct weir_device * device, int wakeup_fd), (device, wakeup_fd), OF_DEVICE(device))
CALL(weir_device_wake, (struct weir_device * device), (device), OF_DEVICE(device))
CALL(weir_caps_check, (struct weir_device * device, enum weir_cap cap), (device, cap), OF_DEVICE(device))

CALL(weir_reach_ask,
     (struct weir_host * host, const char *from, const char *to, struct weir_reach *ret, size_t size),
     (host, from, to, ret, size), .ioas = NULL)
CALL(weir_reach_diverted,
     (struct weir_host * host, const char *address, struct weir_iova_range *ranges, size_t *num),
     (host, address, ranges, num), .num = num)

CALL(weir_irq_count, (struct weir_device * device, enum weir_irq_kind kind, uint32_t *ret),
     (device, kind, ret), OF_DEVICE(device))
CALL(weir_irq_enable,
     (struct weir_device * device, enum weir_irq_kind kind, uint32_t count, struct weir_irq **ret),
     (device, kind, count, ret), OF_DEVICE(device), GIVES(ret))
CALL(weir_irq_disable, (struct weir_irq * irq), (irq), .releases = true)
CALL(weir_irq_wait, (struct weir_irq * irq, uint32_t vector, int timeout_ms, uint64_t *ret),
     (irq, vector, timeout_ms, ret), .ioas = NULL)
CALL(weir_irq_trigger, (struct weir_irq * irq, uint32_t vector), (irq, vector), .ioas = NULL)
CALL(weir_irq_mask, (struct weir_irq * irq), (irq), .ioas = NULL)
CALL(weir_irq_unmask, (struct weir_irq * irq), (irq), .ioas = NULL)

CALL(weir_device_region, (struct weir_device * device, uint32_t index, struct weir_region **ret),
     (device, index, ret), OF_DEVICE(device), GIVES(ret))
CALL(weir_region_map, (struct weir_region * region, void **ret, uint64_t *ret_len), (region, ret, ret_len),
     GIVES(ret))
CALL(weir_region_unmap, (struct weir_region * region), (region), .ioas = NULL)
CALL(weir_peer_open, (struct weir_region * region, uint64_t offset, uint64_t len, struct weir_peer **ret),
     (region, offset, len, ret), GIVES(ret))
CALL(weir_peer_close, (struct weir_peer * peer), (peer), .releases = true)
CALL(weir_peer_map,
     (struct weir_peer * peer, struct weir_ioas *ioas, uint64_t offset, uint64_t len,
      const struct weir_map_opts *opts, struct weir_map **ret),
     (peer, ioas, offset, len, opts, ret), GIVES(ret), .ioas = ioas, .maps = true)
CALL(weir_ioas_map_dmabuf,
     (struct weir_ioas * ioas, int fd, uint64_t offset, uint64_t len, const struct weir_map_opts *opts,
      struct weir_map **ret),
     (ioas, fd, offset, len, opts, ret), GIVES(ret), .ioas = ioas, .maps = true)
CALL(weir_peer_info, (struct weir_peer * peer, struct weir_peer_info *ret, size_t size), (peer, ret, size),
     .ioas = NULL)
CALL(weir_peer_dmabuf, (struct weir_peer * peer, int *ret), (peer, ret), .ioas = NULL)
CALL(weir_peer_watch, (struct weir_peer * peer, const struct weir_watch_opts *opts, struct weir_watch **ret),
     (peer, opts, ret), GIVES(ret))
CALL(weir_watch_close, (struct weir_watch * watch), (watch), .releases = true)
CALL(weir_watch_next, (struct weir_watch * watch, struct weir_peer_event *ret, size_t size),
     (watch, ret, size), .ioas = NULL)

CALL(weir_region_read8, (struct weir_region * region, uint64_t offset, uint8_t *ret), (region, offset, ret),
     .ioas = NULL)
CALL(weir_region_read16, (struct weir_region * region, uint64_t offset, uint16_t *ret), (region, offset, ret),
     .ioas = NULL)
CALL(weir_region_read32, (struct weir_region * region, uint64_t offset, uint32_t *ret), (region, offset, ret),
     .ioas = NULL)
CALL(weir_region_read64, (struct weir_region * region, uint64_t offset, uint64_t *ret), (region, offset, ret),
     .ioas = NULL)
CALL(weir_region_write8, (struct weir_region * region, uint64_t offset, uint8_t value),
     (region, offset, value), .ioas = NULL)
CALL(weir_region_write16, (struct weir_region * region, uint64_t offset, uint16_t value),
     (region, offset, value), .ioas = NULL)
CALL(weir_region_write32, (struct weir_region * region, uint64_t offset, uint32_t value),
     (region, offset, value), .ioas = NULL)
CALL(weir_region_write64, (struct weir_region * region, uint64_t offset, uint64_t value),
     (region, offset, value), .ioas = NULL)

CALL(weir_device_iommu_info, (struct weir_device * device, struct weir_iommu_info *ret, size_t size),
     (device, ret, size), OF_DEVICE(device))
CALL(weir_domain_open,
     (struct weir_device * device, const struct weir_domain_opts *opts, struct weir_domain **ret),
     (device, opts, ret), OF_DEVICE(device), GIVES(ret))
CALL(weir_domain_open_nested,
     (struct weir_domain * parent, struct weir_device *device, const struct weir_nested_opts *opts,
      struct weir_domain **ret),
     (parent, device, opts, ret), OF_DEVICE(device), GIVES(ret))
CALL(weir_domain_close, (struct weir_domain * domain), (domain), .releases = true)
CALL(weir_domain_attach, (struct weir_domain * domain, struct weir_device *device, uint32_t pasid),
     (domain, device, pasid), OF_DEVICE(device))
CALL(weir_domain_detach, (struct weir_device * device, uint32_t pasid), (device, pasid), OF_DEVICE(device))
CALL(weir_faultq_open,
     (struct weir_host * host, const struct weir_faultq_opts *opts, struct weir_faultq **ret),
     (host, opts, ret), GIVES(ret))
CALL(weir_faultq_close, (struct weir_faultq * queue), (queue), .releases = true)
CALL(weir_faultq_read, (struct weir_faultq * queue, struct weir_fault **ret, size_t most), (queue, ret, most),
     .ioas = NULL)
CALL(weir_faultq_respond, (struct weir_faultq * queue, const struct weir_fault_token *token, uint32_t code),
     (queue, token, code), .ioas = NULL)
CALL(weir_faultq_run, (struct weir_faultq * queue, weir_fault_handler *handler, void *ctx),
     (queue, handler, ctx), .ioas = NULL)
CALL(weir_faultq_expire, (struct weir_faultq * queue), (queue), .ioas = NULL)
CALL(weir_demand_open,
     (struct weir_ioas * ioas, const struct weir_demand_opts *opts, struct weir_demand **ret),
     (ioas, opts, ret), .ioas = ioas, GIVES(ret))
CALL(weir_demand_close, (struct weir_demand * demand), (demand), .releases = true)
CALL(weir_demand_add_file,
     (struct weir_demand * demand, uint64_t iova, uint64_t len, int fd, uint64_t offset, uint32_t flags),
     (demand, iova, len, fd, offset, flags), .ioas = NULL)
CALL(weir_demand_add_memory,
     (struct weir_demand * demand, uint64_t iova, uint64_t len, void *addr, uint32_t flags),
     (demand, iova, len, addr, flags), .ioas = NULL)

CALL(weir_events_open,
     (struct weir_domain * domain, const struct weir_events_opts *opts, struct weir_events **ret),
     (domain, opts, ret), GIVES(ret))
CALL(weir_events_read, (struct weir_events * events, struct weir_event *ret, size_t *num), (events, ret, num),
     .num = num)
CALL(weir_events_close, (struct weir_events * events), (events), .releases = true)
CALL(weir_inval_open, (const struct weir_inval_opts *opts, struct weir_inval **ret), (opts, ret), GIVES(ret))
CALL(weir_inval_range,
     (struct weir_inval * inval, uint64_t iova, uint64_t len, uint32_t asid, uint32_t flags),
     (inval, iova, len, asid, flags), .ioas = NULL)
CALL(weir_inval_raw, (struct weir_inval * inval, uint32_t type, const void *command, uint32_t len),
     (inval, type, command, len), .ioas = NULL)
CALL(weir_inval_run,
     (struct weir_inval * inval, struct weir_domain *const *domains, size_t num,
      const struct weir_inval_run_opts *opts),
     (inval, domains, num, opts), .ioas = NULL)

CALL(weir_stage1_replace,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot,
      struct weir_inval *changes),
     (tables, iova, ipa, len, prot, changes), .ioas = NULL)
CALL(weir_nested_space_open,
     (struct weir_host * host, const struct weir_nested_space_opts *opts, struct weir_ioas **ret),
     (host, opts, ret), GIVES(ret))
CALL(weir_nested_space_keep, (struct weir_ioas * ioas, void *addr, size_t len), (ioas, addr, len),
     .ioas = ioas)
CALL(weir_domain_open_shadow,
     (struct weir_stage1 * tables, struct weir_ioas *stage2, struct weir_ioas *ioas,
      struct weir_domain **ret),
     (tables, stage2, ioas, ret), GIVES(ret))

CALL(weir_dirty_open, (struct weir_ioas * ioas, const struct weir_dirty_opts *opts, struct weir_dirty **ret),
     (ioas, opts, ret), .ioas = ioas, GIVES(ret))
CALL(weir_dirty_close, (struct weir_dirty * dirty), (dirty), .releases = true)
CALL(weir_dirty_scan,
     (struct weir_dirty * dirty, uint32_t flags,
      int (*tell)(void *context, const struct weir_dirty_range *range), void *context),
     (dirty, flags, tell, context), .ioas = NULL)

CALL(weir_migration_info, (struct weir_device * device, struct weir_migration_info *ret, size_t size),
     (device, ret, size), OF_DEVICE(device))
CALL(weir_migration_set, (struct weir_device * device, uint32_t state, struct weir_migration **ret),
     (device, state, ret), OF_DEVICE(device))
CALL(weir_migration_read, (struct weir_migration * stream, void *buf, size_t len), (stream, buf, len),
     .ioas = NULL)
CALL(weir_migration_write, (struct weir_migration * stream, const void *buf, size_t len), (stream, buf, len),
     .ioas = NULL)
CALL(weir_migration_close, (struct weir_migration * stream), (stream), .releases = true)
CALL(weir_migration_left, (struct weir_migration * stream, struct weir_migration_left *ret, size_t size),
     (stream, ret, size), .ioas = NULL)

#define DRIVER(name_, parameters, arguments, ...)                                                            \
	int __real_##name_ parameters;                                                                       \
	int __wrap_##name_ parameters;                                                                       \
	int __wrap_##name_ parameters                                                                        \
	{                                                                                                    \
		struct attempt attempt = { .name = #name_, __VA_ARGS__ };                                    \
		const void *handle = attempt.ret_handle ? *attempt.ret_handle : NULL;                        \
		bool came_before = injected_here();                                                          \
		int result = __real_##name_ arguments;                                                       \
                                                                                                             \
		if (attempt_driver_failed(&attempt, result, came_before, handle))                            \
			result = __real_##name_ arguments;                                                   \
		return result;                                                                               \
	}

DRIVER(edu_open, (struct weir_device * device, uint32_t flags, struct edu **ret), (device, flags, ret),
       GIVES(ret))
DRIVER(igb_port_open, (struct weir_device * device, const struct igb_port_opts *opts, struct igb_port **ret),
       (device, opts, ret), GIVES(ret))
DRIVER(igb_pool_open, (struct weir_memory * memory, uint32_t num, uint32_t len, struct igb_pool **ret),
       (memory, num, len, ret), GIVES(ret))
DRIVER(igb_rx_open,
       (struct igb_port * port, uint32_t index, uint32_t depth, struct igb_pool *pool, struct igb_rx **ret),
       (port, index, depth, pool, ret), GIVES(ret))
DRIVER(igb_tx_open,
       (struct igb_port * port, uint32_t index, uint32_t depth, struct igb_pool *pool, struct igb_tx **ret),
       (port, index, depth, pool, ret), GIVES(ret))
DRIVER(igb_port_reset, (struct igb_port * port), (port), .ioas = NULL)
DRIVER(nvme_controller_open,
       (struct weir_device * device, const struct nvme_controller_opts *opts, struct nvme_controller **ret),
       (device, opts, ret), GIVES(ret))
DRIVER(nvme_namespace_info,
       (struct nvme_controller * controller, uint32_t nsid, struct nvme_namespace *ret, size_t size),
       (controller, nsid, ret, size), .ioas = NULL)
DRIVER(nvme_queue_open, (struct nvme_controller * controller, uint32_t entries, struct nvme_queue **ret),
       (controller, entries, ret), GIVES(ret))
DRIVER(nvme_queue_open_with,
       (struct nvme_controller * controller, const struct nvme_queue_opts *opts, struct nvme_queue **ret),
       (controller, opts, ret), GIVES(ret))
DRIVER(nvme_namespace_list, (struct nvme_controller * controller, uint32_t after, uint32_t *ret, size_t max),
       (controller, after, ret, max), .ioas = NULL)
DRIVER(nvme_namespace_changes, (struct nvme_controller * controller, uint32_t *ret, size_t max),
       (controller, ret, max), .ioas = NULL)
DRIVER(nvme_controller_admin,
       (struct nvme_controller * controller, const struct nvme_admin_request *request, void *data, size_t len,
	uint32_t *ret),
       (controller, request, data, len, ret), .ioas = NULL)
DRIVER(nvme_controller_reset, (struct nvme_controller * controller), (controller), .ioas = NULL)
