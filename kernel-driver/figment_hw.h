/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The Figment hardware contract: registers, page tables, descriptors, packets
 * and events, in one place for the device model, the kernel driver and the
 * tests. docs/hardware.md says in words what happens behind each of them.
 *
 * Words: an "address" without more is a GPU virtual address of the queue's
 * address space; "last" is inclusive, "end" is exclusive; sizes are in bytes
 * and times in nanoseconds unless the name says otherwise. Everything in
 * memory is little-endian.
 */
#ifndef FIGMENT_HW_H
#define FIGMENT_HW_H

#include <linux/types.h>

#define FIGMENT_MASK64(high, low) \
	((~0ull << (low)) & (~0ull >> (63 - (high))))
#define FIGMENT_MASK32(high, low) \
	((~0u << (low)) & (~0u >> (31 - (high))))
#define FIGMENT_BIT64(n)		(1ull << (n))
#define FIGMENT_BIT32(n)		(1u << (n))

/* 1. PCI function */
#define FIGMENT_PCI_VENDOR_ID		0x1234
#define FIGMENT_PCI_DEVICE_ID		0xf16e
#define FIGMENT_PCI_CLASS		0x038000
#define FIGMENT_BAR_REGISTERS		0
#define FIGMENT_BAR_VRAM		2
#define FIGMENT_BAR_DOORBELLS		4
#define FIGMENT_REGISTERS_BYTES		0x10000
#define FIGMENT_DOORBELL_BYTES		0x1000	/* one page per queue */
#define FIGMENT_VECTOR_EVENTS		0
#define FIGMENT_VECTOR_ERROR		1
#define FIGMENT_VECTORS			2

/*
 * 2. Registers. A register is 32 or 64 bits wide, as its comment says, and
 * takes naturally aligned accesses of just that width. Anything else is a
 * guest error: it reads as zero, writes nothing, and counts in GUEST_ERRORS.
 */
#define FIGMENT_REG_ID			0x0000	/* ro 32 */
#define   FIGMENT_ID			0x4d474946u	/* "FIGM" */
#define FIGMENT_REG_VERSION		0x0004	/* ro 32 */
#define   FIGMENT_VERSION_MAJOR		FIGMENT_MASK32(31, 16)
#define   FIGMENT_VERSION_MINOR		FIGMENT_MASK32(15, 0)
#define   FIGMENT_VERSION		0x00010000u
#define FIGMENT_REG_FEATURES		0x0008	/* ro 64 */
#define   FIGMENT_FEATURE_FAULTS	FIGMENT_BIT64(0)
#define   FIGMENT_FEATURE_INJECT	FIGMENT_BIT64(1)
#define   FIGMENT_FEATURE_PREEMPT	FIGMENT_MASK64(5, 4)
#define     FIGMENT_PREEMPT_NONE	0
#define     FIGMENT_PREEMPT_COMMAND	1
#define     FIGMENT_PREEMPT_INSTRUCTION	2
#define FIGMENT_REG_CONFIG		0x0010	/* ro 64 */
#define   FIGMENT_CONFIG_ENGINES	FIGMENT_MASK64(7, 0)
#define   FIGMENT_CONFIG_QUEUES		FIGMENT_MASK64(23, 8)
#define   FIGMENT_CONFIG_ASIDS		FIGMENT_MASK64(39, 24)
#define   FIGMENT_CONFIG_VA_BITS	FIGMENT_MASK64(47, 40)
#define FIGMENT_REG_VRAM_BYTES		0x0018	/* ro 64 */
#define FIGMENT_REG_TIME		0x0020	/* ro 64: device time, ns */
#define FIGMENT_REG_SCRATCH		0x0028	/* rw 64 */
#define FIGMENT_REG_GUEST_ERRORS	0x0030	/* ro 64: since power-on */

