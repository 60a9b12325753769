// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Device coredumps: what there was to see when a job went wrong, as text, in
 * /sys/class/devcoredump until somebody has read it. figment-decode says it in words.
 *
 *	begin	before the queue is reset: registers, which do not survive it
 *	blame	a job is guilty: what is known of it, its queue, its packets, its VM
 *	end	hand over to a work, which makes text of it; or nobody was to blame
 *
 * The first three are in the signalling path, and often come when memory is short: they write into
 * one snapshot that the device has had since probe, and wait for nobody. As long as it is in use
 * further jobs go wrong unseen. devcoredump itself keeps one dump of a device, and drops others
 * until that is read; so does whoever fails again and again: he can have some dumps in a row only.
 *
 * Packets are copied from where the driver can read: rings, buffers in system memory and in VRAM.
 * Memory of processes is theirs, a notifier may be taking it away at this moment: it is only named.
 */
#include <linux/ascii85.h>
#include <linux/bitfield.h>
#include <linux/devcoredump.h>
#include <linux/pci.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>

#include <drm/drm_drv.h>
#include <drm/drm_gpuvm.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "figment_bo.h"
#include "figment_coredump.h"
#include "figment_device.h"
#include "figment_drv.h"
#include "figment_mirror.h"
#include "figment_pt.h"
#include "figment_queue.h"
#include "figment_user_queue.h"
#include "figment_userptr.h"
#include "figment_vm.h"

/* Of the text; sections and lines may be added without a new one. */
#define FIGMENT_COREDUMP_VERSION	1

/* So many dumps in so much time; more are not made. */
#define FIGMENT_COREDUMP_BURST		10
#define FIGMENT_COREDUMP_INTERVAL	(5 * HZ)

#define FIGMENT_COREDUMP_BUFFERS	8
#define FIGMENT_COREDUMP_BUFFER_BYTES	SZ_32K
#define FIGMENT_COREDUMP_BYTES		SZ_64K
#define FIGMENT_COREDUMP_MAPPINGS	512
/* Words of 32 bits in a line of data. */
#define FIGMENT_COREDUMP_LINE		20

/** struct figment_dump_job - A job that the ring had. */
struct figment_dump_job {
	u64 seqno;
	/** @begin: Where its packets begin in the ring, free-running. */
	u64 begin;
	/** @address: GPU address of the packets of the user; with @size zero: none. */
	u64 address;
	u64 size;
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

/** struct figment_dump_queue - The registers of a queue. */
struct figment_dump_queue {
	u32 id;
	u32 state;
	u32 code;
	u32 engine;
	u64 desc;
	u64 address;
	u64 read;
	u64 write;
};

/** struct figment_dump_buffer - Packets that the job was to execute. */
struct figment_dump_buffer {
	u64 address;
	u64 bytes;
	/** @at: Where they are in &figment_coredump.data. */
	u32 at;
	/** @captured: Bytes there. */
	u32 captured;
	/** @missing: Why there are fewer than @bytes, or NULL. */
	const char *missing;
};

/** struct figment_dump_mapping - A mapping of the VM. */
struct figment_dump_mapping {
	u64 first;
	u64 last;
	/** @offset: In the buffer, or address of the process. */
	u64 offset;
	const char *kind;
	bool read_only;
};

/* Without side effects, and without those that are a driver's scratch pad. */
static const struct {
	const char *name;
	u32 offset;
	u32 bits;
	u64 feature;
} figment_dump_registers[] = {
	{ "ID", FIGMENT_REG_ID, 32 },
	{ "VERSION", FIGMENT_REG_VERSION, 32 },
	{ "FEATURES", FIGMENT_REG_FEATURES, 64 },
	{ "CONFIG", FIGMENT_REG_CONFIG, 64 },
	{ "VRAM_BYTES", FIGMENT_REG_VRAM_BYTES, 64 },
	{ "TIME", FIGMENT_REG_TIME, 64 },
	{ "GUEST_ERRORS", FIGMENT_REG_GUEST_ERRORS, 64 },
	{ "CONTROL", FIGMENT_REG_CONTROL, 32 },
	{ "STATUS", FIGMENT_REG_STATUS, 32 },
	{ "ERROR", FIGMENT_REG_ERROR, 32 },
	{ "EVENT_BASE", FIGMENT_REG_EVENT_BASE, 64 },
	{ "EVENT_SIZE_LG2", FIGMENT_REG_EVENT_SIZE_LG2, 32 },
	{ "EVENT_READ", FIGMENT_REG_EVENT_READ, 32 },
	{ "EVENT_WRITE", FIGMENT_REG_EVENT_WRITE, 32 },
	{ "EVENT_STALLS", FIGMENT_REG_EVENT_STALLS, 32 },
	{ "INVAL_SEQ", FIGMENT_REG_INVAL_SEQ, 64 },
	{ "INVAL_DONE", FIGMENT_REG_INVAL_DONE, 64 },
	{ "INJECT_RULES", FIGMENT_REG_INJECT_RULES, 32, FIGMENT_FEATURE_INJECT },
};

/** struct figment_coredump - The snapshot of a device. */
struct figment_coredump {
	struct figment_device *fdev;
	/** @busy: Bit 0: somebody has it, to write or to publish. */
	unsigned long busy;
	/** @limit: For those who fail again and again. */
	struct ratelimit_state limit;
	/** @work: Publishes it. */
	struct work_struct work;
	/** @blamed: There is something to publish; of whoever has it, as what follows. */
	bool blamed;

