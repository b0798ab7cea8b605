// SPDX-License-Identifier: MIT
/* Interrupts: eventfds that the kernel signals. */
#include "device/device.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/eventfd.h>

#include "error.h"
#include "kernel/vfio_device.h"

enum { MOST_VECTORS = 2048 }; /* that MSI-X has */

struct weir_irq {
	struct weir_device *device;
	enum weir_irq_kind kind;
	uint32_t count;
	uint32_t number; /* in the journal */
	int fds[];
};

const char *weir_irq_kind_name(enum weir_irq_kind kind)
{
	static const char *const names[] = { "INTx", "MSI", "MSI-X", "ERR", "REQ" };

	return (unsigned int)kind < WEIR_NUM_IRQ_KINDS ? names[kind] : "unknown";
}

int weir_irq_count(struct weir_device *device, enum weir_irq_kind kind, uint32_t *ret_count)
{
	struct abi_vfio_irq_info info;
	int error;

	if ((unsigned int)kind >= WEIR_NUM_IRQ_KINDS)
		return weir_fail(-EINVAL, "there is no interrupt kind %d", (int)kind);
	error = weir_vfio_device_irq(weir_device_sys(device), device->function->fd, kind, &info);
	if (error == -EINVAL) /* the kernel's way to say that ERR needs PCIe */
		info.count = 0;
	else if (error)
		return weir_fail(error, "VFIO_DEVICE_GET_IRQ_INFO of %s, %s: %s", device->function->address,
				 weir_irq_kind_name(kind), strerror(-error));
	if (info.count > MOST_VECTORS)
		return weir_fail(-EIO, "VFIO_DEVICE_GET_IRQ_INFO of %s, %s: %u vectors make no sense",
				 device->function->address, weir_irq_kind_name(kind), info.count);
	*ret_count = info.count;
	return 0;
}

static struct weir_journal *journal_of(const struct weir_irq *irq)
{
	return irq->device->host->kernel.journal;
}

static void mark(const struct weir_irq *irq, enum weir_slot_state state)
{
	if (irq->number)
		weir_journal_mark(journal_of(irq), WEIR_JOURNAL_IRQS, irq->number, state);
}

static void forget(struct weir_irq *irq)
{
	if (irq->number)
		weir_journal_give(journal_of(irq), WEIR_JOURNAL_IRQS, irq->number);
}

/* In the journal, as intended, with the descriptors. */
static int note(struct weir_irq *irq)
{
	struct weir_journal *journal = journal_of(irq);
	struct weir_slot_irq *slot;
	int error = journal ? weir_journal_take(journal, WEIR_JOURNAL_IRQS, &irq->number) : 0;

	if (error || !journal)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_IRQS, irq->number);
	slot->device = irq->device->function->number;
	slot->kind = irq->kind;
	slot->count = irq->count;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	for (uint32_t i = 0; i < irq->count && !error; i++)
		error = weir_journal_add_fd(journal, irq->fds[i], WEIR_FD_EVENT, irq->number, i);
	return error;
}

static void close_fds(struct weir_irq *irq)
{
	const struct weir_sys *sys = weir_device_sys(irq->device);

	if (irq->number)
		weir_journal_drop_fds(journal_of(irq), WEIR_FD_EVENT, irq->number);
	for (uint32_t i = 0; i < irq->count; i++)
		sys->close(sys->ctx, irq->fds[i]);
}

static int open_fds(struct weir_irq *irq, uint32_t count)
{
	const struct weir_sys *sys = weir_device_sys(irq->device);

	for (; irq->count < count; irq->count++) {
		int fd = sys->eventfd(sys->ctx, 0, EFD_NONBLOCK | EFD_CLOEXEC);

		if (fd < 0) {
			close_fds(irq);
			return weir_fail(fd, "eventfd number %u of %u: %s", irq->count + 1, count,
					 strerror(-fd));
		}
		irq->fds[irq->count] = fd;
	}
	return 0;
}

/* Of the kinds that signal the device's own work, one at a time. */
static int check_free(const struct weir_device *device, enum weir_irq_kind kind)
{
	enum weir_irq_kind first = kind <= WEIR_IRQ_MSIX ? WEIR_IRQ_INTX : kind;
	enum weir_irq_kind last = kind <= WEIR_IRQ_MSIX ? WEIR_IRQ_MSIX : kind;

	for (unsigned int other = first; other <= last; other++)
		if (device->irqs[other])
			return weir_fail(-EBUSY, "%s is enabled on %s already: disable it first",
					 weir_irq_kind_name(other), device->function->address);
	return 0;
}

