// SPDX-License-Identifier: MIT
#include "nodes.h"

#include "reply.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Paths here are made of the machine's two directories, words of this program and checked names: they fit. */
__attribute__((format(printf, 2, 3))) static const char *path_in(char path[PATH_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(path, PATH_MAX, format, args);
	va_end(args);
	return path;
}

/* The last part of what a link in sysfs points to. False if there is no such link, or the name does not fit.
 * */
static bool link_name(const char *path, char *ret_name, size_t size)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	const char *name;

	if (len < 0)
		return false;
	target[len] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	return (size_t)snprintf(ret_name, size, "%s", name) < size;
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* The name of the character device of the device in sysfs directory @device, if it has one. */
static bool find_cdev(const char *device, char *ret_name, size_t size)
{
	char path[PATH_MAX];
	DIR *dir = opendir(path_in(path, "%s/vfio-dev", device));
	struct dirent *entry;
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strncmp(name, "vfio", 4) != 0 || !is_number(name + 4) || strlen(name) >= size)
			continue;
		/* Kernels without VFIO_DEVICE_CDEV have the directory too, but no device number in it. */
		if (access(path_in(path, "%s/vfio-dev/%s/dev", device, name), F_OK))
			continue;
		memcpy(ret_name, name, strlen(name) + 1);
		found = true;
	}
	closedir(dir);
	return found;
}

/*
 * Whether VFIO holds the device in sysfs directory @device, so that whoever has its group has it. Kernels
 * before 6.1 have no vfio-dev: there the drivers' names tell (vfio-pci, mlx5_vfio_pci, ...). @ret_driver
 * becomes "" without a driver.
 */
static bool held_by_vfio(const char *device, char *ret_driver, size_t size)
{
	char path[PATH_MAX];

	if (!link_name(path_in(path, "%s/driver", device), ret_driver, size))
		*ret_driver = '\0';
	return strstr(ret_driver, "vfio") || !access(path_in(path, "%s/vfio-dev", device), F_OK);
}

/* A group that VFIO made up for a device without an IOMMU: such a device reaches all memory, and is not given
 * to anybody. */
static bool is_noiommu(const struct machine *machine, const char *group)
{
	char path[PATH_MAX], name[16] = "";
	int fd = open(path_in(path, "%s/kernel/iommu_groups/%s/name", machine->sysfs, group),
		      O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	close(fd);
	return !strncmp(name, "vfio-noiommu", strlen("vfio-noiommu"));
}

int nodes_find(const struct machine *machine, const char *address, struct place *ret_place,
	       struct weir_broker_reply *reply)
{
	char device[PATH_MAX], path[PATH_MAX], driver[64];
	struct place place = { 0 };

	path_in(device, "%s/bus/pci/devices/%s", machine->sysfs, address);
	if (access(device, F_OK))
		return reply_refuse(reply, -ENODEV, "there is no PCI device %s", address);
	if (!held_by_vfio(device, driver, sizeof(driver)))
		return reply_refuse(reply, -ENXIO, "%s %s%s: bind it to vfio-pci first", address,
				    *driver ? "is bound to " : "has no driver", driver);
	if (!link_name(path_in(path, "%s/iommu_group", device), place.group, sizeof(place.group)) ||
	    !is_number(place.group) || is_noiommu(machine, place.group))
		return reply_refuse(reply, -EOPNOTSUPP,
				    "%s has no IOMMU: the machine has none, or it is switched off", address);
	find_cdev(device, place.cdev, sizeof(place.cdev));
	snprintf(place.address, sizeof(place.address), "%s", address);
	*ret_place = place;
	return 0;
}

/* The first device of the group that VFIO holds and @uid may not have; true if there is one. */
static bool find_forbidden(DIR *dir, const char *path, const struct policy *policy, uid_t uid, char *ret_name,
			   size_t size)
{
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		char device[PATH_MAX], driver[64], address[ADDRESS_SIZE];

		if (entry->d_name[0] == '.')
			continue;
		if (!held_by_vfio(path_in(device, "%s/%s", path, entry->d_name), driver, sizeof(driver)))
			continue;
		/* What is no PCI device cannot be in the allow list. */
		if (pci_address(entry->d_name, address) && policy_allows(policy, uid, address))
			continue;
		snprintf(ret_name, size, "%s", entry->d_name);
		return true;
	}
	return false;
}

