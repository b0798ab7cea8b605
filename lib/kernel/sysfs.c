// SPDX-License-Identifier: MIT
/* What sysfs says about PCI devices and IOMMU groups. */
#include "kernel/sysfs.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define PCI_DEVICES  "/sys/bus/pci/devices/"
#define IOMMU_GROUPS "/sys/kernel/iommu_groups/"

/*
 * One to @most hexadecimal digits, no sign or blank; NULL when there is none, or the number is above @highest.
 */
static const char *hex(const char *text, unsigned int most, unsigned int highest, unsigned int *ret_number)
{
	unsigned int number = 0, digits = 0;

	for (; isxdigit((unsigned char)*text) && digits < most; text++, digits++)
		number = number * 16 + (unsigned int)(isdigit((unsigned char)*text)
							      ? *text - '0'
							      : tolower(*text) - 'a' + 10);
	*ret_number = number;
	return digits && number <= highest ? text : NULL;
}

static const char *skip(const char *text, char expected)
{
	return text && *text == expected ? text + 1 : NULL;
}

/* "0000:01:00.0" or, where @short_form, "01:00.0", into the long form. */
static bool parse_address(const char *text, bool short_form, char ret_address[WEIR_PCI_ADDRESS_SIZE])
{
	unsigned int domain = 0, bus = 0, slot = 0, function = 0;
	const char *at = text;

	/* Domains above ffff are the kernel's own, behind host bridges that are PCI devices themselves. */
	if (!short_form || strchr(text, ':') != strrchr(text, ':'))
		at = skip(hex(text, 6, 0xffffff, &domain), ':');
	if (at)
		at = skip(hex(at, 2, 0xff, &bus), ':');
	if (at)
		at = skip(hex(at, 2, 31, &slot), '.');
	if (at)
		at = hex(at, 1, 7, &function);
	if (!at || *at)
		return false;
	snprintf(ret_address, WEIR_PCI_ADDRESS_SIZE, "%04x:%02x:%02x.%x", domain & 0xffffff, bus & 0xff,
		 slot & 0x1f, function & 7);
	return true;
}

int weir_pci_address(const char *text, char ret_address[WEIR_PCI_ADDRESS_SIZE])
{
	if (!text || !parse_address(text, true, ret_address))
		return weir_fail(-EINVAL, "'%s' is not a PCI address such as 0000:01:00.0",
				 text ? text : "(null)");
	return 0;
}

bool weir_pci_is_address(const char *text)
{
	char address[WEIR_PCI_ADDRESS_SIZE];

	return parse_address(text, false, address) && !strcmp(address, text);
}

/* The last component of what the link at @path points to. */
static int link_name(const struct weir_sys *sys, const char *path, char *ret_name, size_t size)
{
	char target[512];
	ssize_t len = sys->readlink(sys->ctx, path, target, sizeof(target) - 1);
	const char *name;

	if (len < 0)
		return (int)len;
	target[len] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (strlen(name) >= size)
		return -ENAMETOOLONG;
	memcpy(ret_name, name, strlen(name) + 1);
	return 0;
}

bool weir_sysfs_device_exists(const struct weir_sys *sys, const char *address)
{
	char path[64], name[64];

	snprintf(path, sizeof(path), PCI_DEVICES "%s", address);
	return link_name(sys, path, name, sizeof(name)) == 0;
}

int weir_sysfs_device_path(const struct weir_sys *sys, const char *address, char *ret_path, size_t size)
{
	char path[64], target[512];
	const char *root;
	ssize_t len;

	snprintf(path, sizeof(path), PCI_DEVICES "%s", address);
	len = sys->readlink(sys->ctx, path, target, sizeof(target));
	if (len < 0)
		return (int)len;
	if ((size_t)len == sizeof(target))
		return -ENAMETOOLONG;
	target[len] = '\0';
	root = strstr(target, "devices/");
	if (!root)
		return -EIO;
	root += strlen("devices/");
	if (strlen(root) >= size)
		return -ENAMETOOLONG;
	memcpy(ret_path, root, strlen(root) + 1);
	return 0;
}

int weir_sysfs_iommu_group(const struct weir_sys *sys, const char *address, uint32_t *ret_group)
{
	char path[64], name[16], *end;
	unsigned long group;
	int error;

	snprintf(path, sizeof(path), PCI_DEVICES "%s/iommu_group", address);
	error = link_name(sys, path, name, sizeof(name));
	if (error)
		return error;
	group = strtoul(name, &end, 10);
	if (end == name || *end || group >= UINT32_MAX)
		return -EIO;
	*ret_group = (uint32_t)group;
	return 0;
}