	struct timespec64 time;
	ktime_t uptime;
	u64 registers[ARRAY_SIZE(figment_dump_registers)];
	struct figment_dump_queue queues[FIGMENT_QUEUES_MAX];
	u32 queue_count;

	int error;
	u32 code;
	u64 address;
	u64 client;
	struct figment_dump_job guilty;

	u32 hw_id;
	u32 asid;
	u32 priority;
	u64 timeslice_ns;
	const char *strategy;
	bool suspended;
	bool saved;
	u64 seqno;
	u64 ended;
	u64 jobs_ended;
	u64 jobs_failed;
	u64 write;
	struct figment_descriptor descriptor;
	struct figment_dump_job jobs[FIGMENT_QUEUE_CREDITS];
	u32 job_count;
	/** @user: A user queue: its ring is a buffer, or memory of the process. */
	bool user;
	__le64 ring[FIGMENT_RING_QWORDS];

	struct figment_dump_buffer buffers[FIGMENT_COREDUMP_BUFFERS];
	u32 buffer_count;
	__le64 data[FIGMENT_COREDUMP_BYTES / sizeof(__le64)];
	u32 data_bytes;

	struct figment_dump_mapping mappings[FIGMENT_COREDUMP_MAPPINGS];
	/** @mapping_count: That there are, or one more than there is room for. */
	u32 mapping_count;

	u64 root;
	u64 entries[FIGMENT_PT_LEVELS];
	/** @level: The lowest one that a walk gets to; FIGMENT_PT_LEVELS: no tables. */
	int level;
};

/* --- begin ----------------------------------------------------------------- */

static void figment_coredump_read_queue(struct figment_coredump *dump, u32 id)
{
	struct figment_dump_queue *to = &dump->queues[dump->queue_count++];
	struct figment_device *fdev = dump->fdev;
	u32 reg = FIGMENT_REG_QUEUE(id);

	*to = (struct figment_dump_queue) {
		.id = id,
		.state = figment_read32(fdev, reg + FIGMENT_QUEUE_STATE),
		.code = figment_read32(fdev, reg + FIGMENT_QUEUE_CODE),
		.engine = figment_read32(fdev, reg + FIGMENT_QUEUE_ENGINE),
		.desc = figment_read64(fdev, reg + FIGMENT_QUEUE_DESC),
		.address = figment_read64(fdev, reg + FIGMENT_QUEUE_ADDRESS),
		.read = figment_read64(fdev, reg + FIGMENT_QUEUE_READ),
		.write = figment_read64(fdev, reg + FIGMENT_QUEUE_WRITE),
	};
}

static void figment_coredump_read_registers(struct figment_coredump *dump)
{
	struct figment_device *fdev = dump->fdev;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(figment_dump_registers); i++) {
		u64 feature = figment_dump_registers[i].feature;
		u32 offset = figment_dump_registers[i].offset;