static int switch_on(struct weir_irq *irq)
{
	const struct weir_device *device = irq->device;
	int result =
		weir_vfio_device_set_irqs(weir_device_sys(device), device->function->fd,
					  ABI_VFIO_IRQ_SET_DATA_EVENTFD | ABI_VFIO_IRQ_SET_ACTION_TRIGGER,
					  irq->kind, 0, irq->count, irq->fds);

	if (result > 0)
		return weir_fail(-ENOSPC, "the platform has %d vectors to give to %s, not %u", result,
				 device->function->address, irq->count);
	if (result < 0)
		return weir_fail(result, "enabling %u %s vectors of %s: %s", irq->count,
				 weir_irq_kind_name(irq->kind), device->function->address, strerror(-result));
	return 0;
}

/* One that nothing is open for yet, and that the device does not know of. */
static struct weir_irq *new_irq(struct weir_device *device, enum weir_irq_kind kind, uint32_t count)
{
	struct weir_irq *irq = calloc(1, sizeof(*irq) + count * sizeof(irq->fds[0]));

	if (!irq) {
		weir_error_set("no memory for %u interrupts", count);
		return NULL;
	}
	irq->device = device;
	irq->kind = kind;
	return irq;
}

static int enable_locked(struct weir_device *device, enum weir_irq_kind kind, uint32_t count,
			 struct weir_irq **ret_irq)
{
	struct weir_irq *irq;
	int error = check_free(device, kind);

	if (error)
		return error;
	irq = new_irq(device, kind, count);
	if (!irq)
		return -ENOMEM;
	error = open_fds(irq, count);
	if (!error) {
		error = note(irq);
		if (!error)
			error = switch_on(irq);
		if (error)
			close_fds(irq);
	}
	if (error) {
		forget(irq);
		free(irq);
		return error;
	}
	mark(irq, WEIR_SLOT_IN_FORCE);
	device->irqs[kind] = irq;
	*ret_irq = irq;
	return 0;
}

int weir_irq_enable(struct weir_device *device, enum weir_irq_kind kind, uint32_t count,
		    struct weir_irq **ret_irq)
{
	uint32_t most = 0;
	int error = weir_irq_count(device, kind, &most);

	if (error)
		return error;
	if (!count || count > most)
		return weir_fail(-EINVAL, "%s has %u %s vectors; %u were asked for",
				 device->function->address, most, weir_irq_kind_name(kind), count);
	pthread_mutex_lock(&device->lock);
	error = enable_locked(device, kind, count, ret_irq);
	pthread_mutex_unlock(&device->lock);
	return error;
}

static int drop(struct weir_irq *irq)
{
	const struct weir_device *device = irq->device;
	int error;

	mark(irq, WEIR_SLOT_LEAVING);
	error = weir_vfio_device_set_irqs(weir_device_sys(device), device->function->fd,
					  ABI_VFIO_IRQ_SET_DATA_NONE | ABI_VFIO_IRQ_SET_ACTION_TRIGGER,
					  irq->kind, 0, 0, NULL);

	close_fds(irq);
	forget(irq);
	if (error)
		weir_error_set("disabling %s of %s: %s", weir_irq_kind_name(irq->kind),
			       device->function->address, strerror(-error));
	return error;
}

int weir_irq_disable(struct weir_irq *irq)
{
	struct weir_device *device;
	int error;

	if (!irq)
		return 0;
	device = irq->device;
	pthread_mutex_lock(&device->lock);
	device->irqs[irq->kind] = NULL;
	error = drop(irq);
	pthread_mutex_unlock(&device->lock);
	free(irq);
	return error;
}

int weir_device_drop_irqs(struct weir_device *device)
{
	struct weir_first first = { 0 };

	for (unsigned int kind = 0; kind < WEIR_NUM_IRQ_KINDS; kind++)
		weir_first_note(&first, weir_irq_disable(device->irqs[kind]));
	return weir_first_error(&first);
}

int weir_irq_adopt(struct weir_device *device, enum weir_irq_kind kind, uint32_t count, uint32_t number,
		   struct weir_irq **ret_irq)
{
	uint32_t most = 0;
	int error = weir_irq_count(device, kind, &most);
	struct weir_irq *irq;

	if (!error && (!count || count > most || device->irqs[kind]))
		error = weir_fail(-EPROTO, "%u %s vectors of %s cannot be enabled", count,
				  weir_irq_kind_name(kind), device->function->address);
	if (error)
		return error;
	irq = new_irq(device, kind, count);
	if (!irq)
		return -ENOMEM;
	irq->number = number;
	device->irqs[kind] = irq;
	*ret_irq = irq;
	return 0;
}

void weir_irq_adopt_fd(struct weir_irq *irq, int fd)
{
	irq->fds[irq->count++] = fd;
}

void weir_device_let_go_irqs(struct weir_device *device)
{
	for (unsigned int kind = 0; kind < WEIR_NUM_IRQ_KINDS; kind++) {
		struct weir_irq *irq = device->irqs[kind];

		if (!irq)
			continue;
		irq->number = 0; /* the journal is another's */
		close_fds(irq);
		free(irq);
	}
}

