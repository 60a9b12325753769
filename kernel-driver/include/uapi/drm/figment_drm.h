/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * uAPI of the Figment DRM driver.
 *
 * Rules of this file:
 *  - every pad and every unknown flag must be zero, else -EINVAL;
 *  - arrays are passed as struct drm_figment_array, with the size that user
 *    space knows for an element; a shorter element is zero-extended, a longer
 *    one must be zero past what the kernel knows, else -E2BIG; so do arrays of
 *    more elements than the kernel takes: 65536 operations, 1024 syncs;
 *  - structures grow at the end only, by fields whose zero means the old
 *    behaviour, and each addition raises the driver's minor version;
 *  - every ioctl that waits can be interrupted by a signal, and restarted.
 *
 * Errors that every ioctl can give: -EINVAL (flag, padding, alignment,
 * overflow), -EFAULT (pointer not readable or writable), -ENOENT (no such
 * object), -ENOMEM, -ENODEV (the device is gone or wedged), -EINTR.
 */
#ifndef _UAPI_DRM_FIGMENT_DRM_H_
#define _UAPI_DRM_FIGMENT_DRM_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define DRM_FIGMENT_DEV_QUERY		0x00
#define DRM_FIGMENT_BO_CREATE		0x01
#define DRM_FIGMENT_BO_MMAP_OFFSET	0x02
#define DRM_FIGMENT_VM_CREATE		0x03
#define DRM_FIGMENT_VM_DESTROY		0x04
#define DRM_FIGMENT_VM_BIND		0x05
#define DRM_FIGMENT_QUEUE_CREATE	0x06
#define DRM_FIGMENT_QUEUE_DESTROY	0x07
#define DRM_FIGMENT_QUEUE_QUERY		0x08
#define DRM_FIGMENT_SUBMIT		0x09
#define DRM_FIGMENT_WAIT_USER_FENCE	0x0a
#define DRM_FIGMENT_VM_PLACE		0x0b

/** struct drm_figment_array - An array in user memory. */
struct drm_figment_array {
	/** @stride: Bytes of one element as user space knows it. */
	__u32 stride;
	/** @count: Number of elements. */
	__u32 count;
	/** @array: User pointer; ignored when @count is zero. */
	__u64 array;
};

/* --- the device ----------------------------------------------------------- */

/** enum drm_figment_query - What DEV_QUERY can tell. */
enum drm_figment_query {
	/** @DRM_FIGMENT_QUERY_DEVICE: struct drm_figment_device_info. */
	DRM_FIGMENT_QUERY_DEVICE = 0,
};

/** enum drm_figment_strategy - What the driver does when the kernel takes pages away. */
enum drm_figment_strategy {
	/** @DRM_FIGMENT_STRATEGY_FENCE: The notifier waits for the jobs of the VM. */
	DRM_FIGMENT_STRATEGY_FENCE = 0,
	/**
	 * @DRM_FIGMENT_STRATEGY_PREEMPT: The queues of the VM leave the hardware,
	 * and come back with the new pages. Long-running, since 1.2; needs a device
	 * that can preempt.
	 */
	DRM_FIGMENT_STRATEGY_PREEMPT = 1,
	/**
	 * @DRM_FIGMENT_STRATEGY_FAULT: Device page tables are cleared, and the device
	 * asks for the pages when it needs them. Long-running, since 1.2; needs a
	 * device with recoverable faults.
	 */
	DRM_FIGMENT_STRATEGY_FAULT = 2,
	/**
	 * @DRM_FIGMENT_STRATEGY_PIN: Pages are pinned long term, when they are
	 * bound. They count as VmPin of the process; -ENOMEM from VM_BIND: more
	 * than RLIMIT_MEMLOCK, without CAP_IPC_LOCK. What the process does with
	 * the mapping afterwards, munmap() for one, the device does not see.
	 */
	DRM_FIGMENT_STRATEGY_PIN = 3,
	/**
	 * @DRM_FIGMENT_STRATEGY_UNSAFE: Nothing: the negative control. Data gets
	 * corrupted on purpose. Needs the module parameter allow_unsafe; the
	 * first use taints the kernel.
	 */
	DRM_FIGMENT_STRATEGY_UNSAFE = 4,
};