#define FIGMENT_REG_CONTROL		0x0100	/* rw 32 */
#define   FIGMENT_CONTROL_ENABLE	FIGMENT_BIT32(0)	/* engines take work */
#define FIGMENT_REG_STATUS		0x0104	/* ro 32 */
#define   FIGMENT_STATUS_IDLE		FIGMENT_BIT32(0)	/* no runnable queue, nothing in flight */
#define   FIGMENT_STATUS_RESETTING	FIGMENT_BIT32(1)
#define FIGMENT_REG_RESET		0x0108	/* wo 32 */
#define   FIGMENT_RESET_KEY		0x54455352u	/* "RSET" */
#define FIGMENT_REG_ERROR		0x010c	/* rw1c 32; a bit that becomes 1 raises VECTOR_ERROR */
#define   FIGMENT_ERROR_EVENT_BUS	FIGMENT_BIT32(0)	/* event ring not writable */
#define   FIGMENT_ERROR_EVENT_FULL	FIGMENT_BIT32(1)	/* an event had to wait for space */
#define   FIGMENT_ERROR_INVAL_FULL	FIGMENT_BIT32(2)	/* an invalidation was refused */
#define   FIGMENT_ERROR_DESC_BUS	FIGMENT_BIT32(3)	/* a queue descriptor could not be written back */

/* Event ring, section 6. EVENT_BASE and EVENT_SIZE_LG2 may change while it is off. */
#define FIGMENT_REG_EVENT_BASE		0x0200	/* rw 64: bus address, 4 KiB aligned */
#define FIGMENT_REG_EVENT_SIZE_LG2	0x0208	/* rw 32: entries, 6..16; 0 is off */
#define   FIGMENT_EVENT_SIZE_LG2_MIN	6
#define   FIGMENT_EVENT_SIZE_LG2_MAX	16
#define FIGMENT_REG_EVENT_READ		0x020c	/* rw 32: entries consumed, free-running */
#define FIGMENT_REG_EVENT_WRITE		0x0210	/* ro 32: entries produced, free-running */
#define FIGMENT_REG_EVENT_STALLS	0x0214	/* ro 32: events that had to wait for space */

/*
 * Invalidation. Each accepted write of INVAL_COMMAND since reset has the next
 * sequence number, from 1; INVAL_DONE is the last one that is acknowledged.
 * INVAL_FIRST and INVAL_LAST are latched by the write.
 */
#define FIGMENT_REG_INVAL_FIRST		0x0300	/* rw 64: address, for KIND_RANGE */
#define FIGMENT_REG_INVAL_LAST		0x0308	/* rw 64: address, inclusive */
#define FIGMENT_REG_INVAL_COMMAND	0x0310	/* wo 64 */
#define   FIGMENT_INVAL_ASID		FIGMENT_MASK64(15, 0)
#define   FIGMENT_INVAL_KIND		FIGMENT_MASK64(17, 16)
#define     FIGMENT_INVAL_KIND_RANGE	0
#define     FIGMENT_INVAL_KIND_ASID	1
#define     FIGMENT_INVAL_KIND_ALL	2
#define   FIGMENT_INVAL_EVENT		FIGMENT_BIT64(18)	/* report the acknowledgement */
#define FIGMENT_REG_INVAL_SEQ		0x0318	/* ro 64: last accepted */
#define FIGMENT_REG_INVAL_DONE		0x0320	/* ro 64: last acknowledged */
#define   FIGMENT_INVAL_DEPTH		64	/* unacknowledged at a time; more are refused */

/*
 * Injection: rules by which the device misbehaves. Only with FEATURE_INJECT;
 * otherwise there are no such registers. INJECT_KIND to INJECT_LAST are one
 * rule, which ARM adds to those that are armed.
 */
