/* SPDX-License-Identifier: MIT */
/*
 * The C interface of the device model, for a host that loads it as a shared
 * library. One exported symbol, figment_model_api(); the rest is a table.
 *
 * The model has no thread, no clock and no lock. Its host calls it from one
 * thread at a time (or under one lock) and gives it everything from outside
 * through struct figment_model_host. The model calls the host only from inside
 * a call of the host into the model.
 */
#ifndef FIGMENT_MODEL_H
#define FIGMENT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FIGMENT_MODEL_ABI 4u

/* "Never": run() has nothing to do until the guest does something. */
#define FIGMENT_MODEL_NEVER UINT64_MAX

struct figment_model; /* opaque */

/*
 * What the model needs from outside. All pointers are set. `opaque` comes back
 * as the first argument. No function may call the model.
 */
struct figment_model_host {
	void *opaque;

	/*
	 * Guest system memory, by bus address. read and write return false when
	 * any byte of the range does not answer; then what was transferred is
	 * not defined.
	 */
	bool (*read)(void *opaque, uint64_t bus, void *to, size_t bytes);
	bool (*write)(void *opaque, uint64_t bus, const void *from, size_t bytes);

	/*
	 * Direct access to guest RAM: a host pointer to `bus` and in *bytes how
	 * much of the asked range it covers (at least 1), or NULL where there is
	 * no RAM (then the model uses read and write). Every pointer is given
	 * back with unmap, before the call into the model returns; `touched` is
	 * how many bytes from its start were written.
	 */
	void *(*map)(void *opaque, uint64_t bus, size_t *bytes, bool for_write);
	void (*unmap)(void *opaque, void *pointer, size_t bytes, bool for_write,
		      size_t touched);

	/* Device memory: constant for the life of the model. */
	void *vram;
	size_t vram_bytes;
	/* [offset, offset + bytes) of VRAM was written by the device. */
	void (*vram_touched)(void *opaque, uint64_t offset, size_t bytes);

	/* Raise an MSI-X vector. May be delivered later, never lost. */
	void (*interrupt)(void *opaque, unsigned int vector);

	/* Device time in nanoseconds: never goes back. */
	uint64_t (*now)(void *opaque);

	/*
	 * 64 random bits, seeded by the host: drawn for latencies, step sizes and
	 * rules with a chance only.
	 */
	uint64_t (*random)(void *opaque);

	/*
	 * One decision of the model. `event` is an enum figment_trace; a..d are
	 * its arguments in the order that figment_trace_format() names them.
	 */
	void (*trace)(void *opaque, unsigned int event, uint64_t a, uint64_t b,
		      uint64_t c, uint64_t d);
};

/* Trace points, in chapters: normal, fault, guest error. */
enum figment_trace {
	FIGMENT_TRACE_DOORBELL, /* queue, write */
	FIGMENT_TRACE_QUEUE_STATE, /* queue, old, new */
	FIGMENT_TRACE_SCHEDULE, /* engine, queue, priority */
	FIGMENT_TRACE_DESCHEDULE, /* engine, queue, ran_ns */
	FIGMENT_TRACE_PACKET, /* queue, header, address, depth */
	FIGMENT_TRACE_RETIRE, /* queue, header, address, read */
	FIGMENT_TRACE_WALK, /* asid, va, level, entry */
	FIGMENT_TRACE_TLB_HIT, /* asid, va, entry */
	FIGMENT_TRACE_PREFETCH, /* asid, va, entry */
	FIGMENT_TRACE_INVALIDATE, /* seq, asid, first, last */
	FIGMENT_TRACE_INVALIDATED, /* seq */
	FIGMENT_TRACE_EVENT, /* index, type, queue, value */
	FIGMENT_TRACE_INTERRUPT, /* vector */
	FIGMENT_TRACE_RESET, /* - */
	FIGMENT_TRACE_FAULT, /* asid, va, access, code */
	FIGMENT_TRACE_QUEUE_ERROR, /* queue, code, address */
	FIGMENT_TRACE_EVENT_STALL, /* queue, type */
	FIGMENT_TRACE_INJECTED, /* kind, rule, queue or -1, value */
	FIGMENT_TRACE_GUEST_ERROR, /* offset, width, value, is_write */
	FIGMENT_TRACE_COUNT
};