/** struct drm_figment_device_info - Answer to DRM_FIGMENT_QUERY_DEVICE. */
struct drm_figment_device_info {
	/** @hw_version: FIGMENT_REG_VERSION. */
	__u32 hw_version;
	/** @engines: Engines of the device. */
	__u32 engines;
	/** @queues: Hardware queues of the device. */
	__u32 queues;
	/** @asids: Hardware address spaces of the device. */
	__u32 asids;
	/** @hw_features: FIGMENT_REG_FEATURES. */
	__u64 hw_features;
	/** @strategies: Bit n is set when strategy n can be used now. */
	__u64 strategies;
	/** @vram_bytes: Size of VRAM. */
	__u64 vram_bytes;
	/** @va_start: First address that VM_BIND takes. */
	__u64 va_start;
	/** @va_end: First address past those that VM_BIND takes. */
	__u64 va_end;
	/** @priorities: Queue priorities are 0 .. @priorities - 1. */
	__u32 priorities;
	/** @job_timeout_ms: A job that runs longer is stopped. */
	__u32 job_timeout_ms;
};

/** struct drm_figment_dev_query - DRM_IOCTL_FIGMENT_DEV_QUERY. */
struct drm_figment_dev_query {
	/** @type: enum drm_figment_query. */
	__u32 type;
	/**
	 * @size: In: bytes at @pointer. Out: bytes written; when @pointer is zero,
	 * bytes that there are. A short buffer gets the beginning.
	 */
	__u32 size;
	/** @pointer: User pointer, or zero. */
	__u64 pointer;
};

/* --- buffers -------------------------------------------------------------- */

/** struct drm_figment_bo_create - DRM_IOCTL_FIGMENT_BO_CREATE: a buffer filled with zeros. */
struct drm_figment_bo_create {
	/**
	 * @size: In: bytes, not zero; out: rounded up to whole pages. -ENOSPC: more than there is
	 * VRAM, or others must not leave it now; -ENOMEM: nor is there memory for them to go to.
	 */
	__u64 size;
	/** @flags: DRM_FIGMENT_BO_*. Without VRAM the buffer is in system memory. */
	__u32 flags;
#define DRM_FIGMENT_BO_VRAM	(1 << 0)
	/** @handle: Out: GEM handle. */
	__u32 handle;
};

/** struct drm_figment_bo_mmap_offset - DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET. */
struct drm_figment_bo_mmap_offset {
	/** @handle: GEM handle. */
	__u32 handle;
	/** @pad: Zero. */
	__u32 pad;
	/** @offset: Out: offset for mmap() of the device file. */
	__u64 offset;
};

/* --- synchronisation ------------------------------------------------------ */

/** struct drm_figment_sync - A syncobj to wait for, or to signal. */
struct drm_figment_sync {
	/** @flags: DRM_FIGMENT_SYNC_*. */
	__u32 flags;
#define DRM_FIGMENT_SYNC_SIGNAL		(1 << 0)	/* signal it, else wait for it */
#define DRM_FIGMENT_SYNC_TIMELINE	(1 << 1)
	/** @handle: Syncobj handle. */
	__u32 handle;
	/** @timeline_value: Point with SYNC_TIMELINE, else zero. */
	__u64 timeline_value;
};

/* --- address spaces ------------------------------------------------------- */

/*
 * Long-running VMs, those with the strategies PREEMPT and FAULT, since 1.2. Their
 * jobs may run for ever, and may meet page faults, so nothing in the kernel may
 * wait for one: they have no DMA fences. What says that a job has come somewhere
 * is a word in memory, a user fence, which the job writes; WAIT_USER_FENCE waits
 * for it. Such a job has no time limit; destroying its queue ends it.
 */

/** struct drm_figment_vm_create - DRM_IOCTL_FIGMENT_VM_CREATE. */
struct drm_figment_vm_create {
	/**
	 * @flags: DRM_FIGMENT_VM_*.
	 *
	 * VM_SVM, since 1.3: shared virtual memory. Where nothing is bound, an address
	 * of the GPU is that address of the calling process, with no call at all.
	 * Memory as BIND_MAP_USERPTR has it; what is bound goes first. -EINVAL: with
	 * another strategy than FAULT.
	 */
	__u32 flags;
#define DRM_FIGMENT_VM_SVM		(1 << 0)
	/**
	 * @strategy: enum drm_figment_strategy. -EOPNOTSUPP: not of this device or
	 * driver; -EPERM: UNSAFE without allow_unsafe.
	 */
	__u32 strategy;
	/** @id: Out: VM of this file. -ENOSPC: no address space is free. */
	__u32 id;
	/** @pad: Zero. */
	__u32 pad;
};

