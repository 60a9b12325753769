/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_QUEUE_H
#define FIGMENT_QUEUE_H

#include <linux/dma-fence.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <drm/gpu_scheduler.h>

#include "figment_hw.h"

#define FIGMENT_RING_BYTES_LG2		12
#define FIGMENT_RING_BYTES		BIT(FIGMENT_RING_BYTES_LG2)
#define FIGMENT_RING_QWORDS		(FIGMENT_RING_BYTES / sizeof(__le64))
/* Jobs that the ring has at a time. */
#define FIGMENT_QUEUE_CREDITS		48
/* Where ring and control page of a hardware queue are mapped. */
#define FIGMENT_QUEUE_VA(hw_id)		(FIGMENT_VA_END + (u64)(hw_id) * 2 * PAGE_SIZE)

struct drm_figment_queue_create;
struct drm_figment_queue_query;
struct figment_client;
struct figment_device;
struct figment_user_queue;
struct figment_vm;

/* The hardware side of a job, from figment_queue_emit() to its fence. */
struct figment_fence {
	/** @base: First, so that the fence can be freed without this driver. */
	struct dma_fence base;
	/** @link: In &figment_queue.in_flight, which holds a reference. */
	struct list_head link;
	/** @pid: Of the process that has submitted it. */
	pid_t pid;
	/** @comm: What that called itself. */
	char comm[TASK_COMM_LEN];
	/** @visible: For traces: the fence that others see; zero when there is none. */
	struct {
		u64 context;
		u64 seqno;
	} visible;
	/** @end: Where its packets end in the ring, free-running bytes. */
	u64 end;
	/** @begin: Where they begin. */
	u64 begin;
	/** @stamped: The device notes when it begins and ends. */
	bool stamped;
};

/* Device time of a job, written by the device. */
struct figment_stamp {
	__le64 begin;
	__le64 end;
};

#define FIGMENT_STAMPS		64

/* One page that driver and device share, per queue. */
struct figment_control {
	struct figment_descriptor descriptor;
	/** @fence: Sequence number of the last job that has ended. */
	__le64 fence;
	__le64 reserved[95];
	/** @stamps: Of the job with sequence number n: n % FIGMENT_STAMPS. */
	struct figment_stamp stamps[FIGMENT_STAMPS];
};

/** struct figment_queue - A hardware queue and its scheduler. */
struct figment_queue {
	/** @refs: Of handle and jobs. */
	struct kref refs;
	struct figment_device *fdev;
	/** @vm: Holds a reference. */
	struct figment_vm *vm;
	/** @client: Holds a reference. */
	struct figment_client *client;
	/** @hw_id: Constant, but only ours until @dead. */
	u32 hw_id;
	u32 priority;
	u64 timeslice_ns;

	struct drm_gpu_scheduler sched;
	/** @entity: Pushed to under &figment_vm.lock. */
	struct drm_sched_entity entity;

	/** @user: The process writes the ring and rings the doorbell; else NULL. Constant. */
	struct figment_user_queue *user;
	/** @ring: What the device executes; written under @lock. NULL with @user. */
	__le64 *ring;
	dma_addr_t ring_bus;
	struct figment_control *control;
	dma_addr_t control_bus;

	/** @hw_lock: Serialises start, reset and preemption, below all but @lock. */
	struct mutex hw_lock;
	/** @suspended: Kept off the hardware until figment_queue_resume(); under @hw_lock. */
	bool suspended;
	/** @saved: The descriptor has its state; else it begins at a job. Under @hw_lock. */
	bool saved;
	/** @leaving: The device has been asked to put it aside; under @hw_lock. */
	bool leaving;
	/** @described: The device knows the descriptor; under @hw_lock. */
	bool described;
	/** @drain: Where the ring ended when the device was paused; under @hw_lock. */
	u64 drain;

	/** @lock: Guards what follows; taken in hard irq. */
	spinlock_t lock;
	/** @in_flight: Fences of jobs that the ring has, in its order. */
	struct list_head in_flight;
	/** @write: Ring bytes written, free-running. */
	u64 write;
	/** @seqno: Of the job that was emitted last. */
	u64 seqno;
	/** @disbelieved: The last number of a job from the device that was wrong. */
	u64 disbelieved;
	u64 fence_context;
	/** @running: The device has the queue; doorbells count. */
	bool running;
	/** @dead: Errno for jobs that come now, or zero. */
	int dead;
	/** @failed: With @user: it has ended with an error, and is not started again. */
	bool failed;
	/** @jobs: Jobs that have ended. */
	u64 jobs;
	/** @errors: Jobs that have ended with an error. */
	u64 errors;
	/** @reserved: Long-running: jobs in the ring, or about to be. */
	u32 reserved;
	/** @space: Long-running: who waits for @reserved to shrink. */
	wait_queue_head_t space;
	/** @last_error: Of the last one of those: errno, code, address. */
	int last_error;
	u32 last_code;
	u64 last_address;