#define FIGMENT_REG_INJECT_KIND		0x0400	/* rw 32 */
#define   FIGMENT_INJECT_INTERRUPT_LOST	1	/* the message is not sent */
#define   FIGMENT_INJECT_INTERRUPT_LATE	2	/* VALUE ns later */
#define   FIGMENT_INJECT_INTERRUPT_DUPLICATED 3	/* once more, VALUE ns later */
#define   FIGMENT_INJECT_INTERRUPT_SPURIOUS 4	/* without a cause; an opportunity each VALUE ns */
#define   FIGMENT_INJECT_HANG		5	/* a packet never ends, until queue or device are reset */
#define   FIGMENT_INJECT_PREEMPT_STUCK	6	/* PREEMPT never ends, until the same */
#define   FIGMENT_INJECT_PREEMPT_SLOW	7	/* VALUE ns later */
#define   FIGMENT_INJECT_EVENT_FULL	8	/* the event ring is as full, for VALUE ns */
#define   FIGMENT_INJECT_BUS_ERROR	9	/* system memory does not answer */
#define   FIGMENT_INJECT_VRAM_ERROR	10	/* a read of VRAM fails */
#define   FIGMENT_INJECT_COMPLETION_CORRUPT 11	/* the value of a RELEASE, XOR VALUE */
#define   FIGMENT_INJECT_REMOVED	12	/* the device is gone */
#define FIGMENT_REG_INJECT_WHEN		0x0404	/* rw 32 */
#define   FIGMENT_INJECT_ONCE		0
#define   FIGMENT_INJECT_EVERY		1	/* each NUMBER-th opportunity */
#define   FIGMENT_INJECT_CHANCE		2	/* NUMBER in a million */
#define   FIGMENT_INJECT_CHANCE_MAX	1000000
#define FIGMENT_REG_INJECT_NUMBER	0x0408	/* rw 64 */
#define FIGMENT_REG_INJECT_AFTER	0x0410	/* rw 64: opportunities that pass before */
#define FIGMENT_REG_INJECT_VALUE	0x0418	/* rw 64: per kind */
#define   FIGMENT_INJECT_NS_MAX		3600000000000ull	/* of a VALUE in ns */
#define   FIGMENT_INJECT_PERIOD_MIN	1000	/* of INTERRUPT_SPURIOUS, ns */
#define FIGMENT_REG_INJECT_QUEUE	0x0420	/* rw 32 */
#define   FIGMENT_INJECT_ANY		0xffffffffu
#define FIGMENT_REG_INJECT_ENGINE	0x0424	/* rw 32 */
#define FIGMENT_REG_INJECT_VECTOR	0x0428	/* rw 32 */
#define FIGMENT_REG_INJECT_EVENT	0x042c	/* rw 32: EVENT_* */
#define FIGMENT_REG_INJECT_FIRST	0x0430	/* rw 64: address, per kind */
#define FIGMENT_REG_INJECT_LAST		0x0438	/* rw 64: address, inclusive; 0 and ~0: any */
#define FIGMENT_REG_INJECT_COMMAND	0x0440	/* wo 32 */
#define   FIGMENT_INJECT_ARM		1
#define   FIGMENT_INJECT_CLEAR		2	/* all rules */
#define FIGMENT_REG_INJECT_RULES	0x0444	/* ro 32: how many are armed */
#define   FIGMENT_INJECT_RULES_MAX	16
#define FIGMENT_REG_INJECT_SELECT	0x0448	/* rw 32: the rule that INJECT_STRIKES is of */
#define FIGMENT_REG_INJECT_STRIKES	0x0450	/* ro 64 */

/* One block per queue. */
#define FIGMENT_REG_QUEUE(q)		(0x1000 + (q) * 0x40)
#define FIGMENT_QUEUES_MAX		256
#define FIGMENT_QUEUE_DESC		0x00	/* rw 64: bus address of the descriptor, 256-byte aligned */
#define FIGMENT_QUEUE_COMMAND		0x08	/* wo 32 */
#define   FIGMENT_QUEUE_START		1	/* OFF -> READY: load the descriptor */
#define   FIGMENT_QUEUE_RESET		2	/* any -> OFF: drop the job; reports EVENT_QUEUE_RESET */
#define   FIGMENT_QUEUE_PREEMPT		3	/* READY, FAULTED -> PREEMPTED: save to the descriptor */
#define   FIGMENT_QUEUE_RESUME		4	/* OFF, PREEMPTED -> READY: load descriptor and save area */
#define   FIGMENT_QUEUE_FAULT_RETRY	5	/* FAULTED -> READY: do the access again */
#define   FIGMENT_QUEUE_FAULT_KILL	6	/* FAULTED -> ERROR */
#define FIGMENT_QUEUE_STATE		0x0c	/* ro 32: enum below */
#define   FIGMENT_QUEUE_OFF		0
#define   FIGMENT_QUEUE_READY		1	/* idle, waiting for an engine, or on one */
#define   FIGMENT_QUEUE_STOPPING	2	/* reset or preemption on its way */
#define   FIGMENT_QUEUE_PREEMPTED	3
#define   FIGMENT_QUEUE_FAULTED		4
#define   FIGMENT_QUEUE_ERROR		5	/* see QUEUE_CODE; only RESET leads out */
#define FIGMENT_QUEUE_CODE		0x10	/* ro 32: FIGMENT_CODE_*, why the queue is in ERROR */
#define FIGMENT_QUEUE_ENGINE		0x14	/* ro 32: engine it is on, or ~0 */
#define FIGMENT_QUEUE_ADDRESS		0x18	/* ro 64: address that went wrong, in ERROR and FAULTED */
#define FIGMENT_QUEUE_READ		0x20	/* ro 64: ring bytes retired, free-running */
#define FIGMENT_QUEUE_WRITE		0x28	/* ro 64: ring bytes announced, free-running */