/** struct drm_figment_vm_destroy - DRM_IOCTL_FIGMENT_VM_DESTROY. Its queues are destroyed, too. */
struct drm_figment_vm_destroy {
	/** @id: VM. */
	__u32 id;
	/** @pad: Zero. */
	__u32 pad;
};

/** enum drm_figment_bind_kind - What one VM_BIND operation does. */
enum drm_figment_bind_kind {
	/** @DRM_FIGMENT_BIND_MAP: Map a range of a buffer, over what is there. */
	DRM_FIGMENT_BIND_MAP = 0,
	/** @DRM_FIGMENT_BIND_UNMAP: Unmap a range; holes in it are fine. */
	DRM_FIGMENT_BIND_UNMAP = 1,
	/**
	 * @DRM_FIGMENT_BIND_MAP_USERPTR: Map memory of the calling process, over
	 * what is there: anonymous memory and shmem (memfd, tmpfs); since 1.4 also
	 * hugetlbfs, and files with a page cache. Through MAP_PRIVATE they are written
	 * as the process would: the page is copied first. Through MAP_SHARED the
	 * strategies PIN and UNSAFE may not write them, as they would miss that the
	 * file system writes a page back: -EOPNOTSUPP without BIND_READONLY.
	 * -EOPNOTSUPP also: memory of devices, DAX, secretmem. -EFAULT: not mapped,
	 * past the end of its file, or not writable without BIND_READONLY.
	 *
	 * The memory stays that of the process that has bound it, whoever submits.
	 * When it is not what it was any more, SUBMIT gives these errors, until
	 * the range is unbound, bound anew, or mapped again. With the strategy FAULT
	 * SUBMIT does not look at it; a job that touches it ends with -EFAULT.
	 * With PREEMPT both are so.
	 */
	DRM_FIGMENT_BIND_MAP_USERPTR = 2,
};

/** struct drm_figment_bind_op - One operation of VM_BIND. */
struct drm_figment_bind_op {
	/** @kind: enum drm_figment_bind_kind. */
	__u32 kind;
	/** @flags: DRM_FIGMENT_BIND_*, for the MAP kinds. */
	__u32 flags;
#define DRM_FIGMENT_BIND_READONLY	(1 << 0)	/* the device may not write */
	/** @handle: GEM handle for BIND_MAP, else zero. */
	__u32 handle;
	/** @pad: Zero. */
	__u32 pad;
	/** @address: GPU address, whole pages. */
	__u64 address;
	/** @size: Bytes, whole pages, not zero. */
	__u64 size;
	/**
	 * @offset: Of the buffer for BIND_MAP, CPU address for BIND_MAP_USERPTR,
	 * both whole pages; zero for BIND_UNMAP.
	 */
	__u64 offset;
};

/**
 * struct drm_figment_vm_bind - DRM_IOCTL_FIGMENT_VM_BIND.
 *
 * Without VM_BIND_ASYNC the operations are done on return and @syncs must be
 * empty. With it they are done in order of the calls on this VM, after the
 * waits of @syncs, and before its signals. A call is done as a whole, or not at
 * all.
 */
struct drm_figment_vm_bind {
	/** @vm_id: VM. */
	__u32 vm_id;
	/** @flags: DRM_FIGMENT_VM_BIND_*. */
	__u32 flags;
#define DRM_FIGMENT_VM_BIND_ASYNC	(1 << 0)
	/** @ops: struct drm_figment_bind_op. */
	struct drm_figment_array ops;
	/** @syncs: struct drm_figment_sync. */
	struct drm_figment_array syncs;
};

/* --- where shared memory is ----------------------------------------------- */

/** enum drm_figment_place - Where memory of a process can be. */
enum drm_figment_place {
	/** @DRM_FIGMENT_PLACE_ANY: Where it happens to be: no preference. */
	DRM_FIGMENT_PLACE_ANY = 0,
	/** @DRM_FIGMENT_PLACE_SYSTEM: System memory. */
	DRM_FIGMENT_PLACE_SYSTEM = 1,
	/** @DRM_FIGMENT_PLACE_VRAM: VRAM of the device. -EOPNOTSUPP: it has none. */
	DRM_FIGMENT_PLACE_VRAM = 2,
};