/* A latency: uniformly drawn from [min_ns, max_ns]; equal: fixed; 0, 0: at once. */
struct figment_latency {
	uint64_t min_ns;
	uint64_t max_ns;
};

/* What defaults() fills in, for hosts that declare defaults as constants. */
#define FIGMENT_MODEL_DEFAULT_ENGINES 2u
#define FIGMENT_MODEL_DEFAULT_QUEUES 64u
#define FIGMENT_MODEL_DEFAULT_ASIDS 256u
#define FIGMENT_MODEL_DEFAULT_VA_BITS 48u
#define FIGMENT_MODEL_DEFAULT_TLB_ENTRIES 4096u
#define FIGMENT_MODEL_DEFAULT_WALK_CACHE_ENTRIES 1024u
#define FIGMENT_MODEL_DEFAULT_PREFETCH_PAGES 0u
#define FIGMENT_MODEL_DEFAULT_RETENTION_NS FIGMENT_MODEL_NEVER
#define FIGMENT_MODEL_DEFAULT_STEP_BYTES 65536u
#define FIGMENT_MODEL_DEFAULT_BYTES_PER_US 0u
#define FIGMENT_MODEL_DEFAULT_TIMESLICE_NS 1000000u
#define FIGMENT_MODEL_DEFAULT_POLL_NS 2000u

/* The properties of one GPU. */
struct figment_model_config {
	uint32_t engines; /* 1..16 */
	uint32_t queues; /* 1..FIGMENT_QUEUES_MAX */
	uint32_t asids; /* 1..FIGMENT_ASIDS_MAX */
	uint32_t va_bits; /* 48 */
	uint32_t preempt; /* FIGMENT_PREEMPT_*, default none */
	bool faults; /* default off */
	bool inject; /* the guest may arm rules, too; default off */

	uint32_t tlb_entries; /* per device, 16..65536 */
	uint32_t walk_cache_entries; /* 0..65536; 0: none */
	/*
	 * After a walk, so many of the next pages are translated and read too,
	 * though nobody has asked for them. 0..64
	 */
	uint32_t prefetch_pages;
	/*
	 * How long the TLB and the walk cache may hold an entry without an
	 * invalidation. FIGMENT_MODEL_NEVER: until capacity evicts it.
	 */
	uint64_t retention_ns;

	uint32_t step_bytes; /* at most this much data in one small step; 64..1 MiB */
	/*
	 * Each step may move a number of bytes that is drawn from
	 * [step_bytes_min, step_bytes]; 0: always step_bytes.
	 */
	uint32_t step_bytes_min; /* 0, or 64..step_bytes */
	uint64_t bytes_per_us; /* data rate of an engine; 0: as fast as the host */
	uint64_t timeslice_ns; /* for descriptors with 0; 0: until nothing is to do */
	uint64_t poll_ns; /* between two looks of WAIT */

	struct figment_latency doorbell; /* doorbell to first fetch */
	struct figment_latency invalidate; /* command to acknowledgement */
	struct figment_latency access; /* translation to the access that uses it */
	struct figment_latency event; /* event to ring entry */
	struct figment_latency interrupt; /* cause to interrupt() */
	struct figment_latency preemption; /* PREEMPT to the first try to leave the engine */
};

/*
 * A rule by which the device misbehaves (docs/hardware.md, "Injection"). It
 * waits for opportunities that its kind has and that it aims at.
 */
struct figment_injection {
	uint32_t kind; /* FIGMENT_INJECT_INTERRUPT_LOST and what follows it */
	uint32_t when; /* FIGMENT_INJECT_ONCE, EVERY, CHANCE */
	uint64_t number; /* EVERY: each number-th; CHANCE: in a million; ONCE: 0 */
	uint64_t after; /* opportunities that pass before */
	uint64_t value; /* per kind: ns, or a mask; 0 for those without */
	/* The aim: FIGMENT_INJECT_ANY, or just this one. */
	uint32_t queue;
	uint32_t engine;
	uint32_t vector;
	uint32_t event; /* FIGMENT_EVENT_* */
	uint64_t first; /* addresses, per kind; 0 and UINT64_MAX: any */
	uint64_t last; /* inclusive */
};

