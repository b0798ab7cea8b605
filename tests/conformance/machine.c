// SPDX-License-Identifier: MIT
/* Drivers, device nodes and other processes. */
#include "conformance/machine.h"
#include "conformance/os.h"
#include "conformance/sim_machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNPRIVILEGED = 1000 };

void sysfs_path(const char *address, const char *file, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "/sys/bus/pci/devices/%s/%s", address, file);
}

void driver_of(const char *address, char *ret_name, size_t size)
{
	char path[128];

	sysfs_path(address, "driver", path, sizeof(path));
	os_link_name(path, ret_name, size);
}

int group_of(const char *address)
{
	char path[128], name[32];

	sysfs_path(address, "iommu_group", path, sizeof(path));
	os_link_name(path, name, sizeof(name));
	return *name ? atoi(name) : -1;
}

bool has_smmuv3(void)
{
	char name[32];

	os_find_entry("/sys/class/iommu", "smmu3.", name, sizeof(name));
	return *name != 0;
}

/* A line of the file: first and last address, and the kind. */
struct window interrupt_window(struct t *t)
{
	char path[128], *text, *rest, *line;
	struct window window = { 0 };
	bool found = false;

	sysfs_path(address_of(t, "EDU0"), "iommu_group/reserved_regions", path, sizeof(path));
	rest = text = os_read_file(path);
	while ((line = strsep(&rest, "\n")) && !found)
		found = strstr(line, " msi") &&
			sscanf(line, "%" SCNx64 " %" SCNx64, &window.first, &window.last) == 2;
	free(text);
	ASSERT_TRUE(found);
	return window;
}

/* Drivers --------------------------------------------------------------------------------------------------------- */

static void bind_to(const char *address, const char *driver)
{
	char path[128], name[64];

	sysfs_path(address, "driver/unbind", path, sizeof(path));
	if (os_exists(path))
		ASSERT_OK(os_write_file(path, address));
	sysfs_path(address, "driver_override", path, sizeof(path));
	ASSERT_OK(os_write_file(path, driver ? driver : "none-of-them"));
	/* The probe's failure is seen in its result. */
	os_write_file("/sys/bus/pci/drivers_probe", address);
	driver_of(address, name, sizeof(name));
	ASSERT_STREQ(name, driver ? driver : "");
}

static void bind_back(void *address)
{
	bind_to(address, "vfio-pci");
}

void bind_until_end(struct t *t, const char *name, const char *driver)
{
	const char *address = address_of(t, name);

	t_defer(t, bind_back, (void *)address);
	bind_to(address, driver);
}

/* Nodes ----------------------------------------------------------------------------------------------------------- */

struct mode {
	unsigned int mode;
	char path[64];
};

static void chmod_back(void *arg)
{
	struct mode *mode = arg;

	os_chmod(mode->path, mode->mode);
	free(mode);
}

void chmod_until_end(struct t *t, const char *path, unsigned int mode)
{
	struct mode *old = calloc(1, sizeof(*old));

	ASSERT_TRUE(old != NULL);
	snprintf(old->path, sizeof(old->path), "%s", path);
	old->mode = os_chmod(path, mode);
	t_defer(t, chmod_back, old);
}

/* The character device of the device at @address. */
static void cdev_of(const char *address, char *ret_path, size_t size)
{
	char path[128], name[32];

	sysfs_path(address, "vfio-dev", path, sizeof(path));
	os_find_entry(path, "vfio", name, sizeof(name));
	ASSERT_TRUE(*name);
	snprintf(ret_path, size, "/dev/vfio/devices/%s", name);
}

struct node_paths nodes_of(struct t *t, const char *name)
{
	enum weir_backend kind = weir_host_backend(host_of(t));
	const char *address = address_of(t, name);
	struct node_paths nodes;

	snprintf(nodes.path[NODE_INTERFACE], sizeof(nodes.path[0]), "%s",
		 kind == WEIR_BACKEND_TYPE1 ? "/dev/vfio/vfio" : "/dev/iommu");
	if (kind == WEIR_BACKEND_IOMMUFD)
		cdev_of(address, nodes.path[NODE_DEVICE], sizeof(nodes.path[0]));
	else
		snprintf(nodes.path[NODE_DEVICE], sizeof(nodes.path[0]), "/dev/vfio/%d", group_of(address));
	return nodes;
}

int open_node(struct t *t, const char *path)
{
	int fd = os_open(path, O_RDWR);

	(void)t;
	if (fd < 0)
		FAIL("%s: %s", path, strerror(-fd));
	return fd;
}

bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

unsigned int count_device_mappings(void)
{
	unsigned int count = 0;
	char line[512];
	FILE *maps;

	if (os_sim())
		return sim_machine_mappings(os_sim());
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps))
		count += strstr(line, "vfio") != NULL;
	if (maps)
		fclose(maps);
	return count;
}

/* Other processes ------------------------------------------------------------------------------------------------- */

void in_child(struct t *t, void (*body)(struct t *t, void *arg), void *arg)
{
	pid_t child = os_fork();
	int status = 0;

	ASSERT_GE(child, 0);
	if (!child) {
		body(t, arg);
		_exit(0);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	ASSERT_EQ(status, 0);
}

/* Leaving uid 0 clears the permitted and effective sets; nothing is inheritable or ambient here. */
void drop_privileges(struct t *t)
{
	(void)t;
	ASSERT_EQ(setgroups(0, NULL), 0);
	ASSERT_EQ(setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED), 0);
	ASSERT_EQ(setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED), 0);
}

uint64_t effective_capabilities(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long long capabilities = UINT64_MAX;
	char line[128];

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "CapEff: %llx", &capabilities) == 1)
			break;
	if (status)
		fclose(status);
	return capabilities;
}