		if ((fdev->info.features & feature) != feature)
			continue;
		dump->registers[i] = figment_dump_registers[i].bits == 64 ?
				     figment_read64(fdev, offset) : figment_read32(fdev, offset);
	}

	dump->queue_count = 0;
	for (i = 0; i < fdev->info.queues; i++)
		if (rcu_access_pointer(fdev->queues.slot[i]))
			figment_coredump_read_queue(dump, i);
}

/**
 * figment_coredump_begin() - A queue is about to be reset, and somebody may be to blame.
 * @queue: the queue; the caller is inside drm_dev_enter()
 *
 * In the signalling path.
 *
 * Return: what figment_coredump_end() takes, or NULL: there is to be no dump.
 */
struct figment_coredump *figment_coredump_begin(struct figment_queue *queue)
{
	struct figment_coredump *dump = queue->fdev->coredump;

	lockdep_assert_held(&queue->hw_lock);

	if (test_and_set_bit_lock(0, &dump->busy))
		return NULL;
	if (!__ratelimit(&dump->limit)) {
		clear_bit_unlock(0, &dump->busy);
		return NULL;
	}

	dump->blamed = false;
	ktime_get_real_ts64(&dump->time);
	dump->uptime = ktime_get_boottime();
	figment_coredump_read_registers(dump);
	return dump;
}

/* --- blame ----------------------------------------------------------------- */

static void figment_coredump_job(struct figment_dump_job *to, struct figment_queue *queue,
				 struct figment_fence *fence)
{
	/* The packets that figment_queue_emit() writes: a timestamp, an INDIRECT. */
	u64 at = fence->begin / sizeof(u64) + 2;

	lockdep_assert_held(&queue->lock);

	*to = (struct figment_dump_job) {
		.seqno = fence->base.seqno,
		.begin = fence->begin,
		.pid = fence->pid,
	};
	strscpy_pad(to->comm, fence->comm);
	if (!fence->stamped)
		return;
	to->address = le64_to_cpu(queue->ring[(at + 1) % FIGMENT_RING_QWORDS]);
	to->size = le64_to_cpu(queue->ring[(at + 2) % FIGMENT_RING_QWORDS]);
}

/* The packets of a ring that the device has not done with, up to its end. */
static void figment_coredump_user_job(struct figment_dump_job *to, struct figment_queue *queue)
{
	*to = (struct figment_dump_job) {
		.begin = le64_to_cpu(queue->control->descriptor.read),
		.pid = queue->client->pid,
	};
	strscpy_pad(to->comm, queue->client->comm);
	figment_user_queue_pending(queue, &to->address, &to->size);
}

static void figment_coredump_queue(struct figment_coredump *dump, struct figment_queue *queue,
				   struct figment_fence *guilty)
{
	struct figment_fence *fence;

	dump->hw_id = queue->hw_id;
	dump->asid = queue->vm->pt.asid;
	dump->priority = queue->priority;
	dump->timeslice_ns = queue->timeslice_ns;
	dump->strategy = queue->vm->strategy->name;
	dump->client = queue->client->id;
	dump->suspended = queue->suspended;
	dump->saved = queue->saved;

	guard(spinlock_irqsave)(&queue->lock);
	dump->seqno = queue->seqno;
	dump->ended = le64_to_cpu(READ_ONCE(queue->control->fence));
	dump->jobs_ended = queue->jobs;
	dump->jobs_failed = queue->errors;
	dump->write = queue->write;
	dump->descriptor = queue->control->descriptor;
	dump->job_count = 0;
	dump->user = queue->user;
	if (dump->user) {
		dump->write = le64_to_cpu(dump->descriptor.write);
		figment_coredump_user_job(&dump->guilty, queue);
		return;
	}
	memcpy(dump->ring, queue->ring, sizeof(dump->ring));
	figment_coredump_job(&dump->guilty, queue, guilty);
	list_for_each_entry(fence, &queue->in_flight, link) {
		if (dump->job_count == ARRAY_SIZE(dump->jobs))
			break;
		figment_coredump_job(&dump->jobs[dump->job_count++], queue, fence);
	}
}