	/** @fault: With the strategy fault: the one that it waits for. */
	struct {
		/** @fault.address: Under @lock, as @fault.write. */
		u64 address;
		bool write;
		/** @fault.attempts: That memory was short for; by @fault.work. */
		u32 attempts;
		/** @fault.answered: Behind what the last answer was about; by @fault.work. */
		u64 answered;
		/** @fault.answered_size: How far that was from what it had asked for. */
		u64 answered_size;
		/** @fault.ahead: What it got ahead then: bytes; by @fault.work. */
		unsigned long ahead;
		/** @fault.count: Faults so far; written by @fault.work, read by anybody. */
		u64 count;
		/** @fault.work: On the fault workqueue; has a reference of the queue. */
		struct work_struct work;
	} fault;

	/** @suspend_link: In &figment_vm.preempt.queues, with that strategy. */
	struct list_head suspend_link;

	/** @error_work: On the reset workqueue, when the device has stopped the queue. */
	struct work_struct error_work;
	/** @free_work: Tears down when @refs is zero. */
	struct work_struct free_work;
	/** @rcu: Schedulers name fences until a grace period later. */
	struct rcu_head rcu;
};

struct figment_queue *figment_queue_create(struct figment_vm *vm, struct figment_client *client,
					   const struct drm_figment_queue_create *args);
struct figment_queue *figment_queue_get(struct figment_queue *queue);
void figment_queue_put(struct figment_queue *queue);
void figment_queue_kill(struct figment_queue *queue, int error);
struct figment_queue *figment_queue_find(struct figment_device *fdev, u32 hw_id);
void figment_queues_visit(struct figment_device *fdev, void (*visit)(struct figment_queue *queue));
void figment_queues_kill_all(struct figment_device *fdev, int error);
bool figment_queues_are_busy(struct figment_device *fdev, struct figment_vm *vm);
void figment_queues_silence(struct figment_device *fdev);
void figment_queues_retire(struct figment_device *fdev);
void figment_queue_query(struct figment_queue *queue, struct drm_figment_queue_query *args);

/* figment_ring.c */
struct figment_fence *figment_fence_alloc(void);
int figment_queue_emit(struct figment_queue *queue, struct figment_fence *fence,
		       u64 address, u64 size);
void figment_queue_retire(struct figment_queue *queue);
void figment_queue_silence(struct figment_queue *queue);
bool figment_queue_has_begun(struct figment_queue *queue, struct figment_fence *fence);
struct figment_fence *figment_queue_first(struct figment_queue *queue);
void figment_queue_count(struct figment_queue *queue, int error, u32 code, u64 address);
void figment_fence_signal_list(struct list_head *list);
int figment_queue_reserve(struct figment_queue *queue);
void figment_queue_unreserve(struct figment_queue *queue);
bool figment_queue_has_failed(struct figment_queue *queue, u64 errors);
bool figment_queue_is_busy(struct figment_queue *queue);
bool figment_queue_wants_back(struct figment_queue *queue);
u64 figment_queue_written(struct figment_queue *queue);
bool figment_queue_has_drained(struct figment_queue *queue, u64 position);

/* figment_recovery.c */
u32 figment_queue_read32(struct figment_queue *queue, u32 reg);
bool figment_queue_command(struct figment_queue *queue, u32 command);
void figment_queue_restart(struct figment_queue *queue);
void figment_queue_reset(struct figment_queue *queue);
void figment_queue_reset_and_blame(struct figment_queue *queue, int error, u32 code,
				   u64 address, struct figment_fence *late);
void figment_queue_count_failure(struct figment_device *fdev, int error);
bool figment_queue_take_error(struct figment_queue *queue);
void figment_queue_stopped(struct figment_queue *queue);
void figment_queue_recover(struct figment_queue *queue, struct figment_fence *late);
void figment_queue_error_work(struct work_struct *work);
void figment_queue_lose(struct figment_queue *queue);

/* figment_suspend.c */
void figment_queue_suspend_begin(struct figment_queue *queue);
void figment_queue_suspend_end(struct figment_queue *queue, ktime_t deadline);
void figment_queue_resume(struct figment_queue *queue);
void figment_queue_return(struct figment_queue *queue);
void figment_queues_put_aside(struct figment_device *fdev);
void figment_queue_set_fault(struct figment_queue *queue, u64 address, bool write);
bool figment_queue_get_fault(struct figment_queue *queue, u64 *address, bool *write);
void figment_queue_answer_fault(struct figment_queue *queue, u64 address, bool kill);

#endif