/**
 * struct drm_figment_vm_place - DRM_IOCTL_FIGMENT_VM_PLACE, since 1.4: where memory of
 * the calling process should be, in a VM with VM_SVM.
 *
 * VM_PLACE_MOVE moves what is mapped in the range, now. It is a best effort, and no error
 * if something stays where it is: @moved says how much is where it should be. A signal ends
 * it early, with what has moved until then, or with -EINTR if nothing has. What cannot
 * go to VRAM: memory that is not anonymous, that is pinned, or for which there is no
 * room; VRAM that other memory of processes has not used for longer is taken for it.
 * Pages that nobody has touched come to be, unless they may not be read or a userfaultfd
 * is asked for them. Holes are fine.
 *
 * VM_PLACE_PREFER has the device's faults move it from now on: a chunk, up to 2 MiB, before
 * the access that wants it. Where that cannot be, the access is done where the memory
 * is. The preference is of addresses: munmap(), mremap() and mmap() do not change it. It
 * is of the VM, and so of one process: a child of fork() has none, and what it inherits
 * is shared, wherever it is, until one of the two writes to it.
 *
 * What is in VRAM is memory of the process as ever. A CPU that touches it, and any
 * other device, gets it back to system memory, in chunks as it came. So do
 * O_DIRECT, ptrace and the like, VM_DESTROY, and the end of the driver.
 *
 * -EINVAL: the VM has no VM_SVM, or the range is not of whole pages of the process.
 * -EPERM: the VM is of another process. -ENODEV, -ENOMEM.
 */
struct drm_figment_vm_place {
	/** @vm_id: VM. */
	__u32 vm_id;
	/** @place: enum drm_figment_place; not PLACE_ANY with VM_PLACE_MOVE. */
	__u32 place;
	/** @flags: One or both of DRM_FIGMENT_VM_PLACE_*. */
	__u32 flags;
#define DRM_FIGMENT_VM_PLACE_PREFER	(1 << 0)
#define DRM_FIGMENT_VM_PLACE_MOVE	(1 << 1)
	/** @pad: Zero. */
	__u32 pad;
	/** @address: First address, whole pages. */
	__u64 address;
	/** @size: Bytes, whole pages, not zero. */
	__u64 size;
	/**
	 * @moved: Out: with VM_PLACE_MOVE, bytes that were at @place, or have come there.
	 * Of more than there is room for, what came first may have left again.
	 */
	__u64 moved;
};

/* --- queues and jobs ------------------------------------------------------ */

/*
 * User queues, those with QUEUE_USER, since 1.5: the process writes packets to a ring in
 * memory of its own, and rings the doorbell of the device itself. No call is made, and
 * the packets have no more rights than those of other jobs. In long-running VMs only.
 *
 * The process maps three pages, each by an mmap() of its own, MAP_SHARED, at mmap_offset
 * of QUEUE_CREATE plus DRM_FIGMENT_USER_QUEUE_*:
 *
 *	DOORBELL	written only, 64 bits at its beginning: the new write index
 *	INDEX		struct drm_figment_user_queue_index: the same, for the driver
 *	STATUS		struct drm_figment_user_queue_status: read only, else -EACCES
 *
 * Indexes are bytes, free-running from 0; packets wrap around in the ring. To submit:
 *
 *	1. write the packets, not more than one ring ahead of status.read
 *	2. store index.write, after them (release)
 *	3. store the same value to the doorbell, after it
 *
 * Threads that share a queue take turns in all of that. The order of 2 and 3 matters: the
 * device does not hear a doorbell while the driver has put the queue aside, and the
 * driver then goes by the index. One that is no multiple of 8, goes back, or is more than
 * a ring ahead is an error of the queue, as the same value of a doorbell is.
 *
 * An error ends the queue, as nobody knows where its next job begins. QUEUE_QUERY says
 * which: jobs and errors are 1 then. So does a reset of the device that was not announced,
 * unless the queue was put aside, or had nothing to do: -ECANCELED. Doorbells of a
 * queue that has ended, also of one that is destroyed or whose device is gone, go
 * nowhere, and are no error: WAIT_USER_FENCE tells.
 *
 * A child of fork() does not have the mappings; it may make its own, by the same file.
 */
