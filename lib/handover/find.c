// SPDX-License-Identifier: MIT
/* What there is in a host that was received. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backend/table.h"
#include "error.h"
#include "faultq/queue.h"
#include "handover/handover.h"

static uint64_t serial_of(const struct weir_host *host, enum weir_journal_table table, uint32_t number)
{
	const struct weir_slot *slot = number ? weir_journal_at(host->kernel.journal, table, number) : NULL;

	return slot ? slot->serial : 0;
}

static int none(const char *what, uint32_t index)
{
	return weir_fail(-ENOENT, "there is no %s number %" PRIu32 " in this host", what, index);
}

static int no_journal(void)
{
	return weir_fail(-ENOENT, "this host was not received");
}

/* How many spaces were opened before that one. */
static uint32_t spaces_before(const struct weir_host *host, const struct weir_ioas *ioas)
{
	uint64_t serial = serial_of(host, WEIR_JOURNAL_SPACES, ioas->space.number);
	uint32_t num = 0;

	for (const struct weir_ioas *other = host->spaces; other; other = other->next)
		num += !other->inner && serial_of(host, WEIR_JOURNAL_SPACES, other->space.number) < serial;
	return num;
}

int weir_handover_ioas(struct weir_host *host, uint32_t index, struct weir_ioas **ret_ioas)
{
	struct weir_ioas *ioas;

	if (!host->kernel.journal)
		return no_journal();
	pthread_mutex_lock(&host->lock);
	ioas = host->spaces;
	while (ioas && (ioas->inner || spaces_before(host, ioas) != index))
		ioas = ioas->next;
	pthread_mutex_unlock(&host->lock);
	if (!ioas)
		return none("address space", index);
	*ret_ioas = ioas;
	return 0;
}

static uint32_t memories_before(const struct weir_host *host, const struct weir_memory *memory)
{
	uint64_t serial = serial_of(host, WEIR_JOURNAL_MEMORIES, memory->number);
	uint32_t num = 0;

	for (const struct weir_memory *other = host->memories; other; other = other->next)
		num += !other->spaces[0]->inner &&
		       serial_of(host, WEIR_JOURNAL_MEMORIES, other->number) < serial;
	return num;
}

int weir_handover_memory(struct weir_host *host, uint32_t index, struct weir_memory **ret_memory)
{
	struct weir_memory *memory;

	if (!host->kernel.journal)
		return no_journal();
	pthread_mutex_lock(&host->lock);
	memory = host->memories;
	while (memory && (memory->spaces[0]->inner || memories_before(host, memory) != index))
		memory = memory->next;
	pthread_mutex_unlock(&host->lock);
	if (!memory)
		return none("weir_memory", index);
	*ret_memory = memory;
	return 0;
}

/* The domain that was opened after @index others; by the tables of the host's spaces, in no order. */
static struct weir_table *next_table(const struct weir_host *host, const struct weir_table *table)
{
	const struct weir_ioas *ioas = host->spaces;

	if (table && table->next)
		return table->next;
	while (table && &ioas->space != table->space)
		ioas = ioas->next;
	for (ioas = table ? ioas->next : ioas; ioas; ioas = ioas->next)
		if (ioas->space.tables && !ioas->inner)
			return ioas->space.tables;
	return NULL;
}

static uint32_t domains_before(const struct weir_host *host, const struct weir_table *table)
{
	uint64_t serial = serial_of(host, WEIR_JOURNAL_DOMAINS, table->number);
	uint32_t num = 0;

	for (const struct weir_table *other = next_table(host, NULL); other; other = next_table(host, other))
		num += serial_of(host, WEIR_JOURNAL_DOMAINS, other->number) < serial;
	return num;
}

int weir_handover_domain(struct weir_host *host, uint32_t index, struct weir_domain **ret_domain)
{
	const struct weir_table *table;

	if (!host->kernel.journal)
		return no_journal();
	pthread_mutex_lock(&host->lock);
	table = next_table(host, NULL);
	while (table && domains_before(host, table) != index)
		table = next_table(host, table);
	pthread_mutex_unlock(&host->lock);
	if (!table)
		return none("domain", index);
	*ret_domain = table->domain;
	return 0;
}

static uint32_t faultqs_before(const struct weir_host *host, const struct weir_faultq *queue)
{
	uint64_t serial = serial_of(host, WEIR_JOURNAL_FAULTQS, queue->noted);
	uint32_t num = 0;

	for (const struct weir_faultq *other = host->faultqs; other; other = other->next)
		num += serial_of(host, WEIR_JOURNAL_FAULTQS, other->noted) < serial;
	return num;
}

int weir_handover_faultq(struct weir_host *host, uint32_t index, struct weir_faultq **ret_queue)
{
	struct weir_faultq *queue;

	if (!host->kernel.journal)
		return no_journal();
	pthread_mutex_lock(&host->lock);
	queue = host->faultqs;
	while (queue && faultqs_before(host, queue) != index)
		queue = queue->next;
	pthread_mutex_unlock(&host->lock);
	if (!queue)
		return none("queue of page requests", index);
	*ret_queue = queue;
	return 0;
}

int weir_handover_device(struct weir_host *host, const char *address, struct weir_device **ret_device)
{
	const struct weir_function *function;
	char normal[WEIR_PCI_ADDRESS_SIZE];
	int error = weir_pci_address(address, normal);

	if (error)
		return error;
	pthread_mutex_lock(&host->lock);
	function = weir_function_find(&host->kernel, normal);
	pthread_mutex_unlock(&host->lock);
	if (!function || !function->device)
		return weir_fail(-ENOENT, "%s is not open in this host", normal);
	*ret_device = function->device;
	return 0;
}

int weir_handover_irq(struct weir_device *device, enum weir_irq_kind kind, struct weir_irq **ret_irq)
{
	struct weir_irq *irq = NULL;

	pthread_mutex_lock(&device->lock);
	if ((unsigned int)kind < WEIR_NUM_IRQ_KINDS)
		irq = device->irqs[kind];
	pthread_mutex_unlock(&device->lock);
	if (!irq)
		return weir_fail(-ENOENT, "no %s of %s is enabled", weir_irq_kind_name(kind),
				 device->function->address);
	*ret_irq = irq;
	return 0;
}

int weir_handover_map(struct weir_ioas *ioas, uint64_t iova, struct weir_map **ret_map)
{
	struct weir_map *map;

	weir_gate_lock_calm(&ioas->gate);
	map = weir_ioas_map_from(ioas, iova);
	if (map && (weir_map_start(map) != iova || map->prot & WEIR_MAP_OWN || map->state != WEIR_MAP_READY))
		map = NULL;
	weir_gate_unlock(&ioas->gate);
	if (!map)
		return weir_fail(-ENOENT, "no mapping of the program's begins at IOVA %#" PRIx64, iova);
	*ret_map = map;
	return 0;
}