/* Copies what it can; returns NULL, or why that is not all. */
static const char *figment_coredump_copy(struct figment_coredump *dump, struct figment_vm *vm,
					 struct figment_dump_buffer *buffer)
{
	u64 address = buffer->address;
	u32 room;

	lockdep_assert_held(&vm->pt.lock);

	while (buffer->captured < buffer->bytes) {
		struct drm_gpuva *va = drm_gpuva_find_first(&vm->base, address, 1);
		u64 skip, size;
		size_t copied;

		if (!va || va == &vm->base.kernel_alloc_node)
			return "not mapped";
		if (to_figment_vma(va)->userptr)
			return "memory of a process";
		if (to_figment_vma(va)->evicted)
			return "evicted";
		room = min_t(u32, FIGMENT_COREDUMP_BUFFER_BYTES - buffer->captured,
			     FIGMENT_COREDUMP_BYTES - dump->data_bytes);
		if (!room)
			return "too much";

		skip = address - va->va.addr;
		size = min3(va->va.range - skip, buffer->bytes - buffer->captured, (u64)room);
		copied = figment_bo_read(to_figment_bo(va->gem.obj), va->gem.offset + skip,
					 (u8 *)dump->data + dump->data_bytes, size);
		buffer->captured += copied;
		dump->data_bytes += copied;
		address += copied;
		if (copied < size)
			return drm_gem_is_imported(va->gem.obj) ? "buffer of another device" :
								  "it can not be read now";
	}
	return NULL;
}

static void figment_coredump_add_buffer(struct figment_coredump *dump, struct figment_vm *vm,
					u64 address, u64 bytes)
{
	struct figment_dump_buffer *buffer;
	u32 i;

	for (i = 0; i < dump->buffer_count; i++)
		if (dump->buffers[i].address == address && dump->buffers[i].bytes == bytes)
			return;
	if (!bytes || dump->buffer_count == ARRAY_SIZE(dump->buffers))
		return;

	buffer = &dump->buffers[dump->buffer_count++];
	*buffer = (struct figment_dump_buffer) {
		.address = address,
		.bytes = bytes,
		.at = dump->data_bytes,
	};
	/* From user space, and no packet may be there: but what is mapped is inside. */
	if (address >= FIGMENT_VA_END || bytes > FIGMENT_VA_END - address)
		buffer->missing = "not mapped";
	else
		buffer->missing = figment_coredump_copy(dump, vm, buffer);
	/* Data are whole words of 64 bits. */
	buffer->captured = round_down(buffer->captured, sizeof(u64));
	dump->data_bytes = buffer->at + buffer->captured;
}

/* The buffers that the packets in one of them call. */
static void figment_coredump_follow(struct figment_coredump *dump, struct figment_vm *vm,
				    const struct figment_dump_buffer *buffer)
{
	const __le64 *words = dump->data + buffer->at / sizeof(u64);
	u32 count = buffer->captured / sizeof(u64);
	u32 i, qwords;

	for (i = 0; i < count; i += qwords) {
		u64 header = le64_to_cpu(words[i]);

		qwords = FIELD_GET(FIGMENT_PACKET_QWORDS, header);
		if (!qwords)
			return;
		if (FIELD_GET(FIGMENT_PACKET_OPCODE, header) == FIGMENT_OP_INDIRECT &&
		    count - i >= 3)
			figment_coredump_add_buffer(dump, vm, le64_to_cpu(words[i + 1]),
						    le64_to_cpu(words[i + 2]));
	}
}

/*
 * False: there is no room for more. A process can have a million, and notifiers wait
 * meanwhile.
 */
static bool figment_coredump_add_mapping(struct figment_coredump *dump,
					 const struct figment_dump_mapping *mapping)
{
	bool room = dump->mapping_count < ARRAY_SIZE(dump->mappings);

	if (room)
		dump->mappings[dump->mapping_count] = *mapping;
	dump->mapping_count++;
	return room;
}