#define DRM_FIGMENT_USER_QUEUE_DOORBELL	0x0000
#define DRM_FIGMENT_USER_QUEUE_INDEX	0x1000
#define DRM_FIGMENT_USER_QUEUE_STATUS	0x2000

/** struct drm_figment_user_queue_index - What the process tells the driver. */
struct drm_figment_user_queue_index {
	/** @write: Bytes of the ring written. */
	__u64 write;
};

/** struct drm_figment_user_queue_status - What the device tells the process. */
struct drm_figment_user_queue_status {
	/** @reserved: Of device and driver. */
	__u64 reserved[4];
	/**
	 * @read: Bytes of the ring that the device is done with, and that may be written
	 * again. What their packets have written may be seen later: RELEASE tells.
	 */
	__u64 read;
};

/** struct drm_figment_queue_create - DRM_IOCTL_FIGMENT_QUEUE_CREATE. */
struct drm_figment_queue_create {
	/** @vm_id: VM that the queue works in. */
	__u32 vm_id;
	/** @priority: -EACCES: the highest one needs CAP_SYS_NICE or DRM master. */
	__u32 priority;
	/** @flags: DRM_FIGMENT_QUEUE_*. -EOPNOTSUPP: USER in a VM that is not long-running. */
	__u32 flags;
#define DRM_FIGMENT_QUEUE_USER		(1 << 0)
	/** @id: Out: queue of this file. -ENOSPC: no hardware queue is free. */
	__u32 id;
	/** @timeslice_ns: Time on an engine while others of its priority wait; zero: default. */
	__u64 timeslice_ns;
	/**
	 * @ring_address: With QUEUE_USER: GPU address of the ring, whole pages that VM_BIND
	 * takes. Whether something is mapped there is looked at when the device does. Else zero.
	 */
	__u64 ring_address;
	/** @ring_size: Bytes of it: a power of two, 4 KiB to 4 MiB. Else zero. */
	__u64 ring_size;
	/** @mmap_offset: Out: with QUEUE_USER: for mmap() of the device file. */
	__u64 mmap_offset;
};

/**
 * struct drm_figment_queue_destroy - DRM_IOCTL_FIGMENT_QUEUE_DESTROY.
 *
 * Jobs that have not finished end with -ECANCELED on their fences.
 */
struct drm_figment_queue_destroy {
	/** @id: Queue. */
	__u32 id;
	/** @pad: Zero. */
	__u32 pad;
};

/** struct drm_figment_queue_query - DRM_IOCTL_FIGMENT_QUEUE_QUERY. */
struct drm_figment_queue_query {
	/** @id: Queue. */
	__u32 id;
	/** @pad: Zero. */
	__u32 pad;
	/** @jobs: Out: jobs that have ended, well or not. */
	__u64 jobs;
	/** @errors: Out: jobs that have ended with an error. */
	__u64 errors;
	/** @last_error: Out: negative errno on the fence of the last such job, or zero. */
	__s32 last_error;
	/** @last_code: Out: the device's FIGMENT_CODE_* of that job, zero for a timeout. */
	__u32 last_code;
	/** @last_address: Out: address that went wrong, for @last_code. */
	__u64 last_address;
};

/**
 * struct drm_figment_submit - DRM_IOCTL_FIGMENT_SUBMIT: one job.
 *
 * A job that goes wrong ends with an error on its fence: -EFAULT (it touched
 * what it may not), -EINVAL (malformed packet), -ETIME (it ran too long),
 * -EIO (the bus did not answer), -ECANCELED (the queue was destroyed, or a reset
 * for another job hit it), -ENODEV. The queue then goes on with its next job.
 *
 * -EFAULT and -EOPNOTSUPP from the call: see DRM_FIGMENT_BIND_MAP_USERPTR. -EINVAL
 * also: a wait for a syncobj, or a point, that nobody has submitted yet; a user queue,
 * whose process submits without a call. -ENOSPC: the
 * buffers of the VM are more than fits into VRAM.
 *
 * In a long-running VM the error of a job is in QUEUE_QUERY only. The call waits
 * while the queue has too many jobs that have not ended; -ECANCELED: the queue is
 * destroyed meanwhile.
 */