/* One root per address space. Writing it invalidates nothing. */
#define FIGMENT_REG_ASID_ROOT(asid)	(0x8000 + (asid) * 8)	/* rw 64 */
#define FIGMENT_ASIDS_MAX		1024
#define   FIGMENT_ROOT_VALID		FIGMENT_BIT64(0)
#define   FIGMENT_ROOT_VRAM		FIGMENT_BIT64(1)	/* ADDRESS is an offset in VRAM */
#define   FIGMENT_ROOT_FAULTS		FIGMENT_BIT64(2)	/* misses stall and report; needs FEATURE_FAULTS */
#define   FIGMENT_ROOT_ADDRESS		FIGMENT_MASK64(51, 12)

/* 3. Doorbells: a 64-bit write at offset 0 of the queue's page is the new QUEUE_WRITE. */

/*
 * 4. Page tables: four levels of 512 entries, 48 bits. Level 3 is the root
 * table, level 0 holds 4 KiB leaves. LEAF at level 1 maps 2 MiB. Everything
 * that is not named here and is not SOFTWARE must be zero.
 */
#define FIGMENT_VA_BITS			48
#define FIGMENT_PT_LEVELS		4
#define FIGMENT_PT_ENTRIES_LG2		9
#define FIGMENT_PAGE_LG2		12
#define FIGMENT_HUGE_PAGE_LG2		21
#define FIGMENT_PTE_VALID		FIGMENT_BIT64(0)
#define FIGMENT_PTE_VRAM		FIGMENT_BIT64(1)	/* ADDRESS is an offset in VRAM */
#define FIGMENT_PTE_LEAF		FIGMENT_BIT64(2)	/* set in every entry that maps memory */
#define FIGMENT_PTE_WRITE		FIGMENT_BIT64(3)	/* leaves only */
#define FIGMENT_PTE_PRIVILEGED		FIGMENT_BIT64(4)	/* leaves only: privileged packets only */
#define FIGMENT_PTE_SOFTWARE		FIGMENT_MASK64(11, 8)	/* ignored by the device */
#define FIGMENT_PTE_ADDRESS		FIGMENT_MASK64(51, 12)

/*
 * 5. Queue descriptor, in system memory. START and RESUME read it once; the
 * device writes READ after each retired ring packet, and STATE, CODE, ADDRESS,
 * READ and WRITE when the queue gets to PREEMPTED, to ERROR or by RESET to OFF.
 */
struct figment_descriptor {
	__le64 ring_address;	/* 4 KiB aligned */
	__le32 ring_bytes_lg2;	/* 12..22 */
	__le32 asid;
	__le32 priority;	/* 0 (lowest) .. FIGMENT_PRIORITIES - 1 */
	__le32 flags;
	__le64 timeslice_ns;	/* 0: the device's own default */
	__le64 read;		/* ring bytes, free-running, multiples of 8 */
	__le64 write;
	__le32 state;
	__le32 code;
	__le64 address;
	__u8   save_area[192];	/* written by PREEMPT, read by RESUME, the device's own format */
};

#define FIGMENT_DESCRIPTOR_BYTES	256
#define FIGMENT_PRIORITIES		4
#define FIGMENT_RING_BYTES_LG2_MIN	12
#define FIGMENT_RING_BYTES_LG2_MAX	22
#define FIGMENT_DESC_PRIVILEGED		FIGMENT_BIT32(0)	/* packets in the ring itself are privileged */

/* Why a queue stopped. */
#define FIGMENT_CODE_NONE		0
#define FIGMENT_CODE_DESCRIPTOR		1	/* descriptor unreadable or a field out of range */
#define FIGMENT_CODE_DOORBELL		2	/* write index not a multiple of 8, backwards, or too far */
#define FIGMENT_CODE_OPCODE		3
#define FIGMENT_CODE_VERSION		4
#define FIGMENT_CODE_LENGTH		5	/* wrong for the opcode, or runs past its buffer */
#define FIGMENT_CODE_FIELD		6	/* reserved bits, bad flags, bad alignment, address overflow */
#define FIGMENT_CODE_NESTING		7	/* INDIRECT too deep */
#define FIGMENT_CODE_UNMAPPED		8	/* miss in an address space without ROOT_FAULTS */
#define FIGMENT_CODE_PERMISSION		9	/* write without PTE_WRITE, or PTE_PRIVILEGED */
#define FIGMENT_CODE_PAGE_TABLE		10	/* malformed root or entry */
#define FIGMENT_CODE_BUS		11	/* memory that does not answer */
#define FIGMENT_CODE_KILLED		12	/* FAULT_KILL */

