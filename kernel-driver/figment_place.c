// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Where the memory of a process should be, for VMs that mirror one: DRM_IOCTL_FIGMENT_VM_PLACE.
 *
 * A preference belongs to addresses, not to what is mapped there: it is there before
 * the memory, and stays when that is unmapped or moved. It belongs to the VM, and so
 * to one process: a child has none. It takes effect when the device faults, in
 * figment_mirror.c.
 */
#include <linux/maple_tree.h>
#include <linux/mm.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/figment_drm.h>

#include "figment_device.h"
#include "figment_drv.h"
#include "figment_mirror.h"
#include "figment_place.h"
#include "figment_vm.h"

/** figment_place_init() - No preferences. */
void figment_place_init(struct figment_vm *vm)
{
	mt_init(&vm->mirror.places);
}

/** figment_place_fini() - Forget all preferences. */
void figment_place_fini(struct figment_vm *vm)
{
	mtree_destroy(&vm->mirror.places);
}

/**
 * figment_place_find() - Where memory at an address should be.
 * @vm: the VM; it mirrors
 * @address: the address
 * @start: is raised to the first address around it with the same preference
 * @end: is lowered to the first one after it with another
 *
 * Return: enum drm_figment_place.
 */
u32 figment_place_find(struct figment_vm *vm, u64 address, u64 *start, u64 *end)
{
	MA_STATE(mas, &vm->mirror.places, address >> PAGE_SHIFT, address >> PAGE_SHIFT);
	void *entry;

	lockdep_assert_held(&vm->mirror.lock);

	mas_lock(&mas);
	entry = mas_walk(&mas);
	*start = max(*start, (u64)mas.index << PAGE_SHIFT);
	if (mas.last < (*end - 1) >> PAGE_SHIFT)
		*end = ((u64)mas.last + 1) << PAGE_SHIFT;
	mas_unlock(&mas);
	return entry ? xa_to_value(entry) : DRM_FIGMENT_PLACE_ANY;
}

static int figment_place_prefer(struct figment_vm *vm, u64 address, u64 size, u32 place)
{
	void *entry = place == DRM_FIGMENT_PLACE_ANY ? NULL : xa_mk_value(place);
	int ret;

	/* A fault of the device may hold it for as long as user space takes for a page. */
	ret = mutex_lock_interruptible(&vm->mirror.lock);
	if (ret)
		return ret;
	ret = mtree_store_range(&vm->mirror.places, address >> PAGE_SHIFT,
				(address + size - 1) >> PAGE_SHIFT, entry, GFP_KERNEL_ACCOUNT);
	if (!ret)
		/* The device asks again, and gets chunks that do not cross the borders. */
		figment_mirror_forget(vm, address, address + size);
	mutex_unlock(&vm->mirror.lock);
	return ret;
}

static int figment_vm_place(struct figment_vm *vm, struct drm_figment_vm_place *args)
{
	u64 end;
	int ret;

	if (!vm->mirror.on)
		return -EINVAL;
	if (!args->size || !PAGE_ALIGNED(args->address) || !PAGE_ALIGNED(args->size) ||
	    check_add_overflow(args->address, args->size, &end) ||
	    end > vm->svm.mm_start + vm->svm.mm_range)
		return -EINVAL;
	/* Whoever has got the file does not move memory of others. */
	if (vm->svm.mm != current->mm)
		return -EPERM;

	if (args->place == DRM_FIGMENT_PLACE_VRAM) {
		ret = figment_mirror_use_vram(vm);
		if (ret)
			return ret;
	}
	if (args->flags & DRM_FIGMENT_VM_PLACE_PREFER) {
		ret = figment_place_prefer(vm, args->address, args->size, args->place);
		if (ret)
			return ret;
	}
	if (args->flags & DRM_FIGMENT_VM_PLACE_MOVE)
		return figment_mirror_move(vm, args->address, end,
					   args->place == DRM_FIGMENT_PLACE_VRAM, &args->moved);
	return 0;
}

/** figment_vm_place_ioctl() - DRM_IOCTL_FIGMENT_VM_PLACE. */
int figment_vm_place_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const u32 flags = DRM_FIGMENT_VM_PLACE_PREFER | DRM_FIGMENT_VM_PLACE_MOVE;
	struct drm_figment_vm_place *args = data;
	struct figment_vm *vm;
	int ret;

	if (args->pad || args->flags & ~flags || !(args->flags & flags) ||
	    args->place > DRM_FIGMENT_PLACE_VRAM)
		return -EINVAL;
	if (args->place == DRM_FIGMENT_PLACE_ANY && args->flags & DRM_FIGMENT_VM_PLACE_MOVE)
		return -EINVAL;
	if (figment_device_wedged(to_figment_device(drm)))
		return -ENODEV;

	args->moved = 0;
	vm = figment_file_vm(file, args->vm_id);
	if (!vm)
		return -ENOENT;
	ret = figment_vm_place(vm, args);
	figment_vm_put(vm);
	return ret;
}