struct drm_figment_submit {
	/** @queue_id: Queue. */
	__u32 queue_id;
	/** @flags: Zero. */
	__u32 flags;
	/** @address: GPU address of the packets, multiple of 8. */
	__u64 address;
	/** @size: Bytes of packets, multiple of 8; zero: an empty job. */
	__u64 size;
	/** @syncs: struct drm_figment_sync. -EOPNOTSUPP: the VM is long-running. */
	struct drm_figment_array syncs;
};

/* --- user fences ---------------------------------------------------------- */

/** enum drm_figment_compare - Unsigned comparisons; those of the device's WAIT. */
enum drm_figment_compare {
	DRM_FIGMENT_COMPARE_EQ = 0,
	DRM_FIGMENT_COMPARE_NE = 1,
	DRM_FIGMENT_COMPARE_LT = 2,
	DRM_FIGMENT_COMPARE_LE = 3,
	DRM_FIGMENT_COMPARE_GT = 4,
	DRM_FIGMENT_COMPARE_GE = 5,
};

/**
 * struct drm_figment_wait_user_fence - DRM_IOCTL_FIGMENT_WAIT_USER_FENCE, since 1.1.
 *
 * Wait until (*@address & @mask) @compare @reference. The word is memory of the
 * caller, which jobs write with RELEASE. A RELEASE with RELEASE_EVENT wakes the
 * caller at once; what is written without it is noticed within 100 ms.
 *
 * -ETIME: the deadline has passed, and it does not hold. The word is looked at
 * once in any case, so a deadline in the past asks without waiting.
 *
 * With @queue_id the wait also ends when a job of that queue goes wrong, and so
 * may never write the word. -ECANCELED: it does not hold, and the number of errors
 * of the queue is not @errors, or the queue is destroyed.
 */
struct drm_figment_wait_user_fence {
	/** @address: User pointer, multiple of 8. */
	__u64 address;
	/** @reference: What is compared with. */
	__u64 reference;
	/** @mask: Bits of the word that count. */
	__u64 mask;
	/** @compare: enum drm_figment_compare. */
	__u32 compare;
	/** @flags: Zero. */
	__u32 flags;
	/** @deadline_ns: Time of CLOCK_MONOTONIC, in ns. */
	__s64 deadline_ns;
	/** @queue_id: Queue whose errors end the wait, or zero; since 1.2. */
	__u32 queue_id;
	/** @pad: Zero. */
	__u32 pad;
	/** @errors: What QUEUE_QUERY told of it before the job was submitted; else zero. */
	__u64 errors;
};

#define DRM_IOCTL_FIGMENT_DEV_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_DEV_QUERY, struct drm_figment_dev_query)
#define DRM_IOCTL_FIGMENT_BO_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_BO_CREATE, struct drm_figment_bo_create)
#define DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_BO_MMAP_OFFSET, struct drm_figment_bo_mmap_offset)
#define DRM_IOCTL_FIGMENT_VM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_VM_CREATE, struct drm_figment_vm_create)
#define DRM_IOCTL_FIGMENT_VM_DESTROY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_VM_DESTROY, struct drm_figment_vm_destroy)
#define DRM_IOCTL_FIGMENT_VM_BIND \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_VM_BIND, struct drm_figment_vm_bind)
#define DRM_IOCTL_FIGMENT_QUEUE_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_QUEUE_CREATE, struct drm_figment_queue_create)
#define DRM_IOCTL_FIGMENT_QUEUE_DESTROY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_QUEUE_DESTROY, struct drm_figment_queue_destroy)
#define DRM_IOCTL_FIGMENT_QUEUE_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_QUEUE_QUERY, struct drm_figment_queue_query)
#define DRM_IOCTL_FIGMENT_SUBMIT \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_SUBMIT, struct drm_figment_submit)
#define DRM_IOCTL_FIGMENT_WAIT_USER_FENCE \
	DRM_IOW(DRM_COMMAND_BASE + DRM_FIGMENT_WAIT_USER_FENCE, \
		struct drm_figment_wait_user_fence)
#define DRM_IOCTL_FIGMENT_VM_PLACE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FIGMENT_VM_PLACE, struct drm_figment_vm_place)

#if defined(__cplusplus)
}
#endif

#endif