static bool figment_coredump_add_range(void *data, u64 first, u64 last)
{
	const struct figment_dump_mapping mapping = {
		.first = first,
		.last = last,
		.offset = first,
		.kind = "svm",
	};

	return figment_coredump_add_mapping(data, &mapping);
}

static bool figment_coredump_add_vma(struct figment_coredump *dump, struct drm_gpuva *va)
{
	struct figment_vma *vma = to_figment_vma(va);
	struct figment_dump_mapping mapping = {
		.first = va->va.addr,
		.last = va->va.addr + va->va.range - 1,
		.offset = va->gem.offset,
		.kind = "userptr",
		.read_only = vma->read_only,
	};

	if (vma->userptr)
		mapping.offset += vma->userptr->start;
	else
		mapping.kind = to_figment_bo(va->gem.obj)->vram ? "vram" : "system";
	return figment_coredump_add_mapping(dump, &mapping);
}

static void figment_coredump_vm(struct figment_coredump *dump, struct figment_vm *vm)
{
	struct drm_gpuva *va;
	u32 i;

	guard(mutex)(&vm->pt.lock);

	dump->mapping_count = 0;
	drm_gpuvm_for_each_va(va, &vm->base)
		if (va != &vm->base.kernel_alloc_node && !figment_coredump_add_vma(dump, va))
			break;
	figment_mirror_for_each(vm, figment_coredump_add_range, dump);

	dump->level = figment_pt_look(&vm->pt, dump->address, dump->entries);
	dump->root = figment_read64(vm->fdev, FIGMENT_REG_ASID_ROOT(vm->pt.asid));

	dump->buffer_count = 0;
	dump->data_bytes = 0;
	figment_coredump_add_buffer(dump, vm, dump->guilty.address, dump->guilty.size);
	for (i = 0; i < dump->buffer_count; i++)
		figment_coredump_follow(dump, vm, &dump->buffers[i]);
}

/**
 * figment_coredump_blame() - A job is to blame.
 * @dump: of figment_coredump_begin()
 * @queue: its queue, off the hardware
 * @guilty: the job, still in flight; NULL: it is a user queue
 * @error: errno for its fence
 * @code: FIGMENT_CODE_* of the device
 * @address: GPU address that went wrong
 *
 * In the signalling path; takes the lock of the page tables, does not allocate.
 */
void figment_coredump_blame(struct figment_coredump *dump, struct figment_queue *queue,
			    struct figment_fence *guilty, int error, u32 code, u64 address)
{
	lockdep_assert_held(&queue->hw_lock);

	if (!dump)
		return;
	dump->error = error;
	dump->code = code;
	dump->address = address;
	figment_coredump_queue(dump, queue, guilty);
	figment_coredump_vm(dump, queue->vm);
	dump->blamed = true;
}

/** figment_coredump_end() - Publish it, or give the snapshot back: nobody was to blame. */
void figment_coredump_end(struct figment_coredump *dump)
{
	if (dump->blamed)
		queue_work(system_dfl_wq, &dump->work);
	else
		clear_bit_unlock(0, &dump->busy);
}

/* --- text ------------------------------------------------------------------ */

static void figment_coredump_print_data(struct drm_printer *p, const void *data, size_t bytes)
{
	char line[FIGMENT_COREDUMP_LINE * (ASCII85_BUFSZ - 1) + 2];
	const __le32 *words = data;
	size_t count = bytes / sizeof(*words);
	size_t i, at = 0;

	drm_puts(p, "data:\n");
	for (i = 0; i < count; i++) {
		char out[ASCII85_BUFSZ];

		at += strscpy(line + at, ascii85_encode(le32_to_cpu(words[i]), out),
			      sizeof(line) - at);
		if (i + 1 < count && (i + 1) % FIGMENT_COREDUMP_LINE)
			continue;
		line[at++] = '\n';
		line[at] = '\0';
		drm_puts(p, line);
		at = 0;
	}
}