/*
 * 6. Events. An entry is valid when its SEQ equals the free-running number of
 * the entry plus 1; the device writes SEQ last. VECTOR_EVENTS is raised when
 * the ring stops being empty, and by a write of EVENT_READ that leaves it
 * not empty. When the ring is full, whoever has to report waits.
 */
struct figment_event {
	__le32 seq;
	__le16 type;
	__le16 queue;
	__le32 asid;
	__le32 detail;		/* per type */
	__le64 value;		/* per type */
	__le64 time_ns;
};

#define FIGMENT_EVENT_BYTES		32
#define FIGMENT_EVENT_FENCE		1	/* RELEASE: value; detail: EVENT_FENCE_PRIVILEGED */
#define   FIGMENT_EVENT_FENCE_PRIVILEGED FIGMENT_BIT32(0)
#define FIGMENT_EVENT_FAULT		2	/* value: address; detail: EVENT_ACCESS_* */
#define   FIGMENT_EVENT_ACCESS_WRITE	FIGMENT_BIT32(0)
#define   FIGMENT_EVENT_ACCESS_ATOMIC	FIGMENT_BIT32(1)
#define   FIGMENT_EVENT_ACCESS_DENIED	FIGMENT_BIT32(2)	/* there is a leaf, without PTE_WRITE */
#define FIGMENT_EVENT_PREEMPTED		3
#define FIGMENT_EVENT_INVALIDATED	4	/* value: sequence number; no queue */
#define FIGMENT_EVENT_QUEUE_ERROR	5	/* detail: FIGMENT_CODE_*; value: address */
#define FIGMENT_EVENT_QUEUE_RESET	6	/* the queue is OFF, nothing of it is in flight */
#define FIGMENT_EVENT_NO_QUEUE		0xffff

/*
 * 7. Packets: a 64-bit header, then operands of 64 bits. Packets start at
 * multiples of 8 and do not cross the end of an INDIRECT buffer; in a ring
 * they wrap. QWORDS counts the header.
 */
#define FIGMENT_PACKET_OPCODE		FIGMENT_MASK64(7, 0)
#define FIGMENT_PACKET_VERSION		FIGMENT_MASK64(15, 8)
#define FIGMENT_PACKET_QWORDS		FIGMENT_MASK64(31, 16)
#define FIGMENT_PACKET_FLAGS		FIGMENT_MASK64(63, 32)
#define FIGMENT_PACKET_VERSION_0	0
#define FIGMENT_PACKET(opcode, qwords, flags) \
	((__u64)(opcode) | (__u64)(qwords) << 16 | (__u64)(flags) << 32)

/* NOP: QWORDS 1..65535, the rest of the packet is skipped. */
#define FIGMENT_OP_NOP			0x00
/* INDIRECT: run the packets of another buffer, then go on. */
#define FIGMENT_OP_INDIRECT		0x01
#define   FIGMENT_INDIRECT_PRIVILEGED	FIGMENT_BIT32(0)	/* keep privilege; needs it */
#define   FIGMENT_INDIRECT_DEPTH	3	/* buffers below the ring */
struct figment_packet_indirect {
	__le64 header;
	__le64 address;		/* multiple of 8 */
	__le64 bytes;		/* multiple of 8 */
};

/* FILL: bytes / (1 << ELEMENT_LG2) elements, each the low bytes of value. */
#define FIGMENT_OP_FILL			0x02
#define   FIGMENT_FILL_ELEMENT_LG2	FIGMENT_MASK32(1, 0)	/* 1, 2, 4 or 8 bytes */
#define   FIGMENT_FILL_INCREMENT	FIGMENT_BIT32(2)	/* value + n in element n */
struct figment_packet_fill {
	__le64 header;
	__le64 address;		/* multiple of the element */
	__le64 bytes;		/* multiple of the element */
	__le64 value;
};