static int check_vector(const struct weir_irq *irq, uint32_t vector)
{
	if (vector < irq->count)
		return 0;
	return weir_fail(-EINVAL, "%u %s vectors are enabled; there is no vector %u", irq->count,
			 weir_irq_kind_name(irq->kind), vector);
}

int weir_irq_fd(const struct weir_irq *irq, uint32_t vector)
{
	int error = check_vector(irq, vector);

	return error ? error : irq->fds[vector];
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int weir_device_is_requested(struct weir_device *device, bool *ret_requested)
{
	const struct weir_sys *sys = weir_device_sys(device);
	struct pollfd poll = { .events = POLLIN };
	int ready = 0;

	pthread_mutex_lock(&device->lock);
	if (device->irqs[WEIR_IRQ_REQ]) {
		poll.fd = device->irqs[WEIR_IRQ_REQ]->fds[0];
		ready = sys->poll(sys->ctx, &poll, 1, 0);
	}
	pthread_mutex_unlock(&device->lock);
	if (ready < 0)
		return weir_fail(ready, "looking for a REQ event of %s: %s", device->function->address,
				 strerror(-ready));
	*ret_requested = ready;
	return 0;
}

/* What the event says of the device itself. */
static void act_on_event(const struct weir_irq *irq)
{
	struct weir_device *device = irq->device;

	if (irq->kind == WEIR_IRQ_REQ) {
		pthread_mutex_lock(&device->host->lock);
		weir_away_begin(&device, 1, WEIR_AWAY_REQUESTED);
		pthread_mutex_unlock(&device->host->lock);
	} else if (irq->kind == WEIR_IRQ_ERR) {
		weir_away_notice(device);
	}
}

int weir_irq_wait(struct weir_irq *irq, uint32_t vector, int timeout_ms, uint64_t *ret_count)
{
	const struct weir_sys *sys = weir_device_sys(irq->device);
	struct pollfd poll = { .events = POLLIN };
	int error = check_vector(irq, vector), left = timeout_ms;
	int64_t deadline = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
	uint64_t count;
	ssize_t got;

	if (error)
		return error;
	poll.fd = irq->fds[vector];
	for (;;) {
		int ready = sys->poll(sys->ctx, &poll, 1, left);

		if (ready < 0)
			return weir_fail(ready, "waiting for an interrupt: %s", strerror(-ready));
		if (!ready)
			return weir_fail(-ETIMEDOUT, "no %s interrupt, vector %u, within %d ms",
					 weir_irq_kind_name(irq->kind), vector, timeout_ms);
		got = sys->read(sys->ctx, poll.fd, &count, sizeof(count));
		if (got == (ssize_t)sizeof(count))
			break;
		if (got != -EAGAIN)
			return weir_fail(got < 0 ? (int)got : -EIO, "reading an interrupt's eventfd");
		/* Another thread took it: wait for the next, for what is left of the time. */
		if (timeout_ms > 0) {
			int64_t rest = deadline - now_ms();

			left = rest > 0 ? (int)rest : 0;
		}
	}
	act_on_event(irq);
	if (ret_count)
		*ret_count = count;
	return 0;
}

static int act(struct weir_irq *irq, uint32_t vector, uint32_t action)
{
	int result =
		weir_vfio_device_set_irqs(weir_device_sys(irq->device), irq->device->function->fd,
					  ABI_VFIO_IRQ_SET_DATA_NONE | action, irq->kind, vector, 1, NULL);

	if (result)
		return weir_fail(result < 0 ? result : -EIO, "VFIO_DEVICE_SET_IRQS, %s, vector %u: %s",
				 weir_irq_kind_name(irq->kind), vector, strerror(result < 0 ? -result : EIO));
	return 0;
}

int weir_irq_trigger(struct weir_irq *irq, uint32_t vector)
{
	int error = check_vector(irq, vector);

	return error ? error : act(irq, vector, ABI_VFIO_IRQ_SET_ACTION_TRIGGER);
}

static int check_maskable(const struct weir_irq *irq)
{
	if (irq->kind == WEIR_IRQ_INTX)
		return 0;
	return weir_fail(-EOPNOTSUPP, "%s cannot be masked; only INTx can", weir_irq_kind_name(irq->kind));
}

int weir_irq_mask(struct weir_irq *irq)
{
	int error = check_maskable(irq);

	return error ? error : act(irq, 0, ABI_VFIO_IRQ_SET_ACTION_MASK);
}

int weir_irq_unmask(struct weir_irq *irq)
{
	int error = check_maskable(irq);

	return error ? error : act(irq, 0, ABI_VFIO_IRQ_SET_ACTION_UNMASK);
}