static void figment_coredump_print_job(struct drm_printer *p, const struct figment_dump_job *job)
{
	drm_printf(p, "seqno: %llu\n", job->seqno);
	drm_printf(p, "begin: 0x%llx\n", job->begin);
	drm_printf(p, "commands: 0x%llx 0x%llx\n", job->address, job->size);
	drm_printf(p, "pid: %d\n", job->pid);
	/* A process may call itself anything. */
	drm_printf(p, "process: %*pE\n", (int)strnlen(job->comm, sizeof(job->comm)), job->comm);
}

static void figment_coredump_print_registers(struct drm_printer *p,
					     const struct figment_coredump *dump)
{
	u32 i;

	drm_puts(p, "\n[registers]\n");
	for (i = 0; i < ARRAY_SIZE(figment_dump_registers); i++)
		drm_printf(p, "%s: 0x%llx\n", figment_dump_registers[i].name, dump->registers[i]);
	for (i = 0; i < dump->queue_count; i++) {
		const struct figment_dump_queue *queue = &dump->queues[i];

		drm_printf(p, "\n[queue registers]\nqueue: %u\nDESC: 0x%llx\nSTATE: 0x%x\n",
			   queue->id, queue->desc, queue->state);
		drm_printf(p, "CODE: 0x%x\nENGINE: 0x%x\nADDRESS: 0x%llx\n",
			   queue->code, queue->engine, queue->address);
		drm_printf(p, "READ: 0x%llx\nWRITE: 0x%llx\n", queue->read, queue->write);
	}
}

static void figment_coredump_print_queue(struct drm_printer *p,
					 const struct figment_coredump *dump)
{
	u32 i;

	drm_puts(p, "\n[queue]\n");
	drm_printf(p, "queue: %u\nasid: %u\nstrategy: %s\npriority: %u\ntimeslice_ns: %llu\n",
		   dump->hw_id, dump->asid, dump->strategy, dump->priority, dump->timeslice_ns);
	drm_printf(p, "suspended: %u\nsaved: %u\n", dump->suspended, dump->saved);
	drm_printf(p, "seqno: %llu\nended: %llu\n", dump->seqno, dump->ended);
	drm_printf(p, "jobs: %llu\nerrors: %llu\n", dump->jobs_ended, dump->jobs_failed);
	drm_printf(p, "write: 0x%llx\n", dump->write);

	for (i = 0; i < dump->job_count; i++) {
		drm_puts(p, "\n[job in flight]\n");
		figment_coredump_print_job(p, &dump->jobs[i]);
	}

	drm_printf(p, "\n[descriptor]\nbytes: %zu\n", sizeof(dump->descriptor));
	figment_coredump_print_data(p, &dump->descriptor, sizeof(dump->descriptor));
	if (!dump->user) {
		drm_printf(p, "\n[ring]\naddress: 0x%llx\nbytes: %zu\n",
			   FIGMENT_QUEUE_VA(dump->hw_id), sizeof(dump->ring));
		figment_coredump_print_data(p, dump->ring, sizeof(dump->ring));
	}

	for (i = 0; i < dump->buffer_count; i++) {
		const struct figment_dump_buffer *buffer = &dump->buffers[i];

		drm_printf(p, "\n[buffer]\naddress: 0x%llx\nsize: 0x%llx\n", buffer->address,
			   buffer->bytes);
		if (buffer->missing)
			drm_printf(p, "missing: %s\n", buffer->missing);
		drm_printf(p, "bytes: %u\n", buffer->captured);
		figment_coredump_print_data(p, (const u8 *)dump->data + buffer->at,
					    buffer->captured);
	}
}

