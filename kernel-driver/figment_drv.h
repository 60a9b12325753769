/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_DRV_H
#define FIGMENT_DRV_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct drm_file;
struct figment_queue;
struct figment_vm;

/* Numbers of VMs and queues in a file. */
#define FIGMENT_ID_LIMIT	XA_LIMIT(1, 65535)

/** struct figment_client - What is counted for a file; queues may outlive it. */
struct figment_client {
	struct kref refs;
	/** @id: &drm_file.client_id, as in fdinfo. */
	u64 id;
	/** @engine_ns: Device time that jobs have used. */
	atomic64_t engine_ns;
	/** @comm: Who has opened the file, for the log. */
	char comm[TASK_COMM_LEN];
	pid_t pid;
};

void figment_client_put(struct figment_client *client);
struct figment_vm *figment_file_vm(struct drm_file *file, u32 id);
struct figment_queue *figment_file_queue(struct drm_file *file, u32 id);
struct figment_client *figment_file_client(struct drm_file *file);

#endif
