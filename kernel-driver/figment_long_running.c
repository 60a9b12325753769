// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Jobs that may run for ever, or wait for page faults. Nothing in the kernel may
 * wait for one, so they have no DMA fence that anybody else could see, no
 * scheduler and no timeout: SUBMIT writes them to the ring. When the ring is
 * full the caller waits, interruptibly, as it is only itself that it waits for.
 *
 * The fence of such a job is bookkeeping of its queue: where it begins in the
 * ring, and whom to blame for an error.
 */
#include <linux/slab.h>

#include "figment_long_running.h"
#include "figment_queue.h"
#include "figment_userptr.h"
#include "figment_vm.h"

static int figment_long_running_push(struct figment_queue *queue, struct figment_fence *fence,
				     u64 address, u64 size)
{
	const struct figment_strategy *strategy = queue->vm->strategy;
	struct figment_vm *vm = queue->vm;
	struct figment_vm_hold hold;
	bool cookie;
	int ret;

	ret = mutex_lock_interruptible(&vm->lock);
	if (ret)
		return ret;
	ret = strategy->prepare_run ? strategy->prepare_run(vm) : 0;
	if (!ret)
		ret = figment_vm_begin_job(vm, NULL, &hold);
	if (ret)
		goto unlock;

	cookie = dma_fence_begin_signalling();
	ret = figment_queue_emit(queue, fence, address, size);
	if (!ret && strategy->run)
		strategy->run(vm);
	dma_fence_end_signalling(cookie);

	figment_vm_end_job(vm, &hold);
unlock:
	mutex_unlock(&vm->lock);
	return ret;
}

/**
 * figment_long_running_submit() - Put a job into the ring.
 * @queue: a queue of a long-running VM
 * @address: GPU address of the packets, checked
 * @size: bytes of them, maybe zero
 *
 * Return: 0, or a negative errno as DRM_IOCTL_FIGMENT_SUBMIT has it; then there is
 * no job.
 */
int figment_long_running_submit(struct figment_queue *queue, u64 address, u64 size)
{
	struct figment_fence *fence = figment_fence_alloc();
	int ret;

	if (!fence)
		return -ENOMEM;

	/* Before any lock: what it waits for is up to user space. */
	ret = figment_queue_reserve(queue);
	if (ret)
		goto free_fence;
	ret = figment_long_running_push(queue, fence, address, size);
	if (ret)
		goto unreserve;

	/* The ring has a reference of its own, until the job has ended. */
	dma_fence_put(&fence->base);
	return 0;

unreserve:
	figment_queue_unreserve(queue);
free_fence:
	kfree(fence);
	return ret;
}