int weir_sysfs_vfio_dev(const struct weir_sys *sys, const char *address, char *ret_name, size_t size)
{
	char path[64], names[256];
	ssize_t used;

	snprintf(path, sizeof(path), PCI_DEVICES "%s/vfio-dev", address);
	used = sys->list_dir(sys->ctx, path, names, sizeof(names));
	if (used < 0)
		return (int)used;
	for (const char *name = names; name < names + used; name += strlen(name) + 1)
		if (!strncmp(name, "vfio", 4) && strlen(name) < size) {
			memcpy(ret_name, name, strlen(name) + 1);
			return 0;
		}
	return -ENOENT;
}

int weir_sysfs_driver(const struct weir_sys *sys, const char *address, char *ret_name, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), PCI_DEVICES "%s/driver", address);
	return link_name(sys, path, ret_name, size);
}

int weir_sysfs_group_devices(const struct weir_sys *sys, uint32_t group, char *ret_names, size_t size)
{
	char path[64];
	ssize_t used;

	snprintf(path, sizeof(path), IOMMU_GROUPS "%" PRIu32 "/devices", group);
	used = sys->list_dir(sys->ctx, path, ret_names, size - 1);
	if (used < 0)
		return (int)used;
	ret_names[used] = '\0';
	return 0;
}

/* A sysfs file is at most a page, and one read gives all of it. */
static int read_file(const struct weir_sys *sys, const char *path, char *ret_text, size_t size)
{
	int fd = sys->open(sys->ctx, path, 0);
	ssize_t got;

	if (fd < 0)
		return fd;
	got = sys->read(sys->ctx, fd, ret_text, size - 1);
	sys->close(sys->ctx, fd);
	if (got < 0)
		return (int)got;
	ret_text[got] = '\0';
	return 0;
}

int weir_sysfs_reserved_window(const struct weir_sys *sys, uint32_t group, unsigned int *line,
			       struct weir_reserved_window *ret_window)
{
	char path[80], text[4096];
	char *at = text;
	int error;

	snprintf(path, sizeof(path), IOMMU_GROUPS "%" PRIu32 "/reserved_regions", group);
	error = read_file(sys, path, text, sizeof(text));
	if (error)
		return error;
	for (unsigned int i = 0; i < *line && at; i++) {
		at = strchr(at, '\n');
		if (at)
			at++;
	}
	if (at)
		at[strcspn(at, "\n")] = '\0';
	if (!at || sscanf(at, "%" SCNx64 " %" SCNx64 " %23s", &ret_window->range.start,
			  &ret_window->range.last, ret_window->kind) != 3)
		return -ENOENT;
	(*line)++;
	return 0;
}

/* The kernel's flags of a resource: memory it is, but it has no address, or it is switched off. */
enum { RESOURCE_MEMORY = 0x200, RESOURCE_AWAY = 0x30000000 };

int weir_sysfs_memory(const struct weir_sys *sys, const char *address,
		      struct weir_pci_resource ret_resources[WEIR_PCI_RESOURCES], unsigned int *ret_num)
{
	char path[80], text[4096];
	const char *at = text;
	unsigned int num = 0;
	int error;

	snprintf(path, sizeof(path), PCI_DEVICES "%s/resource", address);
	error = read_file(sys, path, text, sizeof(text));
	if (error)
		return error;
	for (unsigned int line = 0; *at && num < WEIR_PCI_RESOURCES; line++) {
		struct weir_pci_resource resource = { .line = line };
		uint64_t flags;

		if (sscanf(at, "%" SCNx64 " %" SCNx64 " %" SCNx64, &resource.range.start,
			   &resource.range.last, &flags) != 3)
			break;
		if (flags & RESOURCE_MEMORY && !(flags & RESOURCE_AWAY) &&
		    resource.range.last > resource.range.start)
			ret_resources[num++] = resource;
		at += strcspn(at, "\n");
		at += *at == '\n';
	}
	*ret_num = num;
	return 0;
}

int weir_sysfs_cpu(const struct weir_sys *sys, char ret_vendor[16], unsigned int *ret_family)
{
	char text[4096];
	const char *vendor, *family;
	int error = read_file(sys, "/proc/cpuinfo", text, sizeof(text));

	if (error)
		return error;
	vendor = strstr(text, "vendor_id");
	family = strstr(text, "cpu family");
	if (!vendor || sscanf(vendor, "vendor_id : %15s", ret_vendor) != 1)
		*ret_vendor = '\0';
	if (!family || sscanf(family, "cpu family : %u", ret_family) != 1)
		*ret_family = 0;
	return 0;
}
