/* SPDX-License-Identifier: MIT */
/*
 * All of weir. Read in this order: common.h (errors, options), host.h, ioas.h, memory.h, cache.h, device.h, region.h, irq.h;
 * then away.h, guard.h, caps.h, reach.h, peer.h, broker.h; for tables of one's own nested.h, domain.h,
 * inval.h, stage1.h, events.h; for devices that request pages faultq.h, demand.h; dirty.h; to be followed by another process, handover.h.
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <weir/common.h>
#include <weir/sys.h>
#include <weir/host.h>
#include <weir/ioas.h>
#include <weir/memory.h>
#include <weir/cache.h>
#include <weir/device.h>
#include <weir/region.h>
#include <weir/irq.h>
#include <weir/away.h>
#include <weir/guard.h>
#include <weir/caps.h>
#include <weir/reach.h>
#include <weir/peer.h>
#include <weir/broker.h>
#include <weir/dirty.h>
#include <weir/domain.h>
#include <weir/migration.h>
#include <weir/inval.h>
#include <weir/events.h>
#include <weir/stage1.h>
#include <weir/nested.h>
#include <weir/faultq.h>
#include <weir/demand.h>
#include <weir/handover.h>

#endif