/* COPY: as memmove() does, when source and destination overlap by address. */
#define FIGMENT_OP_COPY			0x03
struct figment_packet_copy {
	__le64 header;
	__le64 destination;
	__le64 source;
	__le64 bytes;
};

/* ATOMIC: one naturally aligned read-modify-write, atomic for CPUs too. */
#define FIGMENT_OP_ATOMIC		0x04
#define   FIGMENT_ATOMIC_KIND		FIGMENT_MASK32(1, 0)
#define     FIGMENT_ATOMIC_ADD		0
#define     FIGMENT_ATOMIC_CAS		1	/* operand if *address == compare */
#define     FIGMENT_ATOMIC_XCHG		2
#define   FIGMENT_ATOMIC_64		FIGMENT_BIT32(2)	/* 64 bits, else 32 */
#define   FIGMENT_ATOMIC_RETURN		FIGMENT_BIT32(3)	/* store the old value at result */
struct figment_packet_atomic {
	__le64 header;
	__le64 address;
	__le64 operand;
	__le64 compare;		/* CAS only, else zero */
	__le64 result;		/* address, with RETURN, else zero */
};

/* WAIT: until (*address & mask) COMPARE reference, unsigned. */
#define FIGMENT_OP_WAIT			0x05
#define   FIGMENT_WAIT_COMPARE		FIGMENT_MASK32(2, 0)
#define     FIGMENT_WAIT_EQ		0
#define     FIGMENT_WAIT_NE		1
#define     FIGMENT_WAIT_LT		2
#define     FIGMENT_WAIT_LE		3
#define     FIGMENT_WAIT_GT		4
#define     FIGMENT_WAIT_GE		5
#define   FIGMENT_WAIT_64		FIGMENT_BIT32(3)	/* 64 bits, else 32 */
struct figment_packet_wait {
	__le64 header;
	__le64 address;		/* naturally aligned */
	__le64 reference;
	__le64 mask;
};

/* RELEASE: after everything before it in the queue is visible. */
#define FIGMENT_OP_RELEASE		0x06
#define   FIGMENT_RELEASE_WRITE		FIGMENT_BIT32(0)	/* store value at address */
#define   FIGMENT_RELEASE_64		FIGMENT_BIT32(1)	/* 64 bits, else 32 */
#define   FIGMENT_RELEASE_EVENT		FIGMENT_BIT32(2)	/* then EVENT_FENCE with value */
struct figment_packet_release {
	__le64 header;
	__le64 address;		/* naturally aligned with WRITE, else zero */
	__le64 value;
};

/* TIMESTAMP: store the device time, 64 bits. */
#define FIGMENT_OP_TIMESTAMP		0x07
struct figment_packet_timestamp {
	__le64 header;
	__le64 address;		/* multiple of 8 */
};

/* SPIN: keep the engine busy. */
#define FIGMENT_OP_SPIN			0x08
struct figment_packet_spin {
	__le64 header;
	__le64 ns;
};

/*
 * CHASE: p = address; up to count times, while p is not zero: p = *(u64 *)p.
 * Then store p at result.
 */
#define FIGMENT_OP_CHASE		0x09
struct figment_packet_chase {
	__le64 header;
	__le64 address;		/* every p is a multiple of 8 */
	__le64 count;
	__le64 result;		/* address, multiple of 8; zero: nowhere */
};

/* The layout is the contract: hold it on every side that includes this file. */
#ifdef __cplusplus
#define FIGMENT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes))
#else
#define FIGMENT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#endif
FIGMENT_SIZE(struct figment_descriptor, FIGMENT_DESCRIPTOR_BYTES);
FIGMENT_SIZE(struct figment_event, FIGMENT_EVENT_BYTES);
FIGMENT_SIZE(struct figment_packet_indirect, 24);
FIGMENT_SIZE(struct figment_packet_fill, 32);
FIGMENT_SIZE(struct figment_packet_copy, 32);
FIGMENT_SIZE(struct figment_packet_atomic, 40);
FIGMENT_SIZE(struct figment_packet_wait, 32);
FIGMENT_SIZE(struct figment_packet_release, 24);
FIGMENT_SIZE(struct figment_packet_timestamp, 16);
FIGMENT_SIZE(struct figment_packet_spin, 16);
FIGMENT_SIZE(struct figment_packet_chase, 32);

#endif