/* What run() says. */
struct figment_model_progress {
	uint64_t steps; /* small steps that were done */
	/*
	 * When to call run() again: a device time, now or earlier for "more work
	 * at once", FIGMENT_MODEL_NEVER for "when something is written".
	 */
	uint64_t next_ns;
};

/* The functions of the library. */
struct figment_model_api {
	uint32_t abi; /* FIGMENT_MODEL_ABI */

	void (*defaults)(struct figment_model_config *config);

	/*
	 * NULL when the config is refused; then `error` (of `error_bytes`) says
	 * which field, and what is allowed. `host` is copied.
	 */
	struct figment_model *(*create)(const struct figment_model_config *config,
					const struct figment_model_host *host,
					char *error, size_t error_bytes);
	void (*destroy)(struct figment_model *model);

	/* BAR accesses: any offset and any width of 1, 2, 4, 8 bytes is safe. */
	uint64_t (*register_read)(struct figment_model *model, uint64_t offset,
				  unsigned int bytes);
	void (*register_write)(struct figment_model *model, uint64_t offset,
			       uint64_t value, unsigned int bytes);
	uint64_t (*doorbell_read)(struct figment_model *model, uint64_t offset,
				  unsigned int bytes);
	void (*doorbell_write)(struct figment_model *model, uint64_t offset,
			       uint64_t value, unsigned int bytes);

	/* At most `steps` small steps of work. Each takes bounded time. */
	struct figment_model_progress (*run)(struct figment_model *model, uint64_t steps);

	/* PCI reset (FLR, bus, power): everything but VRAM content, at once. */
	void (*reset)(struct figment_model *model);

	/*
	 * The whole state, but what struct figment_model_host gives (time, VRAM,
	 * randomness): a stream of bytes that describes itself. Writes it to
	 * `to` if `bytes` is enough, and returns its size in any case. 0: the
	 * model has failed (an internal error) and has no state.
	 */
	size_t (*save)(struct figment_model *model, void *to, size_t bytes);
	/*
	 * Take the state from a stream of save(), of this model or of another
	 * one with the same engines, queues, asids, va_bits, preempt, faults,
	 * inject, tlb_entries, walk_cache_entries and VRAM size. What is left of the
	 * config may differ, and is used for all that comes.
	 *
	 * The stream may come from anybody. False when it cannot be the state of
	 * such a model: then `error` (of `error_bytes`) says why, and the model
	 * is as after reset(). Calls no function of the host but trace.
	 */
	bool (*load)(struct figment_model *model, const void *from, size_t bytes,
		     char *error, size_t error_bytes);

	/*
	 * A rule as text, KIND[,NAME[=VALUE]]... False when it is none; then
	 * `error` says why, as below. Whether a device can have the rule is for
	 * inject() to say.
	 */
	bool (*inject_parse)(const char *text, struct figment_injection *rule,
			     char *error, size_t error_bytes);
	/*
	 * Arm a rule, whatever `config.inject` is. Its number, from 0; or -1,
	 * and `error` says why. Rules outlive resets. Call run() afterwards.
	 */
	int (*inject)(struct figment_model *model, const struct figment_injection *rule,
		      char *error, size_t error_bytes);
	/* Disarm all rules. A device that was removed is back, as after reset(). */
	void (*inject_clear)(struct figment_model *model);
	/* How often the rule of that number has struck; 0: there is none. */
	uint64_t (*inject_count)(struct figment_model *model, unsigned int rule);
	/*
	 * All rules as text, a line for each with how often it has struck. Like
	 * snprintf(): writes as much as fits, returns the length of all of it.
	 */
	size_t (*inject_report)(struct figment_model *model, char *to, size_t bytes);
	/* A rule has removed the device: all that the guest sees of it is ones. */
	bool (*removed)(struct figment_model *model);

	/* Name and printf-like argument names of a trace point, for logs. */
	const char *(*trace_name)(unsigned int event);
	const char *(*trace_format)(unsigned int event);
};

/* The table for `abi`, or NULL when the library has another one. */
const struct figment_model_api *figment_model_api(uint32_t abi);

#ifdef __cplusplus
}
#endif

#endif