int nodes_check_group(const struct machine *machine, const struct place *place, const struct policy *policy,
		      uid_t uid, struct weir_broker_reply *reply)
{
	char path[PATH_MAX], name[NAME_MAX + 1];
	bool forbidden;
	DIR *dir;

	dir = opendir(path_in(path, "%s/kernel/iommu_groups/%s/devices", machine->sysfs, place->group));
	if (!dir)
		return reply_refuse(reply, -errno, "the members of IOMMU group %s cannot be listed: %s",
				    place->group, strerror(errno));
	forbidden = find_forbidden(dir, path, policy, uid, name, sizeof(name));
	closedir(dir);
	if (!forbidden)
		return 0;
	return reply_refuse(
		reply, -EACCES,
		"%s shares IOMMU group %s with %s, which is not for user %u: whoever has one has both",
		place->address, place->group, name, uid);
}

/* What the library would take: character devices if the machine has all that they need. */
static uint32_t automatic(const struct machine *machine, const struct place *place)
{
	char path[PATH_MAX];

	if (*place->cdev && !access(path_in(path, "%s/iommu", machine->dev), F_OK))
		return WEIR_BACKEND_IOMMUFD;
	return WEIR_BACKEND_TYPE1;
}

static int open_node(const struct machine *machine, const char *name, struct weir_broker_reply *reply)
{
	char path[PATH_MAX];
	int fd = open(path_in(path, "%s/%s", machine->dev, name), O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == EBUSY)
		return reply_refuse(
			reply, -EBUSY,
			"/dev/%s is open elsewhere: in another program, or an earlier client kept a copy",
			name);
	return reply_refuse(reply, -errno, "the broker cannot open /dev/%s: %s", name, strerror(errno));
}

int nodes_open(const struct machine *machine, const struct place *place, uint32_t backend,
	       struct weir_broker_reply *reply, int ret_fds[WEIR_BROKER_MAX_NODES])
{
	struct weir_broker_reply given = { .version = WEIR_BROKER_VERSION };
	char names[2][40];

	if (backend == WEIR_BACKEND_AUTO)
		backend = automatic(machine, place);
	if (backend == WEIR_BACKEND_IOMMUFD && !*place->cdev)
		return reply_refuse(reply, -ENOENT, "%s has no VFIO character device: this kernel makes none",
				    place->address);
	/* Every answer has a file of its own of the first, shared one: descriptors of one open share its
	 * address spaces. */
	snprintf(names[0], sizeof(names[0]), backend == WEIR_BACKEND_TYPE1 ? "vfio/vfio" : "iommu");
	if (backend == WEIR_BACKEND_IOMMUFD)
		snprintf(names[1], sizeof(names[1]), "vfio/devices/%s", place->cdev);
	else
		snprintf(names[1], sizeof(names[1]), "vfio/%s", place->group);

	given.backend = backend;
	for (; given.num_nodes < 2; given.num_nodes++) {
		uint32_t i = given.num_nodes;

		ret_fds[i] = open_node(machine, names[i], reply);
		if (ret_fds[i] < 0) {
			nodes_close(ret_fds, i);
			return reply->error;
		}
		snprintf(given.paths[i], sizeof(given.paths[i]), "/dev/%s", names[i]);
	}
	*reply = given;
	return 0;
}

void nodes_close(const int *fds, uint32_t num)
{
	while (num)
		close(fds[--num]);
}