static void figment_coredump_print_vm(struct drm_printer *p, const struct figment_coredump *dump)
{
	u32 shown = min_t(u32, dump->mapping_count, ARRAY_SIZE(dump->mappings));
	int level;
	u32 i;

	drm_printf(p, "\n[walk]\naddress: 0x%llx\nroot: 0x%llx\n", dump->address, dump->root);
	for (level = FIGMENT_PT_LEVELS - 1; level >= dump->level; level--)
		drm_printf(p, "level %d: 0x%llx\n", level, dump->entries[level]);

	drm_printf(p, "\n[mappings]\ncount: %u\n", dump->mapping_count);
	for (i = 0; i < shown; i++) {
		const struct figment_dump_mapping *mapping = &dump->mappings[i];

		drm_printf(p, "0x%llx-0x%llx %s %s 0x%llx\n", mapping->first, mapping->last,
			   mapping->kind, mapping->read_only ? "ro" : "rw", mapping->offset);
	}
}

static void figment_coredump_print(struct drm_printer *p, const struct figment_coredump *dump)
{
	struct drm_device *drm = &dump->fdev->drm;

	drm_printf(p, "Figment device coredump\nversion: %u\n", FIGMENT_COREDUMP_VERSION);
	drm_printf(p, "kernel: %s\ndriver: %s %d.%d\ndevice: %s\n", init_utsname()->release,
		   drm->driver->name, drm->driver->major, drm->driver->minor, dev_name(drm->dev));
	drm_printf(p, "time: %lld.%09ld\nuptime_ns: %lld\n", (s64)dump->time.tv_sec,
		   dump->time.tv_nsec, ktime_to_ns(dump->uptime));

	drm_printf(p, "\n[job]\nerror: %d\ncode: %u\naddress: 0x%llx\nclient: %llu\nqueue: %u\n",
		   dump->error, dump->code, dump->address, dump->client, dump->hw_id);
	figment_coredump_print_job(p, &dump->guilty);

	figment_coredump_print_registers(p, dump);
	figment_coredump_print_queue(p, dump);
	figment_coredump_print_vm(p, dump);
	/* Whoever gets only a part of it knows. */
	drm_puts(p, "\n[end]\n");
}

static void figment_coredump_work(struct work_struct *work)
{
	struct figment_coredump *dump = container_of(work, struct figment_coredump, work);
	struct drm_print_iterator iter = { .remain = SSIZE_MAX };
	struct drm_printer p = drm_coredump_printer(&iter);
	ssize_t size;
	void *text;

	/* Once to learn how long it is. */
	figment_coredump_print(&p, dump);
	size = SSIZE_MAX - iter.remain;
	text = vmalloc(size);
	if (text) {
		iter = (struct drm_print_iterator) { .data = text, .remain = size };
		figment_coredump_print(&p, dump);
		/* Takes the memory. Without the module in its debt, which may be unloaded. */
		dev_coredumpv(dump->fdev->drm.dev, text, size, GFP_KERNEL);
		if (IS_ENABLED(CONFIG_DEV_COREDUMP))
			drm_info_once(&dump->fdev->drm,
				      "a job went wrong: see /sys/class/devcoredump, with figment-decode\n");
	}
	clear_bit_unlock(0, &dump->busy);
}

/* --- life ------------------------------------------------------------------ */

static void figment_coredump_stop(void *data)
{
	struct figment_coredump *dump = data;

	/* The device is unplugged: no job is blamed any more. */
	cancel_work_sync(&dump->work);
}

static void figment_coredump_free(struct drm_device *drm, void *data)
{
	vfree(data);
}

/**
 * figment_coredump_init() - Get ready for the worst.
 * @fdev: the device, without queues yet
 *
 * Return: 0, or a negative errno.
 */
int figment_coredump_init(struct figment_device *fdev)
{
	struct figment_coredump *dump = vzalloc(sizeof(*dump));
	int ret;

	if (!dump)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(&fdev->drm, figment_coredump_free, dump);
	if (ret)
		return ret;

	dump->fdev = fdev;
	INIT_WORK(&dump->work, figment_coredump_work);
	ratelimit_state_init(&dump->limit, FIGMENT_COREDUMP_INTERVAL, FIGMENT_COREDUMP_BURST);
	/* It is no message that is suppressed. */
	ratelimit_set_flags(&dump->limit, RATELIMIT_MSG_ON_RELEASE);
	fdev->coredump = dump;
	return devm_add_action_or_reset(fdev->drm.dev, figment_coredump_stop, dump);
}
