// SPDX-License-Identifier: MIT
/*
 * Numbers for files, which are known by device and inode. A file has its number while it has entries; these keep it open, so
 * that no other file can come to have its inode meanwhile.
 */
#include "cache/cache.h"

static struct weir_cache_file *file_at(const struct weir_cache *cache, uint32_t number)
{
	return &cache->files[number - 1];
}

/* Two files may come to the same key, but then only the first is cached. */
static uint64_t key_of(uint64_t dev, uint64_t ino)
{
	return ino ^ dev * 0x9e3779b97f4a7c15;
}

static uint32_t new_file(struct weir_cache *cache, uint64_t dev, uint64_t ino)
{
	uint32_t number = cache->free_file;
	struct weir_cache_file *file;

	if (!number && cache->files_used < cache->most_files)
		number = ++cache->files_used;
	if (!number)
		return WEIR_CACHE_NONE;
	file = file_at(cache, number);
	cache->free_file = file->next;
	*file = (struct weir_cache_file){ .dev = dev, .ino = ino, .node.key = key_of(dev, ino) };
	weir_tree_insert(&cache->file_tree, &file->node);
	return number;
}

uint32_t weir_cache_file_number(struct weir_cache *cache, uint64_t dev, uint64_t ino, bool make)
{
	uint64_t key = key_of(dev, ino);
	struct weir_tree_node *node = weir_tree_at_or_below(&cache->file_tree, key);
	struct weir_cache_file *file;

	if (!node || node->key != key)
		return make ? new_file(cache, dev, ino) : WEIR_CACHE_NONE;
	file = (struct weir_cache_file *)((char *)node - offsetof(struct weir_cache_file, node));
	return file->dev == dev && file->ino == ino ? (uint32_t)(file - cache->files) + 1 : WEIR_CACHE_NONE;
}

void weir_cache_file_use(struct weir_cache *cache, uint32_t number, int by)
{
	struct weir_cache_file *file = file_at(cache, number);

	file->entries += (uint32_t)by;
	if (file->entries)
		return;
	weir_tree_remove(&cache->file_tree, &file->node);
	file->next = cache->free_file;
	cache->free_file = number;
}
